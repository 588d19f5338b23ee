"""Superpixels on pictures whose parts are known."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from odam_lib.kernels.superpixels import find_superpixels


def test_no_part_crosses_the_border_of_two_colours() -> None:
    image = torch.zeros(3, 40, 60)
    image[:, :, 27:] = 1  # not where parts begin by themselves
    parts = find_superpixels(image, 24)
    assert not set(parts[:, :27].unique().tolist()) & set(parts[:, 27:].unique().tolist())
    assert 20 <= len(parts.unique()) <= 28


def test_parts_of_one_colour_are_a_grid() -> None:
    parts = find_superpixels(torch.full((3, 40, 60), 0.5), 24)
    expected = (torch.arange(40)[:, None] // 10) * 6 + torch.arange(60) // 10
    assert parts.equal(expected)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 200), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_every_pixel_has_one_part_near_it(height: int, width: int, number: int, seed: int) -> None:
    parts = find_superpixels(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)), number)
    assert parts.shape == (height, width) and parts.dtype == torch.int64 and parts.min() >= 0
    assert parts.max() < height * width


def test_bad_pictures_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="image has shape"):
        find_superpixels(torch.rand(1, 4, 4), 3)
    with pytest.raises(ValueError, match="number is 0"):
        find_superpixels(torch.rand(3, 4, 4), 0)
