"""Numbers of detectors in crowds: worked out by hand, against pycocotools, against all matchings there are."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade_crowds import numbers, rows, scene, scenes
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.metrics.crowd_scores import (
    average_precision,
    best_threshold,
    crowd_recall,
    jaccard,
    jaccard_curve,
    miss_curve,
    miss_rate,
    precision_recall,
    sparse_recall,
)
from odam_lib.metrics.crowds import THRESHOLDS, CrowdMatches, CrowdPicture, crowd_set, match_crowds
from odam_lib.metrics.detection import compute_coco_ap

A, B, C = [0, 0, 10, 10], [2, 0, 12, 10], [50, 0, 60, 10]
"""A and B overlap with IoU 2/3, C stands alone."""
NOWHERE = [80, 80, 90, 90]


def picture(
    boxes: list[list[float]], scores: list[float], truth: list[list[float]], ignored: list[list[float]] | None = None
) -> CrowdPicture:
    return CrowdPicture(rows(boxes), torch.tensor(scores), rows(truth), rows(ignored or []))


@pytest.fixture(scope="module")
def two_pictures() -> CrowdMatches:
    """Three people: by descending score one found, a box on nobody, another found, a duplicate of it; one missed."""
    first = picture([A, NOWHERE], [0.9, 0.8], [A, C])
    return match_crowds([first, picture([C, [51, 0, 61, 10]], [0.7, 0.6], [C])])


def test_average_precision_by_hand(two_pictures: CrowdMatches) -> None:
    """Recall 1/3 at precision 1 and 2/3 at 2/3; no third third."""
    assert two_pictures.outcomes.tolist() == [1, 0, 1, 0]
    assert average_precision(two_pictures) == pytest.approx((1 + 2 / 3) / 3)


def test_miss_rate_by_hand(two_pictures: CrowdMatches) -> None:
    """Two thirds are missed below 0.5 false ones a picture, at seven of the nine, and a third from there on."""
    fppi, missed = miss_curve(two_pictures)
    assert fppi.tolist() == [0, 0.5, 0.5, 1]
    assert missed.tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert miss_rate(two_pictures) == pytest.approx((2 / 3) ** (7 / 9) * (1 / 3) ** (2 / 9))


def test_miss_rate_is_read_at_a_reference_that_is_reached_exactly() -> None:
    """Of a hundred pictures one has a false box, better than the only true one: 0.01 a picture is allowed already."""
    empty = picture([], [], [])
    allowed = match_crowds([picture([NOWHERE], [0.9], [A]), picture([A], [0.8], [A]), *[empty] * 98])
    assert miss_rate(allowed) == pytest.approx(0.5)
    barely_not = match_crowds([picture([NOWHERE], [0.9], [A]), picture([A], [0.8], [A]), *[empty] * 97])
    assert miss_rate(barely_not) == pytest.approx(0.5 ** (8 / 9))


def test_jaccard_index_by_hand(two_pictures: CrowdMatches) -> None:
    curve = jaccard_curve(two_pictures)
    at = {threshold: float(value) for threshold, value in zip(THRESHOLDS, curve)}
    assert at[0.0] == at[0.55] == pytest.approx(2 / 5)
    assert at[0.6] == at[0.65] == pytest.approx(2 / 4)
    assert at[0.7] == pytest.approx(1 / 4)
    assert at[0.8] == pytest.approx(1 / 3)
    assert at[0.9] == 0
    assert jaccard(two_pictures) == pytest.approx(0.5)
    assert best_threshold(two_pictures) == 0.6


def test_jaccard_index_matches_as_many_as_can_be_where_greed_does_not() -> None:
    """The better box lies nearer to the person whom alone the other box fits."""
    people = [[0, 0, 10, 10], [4, 0, 14, 10]]
    found = match_crowds([picture([[2.4, 0, 12.4, 10], [5, 0, 15, 10]], [0.9, 0.8], people)])
    assert found.outcomes.tolist() == [1, 0]
    assert jaccard(found) == 1


def test_recalls_by_hand() -> None:
    """Of two who overlap one is found, and the one who stands alone; a box on a third finds nobody."""
    found = match_crowds([picture([A, C, NOWHERE], [0.9, 0.7, 0.3], [A, B, C])])
    assert best_threshold(found) == 0.3
    assert crowd_recall(found) == 0.5
    assert sparse_recall(found) == 1
    assert crowd_recall(found, score_threshold=0.7) == 0.5
    assert sparse_recall(found, score_threshold=0.7) == 0


def test_two_who_overlap_by_half_exactly_are_no_crowd() -> None:
    assert crowd_set(rows([A, [0, 0, 10, 20], [0, 0, 10, 19]])).tolist() == [True, True, True]
    assert crowd_set(rows([A, [0, 0, 10, 20]])).tolist() == [False, False]
    assert crowd_set(rows([A, A, C])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("box", "outcome"),
    [
        ([70, 0, 80, 10], -1),
        ([65, 0, 75, 10], -1),
        ([64.5, 0, 74.5, 10], 0),
        ([70, 0, 90, 40], 0),
        (C, 1),
        ([50, 0, 60, 9], 1),
    ],
)
def test_what_a_box_counts_as_beside_an_ignore_region(box: list[float], outcome: int) -> None:
    """The region covers all, half, 45 % and a quarter of the boxes on nobody; a person on it is a person."""
    found = match_crowds([picture([box], [0.9], [C], [[50, 0, 60, 10], [70, 0, 80, 20]])])
    assert found.outcomes.tolist() == [outcome]
    assert jaccard(found) == {-1: 0, 0: 0, 1: 1}[outcome]
    assert found.union[0, 0] == {-1: 1, 0: 2, 1: 1}[outcome]


def test_of_two_boxes_on_a_person_the_jaccard_index_pairs_the_one_that_would_count_as_false() -> None:
    """The other one, though it fits better, lies on a region and is set aside."""
    found = match_crowds([picture([A, B], [0.9, 0.8], [A], [[0, 0, 5, 10]])])
    assert found.outcomes.tolist() == [1, 0]
    assert jaccard_curve(found)[0] == 1


def test_two_regions_that_only_together_cover_half_a_box_do_not_ignore_it() -> None:
    regions = [[0, 0, 3, 10], [7, 0, 10, 10]]
    assert match_crowds([picture([A], [0.9], [], regions)]).outcomes.tolist() == [0]


def test_what_is_ignored_changes_no_number() -> None:
    """Among them a duplicate on the region, which would be false elsewhere."""
    region = [[45, 0, 65, 40]]
    plain = match_crowds([picture([A, C, NOWHERE], [0.9, 0.8, 0.7], [A, C], region)])
    more = [[46, 20, 56, 40], [51, 0, 61, 10], [46, 21, 56, 40]]
    crowded = match_crowds([picture([A, C, NOWHERE, *more], [0.9, 0.8, 0.7, 0.95, 0.75, 0.6], [A, C], region)])
    assert crowded.outcomes.tolist().count(-1) == 3
    assert numbers(crowded)[:3] == numbers(plain)[:3]
    assert sparse_recall(crowded) == sparse_recall(plain) == 1


def test_a_detector_that_is_always_right_and_one_that_says_nothing() -> None:
    right = match_crowds([picture([A, B, C], [0.9, 0.8, 0.7], [A, B, C])] * 2)
    assert numbers(right) == pytest.approx([1, 1e-10, 1, 1, 1])
    silent = match_crowds([picture([], [], [A, B, C])] * 2)
    assert numbers(silent) == [0, pytest.approx(1), 0, 0, 0]


def test_without_people_nothing_is_defined() -> None:
    for found in (match_crowds([picture([A], [0.9], [])]), match_crowds([picture([], [], [])])):
        assert all(map(math.isnan, [*numbers(found), best_threshold(found)]))
    assert math.isnan(crowd_recall(match_crowds([picture([C], [0.9], [C])])))
    assert math.isnan(sparse_recall(match_crowds([picture([A], [0.9], [A, B])])))


def test_a_box_in_a_picture_without_people_is_false_like_any_other() -> None:
    found = match_crowds([picture([A], [0.8], [A]), picture([A], [0.9], [])])
    assert average_precision(found) == 0.5
    assert jaccard(found) == 0.5


def test_equal_scores_are_taken_together() -> None:
    """No threshold parts them, so neither does the order of the pictures."""
    right, wrong = picture([A], [0.5], [A]), picture([C], [0.5], [])
    for pictures in ([right, wrong], [wrong, right]):
        found = match_crowds(pictures)
        assert average_precision(found) == 0.5
        assert miss_curve(found)[0].tolist() == [0.5]


def test_a_score_of_0_05_is_not_over_0_05_in_single_precision() -> None:
    found = match_crowds([picture([A], [0.05], [A])])
    assert found.matched[0, :2].tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_ap50_is_cocos_but_for_its_101_recalls(seed: int) -> None:
    """Read at COCO's recalls our curve has COCO's mean; the two means of a falling curve differ by 0.01 at most."""
    pictures = [replace(one, ignored=rows([])) for one in scenes(6, start=10 * seed)]
    found = match_crowds(pictures)
    detections = [
        Detections(
            boxes=one.boxes,
            scores=one.scores,
            labels=torch.ones(len(one.boxes), dtype=torch.int64),
            class_probs=torch.zeros(len(one.boxes), 2),
            level=torch.zeros(len(one.boxes), dtype=torch.int64),
            index=torch.arange(len(one.boxes)),
            image_size=(300, 300),
            categories=("__background__", "person"),
            source="random",
        )
        for one in pictures
    ]
    truth = [{"boxes": one.truth, "labels": torch.ones(len(one.truth), dtype=torch.int64)} for one in pictures]
    coco = compute_coco_ap(truth, detections, ("__background__", "person"))["AP50"]
    recall, precision = (values.numpy() for values in precision_recall(found))
    places = np.searchsorted(recall, np.linspace(0, 1, 101))
    assert 0.3 < coco < 0.95
    assert np.append(precision, 0)[places].mean() == pytest.approx(coco, abs=1e-9)
    assert average_precision(found) == pytest.approx(coco, abs=0.01)


box_on_a_line = st.builds(lambda x, w, h: [x, 0, x + w, h], st.integers(0, 6), st.integers(4, 9), st.integers(7, 10))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(box_on_a_line, max_size=4),
    st.lists(box_on_a_line, max_size=4),
    st.lists(st.builds(lambda x: [x, 0, x + 6, 12], st.integers(0, 12)), max_size=1),
)
def test_the_matching_is_the_best_of_all_there_are(boxes: list, truth: list, ignored: list) -> None:
    one = picture(boxes, [0.5] * len(boxes), truth, ignored)
    found = match_crowds([one])
    overlap = box_iou(one.boxes.double(), one.truth.double())
    off = [not covered(box, ignored) for box in boxes]
    in_crowd = crowd_set(one.truth).tolist()
    ranked = []
    for pairs in all_matchings(overlap >= 0.5):
        taken = {box for box, _ in pairs}
        unmatched = sum(off[box] for box in range(len(boxes)) if box not in taken)
        total = sum(float(overlap[pair]) for pair in pairs)
        ranked.append((len(pairs), -unmatched, round(total, 9), sum(in_crowd[person] for _, person in pairs)))
    most, unmatched, total, _ = max(ranked)
    assert found.matched[0, 0] == max(pairs for pairs, *_ in ranked) == most
    assert found.union[0, 0] == len(truth) - unmatched
    assert int(found.crowd_matched[0, 0]) in {kind for *rank, kind in ranked if rank == [most, unmatched, total]}


def covered(box: list[float], regions: list[list[float]]) -> bool:
    widths = [min(box[2], x2) - max(box[0], x1) for x1, _, x2, _ in regions]
    return any(width >= 0.5 * (box[2] - box[0]) for width in widths)


def all_matchings(allowed: Tensor) -> list[list[tuple[int, int]]]:
    choices = [[None, *torch.nonzero(row).flatten().tolist()] for row in allowed]
    found = []
    for chosen in itertools.product(*choices):
        people = [person for person in chosen if person is not None]
        if len(people) == len(set(people)):
            found.append([(box, person) for box, person in enumerate(chosen) if person is not None])
    return found


def test_the_order_of_detections_people_and_pictures_does_not_matter() -> None:
    pictures = scenes(5)
    generator = torch.Generator().manual_seed(0)
    shuffled = []
    for one in reversed(pictures):
        order = torch.randperm(len(one.boxes), generator=generator)
        people = torch.randperm(len(one.truth), generator=generator)
        shuffled.append(CrowdPicture(one.boxes[order], one.scores[order], one.truth[people], one.ignored))
    assert numbers(match_crowds(shuffled)) == pytest.approx(numbers(match_crowds(pictures)), abs=1e-12)


def test_only_the_order_of_scores_matters_to_ap_and_miss_rate() -> None:
    pictures = scenes(5)
    found, other = match_crowds(pictures), match_crowds([replace(one, scores=one.scores.square()) for one in pictures])
    assert average_precision(other) == pytest.approx(average_precision(found), abs=1e-12)
    assert miss_rate(other) == pytest.approx(miss_rate(found), abs=1e-12)
    assert best_threshold(other) != best_threshold(found)


def test_two_pictures_side_by_side_are_one_but_for_the_false_boxes_a_picture() -> None:
    left, right = scene(1), scene(2)
    beside = CrowdPicture(
        boxes=torch.cat([left.boxes, right.boxes + 1000]),
        scores=torch.cat([left.scores, right.scores]),
        truth=torch.cat([left.truth, right.truth + 1000]),
        ignored=torch.cat([left.ignored, right.ignored + 1000]),
    )
    apart, joined = match_crowds([left, right]), match_crowds([beside])
    assert joined.outcomes.tolist() == apart.outcomes.tolist()
    for measure in (average_precision, jaccard, crowd_recall, sparse_recall):
        assert measure(joined) == pytest.approx(measure(apart), abs=1e-12)
    assert torch.equal(miss_curve(joined)[0], 2 * miss_curve(apart)[0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_counting_pictures_is_the_same_as_listing_them_again(draw: list[int]) -> None:
    pictures = scenes(6)
    weights = torch.bincount(torch.tensor(draw), minlength=6)
    again = match_crowds([pictures[number] for number in draw])
    assert numbers(match_crowds(pictures), weights) == pytest.approx(numbers(again), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scores": torch.ones(2)}, r"1 boxes have scores of shape \[2\]"),
        ({"scores": torch.ones(1, 1)}, r"1 boxes have scores of shape \[1, 1\]"),
        ({"scores": torch.tensor([math.nan])}, "is no number"),
        ({"scores": torch.tensor([1.5])}, r"outside \[0, 1\]"),
        ({"boxes": torch.zeros(1, 5)}, r"boxes has shape \[1, 5\]"),
        ({"truth": torch.zeros(0)}, r"truth has shape \[0\]"),
        ({"boxes": rows([[0, 0, math.nan, 1]])}, "boxes has a number that is NaN or infinite"),
        ({"truth": rows([[0, 0, math.inf, 1]])}, "truth has a number that is NaN or infinite"),
        ({"ignored": rows([[50, 0, 10, 10]])}, "ignored has a box that ends before it begins"),
    ],
)
def test_bad_pictures_are_refused(changed: dict, sentence: str) -> None:
    good = {"boxes": rows([A]), "scores": torch.ones(1), "truth": rows([A]), "ignored": rows([])}
    assert average_precision(match_crowds([CrowdPicture(**good)])) == 1
    with pytest.raises(ValueError, match=sentence):
        CrowdPicture(**good | changed)
