"""What a reader may set in notebook 09."""

from odam_chapters.data import Data
from odam_chapters.parameters import EVERYWHERE, Choice, Count, Loadable, Number, Text

PARAMETERS = {
    "MINE": Choice(("faster-rcnn-scenes", "retinanet-scenes", "fcos-scenes")),
    "DETECTOR": Loadable(),
    "KIND": Data(),
    "ROOT": Text(empty=True),
    "ANNOTATIONS": Text(empty=True),
    "PICTURES": Count(1),
    "SCORE_THRESHOLD": Number(0, 1),
    "SHOWN": Count(1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
