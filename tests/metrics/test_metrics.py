"""Metrics against values worked out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odam_lib.detections import Detections
from odam_lib.metrics.detection import coco_ap
from odam_lib.metrics.localization import box_regions, energy_inside

NAMES = ("__background__", "cat", "dog")


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
        class_probs=torch.zeros(count, 3),
        level=torch.zeros(count, dtype=torch.int64),
        index=torch.arange(count),
        image_size=(100, 100),
        categories=NAMES,
        source="hand",
    )


def truth(boxes: list[list[float]], labels: list[int]) -> dict:
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels)}


CAT, DOG, ELSEWHERE = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0], [0.0, 80.0, 10.0, 95.0]


def test_ap_of_perfect_detections_is_one() -> None:
    scores = coco_ap([truth([CAT, DOG], [1, 2])], [found([DOG, CAT], [0.3, 0.9], [2, 1])], NAMES)
    assert scores == pytest.approx({"AP": 1, "AP50": 1, "AP50 cat": 1, "AP50 dog": 1})


def test_ap_by_hand() -> None:
    """A false positive above the only true one: precision 1/2 at every recall. The dog is missed: 0."""
    scores = coco_ap([truth([CAT, DOG], [1, 2])], [found([ELSEWHERE, CAT], [0.9, 0.8], [1, 1])], NAMES)
    assert scores["AP50 cat"] == pytest.approx(0.5)
    assert scores["AP50 dog"] == 0
    assert scores["AP50"] == pytest.approx(0.25)


def test_a_box_counts_at_the_thresholds_that_its_iou_reaches() -> None:
    shifted = [10.0, 10.0, 50.0, 40.0]  # IoU 0.75 with the cat: right for 0.50 to 0.75, six thresholds of ten
    scores = coco_ap([truth([CAT], [1])], [found([shifted], [0.9], [1])], NAMES)
    assert scores["AP50"] == pytest.approx(1) and scores["AP"] == pytest.approx(0.6)


def test_no_detection_is_ap_zero_and_no_truth_is_refused() -> None:
    assert coco_ap([truth([CAT], [1])], [found([], [], [])], NAMES)["AP50"] == 0
    with pytest.raises(ValueError, match="No image has a true object"):
        coco_ap([truth([], [])], [found([CAT], [0.9], [1])], NAMES)
    with pytest.raises(ValueError, match="1 images have truth and 0"):
        coco_ap([truth([CAT], [1])], [], NAMES)


def test_energy_by_hand() -> None:
    heat = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    right = torch.tensor([[False, True], [False, True]])
    assert energy_inside(heat, right).item() == pytest.approx(0.6)
    assert energy_inside(torch.zeros(2, 2), right) == 0
    with pytest.raises(ValueError, match="negative values"):
        energy_inside(-heat, right)


@given(st.integers(0, 999), st.floats(-35, 35))
@settings(deadline=None, max_examples=40)
def test_energy_of_a_region_and_the_rest_is_one_at_any_scale(seed: int, exponent: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    heat = torch.rand(6, 7, generator=generator) * 10.0**exponent + 1e-37
    region = torch.rand(6, 7, generator=generator) > 0.5
    total = energy_inside(heat, region) + energy_inside(heat, ~region)
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_regions_hold_the_pixels_whose_centre_is_in_the_box() -> None:
    regions = box_regions(torch.tensor([[0.6, 1.0, 3.0, 2.0], [2.0, 2.0, 2.0, 2.0]]), (3, 4))
    assert regions[0].int().tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert not regions[1].any()
