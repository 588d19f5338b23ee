"""Checks for the exercises of notebook 90."""

import math
from collections.abc import Mapping

from odam_chapters.timing import Cost, find_break_even


def check_factor(answer: float | None, factor: float) -> str:
    """Check a guess of how many times faster something is; within a factor of three it is right."""
    if math.isnan(factor):
        return "open: nothing was measured."
    if answer is None or answer <= 0:
        return "open: how many times faster? Answer with a positive number, as 1, 10, 100 or 1000."
    grade = "right" if 1 / 3 < answer / factor < 3 else f"not quite, you said {answer:g}"
    return f"{grade}: it is {factor:.0f} times faster here."


def check_break_even(answer: float | None, growth: Mapping[int, Cost], seconds: float) -> str:
    """Check how many explained predictions cost so many seconds; within 30 % of what was measured it is right."""
    found = find_break_even(growth, seconds)
    if math.isnan(found):
        return "open: nothing was measured; give more than one of NUMBERS."
    if answer is None:
        return "open: how many explained predictions cost as much as one forward pass?"
    if abs(answer / found - 1) <= 0.3:
        return f"right: {found:.0f} of them cost what the forward pass costs."
    return f"not quite: {answer:g} are too {'many' if answer > found else 'few'}."
