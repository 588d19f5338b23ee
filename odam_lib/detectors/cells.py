"""Detectors that predict at the cells of feature maps, and windows of heads that are chains of convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from odam_lib.detections import Detections
from odam_lib.detectors.chains import Chain, read_chain
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.windowed import HeadTrace, Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.windows import Sheets, Windows


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


@dataclass(frozen=True, eq=False)
class ChainWindows(Windowed):
    """Windows of a head of chains, which is run on a cut around each cell: beyond it a prediction sees nothing.

    Attributes:
        chains: of each level, the chain of classes and that of boxes, or the one that says both.
    """

    trace: CellTrace
    chains: tuple[tuple[Chain, ...], ...]

    def size(self, detections: Detections) -> tuple[int, int]:
        side = 1 + 2 * max(chain.reach for chain in self.chains[int(detections.level[0])])
        return side, side

    @record_gradients()
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        level, size = int(detections.level[0]), self.size(detections)
        sheets, which = Sheets.of([self.trace.features[level].detach()]), torch.zeros_like(detections.index)
        top, left = (start - size[0] // 2 for start in self.trace.cell(detections))
        cut = sheets.cut(which, top, left, size).contiguous().requires_grad_()
        _, inside = sheets.places(which, top, left, size)
        outputs = self._outputs(attributes, cut, inside, detections)
        gradients = self.trace.differentiate(attributes, outputs, cut, detections)
        return Windows(gradients * inside[:, None, None], top, left)

    def _outputs(self, attributes: Sequence[str], cut: Tensor, inside: Tensor, detections: Detections) -> Tensor:
        """What the head says about detections of one level; zeros in place of what no attribute is read from."""
        level, said = int(detections.level[0]), []
        edges = {attribute in EDGES for attribute in attributes}
        for chain, read in zip(self.chains[level], ({False}, {True}) if len(self.chains[level]) > 1 else (edges,)):
            rim = (chain.reach - cut.shape[-1] // 2,) * 4
            if edges & read:
                said.append(chain.at_centres(pad(cut, rim), pad(inside, rim)))
            else:
                said.append(cut.new_zeros((len(cut), chain.outputs)))
        rows, a_cell = torch.arange(len(cut), device=cut.device), self.trace.anchors_a_cell[level]
        anchor = self.trace.anchor(detections)
        return torch.cat([one.unflatten(1, (a_cell, -1))[rows, anchor] for one in said], dim=1)


def make_chain_windows(
    trace: CellTrace,
    heads: Iterable[Iterable[nn.Module]],
    known: Callable[[nn.Module], bool] = lambda module: False,
) -> ChainWindows | None:
    """The windows of a trace whose layer feeds heads that are chains; ``None`` if one is not known to be local.

    Args:
        trace: the pass.
        heads: of each level, what says the classes and what says the boxes, or what says both.
        known: see :func:`read_chain`.
    """
    chains = [[read_chain(branch, known) for branch in level] for level in heads]
    local = tuple(tuple(chain for chain in level if chain is not None) for level in chains)
    return ChainWindows(trace, local) if [*map(len, local)] == [*map(len, chains)] else None


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
