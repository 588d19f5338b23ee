"""Notebook 01: a map for the class and for each edge."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from odam_chapters.exercises import check_side
from odam_chapters.in_boxes import frame_box, locate_centre, measure_edge_energy
from odam_chapters.influence import (
    find_counterpart,
    hide,
    measure_cell_moves,
    measure_edge_moves,
    move_into,
    select_strongest,
)
from odam_chapters.parameters import EVERYWHERE, Count, Number, Text, counts, numbers, texts
from odam_chapters.pictures import show_average_maps, show_detectors, show_methods
from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES, HeatMaps
from odam_lib.kernels.odam import combine
from odam_lib.viz.drawing import TITLES

__all__ = [
    "PARAMETERS",
    "check_both_directions",
    "check_combined",
    "check_farthest_edge",
    "check_side",
    "counts",
    "find_counterpart",
    "frame_box",
    "hide",
    "locate_centre",
    "measure_cell_moves",
    "measure_edge_energy",
    "measure_edge_moves",
    "move_into",
    "numbers",
    "select_strongest",
    "show_average_maps",
    "show_detectors",
    "show_methods",
    "texts",
]

PARAMETERS = {
    "DETECTOR": Text(),
    "IMAGE": Text(),
    "SCENE_DETECTOR": Text(),
    "SCORE_THRESHOLD": Number(0, 1),
    "MAX_OBJECTS": Count(1),
    "SCENES": Count(1),
    "MASKED_SCENES": Count(1, "SCENES"),
    "BAND": Number(0, 0.5, above=True),
    "CELL_SHARE": Number(0, 1, above=True),
    "MASK_SHARE": Number(0, 1, above=True),
    "CLEAR_MOVE": Number(0, 1),
    "SEED": Count(0, 999),
    **EVERYWHERE,
}
"""What a reader may set."""


def check_farthest_edge(answer: str | None, towards: Mapping[str, float]) -> str:
    """Check which edge's maps keep farthest away from the edge that they explain.

    Args:
        answer: one of ``x1``, ``y1``, ``x2``, ``y2``.
        towards: for each edge how far its maps lie towards it, 0 in the middle of the box and 1 at the edge.
    """
    if any(value != value for value in towards.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if answer not in EDGES:
        return f"open: which edge's maps stay nearest to the middle? Answer with one of {', '.join(EDGES)}."
    found = min(towards, key=towards.__getitem__)
    grade = "right" if answer == found else f"not quite, you said the {TITLES[answer]}"
    values = ", ".join(f"{edge} {value:.2f}" for edge, value in towards.items())
    return f"{grade}: maps of the {TITLES[found]} lie nearest to the middle ({values}; 0: the middle, 1: the edge)."


def check_both_directions(method: Callable | None, detector: Detector, image: Tensor, heat_maps: HeatMaps) -> str:
    """Check that a method shows, without a sign, what expands the box together with what shrinks it."""
    if method is None or not len(heat_maps):
        return "open: build a method with ODAM(...) whose map is high wherever an edge is pushed or pulled."
    first, smoothing = heat_maps.detections[0], getattr(method, "smoothing", None)

    def right_edge(explainer: Callable) -> Tensor:
        return explain(detector, image, first, ("x2",), explainer).maps[0]

    theirs = right_edge(method)
    pushed, pulled = (right_edge(ODAM(smoothing, gradient)) for gradient in ("positive", "negative"))
    if (theirs < 0).any():
        return "not quite: the map is signed; the two directions have different signs in it."
    if torch.allclose(theirs, pushed + pulled, rtol=1e-3, atol=1e-4 * float((pushed + pulled).max())):
        return "right: it is the sum of the expanding and the shrinking map, and no longer tells them apart."
    missing = [name for name, part in (("expands", pushed), ("shrinks", pulled)) if not theirs[part > 0].any()]
    return f"not quite: what {missing[0]} the box is missing." if missing else "not quite: it is not their sum."


def check_combined(function: Callable[[Tensor], Tensor] | None, heat_maps: HeatMaps) -> str:
    """Check a function that makes the combined map ``Tensor[h, w]`` of raw maps ``Tensor[attributes, h, w]``."""
    if function is None or not len(heat_maps):
        return "open: write a function of a tensor [attributes, h, w] that returns the combined map [h, w]."
    raw = heat_maps.maps[0]
    made = function(raw.clone())
    if not isinstance(made, Tensor) or made.shape != raw.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(raw.shape[1:])}, one map."
    if torch.allclose(made, raw.amax(dim=0)):
        return "not quite: without normalising, whatever has the largest unit wins; scale each map to [0, 1] first."
    if torch.allclose(made, raw.amax(dim=0) / raw.amax().clamp(min=1e-30)):
        return "not quite: the maps are scaled together; scale each one by itself."
    with_zeros = torch.cat([torch.zeros_like(raw[:1]), raw])
    if not torch.isfinite(function(with_zeros)).all():
        return "not quite: a map of zeros divides by zero; it should stay zero."
    if torch.allclose(made, combine(raw), atol=1e-4):
        return "right: the same as HeatMaps.combined(), which also takes the maximum after scaling each map to [0, 1]."
    return "not quite: take each map's minimum away, divide by its new maximum, then take the maximum over the maps."
