"""Detectors that predict at the cells of feature maps: where each prediction lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.windowed import HeadTrace


@dataclass(frozen=True, eq=False)
class CellTrace(HeadTrace):
    """A forward pass whose predictions are listed level after level, cell after cell, anchor after anchor.

    Attributes:
        first: ``Tensor[levels]``, int64, index of each level's first prediction.
        anchors_a_cell: how many predictions share a cell of each level.
    """

    first: Tensor
    anchors_a_cell: tuple[int, ...]

    def listed(self, detections: Detections) -> Tensor:
        """Where each of N detections is in the list of all predictions, ``Tensor[N]``."""
        return self.first[detections.level] + detections.index

    def anchor(self, detections: Detections) -> Tensor:
        """Which of its cell's anchors each of N detections is of, ``Tensor[N]``."""
        return detections.index % self._a_cell(detections)

    def cell(self, detections: Detections) -> tuple[Tensor, Tensor]:
        """Row and column of each of N detections' cell, ``Tensor[N]`` each, where the layer feeds the head."""
        cell = detections.index.div(self._a_cell(detections), rounding_mode="floor")
        width = cell.new_tensor([level.shape[-1] for level in self.features])[detections.level]
        return cell.div(width, rounding_mode="floor"), cell % width

    def _a_cell(self, detections: Detections) -> Tensor:
        return detections.level.new_tensor(self.anchors_a_cell)[detections.level]


def number_predictions(counts: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The provenance of predictions that are listed level after level.

    Args:
        counts: how many each level makes.
        device: where the tensors shall be.

    Returns:
        int64: the level of each prediction ``[P]``, its number within its level ``[P]``, and the place of each level's
        first prediction ``[levels]``.
    """
    numbers = torch.tensor(counts, device=device)
    first = numbers.cumsum(dim=0) - numbers
    level = torch.arange(len(counts), device=device).repeat_interleave(numbers)
    return level, torch.arange(len(level), device=device) - first[level], first


def list_centres(size: tuple[int, int], stride: float, like: Tensor) -> Tensor:
    """The middles of the cells of one level in pixels of the input, row after row: ``Tensor[h * w, 2]``, (x, y)."""
    rows, columns = (torch.arange(cells, dtype=like.dtype, device=like.device) + 0.5 for cells in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2) * stride
