"""What the notebooks' parameters may be: a rule for each, that refuses a wrong value with one sentence.

A chapter lists the rules of its notebook by parameter, :func:`odam_chapters.setup.setup` applies them in that order::

    PARAMETERS = {
        "SCENES": Count(1),
        "MASKED_SCENES": Count(1, "SCENES"),  # at most as many as SCENES, which stands before it
        "PICTURE": Count(0, below="SCENES"),
        "EDGE": Choice(EDGES),
        "SHARE": Number(0, 1, above=True),
        "ROOT": Text(empty=True),
        **EVERYWHERE,
    }

A rule is anything that is called with a parameter's name, its value and all values by name. Where the rules here do not
say it, a chapter writes a function.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from odam_lib.detectors.trained import read_run
from odam_lib.detectors.zoo import SOURCES, ZOO, Untrained
from odam_lib.files import user_path

Rule = Callable[[str, Any, Mapping[str, Any]], None]
"""Raises ``TypeError`` or ``ValueError`` with a sentence that begins with the name."""

MANY = 10**6


@dataclass(frozen=True)
class Text:
    """Text: a name, a path.

    Attributes:
        empty: whether it may be empty.
    """

    empty: bool = False

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        if not isinstance(value, str):
            raise TypeError(f'{name} is {value!r}: give text in quotes, as "fcos-scenes" or "runs/mine".')
        if "\0" in value:
            raise ValueError(f"{name} is {value!r}: give text without a zero byte.")
        if not (value.strip() or self.empty):
            raise ValueError(f"{name} is {value!r}: give text that is not empty.")


@dataclass(frozen=True)
class Choice:
    """One of some names."""

    among: Sequence[str]

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        Text()(name, value, given)
        if value not in self.among:
            raise ValueError(f"{name} is {value!r}: choose among {', '.join(self.among)}.")


@dataclass(frozen=True)
class Loadable:
    """A detector, by a name of which ``load_detector`` knows weights, whether or not they are here.

    Attributes:
        trained: whether the folder of a training will do too; an absolute one, for a notebook runs anywhere.
    """

    trained: bool = True

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        Text()(name, value, given)
        prefix, _, rest = value.partition(":")
        known = [one for one, entry in ZOO.items() if not isinstance(entry, Untrained)]
        if value in known or (rest and prefix in SOURCES):
            return
        if self.trained and user_path(value).is_absolute():
            try:
                read_run(value)
            except (OSError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from error
            return
        others = [f"{source}:NAME" for source in SOURCES] + ["the absolute path of a training's folder"] * self.trained
        raise ValueError(f"{name} is {value!r}: choose among {', '.join(known)}, or give {' or '.join(others)}.")


@dataclass(frozen=True)
class Count:
    """A whole number.

    Attributes:
        least, most: what it may be; ``most`` may name a parameter that is checked before.
        below: a parameter that is checked before and has to be larger.
    """

    least: int
    most: int | str = MANY
    below: str = ""

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        most = given[self.most] if isinstance(self.most, str) else self.most
        most = min(most, given[self.below] - 1) if self.below else most
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{name} is {value!r}: give a whole number from {self.least} to {most}.")
        if not self.least <= int(value) <= most:
            raise ValueError(f"{name} is {value}: give a whole number from {self.least} to {most}.")


@dataclass(frozen=True)
class Counts:
    """A list of one whole number or more, each from ``least`` to ``most``."""

    least: int
    most: int = MANY

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name} is {value!r}: give a list of whole numbers, as [1, 10].")
        if not value:
            raise ValueError(f"{name} is empty: give one whole number or more, as [1, 10].")
        for place, item in enumerate(value):
            Count(self.least, self.most)(f"{name}[{place}]", item, given)


@dataclass(frozen=True)
class Number:
    """A finite number.

    Attributes:
        low, high: the range.
        above: whether ``low`` itself is refused.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        span = "" if self.low == -math.inf else f" above {self.low:g}" if self.above else f" from {self.low:g}"
        span = f"{span} to {self.high:g}" if self.high < math.inf else span
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} is {value!r}: give a finite number{span}.")
        number = float(value)
        if not (math.isfinite(number) and self.low <= number <= self.high) or (self.above and number == self.low):
            raise ValueError(f"{name} is {value}: give a finite number{span}.")


@dataclass(frozen=True)
class Names:
    """A list of names.

    Attributes:
        among: which names there are; ``None`` where something else checks them.
        least: how many at least.
    """

    among: Sequence[str] | None = None
    least: int = 1

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise TypeError(f'{name} is {value!r}: give a list of names in quotes, as ["one", "two"].')
        if len(value) < self.least:
            raise ValueError(f"{name} is {value!r}: give {self.least} or more.")
        unknown = [] if self.among is None else [item for item in value if item not in self.among]
        if unknown:
            raise ValueError(f"{name} holds {unknown[0]!r}: choose among {', '.join(self.among or ())}.")


EVERYWHERE: Mapping[str, Rule] = {"DEVICE": Text(), "OUTPUT_DIR": Text()}
"""What every notebook has."""
