"""Suppression against a plain transcription of Algorithm 1, against torchvision and against values by hand."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from torch import Tensor
from torchvision.ops import batched_nms

from odam_lib.detectors.passes import find_accelerator
from odam_lib.kernels.nms import (
    BLOCK,
    Kept,
    are_duplicates,
    feature_nms,
    gaussian,
    keep_all,
    linear,
    nms,
    odam_nms,
    soft_nms,
)
from odam_lib.kernels.similarity import common_size, correlation, short_edge_size

LOW, HIGH = 0.2137, 0.8119
"""Thresholds that no cosine of two maps of small integers comes near."""

ROW = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])
"""Boxes 0 and 1 have an IoU of 1/3, box 2 stands alone."""
DEVICES = [
    "cpu",
    pytest.param(
        str(find_accelerator() or "cuda"),
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(find_accelerator() is None, reason="no accelerator on this machine"),
        ],
    ),
]


def scene(seed: int, number: int, classes: int = 3, side: int = 12, dtype: torch.dtype = torch.float32):
    """Boxes at whole pixels, which often meet a threshold exactly and sometimes have no area; scores all differ."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, side, (number, 2), generator=generator)
    sizes = torch.randint(0, 9, (number, 2), generator=generator)
    boxes = torch.cat([corners, corners + sizes], dim=1).to(dtype)
    scores = ((torch.randperm(number, generator=generator) + 1) / (number + 1)).to(dtype)
    labels = torch.randint(0, classes, (number,), generator=generator)
    return boxes, scores, labels


def small_maps(seed: int, number: int) -> Tensor:
    """Maps of 2 x 3 small integers: many disjoint or alike, some all zero."""
    generator = torch.Generator().manual_seed(seed + 1)
    maps = torch.randint(0, 4, (number, 2, 3), generator=generator).float()
    return maps * (torch.rand(number, 2, 3, generator=generator) < 0.5)


def iou_of(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def algorithm_1(boxes, scores, labels, maps, iou_threshold: float, low: float, high: float) -> list[int]:
    """As the paper writes it, one pair after another; None is the correlation with a map of zeros."""
    vectors = [one.flatten().tolist() for one in maps]

    def corr(p: int, d: int) -> float | None:
        lengths = [math.sqrt(sum(value * value for value in vectors[row])) for row in (p, d)]
        if 0 in lengths:
            return None
        return sum(a * b for a, b in zip(vectors[p], vectors[d])) / (lengths[0] * lengths[1])

    def duplicate(p: int, d: int) -> bool:
        overlap = iou_of(boxes[p].tolist(), boxes[d].tolist()) > iou_threshold
        cosine = corr(p, d)
        if cosine is None or (overlap and low == 0):
            return overlap
        return cosine > low if overlap else high < 1 and cosine > high

    kept: list[int] = []
    for p in sorted(range(len(boxes)), key=lambda row: -scores[row].item()):
        if not any(labels[p] == labels[d] and duplicate(p, d) for d in kept):
            kept.append(p)
    return kept


def family(maps: Tensor, embeddings: Tensor) -> dict[str, Callable[[Tensor, Tensor, Tensor], Kept]]:
    """Every suppression with the one signature; the two that need more are given more."""
    return {
        "keep_all": keep_all,
        "nms": nms,
        "soft_nms": soft_nms,
        "soft_nms linear": partial(soft_nms, decay=linear),
        "feature_nms": lambda *three: feature_nms(*three, embeddings[: len(three[0])]),
        "odam_nms": lambda *three: odam_nms(*three, maps[: len(three[0])]),
    }


NAMES = list(family(torch.zeros(0), torch.zeros(0)))


# --- Odam-NMS


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 10**6),
    st.integers(0, 30),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([0.0, LOW, HIGH]),
    st.sampled_from([LOW, HIGH, 1.0]),
)
def test_it_is_algorithm_1(seed: int, number: int, iou_threshold: float, low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    boxes, scores, labels = scene(seed, number)
    maps = small_maps(seed, number)
    kept = odam_nms(boxes, scores, labels, maps, iou_threshold, low, high)
    assert kept.index.tolist() == algorithm_1(boxes, scores, labels, maps, iou_threshold, low, high)
    assert kept.index.dtype == torch.int64 and torch.equal(kept.scores, scores[kept.index])


@pytest.mark.parametrize(("low", "high"), [(LOW, HIGH), (LOW, 1.0), (0.0, HIGH)])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_algorithm_1_over_many_blocks(monkeypatch, seed: int, low: float, high: float) -> None:
    monkeypatch.setattr("odam_lib.kernels.nms.BLOCK", 16)
    boxes, scores, labels = scene(seed, 90, classes=1, side=10)
    maps = torch.cat([small_maps(seed, 90), small_maps(seed + 1, 90)], dim=2)
    kept = odam_nms(boxes, scores, labels, maps, 0.5, low, high).index.tolist()
    assert kept == algorithm_1(boxes, scores, labels, maps, 0.5, low, high)
    last = scores.argsort(descending=True)[-30:].tolist()
    assert 0 < sum(row in kept for row in last) < 30


@pytest.mark.parametrize("number", [200, 1500])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_0_and_1_are_torchvisions_nms(seed: int, whole: bool, number: int) -> None:
    """Also where torchvision rounds: a threshold of 0.3 met exactly, corners of boxes moved apart by their labels."""
    boxes, scores, labels = scene(seed, number, classes=90, side=20 if whole else 12)
    boxes = boxes if whole else boxes * 3.3 + 800 * torch.rand(1, generator=torch.Generator().manual_seed(seed))
    expected = batched_nms(boxes, scores, labels, 0.3)
    for kept in (odam_nms(boxes, scores, labels, small_maps(seed, number), 0.3, 0, 1), nms(boxes, scores, labels, 0.3)):
        assert torch.equal(kept.index, expected) and torch.equal(kept.scores, scores[expected])
    assert 0 < len(expected) < number


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.0, 0.25, 0.5]))
def test_where_maps_say_nothing_the_greedy_rule_is_torchvisions(seed: int, number: int, iou_threshold: float) -> None:
    """Equal maps never split with T_l < 1 and never merge with T_h = 1; maps of zeros decide nothing.

    This is not the short cut of (0, 1), which calls torchvision. Whole pixels meet the thresholds exactly, so that
    this also fixes the side of the boundary.
    """
    boxes, scores, labels = scene(seed, number)
    expected = batched_nms(boxes, scores, labels, iou_threshold).tolist()
    alike = torch.rand(1, 7, 9, generator=torch.Generator().manual_seed(seed)).expand(number, 7, 9)
    assert odam_nms(boxes, scores, labels, alike, iou_threshold, 0.9, 1).index.tolist() == expected
    assert odam_nms(boxes, scores, labels, 0 * alike, iou_threshold, LOW, HIGH).index.tolist() == expected


def test_the_rule_by_hand_at_its_edges() -> None:
    over, at, under, undefined = 0.6, 0.5, 0.4, math.nan
    table = [  # IoU, correlation, T_l, T_h: a duplicate?
        (over, 0.21, 0.2, 0.8, True),
        (over, 0.2, 0.2, 0.8, False),  # the correlation has to be over the threshold
        (at, 0.79, 0.2, 0.8, False),  # exactly T_iou counts as apart
        (at, 0.81, 0.2, 0.8, True),
        (under, 0.8, 0.2, 0.8, False),
        (over, 0.0, 0.0, 0.8, True),  # T_l = 0 asks nothing
        (under, 1.0, 0.0, 1.0, False),  # T_h = 1 merges nothing
        (over, undefined, 0.2, 0.8, True),  # a map of zeros: the boxes decide
        (at, undefined, 0.0, 0.0, False),
    ]
    for iou, corr, low, high, expected in table:
        pair = torch.tensor([iou, corr], dtype=torch.float64)
        assert bool(are_duplicates(pair[0], pair[1], 0.5, low, high)) is expected, (iou, corr, low, high)


def test_an_iou_of_exactly_the_threshold_counts_as_apart() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    scores, labels = torch.tensor([0.9, 0.8]), torch.tensor([1, 1])
    cosine = 0.6  # between T_l and T_h: a duplicate only if the boxes count as overlapping
    maps = torch.tensor([[[5.0, 0.0]], [[3.0, 4.0]]])
    assert correlation(maps)[0, 1].item() == pytest.approx(cosine)
    assert odam_nms(boxes, scores, labels, maps, 0.5).index.tolist() == [0, 1]
    assert odam_nms(boxes, scores, labels, maps, 0.499).index.tolist() == [0]


def test_maps_that_share_no_cell_split_a_pair_unless_the_lower_threshold_is_0() -> None:
    boxes, scores = ROW[[0, 0]], torch.tensor([0.9, 0.8])
    labels, maps = torch.tensor([1, 1]), torch.eye(2).reshape(2, 1, 2)
    assert odam_nms(boxes, scores, labels, maps, 0.5, 0.001, 0.8).index.tolist() == [0, 1]
    assert odam_nms(boxes, scores, labels, maps, 0.5, 0, 0.8).index.tolist() == [0]


def test_the_upper_threshold_merges_boxes_that_lie_apart() -> None:
    labels, scores = torch.tensor([1, 1, 1]), torch.tensor([0.7, 0.8, 0.9])
    maps = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.1]]])
    assert odam_nms(ROW, scores, labels, maps).index.tolist() == [2, 1]
    assert odam_nms(ROW, scores, torch.tensor([2, 1, 1]), maps).index.tolist() == [2, 1, 0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(NAMES))
@example(168, "soft_nms linear")  # decays two scores of different labels to the same
def test_the_order_of_rows_does_not_matter(seed: int, name: str) -> None:
    boxes, scores, labels = scene(seed, 25)
    maps, embeddings = small_maps(seed, 25), small_maps(seed + 7, 25).flatten(1)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(seed))
    kept = family(maps, embeddings)[name](boxes, scores, labels)
    shuffled = family(maps[order], embeddings[order])[name](boxes[order], scores[order], labels[order])
    assert torch.equal(order[shuffled.index], kept.index) and torch.equal(shuffled.scores, kept.scores)
    assert kept.scores.tolist() == sorted(kept.scores.tolist(), reverse=True)


def test_the_scale_of_a_map_does_not_matter() -> None:
    boxes, scores, labels = scene(3, 40, classes=1)
    maps = small_maps(3, 40)
    factors = 10.0 ** torch.linspace(-30, 30, 40)[:, None, None]
    expected = odam_nms(boxes, scores, labels, maps)
    assert torch.equal(odam_nms(boxes, scores, labels, maps * factors).index, expected.index)
    assert 1 < len(expected.index) < 40


# --- maps made on demand


class Maker:
    """Makes maps and remembers which rows were asked for, call by call."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps
        self.calls: list[list[int]] = []

    def __call__(self, rows: Tensor) -> Tensor:
        self.calls.append(sorted(rows.tolist()))
        return self.maps[rows]


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10**6),
    st.integers(0, 25),
    st.sampled_from([(0.0, HIGH), (0.0, 1.0), (LOW, HIGH), (LOW, 1.0)]),
)
def test_maps_made_on_demand_decide_the_same(seed: int, number: int, thresholds: tuple[float, float]) -> None:
    boxes, scores, labels = scene(seed, number)
    maker = Maker(small_maps(seed, number))
    given_maps = odam_nms(boxes, scores, labels, maker.maps, 0.5, *thresholds)
    on_demand = odam_nms(boxes, scores, labels, maker, 0.5, *thresholds)
    assert torch.equal(given_maps.index, on_demand.index)
    asked = [row for call in maker.calls for row in call]
    assert len(asked) == len(set(asked)) and len(maker.calls) <= len(labels.unique())


def test_only_rows_whose_pairs_depend_on_the_correlation_are_asked_for() -> None:
    # Rows 0 and 1 overlap, row 2 lies apart from them, row 3 is alone in its class, rows 4 and 5 overlap.
    boxes = torch.cat([ROW, ROW[:1], ROW[:1] + 50, ROW[:1] + 51])
    scores, labels = torch.linspace(0.9, 0.4, 6), torch.tensor([1, 1, 1, 2, 3, 3])
    asked = {}
    for thresholds in ((LOW, HIGH), (LOW, 1.0), (0.0, HIGH), (0.0, 1.0)):
        maker = Maker(torch.ones(6, 2, 2))
        odam_nms(boxes, scores, labels, maker, 0.3, *thresholds)
        asked[thresholds] = maker.calls
    assert asked == {
        (LOW, HIGH): [[0, 1, 2], [4, 5]],
        (LOW, 1.0): [[0, 1], [4, 5]],
        (0.0, HIGH): [[0, 1, 2]],
        (0.0, 1.0): [],
    }


def test_maps_made_badly_are_refused_by_their_row() -> None:
    boxes, scores, labels = ROW[[2, 0, 0]], torch.tensor([0.7, 0.8, 0.9]), torch.tensor([0, 1, 1])
    maps = torch.ones(3, 2, 2)
    maps[1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="map of row 1 is not finite"):
        odam_nms(boxes, scores, labels, Maker(maps))
    with pytest.raises(ValueError, match=r"maps have shape \[1, 2, 2\].* with N = 2"):
        odam_nms(boxes, scores, labels, lambda rows: maps[:1])


# --- correlation and size


def test_cosines_by_hand_and_never_over_1() -> None:
    maps = torch.tensor([[[3.0, 4.0]], [[2.0, 0.0]], [[0.0, 0.0]], [[0.0, 1e-30]]])
    expected = torch.tensor([[1, 0.6, 0, 0.8], [0.6, 1, 0, 0], [0, 0, 0, 0], [0.8, 0, 0, 1]])
    torch.testing.assert_close(correlation(maps), expected)
    for dtype in (torch.float16, torch.float32, torch.float64):
        alike = torch.rand(200, 11, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
        cosines = correlation(torch.cat([alike, alike]))
        assert cosines.max() <= 1 and (cosines.diagonal(200) > 1 - 1e-5).all()


def test_a_common_size_has_the_paper_s_short_edge() -> None:
    assert short_edge_size((800, 1067)) == (50, 67) and short_edge_size((20, 10), 5) == (10, 5)
    levels = [torch.rand(100, 134), torch.rand(50, 67), torch.rand(25, 34), torch.rand(100, 134)]
    assert common_size(levels).shape == (4, 50, 67)
    torch.testing.assert_close(common_size([levels[0], levels[1]])[1], levels[1])  # already of that size
    assert common_size([]).shape == (0, 50, 50)


def test_maps_of_one_place_on_several_levels_agree_in_the_common_size() -> None:
    """One blob drawn with strides 1, 2 and 4; another far away on the coarsest level."""

    def blob(step: int, x: float, y: float) -> Tensor:
        rows, columns = (torch.arange(step / 2, side, step) for side in (96, 128))
        return torch.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / 200)

    maps = common_size([blob(1, 40, 30), blob(2, 40, 30), blob(4, 40, 30), blob(4, 100, 70)])
    cosines = correlation(maps)
    assert cosines[:3, :3].min() > 0.99 and cosines[:3, 3].max() < 0.01


def test_shrinking_skips_no_cell() -> None:
    maps = torch.eye(400).reshape(400, 20, 20)
    assert (common_size(list(maps), 5).flatten(1).amax(dim=1) > 0).all()


@pytest.mark.parametrize("maps", [[torch.ones(3)], [torch.ones(2, 2), torch.ones(0, 4)]])
def test_maps_without_a_size_are_refused(maps: list[Tensor]) -> None:
    with pytest.raises(ValueError, match=r"give \[h, w\] with at least one cell"):
        common_size(maps)
    with pytest.raises(ValueError, match="short edge of 0"):
        common_size([torch.ones(2, 2)], 0)


# --- Soft-NMS


def test_soft_nms_by_hand() -> None:
    # Box 1 is decayed once, by box 0 with an IoU of 1/3; box 2 overlaps nothing, box 3 is of another class.
    boxes, labels = torch.cat([ROW, ROW[:1]]), torch.tensor([1, 1, 1, 2])
    scores = torch.tensor([0.9, 0.8, 0.3, 0.7])
    kept = soft_nms(boxes, scores, labels)
    assert kept.index.tolist() == [0, 3, 1, 2]
    torch.testing.assert_close(kept.scores, torch.tensor([0.9, 0.7, 0.8 * math.exp(-1 / 9 / 0.5), 0.3]))
    narrow = soft_nms(boxes, scores, labels, partial(gaussian, sigma=0.1))
    assert narrow.index.tolist() == [0, 3, 2, 1]
    torch.testing.assert_close(narrow.scores[3].item(), 0.8 * math.exp(-1 / 9 / 0.1), rtol=1e-6, atol=0)
    straight = soft_nms(boxes, scores, labels, partial(linear, iou_threshold=0.3))
    torch.testing.assert_close(straight.scores, torch.tensor([0.9, 0.7, 0.8 * 2 / 3, 0.3]))
    assert torch.equal(soft_nms(boxes, scores, labels, linear).scores, scores[[0, 1, 3, 2]])  # 1/3 is under 0.5
    assert linear(torch.tensor([0.25, 0.5, 0.75])).tolist() == [1, 0.5, 0.25]


def test_decays_of_several_boxes_multiply_and_change_the_order() -> None:
    # Boxes 1 and 3 are one and the same, between boxes 0 and 2: IoU 1/3 with each. Box 2 overtakes box 1 after box 0
    # has decayed that, then decays it again; box 3 is decayed by all three.
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [5, 0, 15, 10]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.zeros(4)
    once, same = math.exp(-2 / 9), math.exp(-2)
    kept = soft_nms(boxes, scores, labels, score_threshold=0.01)
    assert kept.index.tolist() == [0, 2, 1, 3]
    expected = [0.9, 0.7, 0.8 * once * once, 0.6 * once * once * same]
    torch.testing.assert_close(kept.scores, torch.tensor(expected))
    assert soft_nms(boxes, scores, labels, score_threshold=0.06).index.tolist() == [0, 2, 1]  # the last is at 0.052


def test_a_score_at_the_final_threshold_is_kept_and_decay_to_0_is_not() -> None:
    boxes, labels = ROW[[0, 0, 2]], torch.zeros(3)
    scores = torch.tensor([0.9, 0.8, 0.5])
    assert soft_nms(boxes, scores, labels, linear, score_threshold=0.5).index.tolist() == [0, 2]
    everything = soft_nms(boxes, scores, labels, linear, score_threshold=0)
    assert everything.index.tolist() == [0, 2, 1] and everything.scores.tolist() == [scores[0], 0.5, 0.0]


def test_scores_given_are_left_as_they_are() -> None:
    boxes, scores, labels = scene(5, 20, classes=1)
    before = scores.clone()
    assert (soft_nms(boxes, scores, labels).scores < before[0]).any()
    assert torch.equal(scores, before)


# --- FeatureNMS


@pytest.mark.parametrize(
    ("height", "apart", "kept"),
    [
        (1.0, 0.0, [0, 1]),  # an IoU under 0.1: never a duplicate
        (5.0, 0.9, [0]),
        (5.0, 1.0, [0]),  # the distance has to be over 1
        (5.0, 1.1, [0, 1]),
        (8.0, 1.1, [0, 1]),
        (9.0, 5.0, [0]),  # from an IoU of 0.9 on always one
    ],
)
def test_feature_nms_by_hand(height: float, apart: float, kept: list[int]) -> None:
    """Box 1 covers height / 10 of box 0, which is their IoU, but for the first case: half a pixel less."""
    height = height - 0.5 if height == 1 else height
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, height]])
    embeddings = torch.tensor([[0.0, 2.0], [apart, 2.0]])
    found = feature_nms(boxes, torch.tensor([0.9, 0.8]), torch.tensor([4, 4]), embeddings)
    assert found.index.tolist() == kept and found.scores.tolist() == torch.tensor([0.9, 0.8])[kept].tolist()


def test_feature_nms_compares_with_what_is_kept_only() -> None:
    # Box 1 repeats box 0, box 2 repeats box 1 but not box 0.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6]])
    embeddings = torch.tensor([[0.0], [0.8], [1.6]])
    found = feature_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3), embeddings)
    assert found.index.tolist() == [0, 2]


def test_small_distances_between_long_embeddings_are_seen() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8]]).repeat(40, 1)
    boxes += torch.arange(40).repeat_interleave(2)[:, None] * 100.0
    embeddings = torch.full((80, 16), 3000.0)
    embeddings[1::2, 0] += 1.5
    found = feature_nms(boxes, torch.linspace(1, 0.1, 80), torch.zeros(80), embeddings)
    assert len(found.index) == 80


# --- all of them


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_parted_even_where_coordinates_are_negative(name: str) -> None:
    """The largest coordinate is 10, by which torchvision moves label 1: onto boxes of label 0 that begin at -11."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [-11, -11, -1, -1], [0, 0, 10, 10]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 1, 2])
    suppress = family(torch.ones(3, 2, 2), torch.zeros(3, 2))[name]
    assert batched_nms(boxes, scores, labels, 0.5).tolist() == [0, 2]
    assert suppress(boxes, scores, labels).index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [0, 1])
def test_no_candidate_and_one(name: str, number: int) -> None:
    boxes, scores, labels = (each[:number] for each in (ROW, torch.tensor([0.9]), torch.tensor([1])))
    kept = family(torch.ones(1, 2, 2), torch.zeros(1, 2))[name](boxes, scores, labels)
    assert kept.index.tolist() == list(range(number)) and kept.index.dtype == torch.int64
    assert torch.equal(kept.scores, scores) and kept.scores.dtype == scores.dtype


@pytest.mark.parametrize("name", NAMES)
def test_identical_boxes_leave_the_best_and_of_equal_scores_the_first(name: str) -> None:
    boxes, labels = ROW[[0, 0, 0, 0]], torch.ones(4)
    suppress = family(torch.ones(4, 2, 2), torch.zeros(4, 2))[name]
    left = suppress(boxes, torch.tensor([0.5, 0.7, 0.7, 0.6]), labels).index.tolist()
    assert left == ([1] if name in ("nms", "feature_nms", "odam_nms", "soft_nms linear") else [1, 2, 3, 0][: len(left)])


@pytest.mark.parametrize("name", NAMES)
def test_boxes_without_area_overlap_nothing(name: str) -> None:
    boxes = torch.tensor([[2.0, 2, 2, 2], [2, 2, 2, 2], [2, 0, 2, 9], [0, 0, 9, 9]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    apart = torch.eye(4).reshape(4, 2, 2)
    kept = family(apart, torch.zeros(4, 2))[name](boxes, scores, torch.zeros(4))
    assert kept.index.tolist() == [0, 1, 2, 3] and torch.equal(kept.scores, scores)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type(name: str, dtype: torch.dtype) -> None:
    """The numbers are exact in each; labels times coordinates, by which torchvision parts labels, are over float16."""
    boxes, _, labels = scene(11, 60, classes=2)
    boxes, labels = boxes + 230, labels * 300
    scores = torch.rand(60, generator=torch.Generator().manual_seed(0)).mul(128).round() / 128
    maps, embeddings = small_maps(11, 60), small_maps(12, 60).flatten(1)
    expected = family(maps, embeddings)[name](boxes, scores, labels)
    kept = family(maps.to(dtype), embeddings.to(dtype))[name](boxes.to(dtype), scores.to(dtype), labels)
    assert kept.scores.dtype == dtype
    assert sorted(kept.index.tolist()) == sorted(expected.index.tolist())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", DEVICES)
def test_results_stay_on_the_device_of_the_boxes(name: str, device: str) -> None:
    three = scene(2, 2 * BLOCK, side=60)
    maps, embeddings = small_maps(2, 2 * BLOCK), small_maps(3, 2 * BLOCK).flatten(1)
    expected = family(maps, embeddings)[name](*three)
    kept = family(maps.to(device), embeddings.to(device))[name](*(each.to(device) for each in three))
    assert kept.index.device.type == kept.scores.device.type == torch.device(device).type
    assert kept.index.tolist() == expected.index.tolist()
    torch.testing.assert_close(kept.scores.cpu(), expected.scores)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"boxes": torch.ones(3, 5)}, r"boxes have shape \[3, 5\]"),
        ({"boxes": torch.ones(4)}, r"boxes have shape \[4\]"),
        ({"boxes": ROW * torch.tensor([[1.0], [torch.nan], [1.0]])}, "box of row 1 is not finite"),
        ({"boxes": ROW / torch.tensor([[1.0], [1.0], [0.0]])}, "box of row 2 is not finite"),
        ({"boxes": ROW[:, [2, 1, 0, 3]]}, "box of row 0 ends before it begins"),
        ({"scores": torch.tensor([0.9, 0.8, torch.nan])}, "score of row 2 is not finite"),
        ({"scores": torch.tensor([0.9, -torch.inf, 0.7])}, "score of row 1 is not finite"),
        ({"scores": torch.ones(2)}, r"scores have shape \[2\].* N = 3"),
        ({"labels": torch.ones(4)}, r"labels have shape \[4\].* N = 3"),
        ({"labels": torch.ones(3, 1)}, r"labels have shape \[3, 1\]"),
    ],
)
def test_bad_boxes_scores_and_labels_are_refused(name: str, change: dict, sentence: str) -> None:
    good = {"boxes": ROW, "scores": torch.tensor([0.9, 0.8, 0.7]), "labels": torch.tensor([1, 1, 1])}
    suppress = family(torch.ones(3, 2, 2), torch.zeros(3, 2))[name]
    with pytest.raises(ValueError, match=sentence):
        suppress(*(good | change).values())


@pytest.mark.parametrize(
    ("suppress", "sentence"),
    [
        (partial(nms, iou_threshold=1.5), r"iou_threshold is 1\.5"),
        (partial(nms, iou_threshold=math.nan), "iou_threshold is nan"),
        (partial(soft_nms, score_threshold=-0.1), r"score_threshold is -0\.1"),
        (partial(soft_nms, decay=partial(gaussian, sigma=0)), "sigma is 0"),
        (partial(soft_nms, decay=partial(linear, iou_threshold=2)), "iou_threshold is 2"),
        (partial(feature_nms, embeddings=torch.ones(3, 2), low=0.95), r"low is 0\.95 and high is 0\.9"),
        (partial(feature_nms, embeddings=torch.ones(3, 2), distance=-1), "distance is -1"),
        (partial(feature_nms, embeddings=torch.ones(2, 2)), r"embeddings have shape \[2, 2\]"),
        (partial(feature_nms, embeddings=torch.ones(3, 2) / 0), "embedding of row 0 is not finite"),
        (partial(odam_nms, maps=torch.ones(3, 2, 2), iou_threshold=-1), "iou_threshold is -1"),
        (partial(odam_nms, maps=torch.ones(3, 2, 2), low=0.9), r"low is 0\.9 and high is 0\.8"),
        (partial(odam_nms, maps=torch.ones(3, 2, 2), high=1.1), r"high is 1\.1"),
        (partial(odam_nms, maps=torch.ones(4, 2, 2)), r"maps have shape \[4, 2, 2\].* N = 3"),
        (partial(odam_nms, maps=torch.ones(3, 4)), r"maps have shape \[3, 4\]"),
        (partial(odam_nms, maps=torch.ones(3, 0, 4)), "at least one cell"),
        (partial(odam_nms, maps=torch.tensor([1.0, -1.0, 1.0])[:, None, None]), "map of row 1 has negative values"),
        (partial(odam_nms, maps=torch.tensor([1.0, 1.0, torch.inf])[:, None, None]), "map of row 2 is not finite"),
        (partial(odam_nms, maps=torch.tensor([[1.0, torch.nan]]).repeat(3, 1, 1)), "map of row 0 is not finite"),
    ],
)
def test_bad_thresholds_embeddings_and_maps_are_refused(suppress: Callable[..., Kept], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        suppress(ROW, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 1, 1]))


def test_maps_are_a_tensor_or_a_function() -> None:
    with pytest.raises(TypeError, match="The maps are list"):
        odam_nms(ROW, torch.ones(3), torch.ones(3), [torch.ones(2, 2)] * 3)
