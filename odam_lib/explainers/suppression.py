"""Suppression of duplicates on a detector's forward pass: by boxes, by embeddings, by heat maps."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.raster import raster_maps
from odam_lib.kernels.nms import NMS, Kept, feature_nms, odam_nms

Rule = Callable[[Trace, Detections], Kept]
"""A forward pass and N of its predictions -> what is kept of them."""

Embed = Callable[[Trace, Detections], Tensor]
"""A forward pass and N of its predictions -> a vector of each, ``[N, D]``."""


def by_boxes(nms: NMS) -> Rule:
    """A rule that looks at boxes, scores and labels alone."""
    return lambda _, found: nms(found.boxes, found.scores, found.labels)


def by_embeddings(embed: Embed, low: float = 0.1, high: float = 0.9, distance: float = 1.0) -> Rule:
    """FeatureNMS with a detector's embeddings; see :func:`odam_lib.kernels.nms.feature_nms`."""

    def rule(trace: Trace, found: Detections) -> Kept:
        return feature_nms(found.boxes, found.scores, found.labels, embed(trace, found), low, high, distance)

    return rule


def by_maps(low: float = 0.2, high: float = 0.8, iou_threshold: float = 0.5, short_edge: int = 50) -> Rule:
    """Odam-NMS with the maps of the class logit; see :func:`odam_lib.kernels.nms.odam_nms`."""

    def rule(trace: Trace, found: Detections) -> Kept:
        def make(rows: Tensor) -> Tensor:
            return raster_maps(trace, found[rows], short_edge=short_edge)

        return odam_nms(found.boxes, found.scores, found.labels, make, iou_threshold, low, high)

    return rule


def find_candidates(trace: Trace, score_threshold: float) -> Detections:
    """What a rule chooses from: predictions over the threshold, best first, boxes of their class and not clipped.

    Raises:
        ValueError: the threshold is outside [0, 1].
    """
    found = trace.above(score_threshold)
    return replace(found, boxes=trace.boxes(found))


@record_gradients()
def suppress(trace: Trace, score_threshold: float, rule: Rule) -> Detections:
    """What a user sees: of the candidates what a rule keeps; arguments and errors as for :func:`find_candidates`."""
    found = find_candidates(trace, score_threshold)
    kept = rule(trace, found)
    return replace(found[kept.index], scores=kept.scores)
