"""What the notebooks' parameters may be: checked by name before any work, with one sentence for a wrong one."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def texts(empty: bool = False, **given: Any) -> None:
    """Refuse what is no text: names, paths.

    Args:
        empty: whether it may be empty.
        given: parameters by name.

    Raises:
        TypeError: one is no text; names it.
        ValueError: one is empty, or no path could hold it.
    """
    for name, value in given.items():
        if not isinstance(value, str):
            raise TypeError(f'{name} is {value!r}: give text in quotes, as "fcos-scenes" or "runs/mine".')
        if "\0" in value:
            raise ValueError(f"{name} is {value!r}: give text without a zero byte.")
        if not (value.strip() or empty):
            raise ValueError(f"{name} is {value!r}: give text that is not empty.")


def choices(among: Sequence[str], **given: Any) -> None:
    """Refuse what is none of some names.

    Raises:
        TypeError: one is no text; names it.
        ValueError: it is another name; says which there are.
    """
    texts(**given)
    for name, value in given.items():
        if value not in among:
            raise ValueError(f"{name} is {value!r}: choose among {', '.join(among)}.")


def counts(least: int, most: int = 10**6, **given: Any) -> None:
    """Refuse what is no whole number, or too small or large a one.

    Args:
        least, most: what it may be.
        given: parameters by name.

    Raises:
        TypeError: one is no whole number; names it.
        ValueError: it is out of the range.
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{name} is {value!r}: give a whole number from {least} to {most}.")
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}: give a whole number from {least} to {most}.")


def count_lists(least: int, most: int = 10**6, **given: Any) -> None:
    """Refuse what is no list of whole numbers, as :func:`counts` does each of them, or is empty."""
    for name, value in given.items():
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name} is {value!r}: give a list of whole numbers, as [1, 10].")
        if not value:
            raise ValueError(f"{name} is empty: give one whole number or more, as [1, 10].")
        counts(least, most, **{f"{name}[{place}]": item for place, item in enumerate(value)})


def numbers(low: float = -math.inf, high: float = math.inf, above: bool = False, **given: Any) -> None:
    """Refuse what is no finite number, or out of a range.

    Args:
        low, high: the range.
        above: whether ``low`` itself is refused.
        given: parameters by name.

    Raises:
        TypeError: one is no number; names it.
        ValueError: it is out of the range, infinite or not a number.
    """
    span = "" if low == -math.inf else f" above {low:g}" if above else f" from {low:g}"
    span = f"{span} to {high:g}" if high < math.inf else span
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} is {value!r}: give a finite number{span}.")
        if not (math.isfinite(value) and low <= value <= high) or (above and value == low):
            raise ValueError(f"{name} is {value}: give a finite number{span}.")


def lists(among: Sequence[str] | None = None, least: int = 1, **given: Any) -> None:
    """Refuse what is no list of names.

    Args:
        among: which names there are; ``None`` where something else checks them.
        least: how many at least.
        given: parameters by name.

    Raises:
        TypeError: one is no list of texts; names it.
        ValueError: it is too short, or holds another name.
    """
    for name, value in given.items():
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise TypeError(f'{name} is {value!r}: give a list of names in quotes, as ["one", "two"].')
        if len(value) < least:
            raise ValueError(f"{name} is {value!r}: give {least} or more.")
        unknown = [] if among is None else [item for item in value if item not in among]
        if unknown:
            raise ValueError(f"{name} holds {unknown[0]!r}: choose among {', '.join(among or ())}.")
