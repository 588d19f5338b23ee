"""What the checks of the notebooks' exercises share: each returns a sentence that says whether an answer is right."""

import textwrap
from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec

from torch import Tensor

P = ParamSpec("P")
WIDTH = 100
"""Letters of a line that a reply may have: a page breaks longer ones in the middle of a word."""


class Unusable(Exception):
    """An answer that cannot be judged; its message is the reply."""


def reply(check: Callable[P, str]) -> Callable[P, str]:
    """Make a check answer in lines that fit a page, and say what was wrong of an answer that it could not judge."""

    @wraps(check)
    def replied(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            sentence = check(*args, **kwargs)
        except Unusable as unusable:
            sentence = str(unusable)
        return textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)

    return replied


def call(function: object, *arguments: object, wanted: str) -> Any:
    """What a reader's function returns.

    Args:
        function: what was given as one.
        arguments: of the call.
        wanted: what the function was to be, for the sentence.

    Raises:
        Unusable: it is no function, it stops with an error, or it returns nothing.
    """
    if not callable(function):
        raise Unusable(f"open: {function!r} is no function; {wanted}")
    try:
        result = function(*arguments)
    except Exception as error:
        raise Unusable(f"not quite: it stops with {type(error).__name__}: {error}") from error
    if result is None:
        raise Unusable("not quite: the function returns nothing; end it with return.")
    return result


def as_number(answer: object, wanted: str) -> float:
    """The number that someone gave, also as a tensor of one.

    Raises:
        Unusable: it is none; the sentence ends with ``wanted``.
    """
    if isinstance(answer, Tensor) and answer.numel() == 1 and not answer.is_complex():
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, Real):
        raise Unusable(f"open: {answer!r} is no number; {wanted}")
    return float(answer)


@reply
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
