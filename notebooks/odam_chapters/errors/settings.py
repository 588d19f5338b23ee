"""What a reader may set in notebook 04."""

from odam_chapters.parameters import EVERYWHERE, Choice, Count, Loadable, Number
from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.zoo import ZOO, Bundled

DETECTORS = tuple(name for name, one in ZOO.items() if isinstance(one, Bundled) and one.categories == CATEGORIES)
"""What knows the classes of drawings."""
PARAMETERS = {
    "DETECTOR": Choice(DETECTORS),
    "PICTURES": Count(1),
    "SCORE_THRESHOLD": Number(0, 1),
    "ROWS": Count(1),
    "CONTROLS": Count(1),
    "DRAWS": Count(1),
    "SEED": Count(0, 999),
    "PHOTO_DETECTOR": Loadable(),
    "PHOTO_THRESHOLD": Number(0, 1),
    **EVERYWHERE,
}
