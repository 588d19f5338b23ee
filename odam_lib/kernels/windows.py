"""Values that are zero outside a window of a feature map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from odam_lib.kernels.full_convolution import convolve_fully
from odam_lib.kernels.grid import Grid, line_shares
from odam_lib.kernels.odam import apply_rectifier, gaussian_matrix, heat_map


@dataclass(frozen=True, eq=False)
class Windows:
    """Values on N feature maps, which are zero outside a window of each.

    Attributes:
        values: ``Tensor[N, ..., a, b]``.
        top, left: ``Tensor[N]``, int64, the cell of the map at which the window starts; negative beyond the border,
            where values are zero too.
    """

    values: Tensor
    top: Tensor
    left: Tensor

    @classmethod
    def whole(cls, values: Tensor) -> "Windows":
        """Windows that start where their maps do."""
        start = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        return cls(values, start, start)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the windows."""
        return self.values.shape[-2], self.values.shape[-1]

    def paste(self, size: tuple[int, int]) -> Tensor:
        """The windows ``[N, A, a, b]`` in their places on maps of zeros: ``Tensor[N, A, height, width]``."""
        height, width = self.size
        maps = self.values.new_zeros((*self.values.shape[:2], size[0] + 2 * height, size[1] + 2 * width))
        rows = (self.top.clamp(-height, size[0]) + height)[:, None] + torch.arange(height, device=maps.device)
        columns = (self.left.clamp(-width, size[1]) + width)[:, None] + torch.arange(width, device=maps.device)
        number = torch.arange(len(maps), device=maps.device)[:, None, None]
        maps.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]] = self.values.permute(0, 2, 3, 1)
        return maps[:, :, height : height + size[0], width : width + size[1]]

    def spread(self, grids: Sequence[Grid], cells: Tensor, input_sizes: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps of many levels, regions or pictures on one raster, each read as by :func:`sample_grid`.

        Args:
            grids: where the cells of each map lie, N of one kind: all bounded, or none.
            cells: ``Tensor[N, 2]``, (height, width) of each map.
            input_sizes: ``Tensor[N, 2]``, (height, width) of each picture as the detector saw it, before its padding.
            size: (height, width) wanted; the whole picture is spread over them.

        Returns:
            ``Tensor[N, height, width]`` of values ``[N, a, b]``.
        """
        where = self.values.new_tensor([(grid.y, grid.x, grid.dy, grid.dx) for grid in grids]).reshape(-1, 4)
        readers = []
        for axis, start in enumerate((self.top, self.left)):
            centres = torch.arange(size[axis], dtype=self.values.dtype, device=self.values.device) + 0.5
            at_input = centres * (input_sizes[:, axis, None].to(centres) / size[axis])
            places = (at_input - where[:, axis, None]) / where[:, axis + 2, None]
            lines = start[:, None] + torch.arange(self.size[axis], device=start.device)
            readers.append(line_shares(places, lines, cells[:, axis, None], any(grid.bounded for grid in grids)))
        return readers[0] @ self.values @ readers[1].mT


@dataclass(frozen=True, eq=False)
class Sheets:
    """M feature maps that may differ in size, cell after cell, so that windows of all of them can be read at once.

    Attributes:
        cells: ``Tensor[C, K]``, the cells of all maps, line after line, each in one piece.
        first: ``Tensor[M]``, int64, where each map begins.
        heights, widths: ``Tensor[M]``, int64.
    """

    cells: Tensor
    first: Tensor
    heights: Tensor
    widths: Tensor

    @classmethod
    def of(cls, levels: Sequence[Tensor]) -> "Sheets":
        """The maps of B pictures on L levels, ``Tensor[B, K, h, w]`` each; level l of picture b is map l * B + b."""
        shapes = [(len(level), *level.shape[-2:]) for level in levels]
        sizes = torch.tensor([size for count, *size in shapes for _ in range(count)], device=levels[0].device)
        heights, widths = sizes.reshape(-1, 2).unbind(dim=1)
        ends = (heights * widths).cumsum(dim=0)
        cells = torch.cat([level.movedim(1, -1).reshape(-1, level.shape[1]) for level in levels])
        return cls(cells, ends - heights * widths, heights, widths)

    def places(self, which: Tensor, top: Tensor, left: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Which of the cells windows show, beyond the border those nearest, and whether each exists.

        Args:
            which: ``Tensor[N]``, int64, the map of each window.
            top, left: ``Tensor[N]``, its first cell; may lie outside.
            size: (height, width) of the windows.

        Returns:
            int64 and bool ``Tensor[N, height, width]``.
        """
        height, width = self.heights[which, None, None], self.widths[which, None, None]
        rows = (top[:, None] + torch.arange(size[0], device=top.device))[:, :, None]
        columns = (left[:, None] + torch.arange(size[1], device=left.device))[:, None, :]
        inside = ((rows >= 0) & (rows < height)) & ((columns >= 0) & (columns < width))
        rows, columns = rows.clamp(min=0).minimum(height - 1), columns.clamp(min=0).minimum(width - 1)
        return self.first[which, None, None] + rows * width + columns, inside

    def cut(self, which: Tensor, top: Tensor, left: Tensor, size: Sequence[int]) -> Tensor:
        """Windows, zero beyond the border: ``Tensor[N, K, height, width]``; arguments as of :meth:`places`."""
        places, inside = self.places(which, top, left, size)
        return (self.read(places) * inside[..., None]).permute(0, 3, 1, 2)

    def read(self, places: Tensor) -> Tensor:
        """Cells at some places ``[...]``: ``Tensor[..., K]``."""
        # Several times as fast as an index of maps by three tensors.
        return self.cells.index_select(0, places.flatten()).unflatten(0, places.shape)


def tower_gradients(
    last: Tensor, kernels: Sequence[Tensor], slopes: Sequence[Sheets], which: Tensor, top: Tensor, left: Tensor
) -> Tensor:
    """Gradients of N outputs of a tower's last 3x3 convolution with respect to its input: :func:`walk_back`.

    Cells beyond the border do not exist: their gradients are zero.

    Args:
        last: ``Tensor[N, A, K, 3, 3]``, gradients with respect to the tower's output around N cells.
        kernels: ``Tensor[K, K, 3, 3]`` of each of the tower's L convolutions.
        slopes: the derivative of what follows each, on the maps that the tower worked on.
        which: ``Tensor[N]``, int64, the map of each output.
        top, left: ``Tensor[N]``, row and column of the first cell of the 3x3 windows; -1 where they stick out.

    Returns:
        ``Tensor[N, A, K, 3 + 2 L, 3 + 2 L]``, gradients with respect to the tower's input; its windows start L cells
        further up and left.
    """
    gradients, steps = walk_back(last, kernels, slopes, which, top, left), len(kernels)
    _, inside = slopes[0].places(which, top - steps, left - steps, gradients.shape[-2:])
    return gradients * inside[:, None, None]


def walk_back(
    last: Tensor, kernels: Sequence[Tensor], slopes: Sequence[Sheets], which: Tensor, top: Tensor, left: Tensor
) -> Tensor:
    """All of N outputs back through the tower in one batch, each on its own receptive field.

    That grows by one cell a convolution; beyond it the gradient is zero. Arguments and result as those of
    :func:`tower_gradients`, but cells beyond the border, which do not exist, hold numbers that mean nothing.
    """
    gradients = last.movedim(2, -1)  # channels last, as all that works on them wants it
    for step, (kernel, slope) in enumerate(zip(reversed(kernels), reversed(slopes))):
        places, inside = slope.places(which, top - step, left - step, gradients.shape[2:4])
        around = slope.read(places) * inside[..., None]
        gradients = convolve_fully((gradients * around[:, None]).flatten(0, 1), kernel).unflatten(0, (len(last), -1))
    return gradients.movedim(-1, 2)


def tower_contributions(
    last: Tensor,
    kernels: Sequence[Tensor],
    slopes: Sequence[Sheets],
    activations: Sheets,
    which: Tensor,
    top: Tensor,
    left: Tensor,
) -> Tensor:
    """The gradients of :func:`tower_gradients` times the activations of the tower's input, summed over channels.

    The gradients themselves are not made. What the first convolution makes of each cell alone is computed once for all
    outputs, ``sum_k W[c, k, i, j] A_k(u)`` for each place (i, j) of its kernel, and is then weighted with the gradients
    behind that convolution: where windows overlap, as they do in a crowd, its work is shared.

    Args:
        last: ``Tensor[N, A, K, 3, 3]``, as for :func:`tower_gradients`.
        kernels, slopes: of a tower of L >= 1 convolutions.
        activations: its input.
        which, top, left: as for :func:`tower_gradients`.

    Returns:
        ``Tensor[N, A, 3 + 2 L, 3 + 2 L]``, windows as those of :func:`tower_gradients`.
    """
    behind, steps = walk_back(last, kernels[1:], slopes[1:], which, top, left), len(kernels)
    side = behind.shape[-1]
    around = slopes[0].cut(which, top - steps + 1, left - steps + 1, (side, side))
    behind = (behind * around[:, None]).movedim(2, -1).contiguous()
    places, inside = activations.places(which, top - steps, left - steps, (side + 2, side + 2))
    total = behind.new_zeros((*behind.shape[:2], side + 2, side + 2))
    for row, column in product(range(3), range(3)):
        here = (slice(row, row + side), slice(column, column + side))
        made = replace(activations, cells=activations.cells @ kernels[0][:, :, row, column].T)
        total[:, :, *here] += (behind * made.read(places[:, *here])[:, None]).sum(dim=-1)
    return total * inside[:, None]


REACH = 5
"""Smoothing is followed to this many sigmas beyond a window: what lies further is under 1e-5 of the kernel's peak."""


def window_heat_maps(
    gradients: Windows,
    features: Tensor,
    which: Tensor,
    sigma: Tensor | None = None,
    sign: str = "positive",
    rectify: str = "relu",
) -> Tensor:
    """:func:`heat_map` for gradients that are zero outside a window.

    What smoothing carries more than ``REACH`` sigma beyond the window is left out.

    Args:
        gradients: ``Tensor[N, A, K, a, b]``, of A targets of each of N predictions.
        features: ``Tensor[M, K, h, w]``, the activations of M levels or regions of interest.
        which: ``Tensor[N]``, int64, the activations of each prediction.
        sigma, sign, rectify: as for :func:`heat_map`.

    Returns:
        ``Tensor[N, A, h, w]``.
    """
    size = (features.shape[-2], features.shape[-1])
    if gradients.size == size and not (gradients.top.any() or gradients.left.any()):
        activations = features if len(features) == 1 else features[which]
        return heat_map(gradients.values, activations[:, None], sigma, sign, rectify)
    margin = 0 if sigma is None else min(math.ceil(REACH * sigma.max().item()), max(size))
    top, left, (height, width) = gradients.top - margin, gradients.left - margin, gradients.size
    activations = Sheets.of([features]).cut(which, top, left, (height + 2 * margin, width + 2 * margin))
    if sigma is None:
        maps = heat_map(gradients.values, activations[:, None], sign=sign, rectify=rectify)
    else:
        maps = apply_rectifier(smoothed_sum(gradients.values, activations, sigma, margin), sign, rectify)
    return Windows(maps, top, left).paste(size)


def smoothed_sum(gradients: Tensor, activations: Tensor, sigma: Tensor, margin: int) -> Tensor:
    """Smoothing and the sum over channels of Eq. (2), the sum before the smoothing along rows: both are linear.

    Smoothing mixes cells and the sum mixes channels. So smoothed gradients, much larger than windows, are not made: for
    each pair of a cell and a column of the window in its row the sum over the channels is one product of matrices.

    Args:
        gradients: ``Tensor[N, A, K, a, b]``.
        activations: ``Tensor[N, K, margin + a + margin, margin + b + margin]``.
        sigma: as for :func:`odam_lib.kernels.odam.smooth`.
        margin: cells around the windows that smoothing may reach.

    Returns:
        ``Tensor[N, A, margin + a + margin, margin + b + margin]``.
    """
    down, along = (gaussian_matrix(side, sigma, margin) for side in gradients.shape[3:])
    columns = (down[:, None] @ gradients.movedim(2, -1).flatten(3)).transpose(1, 2)  # [N, rows, A, b K]
    columns = columns.unflatten(3, (gradients.shape[4], -1)).flatten(2, 3)
    pairs = (activations.permute(0, 2, 3, 1) @ columns.mT).unflatten(3, (gradients.shape[1], gradients.shape[4]))
    return torch.einsum("nyxab,nxb->nayx", pairs, along)
