"""What something costs: seconds and peak extra memory, measured the same way for everything."""

import ctypes
import gc
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import linear_regression, median
from threading import Event, Thread

import torch

from odam_chapters.tables import write_text

INTERVAL = 0.002
"""Seconds between two looks at this process's memory."""

STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Cost:
    """What a call costs.

    Attributes:
        seconds: median over the repeats.
        extra_bytes: most memory held at a time beyond what was held before, its result included: of this process, or
            what PyTorch allocated on a CUDA device. NaN where it is not known.
        measured: ``False`` if it was extrapolated from a smaller number.
    """

    seconds: float
    extra_bytes: float
    measured: bool = True

    def times(self, factor: float) -> "Cost":
        """The cost of so many times as much work, in proportion; its memory is not known."""
        return replace(self, seconds=self.seconds * factor, extra_bytes=math.nan, measured=False)


def measure(
    function: Callable[[], object],
    repeats: int = 3,
    warm_up: int = 1,
    patience: float = math.inf,
    device: torch.device | str = "cpu",
) -> Cost:
    """Call a function, first without a clock, then with one.

    Args:
        function: what to measure; its result counts as memory.
        repeats: calls with a clock.
        warm_up: calls before them.
        patience: no further repeat is begun after this many seconds of repeats.
        device: where it works; a function that works on an accelerator is waited for.

    Raises:
        ValueError: ``repeats`` is less than 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: give at least 1.")
    device = torch.device(device)
    for _ in range(warm_up):
        function()
    gc.collect()  # slow, and what one repeat leaves is there before the next
    seconds: list[float] = []
    extra: list[float] = []
    while len(seconds) < repeats and sum(seconds) < patience:
        with _peak(device) as peak:
            start = time.perf_counter()
            result = function()
            _wait(device)
            seconds.append(time.perf_counter() - start)
        del result
        extra.append(peak[0])
    return Cost(median(seconds), max(extra))


def measure_in_turn(
    functions: Mapping[str, Callable[[], object]], repeats: int, device: torch.device | str = "cpu"
) -> dict[str, tuple[float, ...]]:
    """Seconds of functions that are to be compared, called one after another, round after round.

    What slows the machine down for a while slows all of them. Each is called once without a clock before.

    Args:
        functions: by name.
        repeats: rounds with a clock.
        device: where they work; an accelerator is waited for.

    Returns:
        By name the seconds of each round.

    Raises:
        ValueError: ``repeats`` is less than 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: give at least 1.")
    device = torch.device(device)
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            _wait(device)
            start = time.perf_counter()
            function()
            _wait(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: tuple(each) for name, each in seconds.items()}


def measure_growth(
    function: Callable[[int], object],
    numbers: Iterable[int],
    limit: float = math.inf,
    repeats: int = 3,
    patience: float = math.inf,
    device: torch.device | str = "cpu",
) -> dict[int, Cost]:
    """The cost of a function of a number, which is called with the smallest number first, as a warm-up.

    Args:
        function: works ``n`` times as much for ``n``.
        numbers: how much work.
        limit: larger numbers are not measured but extrapolated in proportion from this one, which is measured.
        repeats, patience, device: see :func:`measure`.

    Returns:
        The cost of each number, ascending, and of the limit where that was measured.
    """
    wanted = sorted(set(numbers))
    measured = [number for number in wanted if number <= limit]
    if len(measured) < len(wanted) and limit not in measured:
        measured.append(int(limit))
    function(measured[0])
    costs = {
        number: measure(lambda: function(number), repeats, 0, patience, device)  # noqa: B023 (called at once)
        for number in measured
    }
    last = measured[-1]
    return costs | {number: costs[last].times(number / last) for number in wanted if number > limit}


def fit_exponent(costs: Mapping[int, Cost]) -> float:
    """p of the fit seconds = c * number ** p through what was measured: 1 is linear; NaN for less than two numbers."""
    points = [(math.log(number), math.log(cost.seconds)) for number, cost in costs.items() if cost.measured]
    return linear_regression(*zip(*points)).slope if len(points) > 1 else math.nan


def find_break_even(costs: Mapping[int, Cost], seconds: float) -> float:
    """The number that costs so many seconds, interpolated between neighbours on logarithmic axes.

    Returns:
        NaN where fewer than two numbers are known; beyond them the line through the nearest two goes on.
    """
    points = sorted((math.log(number), math.log(cost.seconds)) for number, cost in costs.items())
    if len(points) < 2:
        return math.nan
    wanted = math.log(seconds)
    after = next((at for at, point in enumerate(points) if at and point[1] >= wanted), len(points) - 1)
    (left, low), (right, high) = points[after - 1 : after + 1]
    return math.exp(left + (right - left) * (wanted - low) / (high - low)) if high > low else math.nan


def tabulate(costs: Mapping[str, Mapping[int, Cost]], shown: Callable[[Cost], float], heading: str) -> str:
    """Text with a row for each name and a column for each number.

    Args:
        costs: by name and number.
        shown: what of a cost to show; NaN becomes ``-``.
        heading: over the names.

    Returns:
        The table; ``~`` marks what was extrapolated.
    """
    numbers = sorted({number for growth in costs.values() for number in growth})
    width = max(len(name) for name in (heading, *costs)) + 1

    def cell(cost: Cost | None) -> str:
        if cost is None or math.isnan(shown(cost)):
            return "-"
        return ("" if cost.measured else "~") + _digits(shown(cost))

    rows = [[name, *(cell(growth.get(number)) for number in numbers)] for name, growth in costs.items()]
    return write_text([[heading, *numbers], *rows], -width, 9)


def _digits(value: float) -> str:
    """Two or three digits, never an exponent."""
    if value >= 10 or value == 0:
        return f"{value:.0f}"
    return f"{value:.{1 - math.floor(math.log10(value))}f}"


@contextmanager
def _peak(device: torch.device) -> Iterator[list[float]]:
    """Yields a list that holds, after the block, the most extra bytes that were held in it."""
    peak = [math.nan]
    if device.type == "cuda":
        _wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(device) - before
    elif device.type != "cpu" or not STATM.is_file():
        yield peak
    else:
        _give_back_free_memory()
        before, done = _resident(), Event()
        seen = [before]

        def watch() -> None:
            while not done.wait(INTERVAL):
                seen[0] = max(seen[0], _resident())

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield peak
        finally:
            seen[0] = max(seen[0], _resident())
            done.set()
            watcher.join()
        peak[0] = float(seen[0] - before)


def _resident() -> int:
    return int(STATM.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _give_back_free_memory() -> None:
    """Free memory that the C library keeps would be used again unseen: glibc is asked to return it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
