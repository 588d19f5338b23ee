"""What a reader may set in notebook 06."""

from collections.abc import Mapping
from typing import Any

from odam_chapters.odam_train.sweep import WEIGHTS
from odam_chapters.parameters import EVERYWHERE, Choice, Count, Number, Text

BATCH = 16


def fill_a_batch(name: str, value: Any, given: Mapping[str, Any]) -> None:
    """No training, or one of a batch at least."""
    Count(0)(name, value, given)
    if 0 < value < BATCH:
        raise ValueError(f"{name} is {value}: give 0, or at least {BATCH}, a batch.")


PARAMETERS = {
    "DETECTOR": Choice(tuple(WEIGHTS)),
    "PICTURES": Count(2),
    "SCATTER": Count(1),
    "PICTURE": Count(0),
    "LIVE_SCENES": fill_a_batch,
    "LIVE_WEIGHT": Number(0, above=True),
    "LIVE_RATE": Number(0, above=True),
    "CHECKED": Count(1),
    "ROWS": Text(),
    "SEED": Count(0, 998),
    **EVERYWHERE,
}
