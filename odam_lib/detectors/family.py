"""What :func:`odam_lib.detectors.wrap.wrap` must know of a family of models, and checks that families share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from odam_lib.detectors.base import Detector

BACKGROUND = "__background__"


@dataclass(frozen=True)
class Told:
    """What the caller of ``wrap`` said about a model; whatever is ``None`` is read from the model.

    Attributes:
        name: of the detector.
        categories: class names.
        strides: of the levels that are explained by default, in pixels of the model's input.
        processor: the image processor of a ``transformers`` model.
    """

    name: str
    categories: tuple[str, ...] | None = None
    strides: tuple[int, ...] | None = None
    processor: object | None = None


@dataclass(frozen=True)
class Family:
    """Models that one builder can wrap.

    Attributes:
        names: of the models, for messages.
        recognises: whether a model is one of them; it imports no package that the model itself does not need.
        build: makes the detector, or raises ``ValueError`` where the model contradicts what was told.
    """

    names: str
    recognises: Callable[[nn.Module], bool]
    build: Callable[[nn.Module, Told], Detector]


def is_named(model: nn.Module, package: str, *classes: str) -> bool:
    """Whether a model's class, or a base of it, has one of these names in a package; nothing is imported."""
    kinds = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(model).__mro__]
    return any(where == package and kind in classes for where, kind in kinds)


def choose_categories(told: Sequence[str] | None, number: int, own: Sequence[str] | None = None) -> tuple[str, ...]:
    """The class names of a model, index 0 the background, checked against what the model says.

    Args:
        told: what the caller said: a name for each class, with or without the background in front.
        number: of the model's classes, without the background.
        own: names that the model itself carries, without the background; ``None`` if it carries none.

    Returns:
        ``number + 1`` names. Where nobody knows them they are ``class 1``, ``class 2``, ...

    Raises:
        ValueError: another number of names than classes, or two classes of one name.
    """
    if told is None:
        return (BACKGROUND, *(own or (f"class {label}" for label in range(1, number + 1))))
    names = tuple(told)
    if len(names) == number and BACKGROUND not in names:
        names = (BACKGROUND, *names)
    if len(names) != number + 1 or names[0] != BACKGROUND:
        raise ValueError(
            f"The model predicts {number} classes, but {len(told)} names were given ({_listed(told)}): give a name for "
            f"each class in the order of the model's labels, with or without {BACKGROUND!r} in front."
        )
    if twice := sorted({name for name in names if names.count(name) > 1 and name != "N/A"}):
        raise ValueError(f"Several classes are called {_listed(twice)}: give each class a name of its own.")
    return names


def check_strides(told: Sequence[int] | None, found: Sequence[int]) -> None:
    """Raise ``ValueError`` where the caller's strides are not those of the model."""
    if told is not None and tuple(told) != tuple(found):
        raise ValueError(f"The model's strides are {tuple(found)}, not {tuple(told)}: leave them out, they are read.")


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")
