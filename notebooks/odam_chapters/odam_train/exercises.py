"""Checks for the exercises of notebook 06."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.kernels.losses import pair_losses
from odam_lib.kernels.similarity import cosines


def check_odam_loss(function: Callable[[Tensor, Tensor, int], Tensor] | None, seed: int = 0) -> str:
    """Check Odam-Train's loss of one best map: the mean over its pairs, cosines not bounded.

    Args:
        function: (maps ``[N, h, w]``, the object ``[N]`` of each, the row of the best map) -> the loss, a scalar.
        seed: random seed of the maps that it is tried on.
    """
    if function is None:
        return "open: write a function (maps [N, h, w], objects [N], best) -> the mean loss over the pairs."
    generator = torch.Generator().manual_seed(seed)
    maps, objects = torch.rand(5, 4, 4, generator=generator) + 0.05, torch.tensor([0, 0, 0, 1, 2])
    same, others = objects == objects[1], torch.arange(5) != 1
    loss = pair_losses(cosines(maps, torch.tensor([1])), (same & others)[None], ~same[None], bound=lambda free: free)
    right, with_itself = loss.mean.item(), loss.mean.item() * loss.pairs / (loss.pairs + 1)
    found = torch.as_tensor(function(maps.clone(), objects.clone(), 1)).float()
    if found.numel() != 1:
        return f"not quite: a loss is one number, this is a tensor of shape {list(found.shape)}."
    if math.isclose(found.item(), right, rel_tol=1e-3):
        return "right: the same maps of one person would cost nothing, those of two people without end."
    if math.isclose(found.item(), with_itself, rel_tol=1e-3):
        return "not quite: the best map with itself is no pair; four pairs remain, not five."
    brighter = torch.as_tensor(function(maps * 2, objects.clone(), 1)).float()
    if not math.isclose(found.item(), brighter.item(), rel_tol=1e-3):
        return "not quite: maps twice as bright have another loss; divide each map by its length first."
    return f"not quite: {found.item():.3f} for the maps that were tried, {right:.3f} is right."
