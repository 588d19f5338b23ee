"""Checks for the notebooks' exercises: each returns a sentence that says whether an answer is right, and why."""

from collections.abc import Mapping


def check_most(answer: str | None, values: Mapping[str, float], what: str) -> str:
    """Check a prediction of which of several things has the most of something.

    Args:
        answer: one of the names.
        values: by name; NaN where nothing was measured.
        what: name of the number, for the sentence.
    """
    if not values or any(value != value for value in values.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if answer not in values:
        return f"open: where is the {what} largest? Answer with one of {', '.join(map(repr, values))}."
    found = max(values, key=values.__getitem__)
    grade = "right" if answer == found else f"not quite, you said {answer}"
    listed = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return f"{grade}: the {what} is largest with {found} ({listed})."
