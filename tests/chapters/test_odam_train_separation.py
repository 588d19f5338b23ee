"""Maps of neighbours in a crowd: who represents a person, which pairs are compared, and how two detectors are."""

import math

import pytest
import torch
from odam_chapters.odam_train.separation import (
    CandidatePairs,
    align_surveys,
    choose_couple,
    choose_representatives,
    correlate_pairs,
    estimate_gaps,
    pair_overlapping,
    represent,
    survey,
)
from odam_chapters.statistics import relative_change
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.controls import BoxFill
from odam_lib.explainers.odam import ODAM


@pytest.fixture(scope="module")
def crowd() -> list[tuple[Tensor, dict]]:
    return [Scenes("val", 3, "crowd")[item] for item in range(2)]


@pytest.fixture(scope="module")
def detector():
    return load_detector("fcos-crowd", "cpu")


def test_a_person_is_represented_by_its_best_candidate(crowd, detector) -> None:
    image, target = crowd[0]
    trace = detector.trace(image)
    found, own = choose_representatives(trace, target["boxes"], target["labels"])
    assert len(found) == len(own) > 8 and own.tolist() == sorted(set(own.tolist()))
    overlap = box_iou(target["boxes"], found.boxes)
    assert torch.equal(overlap.argmax(dim=0), own) and overlap.amax(dim=0).min() >= 0.5
    everyone = box_iou(target["boxes"], trace.candidates.boxes)
    for row, person in enumerate(own.tolist()):
        theirs = (everyone.argmax(dim=0) == person) & (everyone[person] >= 0.5) & (trace.candidates.labels == 1)
        assert found.scores[row] == trace.candidates.scores[theirs].max()
    assert (box_iou(found.boxes, found.boxes).triu(1) > 0.5).any(), "a pair that suppression would not leave"


def test_of_nothing_there_is_nothing(crowd, detector) -> None:
    trace = detector.trace(crowd[0][0])
    found, own = choose_representatives(trace, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert len(found) == len(own) == 0
    with pytest.raises(ValueError, match="no picture to look at"):
        survey(detector, [], ODAM())


def test_the_couple_overlaps_most_and_each_has_its_own_prediction(crowd, detector) -> None:
    image, target = crowd[0]
    trace = detector.trace(image)
    people = choose_couple({"one": trace, "two": trace}, target)
    every = choose_representatives(trace, target["boxes"], target["labels"])
    boxes = target["boxes"][people]
    assert box_iou(boxes, boxes)[0, 1] > 0.3 and (boxes >= 0).all() and (boxes <= min(image.shape[-2:])).all()
    assert torch.equal(represent(trace, target, people).boxes, every[0][torch.isin(every[1], people)].boxes)
    alone = {name: target[name][:1] for name in ("boxes", "labels")}
    with pytest.raises(ValueError, match="PICTURE has no two people"):
        choose_couple({"one": trace}, alone)


def test_a_gap_is_one_person_minus_two_within_a_band() -> None:
    same = torch.tensor([True, False]).repeat(20)
    ious = torch.tensor([0.55] * 20 + [0.75] * 20)
    pairs = CandidatePairs(ious, torch.where(same, 0.8, 0.5) + (ious > 0.6) * 0.1 * same, same, torch.arange(40) // 10)
    gaps = estimate_gaps(pairs, repeats=10)
    assert list(gaps) == [0.55, 0.75]
    assert gaps[0.55] == pytest.approx((0.3, 0.3, 0.3)) and gaps[0.75] == pytest.approx((0.4, 0.4, 0.4))
    few = CandidatePairs(ious[:8], pairs.correlations[:8], same[:8], pairs.images[:8])
    assert estimate_gaps(few) == {}


def test_pairs_overlap_and_occur_once() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10], [0, 1, 10, 11]])
    assert pair_overlapping(boxes, 0.3).tolist() == [[0, 1], [0, 3]]  # IoU 1/3 and 9/11; (1, 3): 45/155


def test_correlations_by_hand() -> None:
    maps = torch.tensor([[3.0, 4.0], [4.0, 3.0], [0.0, 0.0], [1.0, 0.0]])
    found = correlate_pairs(maps, torch.tensor([[0, 1], [1, 3], [0, 2]]))
    assert found[:2].tolist() == pytest.approx([0.96, 0.8]) and found[2].isnan()


def test_a_survey_knows_a_map_that_cannot_tell_neighbours(crowd, detector) -> None:
    """The filled box leaks onto whoever stands in it, and is alike for two boxes that overlap."""
    seen = survey(detector, crowd, BoxFill())
    explained = survey(detector, crowd, ODAM(derivative="window"))
    assert torch.equal(seen.objects, explained.objects) and set(seen.image_ids.tolist()) == {
        int(target["image_id"]) for _, target in crowd
    }
    assert explained.odi.nanmean() < seen.odi.nanmean() and explained.energies.mean() > seen.energies.mean()
    assert (seen.floors <= seen.odi + 1e-6).float().mean() > 0.9
    assert len(seen.pairs) > 3 and (seen.pair_ious > 0.3).all()
    assert explained.correlations.mean() < seen.correlations.mean()


def test_two_detectors_are_compared_on_what_both_have(crowd, detector) -> None:
    whole, part = survey(detector, crowd, BoxFill()), survey(detector, crowd[1:], BoxFill())
    for name in ("odi", "correlations", "pair_ious"):
        ours, theirs, images = align_surveys(whole, part, name)
        assert torch.equal(ours, theirs) and set(images.tolist()) == {int(crowd[1][1]["image_id"])}
    assert len(align_surveys(whole, part, "scores")[0]) == len(part.objects)
    assert len(align_surveys(whole, part, "correlations")[0]) == len(part.pairs)


def test_a_relative_change_by_hand() -> None:
    before, after = torch.tensor([1.0, 3.0, 2.0, 2.0]), torch.tensor([0.5, 1.5, 1.0, 1.0])
    change, low, high = relative_change(before, after, torch.tensor([0, 0, 1, 2]))
    assert (change, low, high) == pytest.approx((-0.5, -0.5, -0.5))
    change, low, high = relative_change(before, torch.tensor([1.0, 3.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 2]))
    assert change == pytest.approx(-0.25) and low == pytest.approx(-0.5) and high == pytest.approx(0.0)
    assert all(map(math.isnan, relative_change(before[:0], after[:0], torch.zeros(0, dtype=torch.int64))))
    assert math.isnan(relative_change(before[:2], after[:2], torch.tensor([4, 4]))[1])


def test_agreement_is_of_pairs_that_overlap_and_have_maps() -> None:
    numbers = torch.tensor([[0.6, 0.8], [0.7, 0.4], [0.4, 0.9], [0.7, torch.nan], [0.9, 0.1]])
    same, images = torch.tensor([True, True, True, True, False]), torch.tensor([0, 1, 1, 1, 1])
    found = CandidatePairs(numbers[:, 0], numbers[:, 1], same, images)
    (mean, low, high), number = found.agreement(same=True)
    assert (mean, low, high) == pytest.approx((0.6, 0.4, 0.8)) and number == 2
    (mean, low, _), number = found.agreement(same=False)
    assert mean == pytest.approx(0.1) and math.isnan(low) and number == 1
    assert found.agreement(same=False, least_iou=0.95)[1] == 0
