"""Numbers that judge detectors and explanations."""

from odam_lib.metrics.agreement import brightness_per_part as brightness_per_part, rank_correlation as rank_correlation
from odam_lib.metrics.crowd_scores import (
    average_precision as average_precision,
    crowd_recall as crowd_recall,
    jaccard as jaccard,
    miss_rate as miss_rate,
)
from odam_lib.metrics.crowds import CrowdPicture as CrowdPicture, crowd_set as crowd_set, match_crowds as match_crowds
from odam_lib.metrics.discrimination import object_discrimination as object_discrimination
from odam_lib.metrics.errors import classify_errors as classify_errors
from odam_lib.metrics.faithfulness import deletion as deletion, insertion as insertion
from odam_lib.metrics.intervals import bootstrap as bootstrap, mean_interval as mean_interval
from odam_lib.metrics.localization import (
    energy_inside as energy_inside,
    pointing as pointing,
    visual_explanation_accuracy as visual_explanation_accuracy,
)
from odam_lib.metrics.matching import match as match
