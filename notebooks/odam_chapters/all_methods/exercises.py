"""The check for the exercise of notebook 91 that needs code."""

from collections.abc import Callable, Mapping
from math import isnan, nan

from odam_chapters.exercises import as_number, call, reply

Values = Mapping[tuple[int, int], float]

OURS: Values = {(0, 0): 1.0, (0, 1): nan, (1, 0): 4.0, (2, 0): 2.0}
THEIRS: Values = {(0, 0): 0.5, (0, 1): 9.0, (1, 0): 1.0, (2, 0): 1.5}
"""Values by picture and object: better by 0.5, 3 and 0.5 where both are known, worse by the two means."""

DIFFERENCE = "write a function of two dicts, value by (picture, object), that returns one number."


@reply
def check_difference(function: Callable[[Values, Values], float] | None) -> str:
    """Check a function of two methods' values by object that returns the mean paired difference."""
    if function is None:
        return f"open: {DIFFERENCE}"
    given = as_number(call(function, OURS, THEIRS, wanted=DIFFERENCE), DIFFERENCE)
    if isnan(given):
        return "not quite: NaN. A value is NaN where the metric is undefined: leave out objects where either is."
    if abs(given - 4 / 3) < 1e-6:
        return "right: +1.33, the mean over the three objects of which both values are known."
    told = {
        -4 / 3: "that is theirs minus ours",
        7 / 3 - 3: "you subtracted two means: one object counts for theirs alone, and turns the verdict round",
        0.5: "that is the median; the tables hold means",
    }
    why = next((why for value, why in told.items() if abs(given - value) < 1e-6), "it is +1.33")
    return f"not quite, {given:+.2f}: {why}."
