"""Many methods, many objects: explained, judged, kept as rows. ``python -m odam_lib.evaluation`` does it by command."""

from odam_lib.evaluation.judges import (
    JUDGES as JUDGES,
    Discrimination as Discrimination,
    Faithfulness as Faithfulness,
    Localization as Localization,
    PlantedCauses as PlantedCauses,
    choose_judges as choose_judges,
)
from odam_lib.evaluation.methods import SMOOTHING_ABLATION as SMOOTHING_ABLATION, comparison as comparison
from odam_lib.evaluation.rows import Evaluation as Evaluation
from odam_lib.evaluation.runs import evaluate as evaluate, open_picture as open_picture
from odam_lib.evaluation.tables import (
    SMALLER_IS_BETTER as SMALLER_IS_BETTER,
    as_paired_markdown as as_paired_markdown,
    measured as measured,
)
