"""Odam-Train's losses: values by hand, gradients, invariances."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from odam_lib.kernels.losses import (
    EPSILON,
    best_of_each,
    clamped,
    odam_train_loss,
    overlapping,
    pair_losses,
    same_image,
)
from odam_lib.kernels.similarity import cosines

BOXES = torch.tensor([[0.0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4], [20, 20, 24, 24]])


def bounded(cosine: float) -> float:
    return EPSILON + (1 - 2 * EPSILON) * cosine


def example() -> dict[str, Tensor]:
    """Predictions 0 and 1 are of object 5, 2 of object 7, 3 of object 9 far away; all in one image."""
    return {
        "maps": torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64),
        "objects": torch.tensor([5, 5, 7, 9]),
        "images": torch.zeros(4, dtype=torch.int64),
        "ious": torch.tensor([0.6, 0.8, 0.7, 0.9]),
        "boxes": BOXES,
    }


def test_value_by_hand_with_overlapping_negatives() -> None:
    # Best maps: row 1 of object 5, row 2 of object 7, row 3 of object 9, which overlaps nothing.
    # Agree: (1, 0) with cosine 3/5. Differ: (1, 2) with 0; (2, 0) with 4/5 and (2, 1) with 0.
    expected = -math.log(bounded(0.6)) - 2 * math.log(1 - bounded(0.0)) - math.log(1 - bounded(0.8))
    assert odam_train_loss(**example()).mean.item() == pytest.approx(expected / 4)


def test_value_by_hand_with_all_negatives() -> None:
    # Row 3 joins: its cosines with rows 0, 1, 2 are 7 / (5 sqrt 2), 1 / sqrt 2, 1 / sqrt 2.
    half = 1 / math.sqrt(2)
    differ = [0.0, 0.8, 0.0] + [half] * 4 + [7 * half / 5]
    expected = -math.log(bounded(0.6)) - sum(math.log(1 - bounded(cosine)) for cosine in differ)
    assert odam_train_loss(**example(), negatives=same_image).mean.item() == pytest.approx(expected / 9)


def test_the_two_sums_by_hand() -> None:
    cosines = torch.tensor([[1.0, 0.5, 0.25], [0.5, 1.0, 0.75]])
    agree = torch.tensor([[False, True, False], [False, False, False]])
    differ = torch.tensor([[False, False, True], [True, False, True]])
    loss = pair_losses(cosines, agree, differ, bound=lambda unbounded: unbounded)
    assert loss.consistency.item() == pytest.approx(-math.log(0.5)) and loss.pairs == 4
    assert loss.separation.item() == pytest.approx(-math.log(0.75) - math.log(0.5) - math.log(0.25))


def test_pairs_never_cross_images() -> None:
    one = example()
    apart = one | {"images": torch.tensor([0, 0, 1, 2])}
    for negatives in (overlapping, same_image):
        alone = {name: values[:2] for name, values in one.items()}
        assert odam_train_loss(**apart, negatives=negatives) == odam_train_loss(**alone, negatives=negatives)


def test_a_clamp_has_no_gradient_where_maps_are_orthogonal() -> None:
    maps = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    same = torch.tensor([1, 1])
    odam_train_loss(maps, same, same, torch.tensor([0.9, 0.8]), BOXES[:2], bound=clamped).mean.backward()
    assert not maps.grad.any()


def test_gradient_by_finite_differences() -> None:
    values = example()
    maps = values.pop("maps").clamp(min=0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: odam_train_loss(m, **values).mean, maps)


def test_orthogonal_maps_of_one_object_are_pulled_together() -> None:
    maps = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    same = torch.tensor([1, 1])
    loss = odam_train_loss(maps, same, same, torch.tensor([0.9, 0.8]), BOXES[:2]).mean
    loss.backward()
    assert maps.grad[0, 1] < 0 and maps.grad[1, 0] < 0


def test_equal_maps_of_two_objects_are_pushed_apart() -> None:
    maps = torch.tensor([[1.0, 0.5], [1.0, 0.6]], requires_grad=True)
    odam_train_loss(maps, torch.tensor([1, 2]), torch.zeros(2), torch.tensor([0.9, 0.8]), BOXES[:2]).mean.backward()
    with torch.no_grad():
        moved = maps - 0.01 * maps.grad
    before, after = (cosines(one, torch.tensor([0]))[0, 1] for one in (maps.detach(), moved))
    assert after < before


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_pair_the_loss_is_zero_and_connected(number: int) -> None:
    values = {name: each[:number] for name, each in example().items()}
    maps = values.pop("maps").requires_grad_()
    loss = odam_train_loss(maps, **values).mean
    loss.backward()
    assert loss.item() == 0 and maps.grad is not None and not maps.grad.any()


def test_a_map_of_zeros_gives_no_nan() -> None:
    values = example()
    maps = values.pop("maps")
    maps[2] = 0
    maps.requires_grad_()
    loss = odam_train_loss(maps, **values, negatives=same_image).mean
    loss.backward()
    assert loss.isfinite() and maps.grad.isfinite().all() and not maps.grad[2].any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 9), st.sampled_from([overlapping, same_image]))
def test_order_of_predictions_and_scale_of_maps_do_not_matter(seed: int, number: int, negatives) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 8
    values = {
        "maps": torch.rand(number, 3, 4, generator=generator, dtype=torch.float64),
        "objects": torch.randint(0, 3, (number,), generator=generator),
        "images": torch.zeros(number, dtype=torch.int64),
        "ious": torch.rand(number, generator=generator),
        "boxes": torch.cat([corners, corners + 4], dim=1),
    }
    loss = odam_train_loss(**values, negatives=negatives).mean
    order = torch.randperm(number, generator=generator)
    shuffled = {name: each[order] for name, each in values.items()}
    factors = 10 ** (torch.rand(number, 1, 1, generator=generator, dtype=torch.float64) * 12 - 9)
    scaled = values | {"maps": values["maps"] * factors}
    for other in (shuffled, scaled):
        torch.testing.assert_close(odam_train_loss(**other, negatives=negatives).mean, loss)


def test_best_has_the_highest_iou_of_its_object() -> None:
    assert best_of_each(torch.tensor([4, 2, 4, 2]), torch.tensor([0.5, 0.9, 0.7, 0.6])).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"maps": -torch.ones(4, 2)}, "negative values"),
        ({"objects": torch.zeros(3, dtype=torch.int64)}, "one object, image, IoU and box for each map"),
    ],
)
def test_bad_input_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        odam_train_loss(**(example() | change))
