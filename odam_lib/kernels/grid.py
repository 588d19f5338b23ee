"""Where the cells of a feature map lie, and reading maps elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class Grid:
    """Where the cells of a feature map lie on the detector's input, in pixels of that input.

    Attributes:
        x, y: centre of cell (0, 0). A convolution of odd kernel, stride 2 and symmetric padding centres its first cell
            on the first pixel, so that a network of such layers has its cell (0, 0) at 0.5, not at half a stride.
        dx, dy: distance between neighbouring cells.
        bounded: whether the map ends half a cell beyond its outermost cells, as a region of interest does; else the
            outermost values go on.
    """

    x: float
    y: float
    dx: float
    dy: float
    bounded: bool = False

    @classmethod
    def of_stride(cls, stride: float) -> "Grid":
        """The grid of a network whose layers keep the first cell on the first pixel."""
        return cls(0.5, 0.5, stride, stride)

    @classmethod
    def of_region(cls, box: Sequence[float], size: tuple[int, int]) -> "Grid":
        """The grid of (height, width) cells that a region of interest (x1, y1, x2, y2) was pooled to.

        RoIAlign reads x at x / stride cells, and cell j lies at the pixel centre j * stride + 0.5.
        """
        dx, dy = max(box[2] - box[0], 1e-3) / size[1], max(box[3] - box[1], 1e-3) / size[0]
        return cls(box[0] + dx / 2 + 0.5, box[1] + dy / 2 + 0.5, dx, dy, bounded=True)


def sample_grid(maps: Tensor, grid: Grid, input_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Read maps at the pixels of the image: undoes the stride, the detector's padding and its resize in one step.

    Args:
        maps: ``Tensor[A, h, w]`` at feature resolution.
        grid: where the cells lie on the detector's input.
        input_size: (height, width) of the image as the detector saw it, after its resize and before its padding.
        size: (height, width) wanted; the whole image is spread over them.

    Returns:
        ``Tensor[A, height, width]``, bilinear between cell centres, constant beyond the outermost; zero more than half
        a cell beyond them if the grid is bounded.
    """
    dy, dx = input_size[0] / size[0], input_size[1] / size[1]
    return resample(maps, grid, Grid(dx / 2, dy / 2, dx, dy), size)


def resample(maps: Tensor, grid: Grid, onto: Grid, size: tuple[int, int]) -> Tensor:
    """Read maps at the cell centres of another grid; as :func:`sample_grid` between and beyond their own.

    Args:
        maps: ``Tensor[A, h, w]``.
        grid: where their cells lie on the detector's input.
        onto: where the cells of the other grid lie.
        size: (height, width) in cells of the other grid.

    Returns:
        ``Tensor[A, height, width]``. Where every cell centre of ``grid`` is one of ``onto`` nothing is lost: what is
        read between those of ``onto`` is what would have been read between those of ``grid``.
    """

    def cells(number: int, start: float, spacing: float, first: float, step: float) -> Tensor:
        return (start + torch.arange(number, dtype=maps.dtype, device=maps.device) * spacing - first) / step

    height, width = maps.shape[-2:]
    rows = cells(size[0], onto.y, onto.dy, grid.y, grid.dy)
    columns = cells(size[1], onto.x, onto.dx, grid.x, grid.dx)
    at = (columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1)
    points = torch.stack(torch.meshgrid(*at, indexing="xy"), dim=-1)
    # The same reading as line_shares; but deletion and insertion rank pixels, so that kept rows follow the rounding.
    spread = grid_sample(maps[None], points[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
    if not grid.bounded:
        return spread
    inside = (rows >= -0.5) & (rows <= height - 0.5)
    return spread * (inside[:, None] & (columns >= -0.5) & (columns <= width - 0.5))


def line_shares(places: Tensor, lines: Tensor, length: Tensor, bounded: bool) -> Tensor:
    """How much of each line of a map, a row or a column, is read at each place: :func:`resample` for many maps at once.

    Linear between the centres of two lines and constant beyond the outermost.

    Args:
        places: ``Tensor[..., P]``, where to read, in lines of the map.
        lines: ``Tensor[..., L]``, the numbers of the lines that are there to be read; others count as zero.
        length: ``Tensor[..., 1]``, how many lines the map has.
        bounded: whether what lies more than half a line beyond the outermost is zero.

    Returns:
        ``Tensor[..., P, L]``, a matrix to multiply the map's lines with.
    """
    within = places.clamp(min=0).minimum(length - 1)
    shares = (1 - (within[..., None] - lines[..., None, :]).abs()).clamp(min=0)
    inside = (places >= -0.5) & (places <= length - 0.5)
    return shares * inside[..., None] if bounded else shares
