"""Checks for the exercise of notebook 03."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside


def check_cheat(
    function: Callable[[Tensor, tuple[int, int]], Tensor] | None, boxes: Tensor, size: tuple[int, int], reference: float
) -> str:
    """Check that maps made from the boxes alone have more energy inside the boxes than an explanation has.

    Args:
        function: from boxes ``Tensor[N, 4]`` and (height, width) to maps ``Tensor[N, height, width]``.
        boxes: (x1, y1, x2, y2) in pixels.
        size: of the picture.
        reference: the share to beat.
    """
    if function is None or not len(boxes):
        return f"open: write a function that beats {reference:.2f}."
    maps = function(boxes, size)
    if not isinstance(maps, Tensor) or maps.shape != (len(boxes), *size):
        return f"not quite: return a tensor of shape {[len(boxes), *size]}."
    if not torch.isfinite(maps).all() or (maps < 0).any():
        return "not quite: a map with negative values or NaN has no share of energy."
    share = float(energy_inside(maps.float(), box_regions(boxes, size)).mean())
    if share <= reference:
        return f"not quite: {share:.2f} of the energy is in the boxes, the explanation has {reference:.2f}."
    return f"right: {share:.2f} against {reference:.2f}, without asking the detector anything."
