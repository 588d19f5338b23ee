"""Per-prediction gradients: how each target changes with each feature (Sec. 3.1, the partial derivatives)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

BUDGET = 2**28
"""Bytes of gradients that are held at a time where memory is plentiful: larger batches are no faster."""
CACHE_BUDGET = 2**24
"""The same for gradients of a whole network on a CPU, whose layers' gradients should stay in the cache."""


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


def exact(targets: Tensor, features: Tensor) -> Tensor:
    """The gradient of every target with respect to the whole feature map, all targets in one backward pass.

    Args:
        targets: ``Tensor[N]``, differentiable with respect to ``features``; one scalar a prediction.
        features: ``Tensor[1, K, h, w]`` that requires a gradient.

    Returns:
        ``Tensor[N, K, h, w]``: what N calls of ``torch.autograd.grad`` would return.

    Raises:
        UnconnectedTargetError: no target depends on the features.
    """
    return exact_on_levels(targets, [features])[0]


def exact_on_levels(targets: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
    """:func:`exact` on several feature maps in one backward pass; zero on those that no target depends on.

    Args:
        targets: ``Tensor[N]``, one scalar a prediction.
        levels: ``Tensor[1, K, h, w]`` each, that require a gradient.

    Returns:
        ``Tensor[N, K, h, w]`` for each.

    Raises:
        UnconnectedTargetError: no target depends on any of them.
    """
    if len(targets) == 0:
        return [level.new_zeros((0, *level.shape[1:])) for level in levels]
    if not targets.requires_grad:
        raise UnconnectedTargetError("The targets have no gradient graph.")
    if len(targets) == 1 or torch.is_anomaly_enabled():
        # One alone is up to three times as fast outside vmap; anomaly detection reads values, which vmap cannot give.
        each = [torch.autograd.grad(target, levels, retain_graph=True, allow_unused=True) for target in targets]
        found = [None if level[0] is None else torch.cat(level) for level in zip(*each)]
    else:
        one_hot = torch.eye(len(targets), dtype=targets.dtype, device=targets.device)
        batched = torch.autograd.grad(
            targets, levels, one_hot, retain_graph=True, is_grads_batched=True, allow_unused=True
        )
        found = [None if level is None else level.squeeze(1) for level in batched]
    if all(gradients is None for gradients in found):
        raise UnconnectedTargetError("The targets do not depend on these features.")
    return [
        level.new_zeros((len(targets), *level.shape[1:])) if gradients is None else gradients
        for gradients, level in zip(found, levels)
    ]


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
        scales = [_scale(norm, inputs[level])[..., None, None] for norm, inputs in self.normed]
        passed = scales or [kernel.new_ones(()) for kernel in self.kernels]
        return [torch.where(outputs[level] > 0, scale, 0) for outputs, scale in zip(self.outputs, passed)]

    def taken(self) -> "Tower":
        """What has been recorded so far, which is forgotten here: the next pass starts anew."""
        taken = Tower(
            self.kernels,
            [list(outputs) for outputs in self.outputs],
            [(norm, list(inputs)) for norm, inputs in self.normed],
        )
        for kept in (*self.outputs, *(inputs for _, inputs in self.normed)):
            kept.clear()
        return taken


def _scale(norm: nn.GroupNorm, values: Tensor) -> Tensor:
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


def is_plain(module: nn.Module) -> bool:
    """Whether a module is a 3x3 convolution that has an output for every cell and reads all channels."""
    settings = ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
    return is_stock(module, nn.Conv2d) and settings == (
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
        module.padding_mode,
    )


def is_tower(stack: nn.Module) -> bool:
    """Whether a stack holds nothing but one or more 3x3 convolutions, each followed by a ReLU or GroupNorm and ReLU."""
    parts = [module for module in stack.modules() if not list(module.children())]
    kinds = [next((kind for kind in TOWER if is_stock(part, kind)), None) for part in parts]
    norms = len(parts) // 3 * [*TOWER] if nn.GroupNorm in kinds else len(parts) // 2 * [nn.Conv2d, nn.ReLU]
    return len(parts) > 0 and kinds == norms and all(is_plain(part) for part in parts if isinstance(part, nn.Conv2d))


@contextmanager
def recorded(stack: nn.Module) -> Iterator[Tower]:
    """Record a stack of convolutions while pictures pass through it, level after level.

    Yields:
        The tower; its lists are filled by the forward pass.

    Raises:
        ValueError: the stack holds something else than 3x3 convolutions of stride 1, GroupNorm and ReLU.
    """
    if not is_tower(stack):
        raise ValueError(f"{type(stack).__name__} is no stack of 3x3 convolutions, GroupNorm and ReLU.")
    convolutions, norms, gates = ([m for m in stack.modules() if isinstance(m, kind)] for kind in TOWER)
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


def chunk_size(bytes_each: int, device: torch.device, budget: int = BUDGET) -> int:
    """How many maps to make at a time, so that memory does not grow with their number.

    Args:
        bytes_each: what one map's gradients take.
        device: where they are made.
        budget: bytes to fit where memory is plentiful.

    Returns:
        As many as fit the budget, or a quarter of the free memory where that is less; at least one.
    """
    return max(1, min(budget, _free(device) // 4) // max(1, bytes_each))


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not told by this system
        return 4 * BUDGET


class UnconnectedTargetError(ValueError):
    """A target does not depend on the layer at which it was to be explained."""
