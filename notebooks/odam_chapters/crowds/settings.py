"""What a reader may set in notebook 07."""

from collections.abc import Mapping
from typing import Any

from odam_chapters.crowds.rules import THRESHOLDS
from odam_chapters.crowds.tables import FAMILIES
from odam_chapters.parameters import EVERYWHERE, Choice, Count, Number, Text


def set_thresholds(detector: str, low: float, high: float) -> tuple[float, float]:
    """(T_l, T_h) of Odam-NMS: those given, or where one is negative that chosen for the detector with Odam-Train.

    Args:
        detector: a name of ``FAMILIES``.
        low, high: at most 1.

    Raises:
        ValueError: the first is larger than the second.
    """
    chosen = THRESHOLDS[FAMILIES[detector][1]]
    low, high = (given if given >= 0 else default for given, default in zip((low, high), chosen))
    if low > high:
        raise ValueError(f"LOW is {low} and HIGH is {high}: give 0 <= LOW <= HIGH <= 1.")
    return low, high


def be_above_low(name: str, value: Any, given: Mapping[str, Any]) -> None:
    """The higher of the two thresholds."""
    Number(-1, 1)(name, value, given)
    set_thresholds(given["DETECTOR"], given["LOW"], value)


PARAMETERS = {
    "DETECTOR": Choice(tuple(FAMILIES)),
    "DATASET": Choice(("crowd", "crowdhuman")),
    "ROOT": Text(empty=True),
    "PICTURES": Count(2),
    "PICTURE": Count(0),
    "LOW": Number(-1, 1),
    "HIGH": be_above_low,
    "TIMED": Count(1),
    "DRAWS": Count(1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
