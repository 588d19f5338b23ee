"""Metrics against values worked out by hand."""

import pytest
import torch
from handmade_detections import CAT, DOG, ELSEWHERE, NAMES, found
from hypothesis import given, settings, strategies as st

from odam_lib.detections import Detections
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.detection import compute_coco_ap
from odam_lib.metrics.localization import energy_inside
from odam_lib.metrics.matching import match


def truth(boxes: list[list[float]], labels: list[int]) -> dict:
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels)}


def test_ap_of_perfect_detections_is_one() -> None:
    scores = compute_coco_ap([truth([CAT, DOG], [1, 2])], [found([DOG, CAT], [0.3, 0.9], [2, 1])], NAMES)
    assert scores == pytest.approx({"AP": 1, "AP50": 1, "AP50 cat": 1, "AP50 dog": 1})


def test_ap_by_hand() -> None:
    """A false positive above the only true one: precision 1/2 at every recall. The dog is missed: 0."""
    scores = compute_coco_ap([truth([CAT, DOG], [1, 2])], [found([ELSEWHERE, CAT], [0.9, 0.8], [1, 1])], NAMES)
    assert scores["AP50 cat"] == pytest.approx(0.5)
    assert scores["AP50 dog"] == 0
    assert scores["AP50"] == pytest.approx(0.25)


def test_a_box_counts_at_the_thresholds_that_its_iou_reaches() -> None:
    shifted = [10.0, 10.0, 50.0, 40.0]  # IoU 0.75 with the cat: right for 0.50 to 0.75, six thresholds of ten
    scores = compute_coco_ap([truth([CAT], [1])], [found([shifted], [0.9], [1])], NAMES)
    assert scores["AP50"] == pytest.approx(1) and scores["AP"] == pytest.approx(0.6)


def test_no_detection_is_ap_zero_and_no_truth_is_refused() -> None:
    assert compute_coco_ap([truth([CAT], [1])], [found([], [], [])], NAMES)["AP50"] == 0
    with pytest.raises(ValueError, match="No image has a true object"):
        compute_coco_ap([truth([], [])], [found([CAT], [0.9], [1])], NAMES)
    with pytest.raises(ValueError, match="1 images have truth and 0"):
        compute_coco_ap([truth([CAT], [1])], [], NAMES)


def test_detections_in_an_ignored_region_are_neither_right_nor_wrong() -> None:
    """The best detection lies in a crowd of cats: as in COCO's own evaluation it does not count."""
    crowd = {"ignored": torch.tensor([[0.0, 60.0, 50.0, 100.0]]), "ignored_labels": torch.tensor([1])}
    detections = found([ELSEWHERE, CAT], [0.9, 0.8], [1, 1])
    assert compute_coco_ap([truth([CAT], [1])], [detections], NAMES)["AP50"] == pytest.approx(0.5)
    assert compute_coco_ap([truth([CAT], [1]) | crowd], [detections], NAMES) == pytest.approx(
        {"AP": 1, "AP50": 1, "AP50 cat": 1}
    )
    dogs = crowd | {"ignored_labels": torch.tensor([2])}
    assert compute_coco_ap([truth([CAT], [1]) | dogs], [detections], NAMES)["AP50 cat"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="No image has a true object"):
        compute_coco_ap([truth([], []) | crowd], [detections], NAMES)


NAN, INFINITE = [10.0, float("nan"), 50.0, 50.0], [10.0, 10.0, float("inf"), 50.0]


@pytest.mark.parametrize(
    ("true", "detected", "sentence"),
    [
        (truth([NAN], [1]), found([CAT], [0.9], [1]), "Image number 1 in the truth has the box 10, nan, 50, 50"),
        (truth([INFINITE], [1]), found([CAT], [0.9], [1]), "in the truth has the box 10, 10, inf, 50, whose"),
        (truth([[50.0, 10, 10, 50]], [1]), found([CAT], [0.9], [1]), "in the truth has the box .* corners are swapped"),
        (truth([CAT], [0]), found([CAT], [0.9], [1]), "in the truth has an object of the label 0"),
        (truth([CAT], [3]), found([CAT], [0.9], [1]), r"in the truth has an object of the label 3 .* 1 \(cat\) to 2"),
        (truth([CAT, DOG], [1]), found([CAT], [0.9], [1]), r"in the truth has as labels a torch.int64 \[1\]"),
        (truth([CAT], [1]) | {"ignored": torch.tensor([DOG])}, found([CAT], [0.9], [1]), "as labels a NoneType"),
        ({"labels": torch.tensor([1])}, found([CAT], [0.9], [1]), "in the truth has as boxes a NoneType"),
        (truth([CAT], [1]), found([NAN], [0.9], [1]), "among the detections has the box 10, nan"),
        (truth([CAT], [1]), found([CAT], [float("nan")], [1]), "among the detections has the score nan"),
        (truth([CAT], [1]), found([CAT], [1.5], [1]), "among the detections has the score 1.5"),
        (truth([CAT], [1]), found([CAT], [0.9], [3]), "among the detections has an object of the label 3"),
        (truth([CAT], [1]) | {"image_id": 42}, found([NAN], [0.9], [1]), "Image 42 among the detections"),
    ],
)
def test_average_precision_of_numbers_that_cannot_be_right_is_refused(
    true: dict, detected: Detections, sentence: str
) -> None:
    good = truth([CAT], [1]), found([CAT], [0.9], [1])
    with pytest.raises(ValueError, match=sentence):
        compute_coco_ap([good[0], true], [good[1], detected], NAMES)


def test_a_box_that_is_no_number_is_no_match() -> None:
    for boxes, detections in (([NAN], [CAT]), ([CAT], [NAN])):
        with pytest.raises(ValueError, match="is not finite"):
            match(found(detections, [0.9], [1]), torch.tensor(boxes), torch.tensor([1]))


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
