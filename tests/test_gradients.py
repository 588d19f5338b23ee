"""The batched gradient against plain autograd, one call a prediction."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d

from odam_lib.detectors.base import TARGETS
from odam_lib.gradients import UnconnectedTargetError, cut, exact, window, window_contributions


@pytest.mark.parametrize("attribute", TARGETS)
def test_all_at_once_equals_one_by_one(untrained, attribute: str) -> None:
    image = torch.rand(3, 150, 203, generator=torch.Generator().manual_seed(1))
    trace = untrained.trace(image)
    for level, features in enumerate(trace.features):
        rows = trace.candidates[trace.candidates.level == level]
        rows = rows[:: max(1, len(rows) // 6)]  # borders and corners included
        targets = trace.targets(attribute, rows)
        one_by_one = [torch.autograd.grad(target, features, retain_graph=True)[0][0] for target in targets]
        torch.testing.assert_close(exact(targets, features), torch.stack(one_by_one), rtol=1e-4, atol=1e-9)


def test_no_target_gives_no_gradient() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    assert exact(features.sum().reshape(1)[:0], features).shape == (0, 2, 3, 4)


def test_an_unconnected_target_is_an_error() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    elsewhere = torch.rand(1, requires_grad=True)
    with pytest.raises(UnconnectedTargetError):
        exact(elsewhere * 2, features)
    with pytest.raises(UnconnectedTargetError):
        exact(torch.rand(1), features)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([(1, 1), (4, 7), (12, 9)]))
def test_windows_are_the_gradients_of_a_tower_and_contributions_their_products(
    seed: int, depth: int, size: tuple[int, int]
) -> None:
    """A tower of convolutions and slopes on two pictures, read at random cells, corners and borders among them."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    kernels = [numbers(3, 3, 3, 3) for _ in range(depth)]
    slopes = [numbers(2, 3, *size) for _ in range(depth)]
    activations, readers = numbers(2, 3, *size).requires_grad_(), numbers(5, 2, 3, 3, 3)
    which, row, column = (torch.randint(0, bound, (5,), generator=generator) for bound in (2, *size))
    values = activations
    for kernel, slope in zip(kernels, slopes):
        values = conv2d(values, kernel, padding=1) * slope
    around = cut(values, which, row - 1, column - 1, (3, 3))
    outputs = (readers * around[:, None]).flatten(2).sum(dim=2)
    corners = (row - 1, column - 1)
    gradients = window(readers, kernels, slopes, which, *corners)
    products = window_contributions(readers, kernels, slopes, activations.detach(), which, *corners)
    for number, target in ((number, target) for number in range(5) for target in range(2)):
        (whole,) = torch.autograd.grad(outputs[number, target], activations, retain_graph=True)
        start = (row[[number]] - 1 - depth, column[[number]] - 1 - depth)
        own = cut(whole, which[[number]], *start, gradients.shape[-2:])[0]
        torch.testing.assert_close(gradients[number, target], own)
        torch.testing.assert_close(own.abs().sum(), whole.abs().sum())
        product = cut((whole * activations.detach()).sum(dim=1, keepdim=True), which[[number]], *start, own.shape[-2:])
        torch.testing.assert_close(products[number, target], product[0, 0])
