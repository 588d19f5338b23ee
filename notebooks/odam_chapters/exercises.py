"""Checks for the notebooks' exercises: each returns a sentence that says whether an answer is right, and why."""

from collections.abc import Mapping
from numbers import Real

from torch import Tensor


def tell_no_function(answer: object, asked: str) -> str:
    """The reply to what cannot be called where a function was asked: open for no answer at all."""
    if answer is None:
        return f"open: {asked}."
    return f"not quite: {asked}; yours is a {type(answer).__name__}, which cannot be called."


def read_number(answer: object) -> float | None:
    """The number that an answer is, a tensor of one number included; ``None`` where it is none."""
    if isinstance(answer, Tensor):
        return float(answer.detach()) if answer.numel() == 1 else None
    return float(answer) if isinstance(answer, Real) else None


def tell_no_number(answer: object) -> str:
    """The reply to what is no number where one was asked, whether given or returned."""
    if answer is None:
        return "not quite: the function returns nothing; end it with return."
    many = f" of {answer.numel()} numbers" if isinstance(answer, Tensor) else ""
    return f"not quite: that is a {type(answer).__name__}{many}; one number is asked."


def check_most(answer: str | None, values: Mapping[str, float], what: str) -> str:
    """Check a prediction of which of several things has the most of something.

    Args:
        answer: one of the names.
        values: by name; NaN where nothing was measured.
        what: name of the number, for the sentence.
    """
    if not values or any(value != value for value in values.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if not isinstance(answer, str) or answer not in values:
        return f"open: where is the {what} largest? Answer with one of {', '.join(map(repr, values))}."
    found = max(values, key=values.__getitem__)
    grade = "right" if answer == found else f"not quite, you said {answer}"
    listed = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return f"{grade}: the {what} is largest with {found} ({listed})."
