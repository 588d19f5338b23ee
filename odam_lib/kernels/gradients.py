"""Per-prediction gradients: how each target changes with each feature (Sec. 3.1, the partial derivatives)."""

import os
from collections.abc import Sequence

import torch
from torch import Tensor

BUDGET = 2**28
"""Bytes of gradients that are held at a time on a CPU: larger batches are no faster."""
ACCELERATOR_BUDGET = 2**32
"""The same on an accelerator, which waits for the next launch while a batch is small."""
CACHE_BUDGET = 2**24
"""The same for gradients of a whole network on a CPU, whose layers' gradients should stay in the cache."""


def differentiate(targets: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of every target with respect to whole feature maps, all targets in one backward pass.

    Args:
        targets: ``Tensor[N]``, one scalar a prediction.
        levels: ``Tensor[1, K, h, w]`` each, that require a gradient.

    Returns:
        ``Tensor[N, K, h, w]`` for each level: what N calls of ``torch.autograd.grad`` would return; zero on a level
        that no target depends on.

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
        reached: list[int] = []

        def pull(cotangent: Tensor) -> list[Tensor]:
            each = torch.autograd.grad(targets, levels, cotangent, retain_graph=True, allow_unused=True)
            reached[:] = [place for place, gradients in enumerate(each) if gradients is not None]
            return [each[place] for place in reached]

        # Not grad's own is_grads_batched, whose vmap walks convolutions and GroupNorm back target by target.
        found = [None] * len(levels)
        for place, gradients in zip(reached, torch.func.vmap(pull)(one_hot)):
            found[place] = gradients.squeeze(1)
    if all(gradients is None for gradients in found):
        raise UnconnectedTargetError("The targets do not depend on these features.")
    return [
        level.new_zeros((len(targets), *level.shape[1:])) if gradients is None else gradients
        for gradients, level in zip(found, levels)
    ]


def chunk_size(bytes_each: int, device: torch.device, budget: int = BUDGET) -> int:
    """How many maps to make at a time, so that memory does not grow with their number.

    Args:
        bytes_each: what one map's gradients take.
        device: where they are made.
        budget: bytes to fit on a CPU where memory is plentiful; an accelerator has a budget of its own.

    Returns:
        As many as fit the budget, or a quarter of the free memory where that is less; at least one.
    """
    budget = budget if device.type == "cpu" else ACCELERATOR_BUDGET
    return max(1, min(budget, _measure_free(device) // 4) // max(1, bytes_each))


def _measure_free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not told by this system
        return 4 * BUDGET


class UnconnectedTargetError(ValueError):
    """A target does not depend on the layer at which it was to be explained."""
