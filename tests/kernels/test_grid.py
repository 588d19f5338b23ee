"""Maps are read where their cells lie."""

import math

import pytest
import torch

from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.windows import Windows


@pytest.mark.parametrize("size", [(97, 150), (150, 97), (333, 200), (64, 64), (31, 500)])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_planted_spike_lands_within_half_a_cell(size: tuple[int, int], stride: int) -> None:
    """The detector resized the image by a fraction and padded it to a multiple of 32."""
    scale = 256 / min(size)
    input_size = (int(size[0] * scale), int(size[1] * scale))
    rows, columns = (-(-side // 32) * 32 // stride for side in input_size)
    grid = Grid.of_stride(stride)
    for row in range(0, math.ceil(input_size[0] / stride), 3):
        for column in range(0, math.ceil(input_size[1] / stride), 3):
            spike = torch.zeros(1, rows, columns)
            spike[0, row, column] = 1
            image = sample_grid(spike, grid, input_size, size)[0]
            y, x = divmod(int(image.argmax()), size[1])
            expected = (row * stride + 0.5) * size[0] / input_size[0], (column * stride + 0.5) * size[1] / input_size[1]
            cell = stride * size[0] / input_size[0], stride * size[1] / input_size[1]
            assert abs(y + 0.5 - min(expected[0], size[0])) <= max(0.51 * cell[0], 1)
            assert abs(x + 0.5 - min(expected[1], size[1])) <= max(0.51 * cell[1], 1)


def test_padding_does_not_show_in_the_image() -> None:
    maps = torch.zeros(1, 8, 8)
    maps[0, :, 6:] = 1  # cells from pixel 48 on; the input ends at 40
    assert sample_grid(maps, Grid.of_stride(8), (64, 40), (64, 40)).sum() == 0


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("size", [(23, 31), (4, 5), (50, 67)])
def test_many_maps_at_once_are_read_as_one_by_one(bounded: bool, size: tuple[int, int]) -> None:
    """By matrices, and by torch's own sampling."""
    maps = torch.rand(3, 6, 9, generator=torch.Generator().manual_seed(0))
    grids = [Grid(0.5, 0.5, 8, 8, bounded), Grid(3.0, 11.0, 5.5, 7.0, bounded), Grid(-2.0, 4.0, 4.0, 6.0, bounded)]
    inputs = [(48, 70), (60, 60), (33, 47)]
    one_by_one = [sample_grid(one[None], grid, of, size)[0] for one, grid, of in zip(maps, grids, inputs)]
    cells = torch.tensor([[6, 9]] * 3)
    together = Windows.whole(maps).spread(grids, cells, torch.tensor(inputs), size)
    torch.testing.assert_close(together, torch.stack(one_by_one), rtol=1e-4, atol=1e-6)
