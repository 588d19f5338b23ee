"""What a reader may set in notebooks 07 and 92."""

from collections.abc import Mapping
from typing import Any

from odam_chapters.crowds.people import People
from odam_chapters.crowds.rules import THRESHOLDS
from odam_chapters.crowds.tables import FAMILIES
from odam_chapters.data import Data, open_data
from odam_chapters.parameters import EVERYWHERE, Choice, Count, Number, Text
from odam_lib.datasets.opening import is_drawn


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


def open_crowds(dataset: str, root: str, seed: int, **numbers: int) -> People:
    """Held-out crowds, drawn here or photographs.

    Args:
        dataset: ``crowd``, ``crowdhuman``, or other data with people by its kind or path, see
            :func:`~odam_lib.datasets.opening.open_dataset`; a relative path starts at the repository.
        root: its folder; empty for where the library keeps data sets.
        seed: of drawn crowds.
        numbers: how many crowds are needed, by the name of the parameter that asks for them.

    Raises:
        OSError: they are not there.
        ValueError: a number is larger than that of the photographs, or see :class:`People`.
    """
    drawn = max(numbers.values()) if is_drawn(dataset) else None
    crowds = People(open_data(dataset, root, number=drawn, seed=seed))
    for name, number in numbers.items():
        Count(1, len(crowds))(name, number, numbers)
    return crowds


IN_CROWDS = {
    "DETECTOR": Choice(tuple(FAMILIES)),
    "DATASET": Data(),
    "ROOT": Text(empty=True),
    "PICTURES": Count(2),
    "LOW": Number(-1, 1),
    "HIGH": be_above_low,
    "DRAWS": Count(1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
"""What both notebooks have."""
PARAMETERS = {**IN_CROWDS, "PICTURE": Count(0)}
