"""What a reader may set in notebook 01."""

from odam_chapters.parameters import EVERYWHERE, Count, Loadable, Number, Text

PARAMETERS = {
    "DETECTOR": Loadable(),
    "IMAGE": Text(),
    "SCENE_DETECTOR": Loadable(),
    "NORMED_DETECTOR": Loadable(),
    "SCORE_THRESHOLD": Number(0, 1),
    "SCENES": Count(1),
    "MASKED_SCENES": Count(1, "SCENES"),
    "CELLS": Count(1),
    "MASK_SHARE": Number(0, 1, above=True),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
"""What a reader may set."""
