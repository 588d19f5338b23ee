"""Many methods, many objects: explained, judged, kept as rows. ``python -m odam_lib.evaluation`` does it by command."""

from odam_lib.evaluation.judges import (
    JUDGES as JUDGES,
    Discrimination as Discrimination,
    Faithfulness as Faithfulness,
    Localization as Localization,
    PlantedCauses as PlantedCauses,
    SignedFaithfulness as SignedFaithfulness,
    choose_judges as choose_judges,
)
from odam_lib.evaluation.methods import SMOOTHING_ABLATION as SMOOTHING_ABLATION, comparison as comparison
from odam_lib.evaluation.rows import Evaluation as Evaluation
from odam_lib.evaluation.runs import evaluate as evaluate, open_picture as open_picture
from odam_lib.evaluation.store import begin_with as begin_with
from odam_lib.lazy import load_lazily

# On first use: `python -m odam_lib.evaluation.tables` would warn that the package had already imported that module.
_TABLES = ("as_paired_markdown", "select_metrics")
_VERDICTS = ("SMALLER_IS_BETTER", "best_threshold")
__getattr__, __dir__ = load_lazily(__name__, dict.fromkeys(_TABLES, "tables") | dict.fromkeys(_VERDICTS, "verdicts"))
