"""What limits a call on a device: its arithmetic, its memory, or the program that feeds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from odam_chapters.timing import measure, measure_in_turn
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES

PATIENCE = 3.0
"""Seconds after which no further repeat is begun."""


IDLE = 0.4
"""A larger share of the time without a kernel means that launching them is the limit."""


WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


LONGEST, NAMED = 12, 90
"""How many operators and kernels are listed, and how much of their names."""


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches at its best, measured: multiplications and additions, and bytes, a second."""

    float32: float
    tf32: float
    bfloat16: float
    bandwidth: float


def measure_ceilings(device: torch.device, side: int) -> Ceilings:
    """By products of random matrices of side x side, and a copy of eight times their bytes, read and written."""
    one, other = torch.randn(2, side, side, device=device)

    def product(one: Tensor, other: Tensor, precision: str = "highest") -> float:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            return 2 * side**3 / measure(lambda: one @ other, 5, 2, PATIENCE, device).seconds
        finally:
            torch.set_float32_matmul_precision(before)

    source = torch.randn(8, side, side, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.numel() * source.element_size()
    return Ceilings(
        float32=product(one, other),
        tf32=product(one, other, "high"),
        bfloat16=product(one.bfloat16(), other.bfloat16()),
        bandwidth=copied / measure(lambda: target.copy_(source), 5, 2, PATIENCE, device).seconds,
    )


class Work(TorchDispatchMode):
    """While active, adds up what operators do.

    torch's own ``FlopCounterMode`` also follows modules by hooks, which fail where gradients are asked of a module's
    input.

    Attributes:
        operations: multiplications and additions of products and convolutions.
        bytes: read and written, as if nothing stayed in a cache from one operator to the next.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations, self.bytes = 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        outcome = function(*arguments, **(options or {}))
        if function.overloadpacket in flop_registry:
            self.operations += flop_registry[function.overloadpacket](*arguments, **(options or {}), out_val=outcome)
        if not function.is_view and "empty" not in function.name():
            self.bytes += sum(
                one.numel() * one.element_size()
                for one in tree_leaves((arguments, options, outcome))
                if isinstance(one, Tensor)
            )
        return outcome


class Products(Work):
    """While active, keeps every product and convolution, so that it can be computed again alone.

    Attributes:
        kept: functions without arguments.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Callable[[], object]] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if function.overloadpacket in flop_registry:
            self.kept.append(partial(function, *arguments, **(options or {})))
        return super().__torch_dispatch__(function, types, arguments, options)


@dataclass(frozen=True)
class Bound:
    """What the maps of one prediction cost, and what they would cost if arithmetic were all.

    Attributes:
        operations: multiplications and additions of the products and convolutions of one backward pass a target.
        products: seconds of each repeat of these alone, one after another, on the same numbers.
        maps: seconds of each repeat of the maps, measured in turn with the products.
    """

    operations: int
    products: tuple[float, ...]
    maps: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as long the maps take, medians compared."""
        return median(self.maps) / median(self.products)


def find_bound(method: ODAM, trace: Trace, row: Detections, repeats: int) -> Bound:
    """The least time for one prediction's maps where each of its targets needs a backward pass of its own.

    Args:
        method: what makes the maps.
        trace: a pass whose layer has no windows.
        row: one prediction of it.
        repeats: how often both are measured.
    """
    targets = [trace.targets(attribute, row) for attribute in ATTRIBUTES]
    with Products() as products:
        for target in targets:
            torch.autograd.grad(target, trace.features, retain_graph=True)
    ways = {
        "products": lambda: [product() for product in products.kept],
        "maps": lambda: method(trace, row, ATTRIBUTES),
    }
    return Bound(products.operations, **measure_in_turn(ways, repeats, trace.features[0].device))


@dataclass(frozen=True)
class Limits:
    """Where the time of a call goes.

    Attributes:
        seconds: by the clock.
        busy: seconds in which the device worked; ``None`` where its kernels cannot be seen.
        launches: kernels and copies.
        waits: times the program waited for the device.
        operations, bytes: see :class:`Work`.
        arithmetic: the share of the ceiling of its products and convolutions that was reached.
        bandwidth: the share of the ceiling of the memory that was reached.
        limited_by: what the next gain has to come from.
        by_operator, by_kernel: (name, seconds of the device, calls), the longest first; operators include no others.
    """

    seconds: float
    busy: float | None
    launches: int
    waits: int
    operations: float
    bytes: float
    arithmetic: float
    bandwidth: float
    limited_by: str
    by_operator: tuple[tuple[str, float, int], ...]
    by_kernel: tuple[tuple[str, float, int], ...]


def find_limits(function: Callable[[], object], device: torch.device, best: Ceilings, repeats: int) -> Limits:
    """Measure a call, look at its kernels, and compare with what the device reaches at its best."""
    seconds = measure(function, repeats, 2, PATIENCE, device).seconds
    with Work() as work:
        function()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    averages = sorted(profiled.key_averages(), key=partial(_own_time, device), reverse=True)
    launched = [event for event in profiled.events() if event.device_type == DeviceType.CUDA]
    busy = sum(event.time_range.elapsed_us() for event in launched) / 1e6 if launched else None
    # Convolutions and, where it is allowed, products round to TF32 on CUDA.
    peak = best.tf32 if device.type == "cuda" and torch.backends.cudnn.allow_tf32 else best.float32
    arithmetic, bandwidth = work.operations / seconds / peak, work.bytes / seconds / best.bandwidth
    return Limits(
        seconds=seconds,
        busy=busy,
        launches=len(launched),
        waits=sum(event.name in WAITS for event in profiled.events()),
        operations=work.operations,
        bytes=work.bytes,
        arithmetic=arithmetic,
        bandwidth=bandwidth,
        limited_by=_limit(seconds, busy, arithmetic, bandwidth),
        by_operator=_longest(averages, DeviceType.CPU, device),
        by_kernel=_longest(averages, DeviceType.CUDA, device),
    )


def _own_time(device: torch.device, event: FunctionEventAvg) -> float:
    """Microseconds on the device of a kind of event, without those of events within it."""
    return event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total


def _longest(
    averages: Sequence[FunctionEventAvg], kind: DeviceType, device: torch.device
) -> tuple[tuple[str, float, int], ...]:
    chosen = [one for one in averages if one.device_type == kind][:LONGEST]
    return tuple((one.key[:NAMED], _own_time(device, one) / 1e6, one.count) for one in chosen)


def _limit(seconds: float, busy: float | None, arithmetic: float, bandwidth: float) -> str:
    if busy is not None and seconds - busy > IDLE * seconds:
        return f"launching: the device idles {1 - busy / seconds:.0%} of the time"
    return "memory" if bandwidth > arithmetic else "arithmetic"
