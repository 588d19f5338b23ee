"""The batched gradient against plain autograd, one call a prediction."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d
from torch.profiler import ProfilerActivity, profile

from odam_lib.detectors.trace import TARGETS
from odam_lib.kernels.full_convolution import MANY, WIDE, convolve_fully
from odam_lib.kernels.gradients import UnconnectedTargetError, differentiate
from odam_lib.kernels.windows import Sheets, tower_contributions, tower_gradients


@pytest.mark.parametrize("attribute", TARGETS)
def test_all_at_once_equals_one_by_one(untrained, attribute: str) -> None:
    image = torch.rand(3, 150, 203, generator=torch.Generator().manual_seed(1))
    trace = untrained.trace(image)
    for level, features in enumerate(trace.features):
        rows = trace.candidates[trace.candidates.level == level]
        rows = rows[:: max(1, len(rows) // 6)]  # borders and corners included
        targets = trace.targets(attribute, rows)
        one_by_one = torch.cat([torch.autograd.grad(target, features, retain_graph=True)[0] for target in targets])
        rounding = 1e-5 * float(one_by_one.abs().max())  # convolutions of a batch add up in another order
        torch.testing.assert_close(differentiate(targets, [features])[0], one_by_one, rtol=1e-4, atol=rounding)


def test_no_target_gives_no_gradient() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    assert differentiate(features.sum().reshape(1)[:0], [features])[0].shape == (0, 2, 3, 4)


def test_an_unconnected_target_is_an_error() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    elsewhere = torch.rand(1, requires_grad=True)
    with pytest.raises(UnconnectedTargetError):
        differentiate(elsewhere * 2, [features])
    with pytest.raises(UnconnectedTargetError):
        differentiate(torch.rand(1), [features])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([(1, 1), (4, 7), (12, 9)]))
def test_windows_are_the_gradients_of_a_tower_and_contributions_their_products(
    seed: int, depth: int, size: tuple[int, int]
) -> None:
    """A tower of convolutions and slopes on two levels of two pictures, read at random cells, corners among them."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    sizes = [size, (3, 5)]
    kernels = [numbers(3, 3, 3, 3) for _ in range(depth)]
    slopes = [[numbers(2, 3, *each) for each in sizes] for _ in range(depth)]
    levels = [numbers(2, 3, *each).requires_grad_() for each in sizes]
    readers = numbers(6, 2, 3, 3, 3)
    level, picture = torch.randint(0, 2, (2, 6), generator=generator)
    limits = torch.tensor(sizes)[level]
    row, column = (torch.rand(6, 2, generator=generator) * limits).long().unbind(dim=1)
    values = levels
    for kernel, slope in zip(kernels, slopes):
        values = [conv2d(one, kernel, padding=1) * factor for one, factor in zip(values, slope)]
    where = (2 * level + picture, row - 1, column - 1)
    outputs = (readers * Sheets.of(values).cut(*where, (3, 3))[:, None]).flatten(2).sum(dim=2)
    sheets = [Sheets.of(slope) for slope in slopes]
    gradients = tower_gradients(readers, kernels, sheets, *where)
    products = tower_contributions(readers, kernels, sheets, Sheets.of([one.detach() for one in levels]), *where)
    for number, target in product(range(6), range(2)):
        own, others = levels[level[number]], levels[1 - level[number]]
        whole, none = torch.autograd.grad(outputs[number, target], [own, others], retain_graph=True, allow_unused=True)
        assert none is None or not none.any()
        start = (picture[[number]], row[[number]] - 1 - depth, column[[number]] - 1 - depth, gradients.shape[-2:])
        torch.testing.assert_close(gradients[number, target], Sheets.of([whole]).cut(*start)[0])
        torch.testing.assert_close(gradients[number, target].abs().sum(), whole.abs().sum())
        weighted = Sheets.of([(whole * own.detach()).sum(dim=1, keepdim=True)]).cut(*start)
        torch.testing.assert_close(products[number, target], weighted[0, 0])


@pytest.mark.parametrize("side", [1, 3, 4, 5, 7, 9])
def test_wide_windows_are_convolved_with_fewer_products_to_the_same_numbers(side: int) -> None:
    """Float32 by points of polynomials against float64 by definition, forwards and back: windows and kernel too."""
    generator = torch.Generator().manual_seed(side)
    windows = torch.randn(MANY, side, side, WIDE, generator=generator).requires_grad_()
    kernel = (torch.randn(WIDE, WIDE, 3, 3, generator=generator) / WIDE**0.5).requires_grad_()
    exact = conv_transpose2d(windows.double().permute(0, 3, 1, 2), kernel.double()).permute(0, 2, 3, 1)
    found = convolve_fully(windows, kernel)
    assert found.shape == exact.shape and found.dtype == windows.dtype
    weights = torch.randn(exact.shape, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad(exact, [windows, kernel], weights)
    back = torch.autograd.grad(found, [windows, kernel], weights.float())
    for one, other in zip((found, *back), (exact, *expected)):
        torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=1e-5 * other.abs().max().item())


def test_the_number_of_operators_does_not_grow_with_the_number_of_targets() -> None:
    """Accelerators wait for launches: a convolution or GroupNorm that is walked back target by target costs seconds."""
    head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    level = torch.rand(1, 4, 6, 7, requires_grad=True)
    targets = head(level).flatten()
    counts = []
    for number in (2, 60):
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            differentiate(targets[:number], [level])
        counts.append(sum("_backward" in event.name for event in profiled.events()))
    assert counts[0] == counts[1] > 0
