"""Likeness and spread of maps, against values worked out by hand."""

import pytest
import torch
from odam_chapters.detectors.agreement import (
    measure_cosine,
    measure_edge_strength,
    measure_energy_outside,
    measure_spread,
)

from odam_lib.kernels.regions import box_blob
from odam_lib.kernels.windows import Windows
from odam_lib.metrics.agreement import rank_correlation


def test_cosine_by_hand() -> None:
    first = torch.tensor([[3.0, 0], [0, 4]])
    others = torch.tensor([[[6.0, 0], [0, 8]], [[0, 1], [1, 0]], [[1, 0], [0, 0]], [[-3, 0], [0, -4]]])
    torch.testing.assert_close(measure_cosine(first, others), torch.tensor([1, 0, 0.6, -1]))
    assert measure_cosine(1e-30 * first, others[0]).item() == pytest.approx(1)
    assert measure_cosine(0 * first, others[0]).isnan()


def test_likeness_broadcasts_and_keeps_what_is_undefined() -> None:
    maps = torch.tensor([[[1.0, 2], [3, 4]], [[4, 3], [2, 1]], [[torch.nan, torch.nan], [torch.nan, torch.nan]]])
    for alike, opposite in ((rank_correlation, -1), (measure_cosine, 2 / 3)):
        table = alike(maps[:, None], maps)
        assert table.shape == (3, 3) and table[2].isnan().all() and table[:, 2].isnan().all()
        assert table[:2, :2].flatten().tolist() == pytest.approx([1, opposite, opposite, 1])


def test_energy_outside_by_hand() -> None:
    gradients = torch.zeros(2, 2, 5, 5)
    gradients[0, :, 1, 1] = torch.tensor([3.0, 4.0])
    gradients[0, 0, 4, 4] = 5.0
    gradients[1, 0, 0, 0] = 1e-30
    windows = Windows(torch.zeros(2, 1, 2, 3, 3), torch.tensor([0, -2]), torch.tensor([1, -2]))
    assert measure_energy_outside(gradients, windows).tolist() == pytest.approx([0.5, 0])
    assert measure_energy_outside(0 * gradients, windows).tolist() == [0, 0]


def test_maps_that_ask_no_detector() -> None:
    step = torch.zeros(3, 4, 6)
    step[:, :, 3:] = 1
    steep = measure_edge_strength(step)
    assert steep.shape == (4, 6) and (steep[:, 2:4] == 4).all() and not steep[:, [0, 1, 4, 5]].any()
    blob = box_blob(torch.tensor([[2.0, 1.0, 6.0, 9.0]]), (10, 12))[0]
    assert blob.shape == (10, 12)
    across, down = torch.tensor([0.5]), torch.tensor([0.5])  # of a pixel beside the centre; deviations 1 and 2
    assert blob[4, 3].item() == pytest.approx(torch.exp(-0.5 * (across**2 + (down / 2) ** 2)).item())
    torch.testing.assert_close(blob[1:9, 2:6], blob[1:9, 2:6].flip(0, 1))


def test_area_holding_by_hand() -> None:
    maps = torch.tensor([[[5.0, 3], [1, 1]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    area = measure_spread(maps, 0.8)
    assert area[:2].tolist() == [0.5, 1.0] and area[2].isnan()
    assert measure_spread(maps, 0.5)[:2].tolist() == [0.25, 0.5]
    assert measure_spread(maps[:0]).shape == (0,) and measure_spread(maps * torch.nan).isnan().all()
    with pytest.raises(ValueError, match="share is 0"):
        measure_spread(maps, 0)
    with pytest.raises(ValueError, match="negative values"):
        measure_spread(-maps)
