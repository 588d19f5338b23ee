"""Values that are zero outside a window of a feature map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d

from odam_lib.kernels.odam import gaussian_matrix, smooth, weighted_sum


class Contributions(NamedTuple):
    """Gradient times activation, summed over channels, which is zero outside a window of the feature map.

    Attributes:
        values: ``Tensor[N, a, b]``, of each of N predictions, before any rectifier.
        top, left: ``Tensor[N]``, int64, the cell of the map at which the window starts; negative beyond the border,
            where values are zero.
    """

    values: Tensor
    top: Tensor
    left: Tensor


@dataclass(frozen=True, eq=False)
class Windows:
    """Gradients that are zero outside a window of the feature map.

    Attributes:
        gradients: ``Tensor[N, A, K, a, b]``, of A targets of each of N predictions.
        top, left: ``Tensor[N]``, int64, the cell of the map at which the window starts; negative beyond the border,
            where gradients are zero too.
    """

    gradients: Tensor
    top: Tensor
    left: Tensor


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


def window(
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
    :func:`window`, but cells beyond the border, which do not exist, hold numbers that mean nothing.
    """
    gradients = last
    for step, (kernel, slope) in enumerate(zip(reversed(kernels), reversed(slopes))):
        around = slope.cut(which, top - step, left - step, gradients.shape[-2:])
        gradients = (gradients * around[:, None]).flatten(0, 1)
        gradients = conv_transpose2d(gradients, kernel).unflatten(0, (len(last), -1))
    return gradients


def window_contributions(
    last: Tensor,
    kernels: Sequence[Tensor],
    slopes: Sequence[Sheets],
    activations: Sheets,
    which: Tensor,
    top: Tensor,
    left: Tensor,
) -> Tensor:
    """The gradients of :func:`window` times the activations of the tower's input, summed over channels.

    The gradients themselves are not made. What the first convolution makes of each cell alone is computed once for all
    outputs, ``sum_k W[c, k, i, j] A_k(u)`` for each place (i, j) of its kernel, and is then weighted with the gradients
    behind that convolution: where windows overlap, as they do in a crowd, its work is shared.

    Args:
        last: ``Tensor[N, A, K, 3, 3]``, as for :func:`window`.
        kernels, slopes: of a tower of L >= 1 convolutions.
        activations: its input.
        which, top, left: as for :func:`window`.

    Returns:
        ``Tensor[N, A, 3 + 2 L, 3 + 2 L]``, windows as those of :func:`window`.
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


FEW_CELLS = 16
"""Windows of at most so many cells are summed over channels before they are smoothed."""


def windowed_sum(windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
    """Smoothing and the weighted sum of Eq. (2) for gradients that are zero outside a window.

    What smoothing carries more than ``REACH`` sigma beyond the window is left out.

    Args:
        windows: of A targets of each of N predictions.
        features: ``Tensor[M, K, h, w]``, the activations of M levels or regions of interest.
        which: ``Tensor[N]``, int64, the activations of each prediction.
        sigma: ``Tensor[N]`` in feature cells; ``None`` for no smoothing.

    Returns:
        ``Tensor[N, A, h, w]``, before the rectifier.
    """
    gradients, (height, width), margin = windows.gradients, features.shape[-2:], 0
    cells = gradients.shape[-2:]
    if sigma is not None and cells != (height, width):  # else there is nothing outside the window
        margin = min(int(torch.ceil(REACH * sigma.max()).item()), max(height, width))
    top, left = windows.top - margin, windows.left - margin
    size = (cells[0] + 2 * margin, cells[1] + 2 * margin)
    activations = Sheets.of([features]).cut(which, top, left, size)
    if sigma is None:
        patches = weighted_sum(gradients, activations[:, None])
    elif cells.numel() > FEW_CELLS:
        patches = weighted_sum(smooth(gradients, sigma, margin), activations[:, None])
    else:
        patches = smoothed_sum(gradients, activations, sigma, margin)
    return paste(patches, top, left, (height, width))


def smoothed_sum(gradients: Tensor, activations: Tensor, sigma: Tensor, margin: int) -> Tensor:
    """:func:`smooth` and :func:`weighted_sum` in the other order: the same, since both are linear.

    Smoothing mixes cells and the sum mixes channels. Where a window has few cells it is many times as fast to sum over
    the channels first, for every pair of a cell of the window and a cell around it.

    Args:
        gradients: ``Tensor[N, A, K, a, b]``.
        activations: ``Tensor[N, K, margin + a + margin, margin + b + margin]``.
        sigma, margin: as for :func:`smooth`.

    Returns:
        ``Tensor[N, A, margin + a + margin, margin + b + margin]``.
    """
    places = gradients.movedim(2, -1).flatten(1, 3)  # [N, A a b, K]
    pairs = (places @ activations.flatten(2)).reshape(
        *gradients.shape[:2], *gradients.shape[3:], *activations.shape[2:]
    )
    rows, columns = (gaussian_matrix(side, sigma, margin) for side in gradients.shape[3:])
    return torch.einsum("naijyx,nyi,nxj->nayx", pairs, rows, columns)


def paste(patches: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Windows back in their places on maps of zeros.

    Args:
        patches: ``Tensor[N, A, a, b]``.
        top, left: ``Tensor[N]``, where each begins; may lie outside.
        size: (height, width) of the maps.

    Returns:
        ``Tensor[N, A, height, width]``.
    """
    height, width = patches.shape[-2:]
    maps = patches.new_zeros((*patches.shape[:2], size[0] + 2 * height, size[1] + 2 * width))
    rows = (top.clamp(-height, size[0]) + height)[:, None] + torch.arange(height, device=top.device)
    columns = (left.clamp(-width, size[1]) + width)[:, None] + torch.arange(width, device=left.device)
    number = torch.arange(len(patches), device=top.device)[:, None, None]
    maps.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]] = patches.permute(0, 2, 3, 1)
    return maps[:, :, height : height + size[0], width : width + size[1]]


@dataclass(frozen=True, eq=False)
class Patches:
    """Maps of N predictions, perhaps of several pictures, that are zero outside a window of their feature map.

    Attributes:
        values: ``Tensor[N, a, b]``.
        top, left: ``Tensor[N]``, int64, the cell of the feature map at which the window starts; may lie outside.
        cells: ``Tensor[N, 2]``, (height, width) of the feature map.
        origin: ``Tensor[N, 2]``, (y, x) of the centre of its cell (0, 0) in pixels of the detector's input.
        step: ``Tensor[N, 2]``, distance between neighbouring cells, down and across.
        bounded: see :class:`Grid`.
    """

    values: Tensor
    top: Tensor
    left: Tensor
    cells: Tensor
    origin: Tensor
    step: Tensor
    bounded: bool

    def spread(self, input_sizes: Tensor, size: tuple[int, int]) -> Tensor:
        """The maps on a common raster; the same reading as :func:`sample_grid`, for many maps at once.

        Args:
            input_sizes: ``Tensor[N, 2]``, (height, width) of each picture as the detector saw it, before its padding.
            size: (height, width) wanted; the whole picture is spread over them.

        Returns:
            ``Tensor[N, height, width]``.
        """
        rows, columns = (
            self._readers(axis, pixels, length, input_sizes[:, axis])
            for axis, (pixels, length) in enumerate(zip(size, self.values.shape[-2:]))
        )
        return rows @ self.values @ columns.mT

    def _readers(self, axis: int, pixels: int, length: int, extent: Tensor) -> Tensor:
        """How much each raster line reads of each line of the window: ``Tensor[N, pixels, length]``."""
        start = (self.top, self.left)[axis][:, None, None]
        centres = torch.arange(pixels, dtype=self.values.dtype, device=self.values.device) + 0.5
        at_input = centres * (extent[:, None] / pixels)
        at = (at_input - self.origin[:, axis, None]) / self.step[:, axis, None]
        last = self.cells[:, axis, None] - 1
        lines = start + torch.arange(length, device=self.values.device)
        share = (1 - (at.clamp(min=0).minimum(last)[..., None] - lines).abs()).clamp(min=0)
        return share * ((at >= -0.5) & (at <= last + 0.5))[..., None] if self.bounded else share
