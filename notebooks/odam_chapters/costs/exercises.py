"""Checks for the exercises of notebook 90."""

import math
from collections.abc import Callable, Mapping

from odam_chapters.timing import Cost, find_break_even


def check_factor(answer: float | None, factor: float) -> str:
    """Check a guess of how many times faster something is; within a factor of three it is right."""
    if math.isnan(factor):
        return "open: nothing was measured."
    if answer is None or answer <= 0:
        return "open: how many times faster? Answer with a positive number, as 1, 10, 100 or 1000."
    found = f"it is {factor:.0f} times faster here"
    if 1 / 3 < answer / factor < 3:
        return f"right: {found}."
    if answer < factor:
        return (
            f"not quite, you said {answer:g}: {found}. Whoever counts passes only overlooks that each call also walks "
            "back over the whole feature map, and ODAM over a few of its cells."
        )
    return (
        f"not quite, you said {answer:g}: {found}. Both have to make five gradients for each prediction, and these are "
        "not small beside what ODAM spares."
    )


def check_break_even(answer: float | None, growth: Mapping[int, Cost], seconds: float) -> str:
    """Check how many explained predictions cost so many seconds; within 30 % of what was measured it is right."""
    found = find_break_even(growth, seconds)
    if math.isnan(found):
        return "open: nothing was measured; give more than one of NUMBERS."
    if answer is None:
        return "open: how many explained predictions cost as much as one forward pass?"
    if abs(answer / found - 1) <= 0.3:
        return f"right: {found:.0f} of them cost what the forward pass costs."
    if answer < found:
        return (
            f"not quite: {answer:g} are too few. A backward pass over the whole network costs more than a forward "
            "pass, but a walk over a window of cells costs a small part of one."
        )
    return f"not quite: {answer:g} are too many, their maps take longer than the forward pass."


def check_reach(function: Callable[[int, int, int], float] | None) -> str:
    """Check a function of L, height and width: which share of a level's cells the gradient of a prediction reaches.

    The prediction stands in the middle of the level, behind L convolutions of 3 x 3 cells and the one that makes it.
    """
    if function is None:
        return "open: write a function (layers, height, width) that returns a share of the cells, from 0 to 1."
    for layers, height, width in ((4, 80, 80), (0, 40, 30), (4, 5, 5), (4, 80, 5)):
        try:
            told = float(function(layers, height, width))
        except (TypeError, ValueError, ZeroDivisionError) as error:
            return f"not quite: for {layers}, {height}, {width} it stops with {type(error).__name__}: {error}"
        side = 3 + 2 * layers
        right = min(side, height) * min(side, width) / (height * width)
        if not math.isclose(told, right, rel_tol=1e-3):
            return f"not quite: {_why(told, layers, height, width, right)}"
    return "right: 11 x 11 cells of 6400 on the finest level, and everything on a level of 5 x 5 cells."


def _why(told: float, layers: int, height: int, width: int, right: float) -> str:
    """What was forgotten in a wrong share."""
    cells, place = height * width, f"{layers} convolutions on {height} x {width} cells"
    if math.isclose(told, (1 + 2 * layers) ** 2 / cells, rel_tol=1e-3):
        return (
            f"for {place} one convolution is missing: the last one, which makes the prediction, reads 3 x 3 cells too."
        )
    if math.isclose(told * cells, math.sqrt(right * cells), rel_tol=1e-3):
        return f"for {place} that is one side of the window; it has two."
    if math.isclose(told, right * cells, rel_tol=1e-3):
        return f"for {place} that is a number of cells; divide by all cells of the level."
    if told > 1:
        return f"for {place} it says {told:.2f}. A window larger than the level ends where the level ends."
    return f"for {place} it says {told:.4f}, and {right * cells:.0f} of {cells} cells are {right:.4f}."
