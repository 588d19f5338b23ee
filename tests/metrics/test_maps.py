"""Where a map lies: visual explanation accuracy, pointing game and compactness against values worked out by hand."""

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import (
    THRESHOLDS,
    compactness,
    energy_inside,
    pointing,
    sparsity,
    visual_explanation_accuracy,
)

SIZE = (6, 8)
UNIT = torch.tensor([0.0, 0, 6, 8])  # half its diagonal is 5


@st.composite
def box(draw: st.DrawFn) -> Tensor:
    """Corners on whole pixels, at least one pixel large, not the whole picture."""
    x1, y1 = draw(st.integers(0, SIZE[1] - 2)), draw(st.integers(0, SIZE[0] - 2))
    x2, y2 = draw(st.integers(x1 + 1, SIZE[1] - 1)), draw(st.integers(y1 + 1, SIZE[0] - 1))
    return torch.tensor([x1, y1, x2, y2], dtype=torch.float32)


def some_maps(seed: int, count: int = 3) -> Tensor:
    """Few levels, so that maxima tie."""
    return torch.randint(4, (count, *SIZE), generator=torch.Generator().manual_seed(seed)).float()


def test_visual_explanation_accuracy_by_hand() -> None:
    maps = torch.tensor([[10.0, 11, 12], [13, 14, 10]])  # normalised 0, 1/4, 1/2, 3/4, 1, 0
    mask = torch.tensor([[False, False, True], [True, False, False]])
    # over 0.1: 4 pixels hold both of the mask; over 0.3: 3, both; over 0.6: 2, one (union 3); over 0.8: 1, none
    accuracy = visual_explanation_accuracy(maps, mask, torch.tensor([0.1, 0.3, 0.6, 0.8]))
    assert accuracy.tolist() == pytest.approx([2 / 4, 2 / 3, 1 / 3, 0])
    assert THRESHOLDS.tolist() == pytest.approx([0.05 * step for step in range(1, 20)])


def test_visual_explanation_accuracy_of_maps_without_shape() -> None:
    mask = torch.zeros(2, 4, dtype=torch.bool)
    mask[0, :2] = True
    maps = torch.stack([torch.zeros(2, 4), torch.full((2, 4), 0.3)])
    accuracy = visual_explanation_accuracy(maps, mask)
    assert accuracy.shape == (2, 19) and not accuracy[0].any() and (accuracy[1] == 0.25).all()  # 2 of 8 pixels
    assert not visual_explanation_accuracy(maps, torch.zeros_like(mask)).any()
    assert visual_explanation_accuracy(maps[:0], mask).shape == (0, 19)


def test_sparsity_by_hand() -> None:
    maps = torch.zeros(4, 2, 4)
    maps[0, 1, 2] = 7  # one pixel of eight
    maps[1, 0] = 0.5  # a half of them
    maps[2] = 3
    assert sparsity(maps).tolist()[:3] == [8, 2, 1] and sparsity(maps)[3].isnan()
    raised = torch.tensor([[5.0, 5, 7, 9]])  # a D-RISE map is nowhere near zero: 0, 0, 1/2, 1 count
    assert float(sparsity(raised)) == pytest.approx(4 / 1.5) == float(sparsity(raised * 10))


def test_pointing_by_hand() -> None:
    region = box_regions(torch.tensor([[1.0, 1, 3, 3]]), SIZE)[0]
    maps = torch.zeros(6, *SIZE)
    maps[0, 2, 2] = 1  # inside
    maps[1, 2, 3] = 1  # one column too far right
    maps[2, 1, 1] = maps[2, 1, 7] = 1  # mean column 4
    maps[3, 0, 0] = maps[3, 4, 4] = 1  # neither inside, the mean is
    maps[4, 2, 2] = maps[4, 2, 3] = 1  # the mean lies on the border of columns 2 and 3
    assert pointing(maps, region).tolist() == [True, False, False, True, True, False]


def test_a_constant_points_at_the_centre_and_zero_nowhere() -> None:
    central = box_regions(torch.tensor([[3.0, 2, 5, 4], [0, 0, 3, 6], [4, 3, 5, 4]]), SIZE)
    assert pointing(torch.full(SIZE, 0.2), central).tolist() == [True, False, True]
    assert pointing(torch.zeros(SIZE), torch.ones_like(central)).tolist() == [False] * 3


def test_pointing_asks_the_pixel_not_the_box_of_a_mask() -> None:
    ring = torch.ones(3, 3, dtype=torch.bool)
    ring[1, 1] = False
    peak = torch.zeros(3, 3)
    peak[1, 1] = 1
    assert not pointing(peak, ring) and pointing(peak, ~ring)


def test_compactness_by_hand() -> None:
    maps = torch.zeros(5, *SIZE)
    maps[0, 3, 3] = 7
    maps[1, 0, 0], maps[1, 3, 4] = 3, 1  # one quarter of the energy 5 pixels away: sqrt(25 / 4) / 5
    maps[2, 2, 1] = maps[2, 2, 5] = 1  # both 2 pixels from their mean: 2 / 5
    maps[3, 0, 0], maps[3, 3, 4] = 3e-30, 1e-30
    found = compactness(maps, UNIT)
    assert found[:4].tolist() == pytest.approx([0, 0.5, 0.4, 0.5]) and found[4].isnan()
    assert compactness(maps[1], torch.stack([UNIT, 2 * UNIT])).tolist() == pytest.approx([0.5, 0.25])
    assert compactness(maps[:0], torch.zeros(0, 4)).shape == (0,)


@given(box())
def test_the_mask_itself_is_a_perfect_map(corners: Tensor) -> None:
    mask = box_regions(corners[None], SIZE)[0]
    assert (visual_explanation_accuracy(mask.float(), mask) == 1).all()
    assert pointing(mask.float(), mask) and energy_inside(mask.float(), mask) == 1
    assert not pointing(mask.float(), ~mask) and energy_inside(mask.float(), ~mask) == 0
    height, width = mask.any(dim=1).sum().item(), mask.any(dim=0).sum().item()
    # the variance of n equal steps is (n^2 - 1) / 12
    expected = ((height**2 - 1 + width**2 - 1) / 12 / ((height**2 + width**2) / 4)) ** 0.5
    assert compactness(mask.float(), corners).item() == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**16), box(), st.sampled_from([2.0**-100, 0.5, 2.0**90]))
def test_neither_scale_nor_flip_nor_order_counts(seed: int, corners: Tensor, factor: float) -> None:
    maps, mask = some_maps(seed), box_regions(corners[None], SIZE)
    x1, y1, x2, y2 = corners.tolist()
    turned = torch.tensor([SIZE[1] - x2, SIZE[0] - y2, SIZE[1] - x1, SIZE[0] - y1])
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    for measure in (visual_explanation_accuracy, pointing):
        expected = measure(maps, mask)
        assert torch.equal(measure(factor * maps, mask), expected)
        assert torch.equal(measure(maps.flip(-2, -1), mask.flip(-2, -1)), expected)
        assert torch.equal(measure(maps[order], mask), expected[order])
    expected = compactness(maps, corners)
    torch.testing.assert_close(compactness(factor * maps, corners), expected, equal_nan=True)
    torch.testing.assert_close(compactness(maps.flip(-2, -1), turned), expected, equal_nan=True)
    torch.testing.assert_close(compactness(maps[order], corners), expected[order], equal_nan=True)


@given(st.integers(0, 2**16), box())
def test_leading_dimensions_are_maps_of_their_own(seed: int, corners: Tensor) -> None:
    maps, mask = some_maps(seed, 6).reshape(2, 3, *SIZE), box_regions(corners[None], SIZE)[0]
    for measure, about in ((visual_explanation_accuracy, mask), (pointing, mask), (compactness, corners)):
        together = measure(maps, about)
        singly = torch.stack([torch.stack([measure(one, about) for one in row]) for row in maps])
        torch.testing.assert_close(together, singly, equal_nan=True)


@given(st.integers(0, 2**16), box())
def test_accuracy_agrees_with_a_plain_count(seed: int, corners: Tensor) -> None:
    (values,) = some_maps(seed, 1)
    mask = box_regions(corners[None], SIZE)[0]
    low, high = values.min().item(), values.max().item()
    shown = {place for place, value in enumerate(values.flatten().tolist()) if value - low > 0.4 * (high - low)}
    true = set(torch.nonzero(mask.flatten()).flatten().tolist())
    accuracy = visual_explanation_accuracy(values, mask, torch.tensor([0.4]))
    assert accuracy.item() == pytest.approx(len(shown & true) / len(shown | true))


def test_bad_input_is_refused() -> None:
    maps, mask = torch.ones(2, *SIZE), torch.ones(SIZE, dtype=torch.bool)
    for measure, about in ((visual_explanation_accuracy, mask), (pointing, mask), (compactness, UNIT)):
        with pytest.raises(ValueError, match="negative values"):
            measure(-maps, about)
        with pytest.raises(ValueError, match="not finite"):
            measure(maps * torch.nan, about)
    for measure in (visual_explanation_accuracy, pointing):
        with pytest.raises(ValueError, match="give bool"):
            measure(maps, mask.float())
        with pytest.raises(ValueError, match="the maps' size"):
            measure(maps, mask[:3])
    with pytest.raises(ValueError, match="no area"):
        compactness(maps, torch.tensor([1.0, 1, 1, 5]))
