"""Checks for the notebooks' exercises: each returns a sentence that says whether an answer is right, and why."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import HeatMaps
from odam_lib.plots import TITLES

SIDES = ("left", "right", "top", "bottom", "centre")
CENTRAL = 0.15
"""A centre of mass within this share of the box's half side is in the centre."""


def side_of_energy(heat: Tensor, box: Tensor) -> str:
    """On which side of a box a map's centre of mass lies.

    Args:
        heat: ``Tensor[H, W]``, non-negative, at image size.
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.

    Returns:
        One of ``SIDES``.
    """
    rows, columns = (torch.arange(length, device=heat.device) + 0.5 for length in heat.shape)
    total = heat.sum()
    x, y = (heat.sum(dim=0) * columns).sum() / total, (heat.sum(dim=1) * rows).sum() / total
    x1, y1, x2, y2 = box
    across, down = float((2 * x - x1 - x2) / (x2 - x1)), float((2 * y - y1 - y2) / (y2 - y1))
    if max(abs(across), abs(down)) < CENTRAL:
        return "centre"
    if abs(across) >= abs(down):
        return "left" if across < 0 else "right"
    return "top" if down < 0 else "bottom"


def check_side(answer: str | None, heat_maps: HeatMaps, attribute: str) -> str:
    """Check a prediction of where the first detection's map of an attribute has its centre of mass."""
    if answer is None or not len(heat_maps):
        return f"open: where will the map of the {TITLES[attribute]} be? Answer with one of {', '.join(SIDES)}."
    if answer not in SIDES:
        return f"open: {answer!r} is no answer; choose one of {', '.join(SIDES)}."
    chosen = heat_maps[0].select(attribute)
    heat = chosen.to_image()[0, 0]
    if not heat.any():
        return f"open: that map is zero ({chosen.reasons[0][0]}); take another object."
    found = side_of_energy(heat, chosen.detections.boxes[0])
    verdict = "right" if answer == found else f"not quite, you said {answer}"
    return (
        f"{verdict}: the map's centre of mass lies {'in the ' if found == 'centre' else 'at the '}{found} of the box."
    )


def check_shrinking(method: Callable | None, detector: Detector, image: Tensor, heat_maps: HeatMaps) -> str:
    """Check that a method shows what *shrinks* the box: nothing in common with what expands it, and not empty."""
    if method is None or not len(heat_maps):
        return "open: build a method with ODAM(...) whose map of an edge shows what pulls that edge inwards."
    first = heat_maps.detections[0]
    theirs = explain(detector, image, first, ("x2",), method).maps[0]
    expanding = explain(detector, image, first, ("x2",), ODAM(smoothing=getattr(method, "smoothing", None))).maps[0]
    if (theirs < 0).any():
        return "not quite: the map has negative values, so it mixes what shrinks the box with what expands it."
    if not theirs.any():
        return "not quite: the map is zero everywhere."
    shared = float((theirs * expanding).sum() / (theirs.norm() * expanding.norm()).clamp(min=1e-12))
    if shared > 1e-3:
        return f"not quite: the map still shares evidence with the expanding one (cosine {shared:.2f})."
    return "right: where this map is high, more activation moves the right edge inwards."
