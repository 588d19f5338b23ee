"""Detectors that predict at the cells of feature maps, and what their heads say of a cut around one cell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.base import Trace
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.windowed import Windowed
from odam_lib.kernels.windows import Sheets, Windows


@dataclass(frozen=True, eq=False)
class CellTrace(Trace):
    """A forward pass whose predictions are listed level after level, cell after cell, anchor after anchor.

    Attributes:
        first: ``Tensor[levels]``, int64, index of each level's first prediction.
        anchors_a_cell: how many predictions share a cell of each level.
    """

    first: Tensor
    anchors_a_cell: tuple[int, ...]

    @abstractmethod
    def head_outputs(self, detections: Detections) -> Tensor:
        """What the head says about each of N detections, ``Tensor[N, O]``, with its gradient."""

    @abstractmethod
    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        """An attribute ``[N]`` of N detections from what the head says about them, see :meth:`head_outputs`."""

    @record_gradients()
    def targets(self, attribute: str, detections: Detections) -> Tensor:
        """See :meth:`Trace.targets`."""
        self.check(detections, [attribute])
        return self.read(attribute, self.head_outputs(detections), detections)

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


@dataclass(frozen=True, eq=False)
class CutWindows(Windowed):
    """Windows of a head that is run on a cut around each cell: what lies beyond it, no prediction of the cell sees."""

    trace: CellTrace

    @abstractmethod
    def reach(self, level: int) -> int:
        """How many cells to each side a prediction of a level sees."""

    @abstractmethod
    def head_outputs(self, attributes: Sequence[str], cut: Tensor, inside: Tensor, detections: Detections) -> Tensor:
        """What the head says about detections of one level, ``Tensor[N, O]`` as :meth:`CellTrace.head_outputs`.

        Args:
            attributes: those that will be read; what only others read may be left at zero.
            cut: ``Tensor[N, K, s, s]``, s = 1 + 2 reach, the features around the cell of each, zero beyond the border.
            inside: bool ``Tensor[N, s, s]``, which of these cells exist.
            detections: N rows.
        """

    def size(self, detections: Detections) -> tuple[int, int]:
        side = 1 + 2 * self.reach(int(detections.level[0]))
        return side, side

    @record_gradients()
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        level = int(detections.level[0])
        sheets, which = Sheets.of([self.trace.features[level].detach()]), torch.zeros_like(detections.index)
        top, left = (start - self.reach(level) for start in self.trace.cell(detections))
        place = (which, top, left, self.size(detections))
        cut, (_, inside) = sheets.cut(*place).requires_grad_(), sheets.places(*place)
        outputs = self.head_outputs(attributes, cut, inside, detections)
        sums = [self.trace.read(attribute, outputs, detections).sum() for attribute in attributes]
        gradients = torch.stack([torch.autograd.grad(one, cut, retain_graph=True)[0] for one in sums], dim=1)
        return Windows(gradients * inside[:, None, None], top, left)


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
