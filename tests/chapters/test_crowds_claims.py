"""What the paper says about suppression: which numbers bear it out, and which speak against it."""

import pytest
from odam_chapters.crowds.claims import ALIKE, BETTER, CLAIMS, WORSE, Verdict, judge_claims, tabulate_verdicts
from odam_chapters.crowds.rules import CLASSICAL, FEATURE_NMS, ODAM_NMS
from test_crowds_tables import finding

from odam_lib.metrics.crowds import match_crowds
from odam_lib.metrics.intervals import Estimate

MORE, LESS, BOTH = Estimate(0.2, 0.1, 0.3), Estimate(-0.2, -0.3, -0.1), Estimate(0.1, -0.1, 0.3)


@pytest.mark.parametrize(
    ("how", "metric", "difference", "text"),
    [
        (BETTER, "JI", MORE, "reproduced"),
        (BETTER, "MR", LESS, "reproduced"),
        (WORSE, "MR", MORE, "reproduced"),
        (BETTER, "JI", LESS, "contradicted"),
        (BETTER, "MR", MORE, "contradicted"),
        (WORSE, "JI", MORE, "contradicted"),
        (BETTER, "JI", BOTH, "cannot tell"),
        (WORSE, "MR", BOTH, "cannot tell"),
        (ALIKE, "MR", BOTH, "reproduced"),
        (ALIKE, "MR", MORE, "contradicted"),
        (ALIKE, "JI", LESS, "contradicted"),
    ],
)
def test_the_whole_interval_decides(how: str, metric: str, difference: Estimate, text: str) -> None:
    assert Verdict("fcos", CLAIMS[0]._replace(how=how), metric, difference).text == text


def test_claims_about_what_was_measured_are_judged() -> None:
    sides = {
        ("fcos-crowd", CLASSICAL): (0, 2),
        ("fcos-crowd", FEATURE_NMS): (0, 2),
        ("fcos-crowd-odam", CLASSICAL): (0, 2),
        ("fcos-crowd-odam", ODAM_NMS): (0, 1, 2),
    }
    verdicts = judge_claims({key: match_crowds(finding(*people)) for key, people in sides.items()}, repeats=20)
    told = {(one.claim.place, one.claim.how, one.claim.other[1], one.metric): one.text for one in verdicts}
    assert told == {
        ("Sec. 4.3", BETTER, CLASSICAL, "JI"): "reproduced",
        ("Sec. 4.3", BETTER, CLASSICAL, "MR"): "reproduced",
        ("Sec. 4.3", BETTER, FEATURE_NMS, "JI"): "reproduced",
        ("Sec. 4.3", BETTER, FEATURE_NMS, "MR"): "reproduced",
        ("Sec. 4.3", BETTER, CLASSICAL, "AP50"): "cannot tell",  # of FeatureNMS, which finds the same as NMS
        ("Sec. 4.3", ALIKE, CLASSICAL, "JI"): "reproduced",
        ("Sec. 4.3", ALIKE, CLASSICAL, "MR"): "reproduced",
        ("A.4.2", BETTER, CLASSICAL, "recall crowd"): "reproduced",
        ("A.4.3", ALIKE, CLASSICAL, "AP50"): "reproduced",
        ("A.4.3", ALIKE, CLASSICAL, "MR"): "reproduced",
        ("A.4.3", ALIKE, CLASSICAL, "JI"): "reproduced",
    }
    head, first, *_ = tabulate_verdicts(verdicts).splitlines()
    assert "points" in head and first.startswith("Sec. 4.3  fcos") and first.rstrip().endswith("reproduced")
    assert "Odam-NMS after Odam-Train is better than NMS" in first
