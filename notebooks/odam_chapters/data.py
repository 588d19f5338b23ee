"""Data that a reader chooses by a notebook's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from odam_chapters.parameters import Text
from odam_lib.datasets.opening import DRAWN, KINDS, open_dataset
from odam_lib.files import from_root

NAMES = (*KINDS, *DRAWN[1:])


@dataclass(frozen=True)
class Data:
    """A data set: the name of a kind, of a setting of the scenes, or a path."""

    def __call__(self, name: str, value: Any, given: Mapping[str, Any]) -> None:
        Text()(name, value, given)
        if value not in NAMES and not from_root(value).exists():
            raise ValueError(f"{name} is {value!r}: choose among {', '.join(NAMES)}, or give a path that is there.")


def open_data(kind: str, root: str = "", annotations: str = "", number: int | None = None, seed: int = 0) -> Any:
    """As :func:`~odam_lib.datasets.opening.open_dataset`; relative paths start at the repository."""
    places = (str(from_root(path)) if path else "" for path in (root, annotations))
    return open_dataset(kind if kind in NAMES else str(from_root(kind)), *places, number=number, seed=seed)
