"""Eq. (2), its parts and H_comb: against loops over plain autograd, scipy's Gaussian, and values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from odam_lib.kernels.odam import RECTIFIERS, adaptive_sigma, combine, heat_map, min_max, smooth
from odam_lib.kernels.windows import Windows, window_heat_maps


def test_the_sum_over_channels_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    weights = torch.tensor([[[[2.0, 1.0]], [[1.0, 4.0]]]])
    assert heat_map(weights, features, rectify="none").tolist() == [[[5.0, -2.0]]]


@pytest.mark.parametrize("sign", ["positive", "negative"])
@pytest.mark.parametrize("rectify", RECTIFIERS)
@pytest.mark.parametrize("sigma", [None, 1.3])
def test_eq_2_by_loops_over_plain_autograd(sign: str, rectify: str, sigma: float | None) -> None:
    """Three targets Y of a small network, one channel after another, as the paper writes it."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 3, 3), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)).double()
    features = torch.randn(1, 4, 6, 7, dtype=torch.float64, requires_grad=True)
    gradients = [torch.autograd.grad(target, features, retain_graph=True)[0][0] for target in network(features)[0]]
    expected = []
    for gradient in gradients:
        total = np.zeros((6, 7))
        for weights, activations in zip(gradient.numpy(), features[0].detach().numpy()):
            smoothed = weights if sigma is None else gaussian_filter(weights, sigma, mode="constant", truncate=12)
            total += smoothed * activations
        total = total if sign == "positive" else -total
        expected.append({"relu": np.maximum(total, 0), "none": total, "abs": np.abs(total)}[rectify])
    sigmas = None if sigma is None else torch.full((3,), sigma, dtype=torch.float64)
    maps = heat_map(torch.stack(gradients), features.detach(), sigmas, sign, rectify)
    np.testing.assert_allclose(maps.numpy(), np.stack(expected), atol=1e-6)
    assert np.stack(expected).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (2, 2), (5, 5), (3, 9)]), st.booleans(), st.booleans())
def test_on_windows_it_is_the_same(seed: int, side: tuple[int, int], smoothed: bool, signed: bool) -> None:
    """Gradients that are zero outside windows, of several sizes, some across the border, on two levels' features."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    size, count = (9, 12), 5
    top, left = (torch.randint(1 - part, whole, (count,), generator=generator) for part, whole in zip(side, size))
    rows, columns = (start[:, None] + torch.arange(part) for start, part in zip((top, left), side))
    inside = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[:, None]
    windows = Windows(numbers(count, 2, 3, *side) * inside[:, None, None], top, left)
    features, which = numbers(2, 3, *size), torch.randint(0, 2, (count,), generator=generator)
    sigma = torch.rand(count, generator=generator, dtype=torch.float64) * 1.5 if smoothed else None
    kind = ("negative", "none") if signed else ("positive", "relu")
    everywhere = Windows(windows.values.flatten(1, 2), top, left).paste(size).unflatten(1, (2, 3))
    expected = heat_map(everywhere, features[which][:, None], sigma, *kind)
    found = window_heat_maps(windows, features, which, sigma, *kind)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * everywhere.abs().max().item() + 1e-12)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.3, 4.0), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_smoothing_is_scipys_gaussian_with_zeros_outside(height: int, width: int, sigma: float, seed: int) -> None:
    gradients = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ours = smooth(gradients, torch.tensor([sigma, sigma], dtype=torch.float64))
    theirs = gaussian_filter(gradients.numpy(), (0, 0, sigma, sigma), mode="constant", truncate=12)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_each_prediction_is_smoothed_by_its_own_sigma_and_zero_means_not_at_all() -> None:
    gradients = torch.rand(2, 1, 9, 9)
    sigma = torch.tensor([0.0, 2.0])
    both = smooth(gradients, sigma)
    torch.testing.assert_close(both[0], gradients[0])
    torch.testing.assert_close(both[1:], smooth(gradients[1:], sigma[1:]))
    assert both[1].std() < 0.5 * gradients[1].std()


def test_energy_lost_at_the_border_is_not_put_back() -> None:
    corner = torch.zeros(1, 1, 21, 21)
    corner[..., 0, 0] = 1
    middle = torch.zeros(1, 1, 21, 21)
    middle[..., 10, 10] = 1
    sigma = torch.tensor([2.0])
    assert smooth(middle, sigma).sum().item() == pytest.approx(1, abs=1e-4)
    per_side = 0.5 + 0.5 / (2 * math.sqrt(2 * math.pi))  # half the kernel and half its central tap
    assert smooth(corner, sigma).sum().item() == pytest.approx(per_side**2, abs=1e-3)


def test_sigma_follows_the_short_side_in_cells() -> None:
    boxes = torch.tensor([[0.0, 0.0, 80.0, 40.0], [0.0, 0.0, 16.0, 64.0], [5.0, 5.0, 5.0, 5.0]])
    assert adaptive_sigma(boxes, torch.tensor([8.0, 8.0]), 0.5).tolist() == [2.5, 1.0, 0.0]
    assert adaptive_sigma(boxes[:1], torch.tensor([16.0, 4.0]), 1.0).tolist() == [5.0]


@given(st.integers(1, 6), st.integers(1, 6), st.floats(-30, 30), st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_min_max_ignores_scale_even_of_vanishing_maps(height: int, width: int, exponent: float, seed: int) -> None:
    maps = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) + 0.1
    scaled = min_max(maps * 10.0**exponent)
    torch.testing.assert_close(scaled, min_max(maps), rtol=1e-3, atol=1e-4)
    assert scaled.min() >= 0 and scaled.max() == 1


def test_min_max_of_constants() -> None:
    constants = torch.stack([torch.zeros(2, 2), torch.full((2, 2), 3.0), torch.full((2, 2), -3.0)])
    assert min_max(constants).amax(dim=(1, 2)).tolist() == [0.0, 1.0, 0.0]


def test_combined_is_the_maximum_of_normalised_maps() -> None:
    maps = torch.zeros(5, 2, 2)
    maps[0, 0, 0] = 100.0
    maps[1, 0, 1], maps[1, 1, 1] = 0.001, 0.0005
    assert combine(maps).tolist() == [[1.0, 1.0], [0.0, 0.5]]
