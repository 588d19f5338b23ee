"""What a reader may set in notebook 04."""

from odam_chapters.parameters import EVERYWHERE, Count, Number, Text

PARAMETERS = {
    "DETECTOR": Text(),
    "DATASET": Text(),
    "PICTURES": Count(1),
    "SCORE_THRESHOLD": Number(0, 1),
    "SHOWN": Count(1),
    "ROWS": Count(1),
    "BROWSED": Count(1),
    "CONTROLS": Count(1),
    "SEED": Count(0, 999),
    "ROOT": Text(empty=True),
    "ANNOTATIONS": Text(empty=True),
    "PHOTO_DETECTOR": Text(),
    "PHOTO_THRESHOLD": Number(0, 1),
    **EVERYWHERE,
}
