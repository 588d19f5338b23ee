"""Notebook 00: a first explanation."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_chapters.exercises import check_side
from odam_chapters.parameters import EVERYWHERE, Count, Names, Number, Text, counts, lists, numbers, texts
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import TARGETS
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels.similarity import cosines

__all__ = [
    "PARAMETERS",
    "check_shrinking",
    "check_side",
    "counts",
    "lists",
    "numbers",
    "texts",
]

PARAMETERS = {
    "IMAGE": Text(),
    "DETECTOR": Text(),
    "SCORE_THRESHOLD": Number(0, 1),
    "ATTRIBUTES": Names(tuple(TARGETS)),
    "MAX_OBJECTS": Count(1),
    "MAX_SIDE": Count(1),
    "SCENE_DETECTOR": Text(),
    **EVERYWHERE,
}
"""What a reader may set."""


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
    shared = float(cosines(torch.stack([theirs, expanding]), torch.tensor([0]))[0, 1])
    if shared > 1e-3:
        return f"not quite: the map still shares evidence with the expanding one (cosine {shared:.2f})."
    return "right: where this map is high, more activation moves the right edge inwards."
