"""Deletion and insertion of a detector whose score is known for every picture."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.faithfulness import auc, best_score, deletion, insertion, rank_pixels

SIZE = (4, 8)
BOXES = torch.tensor([[0.0, 0, 4, 2], [4, 2, 8, 4]])  # 8 of 32 pixels each
LABELS = torch.tensor([1, 2])
OUTSIDE_LAST = [1, 0.5, 0, 0, 0, 0, 0, 0, 0]  # 4 pixels a step: the 8 of the box are gone after two
OUTSIDE_FIRST = [1, 1, 1, 1, 1, 1, 1, 0.5, 0]  # the 24 others take six steps


class Remembering(Detector):
    """Scores each object by the share of its box's pixels that are as in the picture it remembers."""

    name, model, categories, layers, towers = "remembering", nn.Identity(), ("__background__", "a", "b"), ("x",), ()

    def __init__(self, image: Tensor, sureness: float = 0.8) -> None:
        self.image, self.sureness = image, sureness
        self.batches: list[int] = []

    def make_trace(self, image: Tensor, layer: str) -> Trace:
        raise NotImplementedError

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        self.batches.append(len(images))
        same = (images == self.image).all(dim=1)
        regions = box_regions(BOXES, SIZE)
        shares = (same[:, None] & regions).sum(dim=(-2, -1)) / regions.sum(dim=(-2, -1))
        probs = torch.zeros(len(images), 2, 3)
        probs[:, [0, 1], LABELS] = self.sureness * shares
        return [Predictions(BOXES, one) for one in probs]


def picture() -> Tensor:
    return 0.25 + 0.5 * torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(9))


def found(rows: list[int] | Tensor) -> Detections:
    both = Detections(
        boxes=BOXES,
        scores=torch.full((2,), 0.8),
        labels=LABELS,
        class_probs=torch.zeros(2, 3),
        level=torch.zeros(2, dtype=torch.int64),
        index=torch.arange(2),
        image_size=SIZE,
        categories=Remembering.categories,
        source="remembering",
    )
    return both[rows]


def test_ranking_orders_pixels_and_shuffles_equal_ones() -> None:
    maps = torch.tensor([[[1.0, 3], [-1, 2]], [[5, 5], [5, 5]], [[5, 5], [5, 5]]])
    order = rank_pixels(maps, seed=0)
    assert order[0].tolist() == [1, 3, 0, 2]
    assert torch.equal(order[1], order[2]) and order[1].sort().values.tolist() == [0, 1, 2, 3]
    flat = torch.ones(1, 8, 8)
    assert torch.equal(rank_pixels(flat, 1), rank_pixels(flat, 1)) and not torch.equal(
        rank_pixels(flat, 1), rank_pixels(flat, 2)
    )
    assert rank_pixels(flat, 1)[0].tolist() != list(range(64))
    assert rank_pixels(maps[:0], 0).shape == (0, 4)


@given(st.integers(0, 2**16), st.integers(1, 6))
def test_ranking_is_a_permutation_by_falling_value_whatever_the_scale(seed: int, levels: int) -> None:
    maps = torch.randint(levels, (3, 4, 5), generator=torch.Generator().manual_seed(seed)).float()
    order = rank_pixels(maps, seed)
    assert torch.equal(order.sort(dim=1).values, torch.arange(20).expand(3, 20))
    assert (maps.flatten(1).gather(1, order).diff(dim=1) <= 0).all()
    assert torch.equal(rank_pixels(maps * 2.0**-100, seed), order)


def test_best_score_by_hand() -> None:
    boxes = torch.tensor([[-10.0, 0, 4, 2], [0, 0, 4, 1], [0, 0, 4, 0.9], [4, 2, 8, 4]])
    probs = torch.tensor([[0, 0.3, 0.9], [0, 0.4, 0], [0, 0.7, 0], [0, 1, 0.1]])
    predictions = Predictions(boxes, probs)
    # IoU with the first object: 1 once clipped, 1/2, 0.45, 0; with the second, read as class 2: only the last, 1
    assert best_score(predictions, BOXES, LABELS, SIZE).tolist() == pytest.approx([0.4, 0.1])
    assert best_score(predictions, BOXES, LABELS, SIZE, least_iou=0.45 - 1e-6)[0].item() == pytest.approx(0.7)
    assert best_score(predictions, BOXES, LABELS, SIZE, least_iou=0.6)[0].item() == pytest.approx(0.3)
    nowhere = torch.tensor([[0.0, 3, 1, 4]])
    assert best_score(predictions, nowhere, LABELS[:1], SIZE).tolist() == [0]
    nothing = Predictions(boxes[:0], probs[:0])
    assert best_score(nothing, BOXES, LABELS, SIZE).tolist() == [0, 0]
    assert best_score(predictions, BOXES[:0], LABELS[:0], SIZE).shape == (0,)


def test_best_score_reads_the_box_of_the_class() -> None:
    boxes = torch.stack([torch.zeros(2, 4), BOXES, BOXES.flip(0)], dim=1)  # of two predictions, for three classes
    probs = torch.tensor([[0, 0.6, 0.5], [0, 0.3, 0.2]])
    # class 1 has the first object's box in row 0; class 2 the second object's box in row 0
    assert best_score(Predictions(boxes, probs), BOXES, LABELS, SIZE).tolist() == pytest.approx([0.6, 0.5])
    assert best_score(Predictions(boxes, probs), BOXES.flip(0), LABELS, SIZE).tolist() == pytest.approx([0.3, 0.2])


def test_curves_by_hand() -> None:
    image, regions = picture(), box_regions(BOXES, SIZE).float()
    perfect = deletion(Remembering(image), image, found([0, 1]), regions)
    assert perfect.tolist() == [OUTSIDE_LAST] * 2
    assert deletion(Remembering(image), image, found([0, 1]), 1 - regions).tolist() == [OUTSIDE_FIRST] * 2
    assert auc(perfect).tolist() == [0.125] * 2  # (1/2 + 1/2) / 8
    shown = insertion(Remembering(image), image, found([0, 1]), regions)
    assert shown.tolist() == [[0, 0.5, 1, 1, 1, 1, 1, 1, 1]] * 2
    assert auc(shown).tolist() == [0.875] * 2  # (1/2 + 6 + 1/2) / 8
    assert insertion(Remembering(image), image, found([0, 1]), 1 - regions).tolist() == [OUTSIDE_LAST[::-1]] * 2


def test_a_map_without_order_is_not_read_from_the_top() -> None:
    image = picture()
    flat = deletion(Remembering(image), image, found([0, 1]), torch.zeros(2, *SIZE), seed=3)
    assert (flat[:, 1:-1] > 0).any(dim=1).all() and flat[0].tolist() != OUTSIDE_LAST


@pytest.mark.parametrize("curves", [deletion, insertion])
def test_pictures_come_in_batches_and_their_number_does_not_matter(curves: Callable[..., Tensor]) -> None:
    image, maps = picture(), torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(0))
    expected = curves(Remembering(image), image, found([0, 1]), maps, steps=5, batch=100)
    for batch in (1, 3, 4, 8):
        detector = Remembering(image)
        assert torch.equal(curves(detector, image, found([0, 1]), maps, steps=5, batch=batch), expected)
        assert detector.batches[:2] == [1, 1] and max(detector.batches) <= batch
        assert sum(detector.batches) == 2 + 2 * 4  # the ends are shared


@given(st.integers(0, 2**16), st.sampled_from([deletion, insertion]), st.permutations([0, 1, 1, 0]))
def test_each_map_has_a_curve_of_its_own(seed: int, curves: Callable[..., Tensor], order: list[int]) -> None:
    image, maps = picture(), torch.randint(3, (2, *SIZE), generator=torch.Generator().manual_seed(seed)).float()
    both = curves(Remembering(image), image, found([0, 1]), maps, steps=4, seed=seed, batch=3)
    assert torch.equal(curves(Remembering(image), image, found(order), maps[order], 4, seed, 3), both[order])
    assert torch.equal(curves(Remembering(image), image, found([0, 1]), 0.5**60 * maps, 4, seed, 3), both)
    assert ((both >= 0) & (both <= 1)).all()
    assert (both.diff(dim=1) * (-1 if curves is deletion else 1) >= 0).all()


@given(st.integers(0, 2**16))
def test_insertion_mirrors_deletion_of_a_detector_that_counts_pixels(seed: int) -> None:
    image, maps = picture(), torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(seed))
    removed = deletion(Remembering(image), image, found([0, 1]), maps)
    torch.testing.assert_close(insertion(Remembering(image), image, found([0, 1]), maps), 1 - removed)


def test_a_flipped_picture_with_a_flipped_map_has_the_same_curve() -> None:
    image, maps = picture(), torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(5))
    turned, other = image.flip(-2, -1), maps.flip(-2, -1)  # takes each of the two boxes onto the other
    assert torch.equal(
        deletion(Remembering(image), image, found([0, 1]), maps),
        deletion(Remembering(turned), turned, found([1, 0]), other),
    )


def test_tiny_scores_keep_their_curve_and_lost_objects_have_none() -> None:
    image, regions = picture(), box_regions(BOXES, SIZE).float()
    tiny = deletion(Remembering(image, 1e-30), image, found([0, 1]), regions)
    torch.testing.assert_close(tiny, torch.tensor([OUTSIDE_LAST] * 2))
    assert deletion(Remembering(image, 0.0), image, found([0, 1]), regions).isnan().all()
    assert insertion(Remembering(image, 0.0), image, found([0, 1]), regions).isnan().all()


def test_one_step_and_no_detection() -> None:
    image, maps = picture(), torch.ones(2, *SIZE)
    assert deletion(Remembering(image), image, found([0, 1]), maps, steps=1).tolist() == [[1, 0]] * 2
    assert insertion(Remembering(image), image, found([0, 1]), maps, steps=1).tolist() == [[0, 1]] * 2
    assert deletion(Remembering(image), image, found([]), maps[:0]).shape == (0, 9)


def test_seeds_reproduce_the_noise() -> None:
    image, maps = picture(), torch.zeros(1, *SIZE)
    seen: list[Tensor] = []

    class Watching(Remembering):
        def make_predictions(self, images: Tensor) -> list[Predictions]:
            seen.append(images)
            return super().make_predictions(images)

    for seed in (0, 0, 1):
        deletion(Watching(image), image, found([0]), maps, steps=2, seed=seed)
    first, again, other = seen[:3], seen[3:6], seen[6:]
    assert all(map(torch.equal, first, again)) and not any(map(torch.equal, first[1:], other[1:]))
    assert torch.equal(first[0][0], image) and not (first[1][0] == image).any()
    assert (first[2][0] == image).all(dim=0).sum() == 16


def test_auc_by_hand() -> None:
    assert auc(torch.tensor([[1.0, 0], [1, 1]])).tolist() == [0.5, 1]
    assert auc(torch.tensor([0.0, 1, 0, 1])).item() == pytest.approx(0.5)  # (0/2 + 1 + 0 + 1/2) / 3
    with pytest.raises(ValueError, match="two values"):
        auc(torch.ones(3, 1))


@pytest.mark.parametrize("curves", [deletion, insertion])
def test_bad_input_is_refused_before_the_network_runs(curves: Callable[..., Tensor]) -> None:
    image, maps = picture(), torch.ones(2, *SIZE)
    detector, both = Remembering(image), found([0, 1])
    with pytest.raises(ValueError, match="0 steps"):
        curves(detector, image, both, maps, steps=0)
    with pytest.raises(ValueError, match="batches of 0"):
        curves(detector, image, both, maps, batch=0)
    with pytest.raises(ValueError, match="one for each detection"):
        curves(detector, image, both, maps[:1])
    with pytest.raises(ValueError, match="image of"):
        curves(detector, image[:, :3], both, maps[:, :3])
    with pytest.raises(ValueError, match="scale them"):
        curves(detector, 2 + image, both, maps)
    with pytest.raises(ValueError, match="NaN"):
        curves(detector, image, both, maps * torch.nan)
    assert not detector.batches
    with pytest.raises(ValueError, match="give \\[N, H, W\\]"):
        rank_pixels(maps[0], 0)
    predictions = Predictions(BOXES, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="least IoU is 0"):
        best_score(predictions, BOXES, LABELS, SIZE, least_iou=0)
    with pytest.raises(ValueError, match="1 labels"):
        best_score(predictions, BOXES, LABELS[:1], SIZE)
