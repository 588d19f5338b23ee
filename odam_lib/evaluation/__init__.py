"""Many methods on many objects."""

from odam_lib.evaluation.evaluate import (
    Evaluation as Evaluation,
    begin_with as begin_with,
    comparison as comparison,
    open_picture as open_picture,
    smoothings as smoothings,
)
from odam_lib.evaluation.judges import (
    Discrimination as Discrimination,
    Faithfulness as Faithfulness,
    Localization as Localization,
    PlantedCauses as PlantedCauses,
    choose_judges as choose_judges,
)
from odam_lib.evaluation.planted import brightness_per_part as brightness_per_part
from odam_lib.evaluation.verdicts import (
    SMALLER_IS_BETTER as SMALLER_IS_BETTER,
    as_paired_markdown as as_paired_markdown,
    as_table as as_table,
    measured as measured,
    ranking as ranking,
    scoreboard as scoreboard,
    won as won,
)
