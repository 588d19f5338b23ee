"""Stacks of convolutions, recorded while a picture passes, and windows of heads that are made of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.cells import CellTrace
from odam_lib.detectors.chains import measure_reach
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.windowed import Windowed
from odam_lib.kernels.odam import apply_rectifier
from odam_lib.kernels.windows import Sheets, Windows, tower_contributions, tower_gradients

LOGIT, REGRESSION, CENTERNESS = slice(0, 1), slice(1, 5), slice(5, 6)
"""Columns of what a head says about one prediction: its class's logit, four numbers for the box, and centerness."""


@dataclass(eq=False)
class Tower:
    """A stack of 3x3 convolutions, each followed by a ReLU or by GroupNorm and a ReLU, as it worked on B pictures.

    Around each picture it is linear, once GroupNorm's statistics are held fixed: each convolution is followed by a
    multiplication of every cell with a slope. Without GroupNorm nothing is approximated.

    Attributes:
        kernels: ``Tensor[K, K, 3, 3]`` of each convolution, in order.
        outputs: for each convolution, for each level in order, what its ReLU returned, ``Tensor[B, K, h, w]``.
        normed: for each convolution its GroupNorm and, for each level, what went into that; empty without one.
    """

    kernels: list[Tensor]
    outputs: list[list[Tensor]]
    normed: list[tuple[nn.GroupNorm, list[Tensor]]] = field(default_factory=list)
    _slopes: dict[tuple[int, ...], list[Sheets]] = field(default_factory=dict)

    def slopes(self, levels: Sequence[int]) -> list[Sheets]:
        """The derivative of what follows each convolution on some levels of all pictures, made once."""
        key = tuple(levels)
        if key not in self._slopes:
            by_level = [self._slopes_of(level) for level in levels]
            self._slopes[key] = [Sheets.of(each) for each in zip(*by_level)]
        return self._slopes[key]

    def _slopes_of(self, level: int) -> list[Tensor]:
        scales = [_measure_scale(norm, inputs[level])[..., None, None] for norm, inputs in self.normed]
        passed = scales or [kernel.new_ones(()) for kernel in self.kernels]
        return [torch.where(outputs[level] > 0, scale, 0) for outputs, scale in zip(self.outputs, passed)]


def _measure_scale(norm: nn.GroupNorm, values: Tensor) -> Tensor:
    """weight / std ``[B, K]`` with the statistics of values ``[B, K, h, w]``: GroupNorm as a fixed affine map."""
    groups = values.to(norm.weight.dtype).reshape(len(values), norm.num_groups, -1)
    variance = (groups - groups.mean(dim=2, keepdim=True)).square().mean(dim=2)  # five times as fast as var
    std = (variance + norm.eps).sqrt()
    return norm.weight / std.repeat_interleave(values.shape[1] // norm.num_groups, dim=1)


TOWER = (nn.Conv2d, nn.GroupNorm, nn.ReLU)
"""What a tower is made of, in this order."""


def is_altered(module: nn.Module) -> bool:
    """Whether a hook, or a forward pass of its own, may make something else of a module than its class does."""
    own = vars(module).get("forward")  # which whoever patched it for a while may have put back
    patched = own is not None and getattr(own, "__func__", None) is not type(module).forward
    return bool(patched or module._forward_hooks or module._forward_pre_hooks)


def is_stock(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module computes exactly what this kind of module does."""
    return type(module) is kind and not is_altered(module)


def is_plain(module: Any) -> bool:
    """Whether a module is a 3x3 convolution that has an output for every cell and reads all channels."""
    return is_stock(module, nn.Conv2d) and module.groups == 1 and measure_reach(module) == 1


def is_tower(stack: nn.Module) -> bool:
    """Whether a stack holds nothing but one or more 3x3 convolutions, each followed by a ReLU or GroupNorm and ReLU."""
    parts = [module for module in stack.modules() if not list(module.children())]
    kinds = [next((kind for kind in TOWER if is_stock(part, kind)), None) for part in parts]
    norms = len(parts) // 3 * [*TOWER] if nn.GroupNorm in kinds else len(parts) // 2 * [nn.Conv2d, nn.ReLU]
    return len(parts) > 0 and kinds == norms and all(is_plain(part) for part in parts if isinstance(part, nn.Conv2d))


@contextmanager
def record_tower(stack: nn.Module) -> Iterator[Tower]:
    """Record a stack of convolutions while pictures pass through it, level after level.

    Yields:
        The tower; its lists are filled by the forward pass.

    Raises:
        ValueError: the stack holds something else than 3x3 convolutions of stride 1, GroupNorm and ReLU.
    """
    if not is_tower(stack):
        raise ValueError(f"{type(stack).__name__} is no stack of 3x3 convolutions, GroupNorm and ReLU.")
    parts: Iterator[list[Any]] = ([m for m in stack.modules() if isinstance(m, kind)] for kind in TOWER)
    convolutions, norms, gates = parts
    tower = Tower([module.weight for module in convolutions], [[] for _ in gates], [(n, []) for n in norms])
    handles = [
        gate.register_forward_hook(lambda _, __, output, kept=kept: kept.append(output.detach()))
        for gate, kept in zip(gates, tower.outputs)
    ] + [
        norm.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0].detach()))
        for norm, kept in tower.normed
    ]
    try:
        yield tower
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, eq=False)
class Branch:
    """A tower of the head and the 3x3 convolutions that read it.

    Attributes:
        tower: as it worked on the picture.
        readers: the columns that each convolution predicts, and its kernels ``Tensor[A * O, K, 3, 3]``: for each of A
            anchors of a cell its O outputs.
    """

    tower: Tower
    readers: tuple[tuple[slice, Tensor], ...]


@dataclass(frozen=True, eq=False)
class TowerWindows(Windowed):
    """Windows of a head of towers, which are walked back for predictions of all levels together.

    Attributes:
        branches: the head, as it worked on the picture.
    """

    trace: CellTrace
    branches: tuple[Branch, ...]

    def size(self, detections: Detections) -> tuple[int, int]:
        side = 3 + 2 * self._depth
        return side, side

    def together(self, detections: Detections) -> list[Tensor]:
        return [torch.arange(len(detections), device=detections.index.device)] if len(detections) else []

    @record_gradients()
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        levels, which, top, left = self._around(detections)
        sensitivity = self._sensitivity(attributes, detections)
        shape = (len(detections), len(attributes), *self.size(detections), self.trace.features[0].shape[1])
        total = sensitivity.new_zeros(shape).movedim(-1, -3)
        for branch in self.branches:
            touched = _find_touched(branch, sensitivity)
            if touched.any():
                last = self._last(branch, sensitivity[:, touched], detections)
                found = tower_gradients(last, branch.tower.kernels, branch.tower.slopes(levels), which, top, left)
                total = total.index_add_(1, touched.nonzero()[:, 0], found)
        return Windows(total, top - self._depth, left - self._depth)

    @record_gradients()
    def heat_maps(self, attribute: str, detections: Detections) -> Windows:
        levels, which, top, left = self._around(detections)
        sensitivity = self._sensitivity([attribute], detections)
        activations = Sheets.of([self.trace.features[level].detach() for level in levels])
        total = sensitivity.new_zeros((len(detections), *self.size(detections)))
        for branch in self.branches:
            if _find_touched(branch, sensitivity).any():
                last, tower = self._last(branch, sensitivity, detections), branch.tower
                found = tower_contributions(last, tower.kernels, tower.slopes(levels), activations, which, top, left)
                total = total + found[:, 0]
        return Windows(apply_rectifier(total), top - self._depth, left - self._depth)

    @property
    def _depth(self) -> int:
        return len(self.branches[0].tower.kernels)

    def _around(self, detections: Detections) -> tuple[list[int], Tensor, Tensor, Tensor]:
        """The levels of detections; of each which of these, and row and column of the first of the 3x3 cells there."""
        levels, which = detections.level.unique(return_inverse=True)
        row, column = self.trace.cell(detections)
        return levels.tolist(), which, row - 1, column - 1

    def _sensitivity(self, attributes: Sequence[str], detections: Detections) -> Tensor:
        """The derivative of each attribute with respect to the head's outputs, ``Tensor[N, A, 6]``."""
        outputs = self.trace.head_outputs(detections).detach().requires_grad_()
        return self.trace.differentiate(attributes, outputs, outputs, detections)

    def _last(self, branch: Branch, sensitivity: Tensor, detections: Detections) -> Tensor:
        """Gradients ``[N, A, K, 3, 3]`` with respect to the output of a branch's tower."""
        anchor, total = self.trace.anchor(detections), sensitivity.new_zeros(())
        for columns, kernels in branch.readers:
            a_cell = kernels.unflatten(0, (self.trace.anchors_a_cell[0], -1))
            read = a_cell[anchor, detections.labels][:, None] if columns == LOGIT else a_cell[anchor]
            total = total + torch.einsum("nao,nokij->naijk", sensitivity[..., columns], read).movedim(-1, -3)
        return total


def _find_touched(branch: Branch, sensitivity: Tensor) -> Tensor:
    """Which attributes a branch has any influence on: bool ``Tensor[A]``."""
    touched = [(sensitivity[..., columns] != 0).any(dim=2).any(dim=0) for columns, _ in branch.readers]
    return torch.stack(touched).any(dim=0)
