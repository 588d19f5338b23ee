"""What Odam-Train costs: objects that two detectors share, and verdicts on those of one."""

import math

import pytest
from odam_chapters.odam_train.price import align_rows, tabulate_price

from odam_lib.evaluation.rows import Evaluation


def rows(**methods: dict[tuple[int, int], float]) -> Evaluation:
    """The energy of each method's maps by picture and object."""
    known = {"label": 1, "iou": 0.9, "score": 0.9, "seconds": 1.0}
    made = [
        known | {"image_id": image, "object": own, "method": method, "energy mask": value}
        for method, values in methods.items()
        for (image, own), value in values.items()
    ]
    return Evaluation(tuple(made), 100, 0)


def test_objects_that_both_detectors_found_are_compared() -> None:
    before = rows(ODAM={(7, 0): 0.2, (7, 1): 0.3, (8, 0): 0.4, (8, 2): 0.5})
    after = rows(ODAM={(8, 2): 0.6, (7, 1): 0.7, (8, 0): math.nan, (9, 0): 0.1})
    ours, theirs, images = align_rows(before, after, "ODAM", "energy mask")
    assert (ours.tolist(), theirs.tolist(), images.tolist()) == ([0.3, 0.5], [0.7, 0.6], [7, 8])


def test_a_line_says_the_change_and_how_rivals_then_stand() -> None:
    places = [(image, 0) for image in range(40)]
    before = rows(ODAM=dict.fromkeys(places, 0.4))
    after = rows(ODAM=dict.fromkeys(places, 0.5), Worse=dict.fromkeys(places, 0.3), Other=dict.fromkeys(places, 0.6))
    head, line = tabulate_price(before, after, ["energy mask"], ["Worse", "Other"]).splitlines()
    assert head.index("against Worse") < head.index("against Other")
    assert line.split()[:4] == ["energy", "mask", "40", "+25%"] and line.index("better") < line.index("worse")


def test_rivals_on_other_objects_are_refused() -> None:
    after = rows(ODAM={(1, 0): 0.5}, Rival={(2, 0): 0.3})
    with pytest.raises(ValueError, match="different objects"):
        tabulate_price(after, after, ["energy mask"], ["Rival"])
