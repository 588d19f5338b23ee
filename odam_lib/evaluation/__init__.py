"""Many methods, many objects: explained, judged, kept as rows. ``python -m odam_lib.evaluation`` does it by command."""

from odam_lib.evaluation.judges import (
    JUDGES,
    Discrimination,
    Faithfulness,
    Localization,
    PlantedCauses,
    choose_judges,
)
from odam_lib.evaluation.methods import SMOOTHING_ABLATION, comparison
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate, open_picture
from odam_lib.evaluation.store import begin_with

__all__ = [
    "JUDGES",
    "SMOOTHING_ABLATION",
    "Discrimination",
    "Evaluation",
    "Faithfulness",
    "Localization",
    "PlantedCauses",
    "begin_with",
    "choose_judges",
    "comparison",
    "evaluate",
    "open_picture",
]
