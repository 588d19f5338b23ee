"""Maps of the same true objects: which are compared with which, and what a map of nothing says."""

import math

import pytest
import torch
from odam_chapters.detectors import compared
from odam_chapters.detectors.agreement import measure_cosine

from odam_lib.kernels.regions import box_blob
from odam_lib.metrics.agreement import rank_correlation


@pytest.fixture(scope="module")
def likeness(detector, held_out):
    items = held_out[:2]
    finds = [compared.find_objects(detector, item, 0.3) for item in items]
    twice = {"one": detector, "other": detector}
    return items, finds, compared.compare_detectors(twice, items, {"one": finds, "other": finds}, 8)


def test_a_detector_is_like_itself_and_like_the_blob_as_measured_by_hand(detector, likeness) -> None:
    items, finds, found = likeness
    known = ~found.ranks[0, 1].isnan()
    assert known.sum() == sum(len(objects) for _, objects in finds) > 2
    torch.testing.assert_close(found.ranks[0, 1, known], torch.ones(int(known.sum())).double())
    boxes, masks = items[0][1]["boxes"], items[0][1]["masks"]
    heats = compared.make_class_maps(detector, items[0], finds[0])
    number = int(finds[0][1][0])
    blob = box_blob(boxes, masks.shape[1:])
    framed = [compared.frame_in_box(one[number][None], boxes[number][None], 8)[0] for one in (heats, blob)]
    assert found.ranks[0, 2, number].item() == pytest.approx(float(rank_correlation(*framed)))
    others = [one for one in finds[0][1].tolist() if one != number]
    pooled = torch.nn.functional.avg_pool2d(heats, 4)
    wanted = measure_cosine(pooled[number], pooled[others]).mean()
    assert found.other_cosines[0, number].item() == pytest.approx(float(wanted), abs=1e-5)


def test_pairs_by_what_they_share() -> None:
    kinds = compared.group_pairs(["fcos", "retinanet-s", "detr"], ["retinanet-pvt-s"])
    assert kinds["two heads, one backbone"] == [("fcos", "retinanet-s"), ("fcos", "detr"), ("retinanet-s", "detr")]
    assert kinds["one head, two backbones"] == [("retinanet-pvt-s", "retinanet-s")]
    assert len(kinds["a detector and the blob"]) == 4
    assert compared.group_pairs(["fcos"], [])["one head, two backbones"] == []


def test_a_mean_is_over_the_objects_that_are_known(likeness) -> None:
    _, _, found = likeness
    values = torch.full_like(found.ranks[0, 1], torch.nan)
    assert math.isnan(found.estimate(values).value)
    values[0] = 0.25
    assert found.estimate(values).value == 0.25
    assert found.average(found.ranks, []).isnan().all()


def test_the_largest_object_that_all_find_is_chosen(likeness) -> None:
    items, _, _ = likeness
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 3, 3]])
    item = (items[0][0], {"boxes": boxes})
    finds = {"a": (None, torch.tensor([0, 1, 2])), "b": (None, torch.tensor([1, 2]))}
    assert compared.choose_object(finds, item) == 1
    with pytest.raises(ValueError, match="No object of the drawing is found by all detectors"):
        compared.choose_object(finds | {"c": (None, torch.tensor([], dtype=torch.int64))}, item)


def test_energies_and_frames_are_of_the_objects_that_were_found(detector, likeness) -> None:
    items, finds, found = likeness
    energies, areas = compared.measure_energies(detector, items, finds)
    torch.testing.assert_close(energies, found.energies[0], equal_nan=True)
    assert ((areas > 0) & (areas < 1) | areas.isnan()).all()
    frames, shares = compared.frame_found(detector, items, finds, 8)
    torch.testing.assert_close(shares, energies[~energies.isnan()])
    assert frames.shape == (len(shares), 8, 8)


def test_a_head_without_norms_has_nothing_to_compare(detector, likeness) -> None:
    items, finds, _ = likeness
    with pytest.raises(ValueError, match="fcos-scenes has no GroupNorm in its head: choose another TWIN"):
        compared.compare_derivatives(detector, items, finds, "class")
