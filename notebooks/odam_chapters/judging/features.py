"""What becomes of a score when the features beneath some pixels are others: zero, or those of another picture."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from odam_chapters.influence import edit_features
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.evaluation.planted import measure_influences
from odam_lib.kernels.grid import Grid, line_shares


class Route(NamedTuple):
    """By which share of itself a score falls if some features are those of a changed picture, the others as they were.

    Attributes:
        beneath: those of the cells that show the changed pixels.
        elsewhere: those of all other cells.
    """

    beneath: float
    elsewhere: float


def spread_over_cells(masks: Tensor, grid: Grid, input_size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """How much of what each cell of a feature map shows lies within each mask, as the map's energy there is counted.

    Args:
        masks: bool ``Tensor[M, H, W]`` of the picture.
        grid: where the cells lie on the detector's input.
        input_size: (height, width) of the picture as the detector saw it.
        cells: (height, width) of the feature map.

    Returns:
        ``Tensor[M, height, width]`` in [0, 1].
    """
    starts, steps = (grid.y, grid.x), (grid.dy, grid.dx)
    rows, columns = (
        line_shares(
            ((torch.arange(pixels) + 0.5) * seen / pixels - start) / step,
            torch.arange(number),
            torch.tensor([number]),
            grid.bounded,
        ).to(masks.device)
        for pixels, seen, start, step, number in zip(masks.shape[1:], input_size, starts, steps, cells)
    )
    return rows.T @ masks.float() @ columns / (rows.sum(dim=0)[:, None] * columns.sum(dim=0)).clamp(min=1e-9)


def exchange(trace: Trace, detections: Detections, others: Sequence[Tensor], mask: Tensor) -> Tensor:
    """By which share of itself each score falls if the features beneath a mask are others; the picture stays.

    Args:
        trace: a pass.
        detections: N rows of it.
        others: what stands in for :attr:`Trace.features`, of the same shapes.
        mask: bool ``Tensor[H, W]`` of the picture; a cell is exchanged as far as what it shows lies in it.

    Returns:
        ``Tensor[N]``.
    """
    mixed = []
    for one, other, grid in zip(trace.features, others, trace.grids):
        share = spread_over_cells(mask[None], grid, trace.input_size, (one.shape[-2], one.shape[-1]))
        mixed.append(torch.lerp(one.detach(), other, share.to(one).expand_as(one)))
    with edit_features(trace, mixed):
        return measure_influences(trace, detections, trace.image[None])[:, 0, 0]


def silence(trace: Trace, detections: Detections, mask: Tensor) -> Tensor:
    """By which share of itself each score ``[N]`` falls if the features beneath a mask are zero."""
    return exchange(trace, detections, [torch.zeros_like(one) for one in trace.features], mask)


def follow(trace: Trace, detection: Detections, changed: Tensor, region: Tensor) -> Route:
    """Through which cells a change of the picture reaches the score of a detection.

    Args:
        trace: a pass on the picture as it was.
        detection: one row of it.
        changed: ``Tensor[3, H, W]`` in [0, 1], the picture with other pixels in the region.
        region: bool ``Tensor[H, W]``.
    """
    others = [one.detach() for one in trace.detector.trace(changed, trace.layer).features]
    return Route(*(float(exchange(trace, detection, others, mask)[0]) for mask in (region, ~region)))
