"""What a reader may set in notebook 91."""

from collections.abc import Mapping
from typing import Any

from odam_chapters.data import Data
from odam_chapters.parameters import EVERYWHERE, Count, Loadable, Names, Number, Text
from odam_lib.evaluation.methods import comparison

METHODS = tuple(comparison())


def leave_two(name: str, value: Any, given: Mapping[str, Any]) -> None:
    """Methods that may be left out: all but ODAM, and one stays to compare it with."""
    Names(METHODS, least=0)(name, value, given)
    if "ODAM" in value or len(set(value)) > len(METHODS) - 2:
        raise ValueError(f"{name} leaves ODAM and one more; choose among {', '.join(METHODS)}.")


def have_rows(name: str, value: Any, given: Mapping[str, Any]) -> None:
    """Only of scenes are rows bundled."""
    Text(empty=True)(name, value, given)
    if value and given["DATASET"] != "scenes":
        raise ValueError(f"DATASET is {given['DATASET']!r}, of which no rows are bundled: set {name} to ''.")


PARAMETERS = {
    "DETECTOR": Loadable(trained=False),  # files are called by its name
    "DATASET": Data(),
    "ROOT": Text(empty=True),
    "ANNOTATIONS": Text(empty=True),
    "LEFT_OUT": leave_two,
    "OBJECTS": Count(1),
    "MASKS": Count(1),
    "STEPS": Count(1),
    "LEAST_IOU": Number(0, 1, above=True),
    "PICTURE": Count(0),
    "CHECKED": Count(1),
    "ROWS": have_rows,
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
