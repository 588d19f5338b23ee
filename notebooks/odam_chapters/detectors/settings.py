"""What a reader may set in notebook 02."""

from odam_chapters.parameters import EVERYWHERE, Choice, Count, Loadable, Names, Number, Text
from odam_lib.heatmaps import EDGES

PARAMETERS = {
    "DETECTOR": Loadable(trained=False),  # it is made without training, too
    "DETECTORS": Names(),
    "BACKBONES": Names(least=0),
    "TWIN": Loadable(),
    "EDGE": Choice(EDGES),
    "SCENES": Count(2),
    "CASCADE_SCENES": Count(1, "SCENES"),
    "SCORE_THRESHOLD": Number(0, 1),
    "CELLS": Count(2, 1000),
    "ROWS": Text(),
    "SEED": Count(0, 999),
    "WEIGHTS_SEED": Count(0, 999),
    **EVERYWHERE,
}
