"""Heads that are chains of local convolutions: what they say about a cell can be had from a window around it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from odam_lib.detections import Detections
from odam_lib.detectors.cells import CellTrace
from odam_lib.detectors.passes import make_twin, record_gradients
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.windows import Sheets, Windows

POINTWISE = (nn.Identity, nn.SiLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.Hardswish, nn.Mish, nn.ELU, nn.Sigmoid)
"""What may follow a convolution because it acts on each cell alone; a batch norm with statistics of its own may too."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Steps that act cell by cell, or are a convolution of stride 1 with zeros around its input and what follows it.

    Attributes:
        steps: in order, convolutions without the zeros around.
        reaches: for each step, how many cells beyond a cell it reads.
    """

    steps: tuple[nn.Module, ...]
    reaches: tuple[int, ...]

    @property
    def reach(self) -> int:
        """How many cells beyond a cell the whole chain reads."""
        return sum(self.reaches)

    @property
    def outputs(self) -> int:
        """How many numbers it says about each cell."""
        parts = [part for step in self.steps for part in step.modules()]
        return [part.out_channels for part in parts if isinstance(part, nn.Conv2d)][-1]

    def at_centres(self, windows: Tensor, inside: Tensor) -> Tensor:
        """What the chain says about the middle cell of each window, as if it had run on the whole map.

        Args:
            windows: ``Tensor[N, K, s, s]`` with s = 1 + 2 :attr:`reach`, zero beyond the border.
            inside: bool ``Tensor[N, s, s]``, which of their cells are on the map: beyond its border each step reads
                zeros, whatever the step before would have made of them.

        Returns:
            ``Tensor[N, O]``, differentiable.
        """
        values, exists = windows, inside[:, None]
        for step, reach in zip(self.steps, self.reaches):
            exists = exists[..., reach : exists.shape[-2] - reach, reach : exists.shape[-1] - reach]
            values = step(values) * exists
        return values[:, :, 0, 0]


def read_chain(stack: nn.Module, known: Callable[[nn.Module], bool]) -> Chain | None:
    """Nested ``nn.Sequential`` as a chain; ``None`` if anything in it is not known to be local.

    Args:
        stack: the modules, which must be in evaluation mode when the chain is used.
        known: whether the forward pass of a module that has parts runs these one after another.
    """
    steps = _list_steps(stack)
    reaches = [measure_reach(step) for step in steps if not list(step.children()) or known(step)]
    local = tuple(reach for reach in reaches if reach is not None)
    return Chain(tuple(map(_drop_padding, steps)), local) if len(local) == len(steps) else None


def _list_steps(stack: nn.Module) -> list[nn.Module]:
    if isinstance(stack, nn.Sequential):
        return [step for part in stack for step in _list_steps(part)]
    return [stack]


def measure_reach(step: nn.Module) -> int | None:
    """How many cells beyond a cell a step reads; ``None`` if more than one convolution may mix cells."""
    convolution, *others = [module for module in step.modules() if not list(module.children())]
    if not all(_acts_on_cells(module) for module in others):
        return None
    if not isinstance(convolution, nn.Conv2d):
        return 0 if _acts_on_cells(convolution) else None
    (height, width), (rows, columns) = convolution.kernel_size, convolution.dilation
    reach = rows * (height - 1) // 2
    as_large = convolution.padding == (reach, reach) and convolution.padding_mode == "zeros"
    square = height == width and rows == columns and height % 2 == 1
    return reach if as_large and square and convolution.stride == (1, 1) else None


def _acts_on_cells(module: nn.Module) -> bool:
    if isinstance(module, nn.BatchNorm2d):
        return module.running_mean is not None
    return isinstance(module, POINTWISE)


def _drop_padding(step: nn.Module) -> nn.Module:
    """The same step that works out those cells alone that it sees all of: of a window, the others are of no use."""
    alike = make_twin(step)
    for module in alike.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = (0, 0)
    return alike


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
