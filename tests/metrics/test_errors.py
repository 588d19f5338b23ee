"""Kinds of mistakes: worked out by hand, and one verdict for whatever a detector says."""

import pytest
import torch
from handmade_mistakes import TRUE_BOXES, TRUE_LABELS, found
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.metrics.errors import MODES, VERDICTS, classify_errors


@pytest.mark.parametrize(
    ("box", "label", "verdict", "true", "iou"),
    [
        ([0, 0, 10, 9], 1, "correct", 0, 0.9),
        ([50, 0, 60, 50], 2, "mislocalised", 1, 0.4),
        ([0, 0, 10, 8], 3, "misclassified", 0, 0.8),
        ([0, 0, 10, 40], 2, "mislocalised and misclassified", 0, 0.25),
        ([0, 0, 100, 20], 3, "mislocalised and misclassified", 1, 0.1),
        ([80, 80, 90, 90], 1, "background", -1, 0.0),
        ([0, 0, 40, 40], 1, "background", -1, 0.0625),
        ([0, 0, 10, 20], 1, "correct", 0, 0.5),
        ([0, 0, 10, 100], 1, "mislocalised", 0, 0.1),
    ],
)
def test_verdicts_worked_out_by_hand(box: list[float], label: int, verdict: str, true: int, iou: float) -> None:
    errors = classify_errors(found([box], [label]), TRUE_BOXES, TRUE_LABELS)
    assert errors.names() == [verdict]
    assert errors.objects.tolist() == [true]
    assert errors.overlaps.item() == pytest.approx(iou)
    assert errors.missed.tolist() == [not (verdict == "correct" and true == k) for k in range(2)]


def test_of_two_boxes_on_one_object_the_worse_is_the_duplicate_whatever_their_scores() -> None:
    errors = classify_errors(found([[0, 0, 10, 8], [0, 0, 10, 9.5]], [1, 1]), TRUE_BOXES, TRUE_LABELS)
    assert errors.names() == ["duplicate", "correct"]
    assert errors.counts() == dict.fromkeys(VERDICTS, 0) | {"correct": 1, "duplicate": 1, "missed": 1}
    assert errors.rows("duplicate").tolist() == [0]


def test_a_second_object_of_the_class_is_no_duplicate() -> None:
    twins = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 0.0, 12.0, 10.0]])
    errors = classify_errors(found([[0, 0, 10, 10], [2, 0, 12, 10]], [1, 1]), twins, torch.tensor([1, 1]))
    assert errors.names() == ["correct", "correct"] and not errors.missed.any()


boxes_strategy = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 3)),
    max_size=7,
)


@settings(max_examples=150, deadline=None)
@given(boxes_strategy, boxes_strategy)
def test_each_detection_has_one_verdict_and_what_it_says_is_true(said: list, true: list) -> None:
    detections = found([[x, y, x + w, y + h] for x, y, w, h, _ in said], [label for *_, label in said])
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in true], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([label for *_, label in true], dtype=torch.int64)
    errors = classify_errors(detections, boxes, labels)
    counts = errors.counts()
    assert sum(counts[name] for name in VERDICTS) == len(errors) == len(detections)
    assert counts["correct"] + counts["missed"] == len(boxes)
    assert sorted(torch.cat([errors.rows(name) for name in VERDICTS]).tolist()) == list(range(len(detections)))
    overlaps = box_iou(detections.boxes, boxes)
    for row, (name, chosen) in enumerate(zip(errors.names(), errors.objects.tolist())):
        said_true(name, row, chosen, overlaps, detections.labels, labels)


def said_true(name: str, row: int, chosen: int, overlaps: Tensor, found_labels: Tensor, labels: Tensor) -> None:
    if name == "background":
        assert chosen == -1 and (overlaps[row] < 0.1).all()
        return
    same = bool(found_labels[row] == labels[chosen])
    assert same == (name in ("correct", "duplicate", "mislocalised"))
    assert (overlaps[row, chosen] >= 0.5) == (name in ("correct", "duplicate", "misclassified"))
    assert overlaps[row, chosen] >= 0.1


def test_a_picture_without_objects_and_a_detector_without_detections() -> None:
    nothing, no_labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    assert classify_errors(found([[0, 0, 5, 5]], [1]), nothing, no_labels).names() == ["background"]
    silent = classify_errors(found([], []), TRUE_BOXES, TRUE_LABELS)
    assert len(silent) == 0 and silent.missed.all() and silent.counts()["missed"] == 2


@pytest.mark.parametrize("ious", [(0.5, 0.5), (0.5, 0.0), (1.2, 0.1)])
def test_ious_in_the_wrong_order_are_refused(ious: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 < background < good"):
        classify_errors(found([], []), TRUE_BOXES, TRUE_LABELS, *ious)


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown verdict 'wrong'"):
        classify_errors(found([], []), TRUE_BOXES, TRUE_LABELS).rows("wrong")
    assert (*VERDICTS[1:], "missed") == MODES
