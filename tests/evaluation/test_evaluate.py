"""What is explained and counted, and what is refused before any work."""

from typing import Any

import pytest
from handmade_pictures import FOUR, QUICK, TRUE, Pictures, Watched, on_disk
from planted import PlantedDetector
from torch import Tensor

from odam_lib.evaluation.judges import (
    Faithfulness,
)
from odam_lib.evaluation.kept import KEYS
from odam_lib.evaluation.runs import evaluate
from odam_lib.explainers.controls import BoxFill


def test_every_detected_object_has_one_row_a_method_and_the_others_are_counted() -> None:
    detector, one, other = PlantedDetector(), Watched(1), Watched(2)
    found = evaluate(detector, FOUR, {"one": one, "other": other}, QUICK, objects=99)
    assert (found.objects, found.undetected) == (TRUE, 1)
    expected = [(100, 0), (100, 1), (101, 0), (103, 0), (103, 1)]
    for method in found.methods:
        assert [(row["image_id"], row["object"]) for row in found.rows if row["method"] == method] == expected
    assert found.methods == ["one", "other"] and found.metrics == ["mean", "one"]
    assert all(tuple(row) == (*KEYS, "mean", "one") for row in found.rows)
    assert [row["label"] for row in found.rows[:5]] == [1, 2, 3, 4, 1]
    assert [row["score"] for row in found.rows[:5]] == [0.95, 0.85, 0.75, 0.65, 0.95]
    assert all(row["iou"] == 1 for row in found.rows)
    assert one.calls == other.calls and len(one.calls) == 3  # the same detections; none for a picture of no object
    assert detector.passes == 4


def test_an_object_is_detected_by_one_of_its_class_that_overlaps_and_is_sure_enough() -> None:
    def explained(**settings: float) -> int:
        found = evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, objects=99, **settings)
        assert found.objects - found.undetected == len(found.rows)
        return len(found.rows)

    assert explained() == 5 and explained(score_threshold=0.7) == 4 and explained(score_threshold=0.9) == 2
    shifted = Pictures(FOUR.objects)
    shifted.__class__ = type(
        "Shifted", (Pictures,), {"__getitem__": lambda self, item: _shift(Pictures.__getitem__(self, item))}
    )
    loose = evaluate(PlantedDetector(), shifted, {"fill": BoxFill()}, QUICK, 99, least_iou=0.5)
    strict = evaluate(PlantedDetector(), shifted, {"fill": BoxFill()}, QUICK, 99, least_iou=0.9)
    assert len(loose.rows) == 5 and 0 < len(strict.rows) < 5 and strict.undetected == TRUE - len(strict.rows)
    assert all(row["iou"] >= 0.9 for row in strict.rows)


def _shift(item: tuple[Tensor, dict[str, Any]]) -> tuple[Tensor, dict[str, Any]]:
    image, target = item
    return image, target | {"boxes": target["boxes"] + 2}


def test_pictures_are_taken_in_order_until_there_are_enough_objects() -> None:
    detector = PlantedDetector()
    found = evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, objects=3)
    assert detector.passes == 2 and len(found.rows) == 3 and (found.objects, found.undetected) == (4, 1)


@pytest.mark.parametrize(("methods", "objects"), [({}, 3), ({"fill": BoxFill()}, 0), ({"fill": BoxFill()}, -1)])
def test_nothing_to_do_is_refused(methods: dict, objects: int) -> None:
    with pytest.raises(ValueError, match="give at least one method and one object"):
        evaluate(PlantedDetector(), FOUR, methods, QUICK, objects)


def test_bad_settings_of_a_judge_are_refused_before_any_work() -> None:
    detector = PlantedDetector()
    with pytest.raises(ValueError, match="steps is 0"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, (Faithfulness(0),))
    assert detector.passes == 0


def test_labels_of_another_numbering_are_refused_before_any_work() -> None:
    detector, data = PlantedDetector(), Pictures(FOUR.objects)
    data.categories = ("__background__", "dog", "person")
    with pytest.raises(ValueError, match="The label 1 is 'dog' in the data set and 'person' to the detector"):
        evaluate(detector, data, {"fill": BoxFill()}, QUICK)
    assert detector.passes == 0


def test_missing_masks_are_named_before_work_on_that_picture(tmp_path) -> None:
    detector, method, path = PlantedDetector(), Watched(), tmp_path / "rows.sqlite"
    data = Pictures(FOUR.objects, bare=1)
    with pytest.raises(ValueError, match="Image 101 has no masks, which Mean needs: give"):
        evaluate(detector, data, {"noise": method}, QUICK, 99, path=path)
    assert detector.passes == 1 and len(method.calls) == 1 and len(on_disk(path)) == 2
    found = evaluate(detector, data, {"noise": method}, (Faithfulness(1),), 99)
    assert len(found.rows) == 5


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    detector = PlantedDetector()
    with pytest.raises(PermissionError, match="cannot be written"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "file" / "rows.sqlite")
    assert detector.passes == 0
    evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "new" / "rows.sqlite")
    assert len(on_disk(tmp_path / "new" / "rows.sqlite")) == 5
