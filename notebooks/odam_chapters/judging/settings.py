"""What a reader may set in notebook 03."""

from odam_chapters.parameters import EVERYWHERE, Count, Loadable

PARAMETERS = {
    "DETECTOR": Loadable(),
    "PICTURE": Count(0),
    "OBJECT": Count(0),
    "MASKS": Count(1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
