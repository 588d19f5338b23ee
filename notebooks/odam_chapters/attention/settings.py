"""What a reader may set in notebook 05."""

from odam_chapters.parameters import EVERYWHERE, Count, Loadable, Number, Text

PARAMETERS = {
    "IMAGE": Text(),
    "DETECTOR": Loadable(),
    "SCORE_THRESHOLD": Number(0, 1),
    "SCENES": Count(2),
    "TESTED_SCENES": Count(1),
    "CHECKED": Count(1),
    "CELL_SHARE": Number(0, 1, above=True),
    "ROWS": Text(),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
