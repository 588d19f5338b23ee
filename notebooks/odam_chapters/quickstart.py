"""Notebook 00: a first explanation."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.attributes.plots import show_cells
from odam_chapters.exercises import as_number, reply
from odam_chapters.judging.own_masks import OF_ALL, count_own_mask_wins, read_rows
from odam_chapters.parameters import EVERYWHERE, Count, Loadable, Names, Number, Text
from odam_chapters.pictures import save_small
from odam_chapters.statistics import wilson
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import TARGETS
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels.similarity import cosines
from odam_lib.metrics.matching import match

__all__ = [
    "OF_ALL",
    "PARAMETERS",
    "check_share",
    "check_shrinking",
    "check_wrong",
    "count_own_mask_wins",
    "find_objects",
    "order_by_share",
    "read_rows",
    "save_small",
    "show_cells",
    "tell_shares",
    "wilson",
]

PARAMETERS = {
    "IMAGE": Text(),
    "DETECTOR": Loadable(),
    "SCORE_THRESHOLD": Number(0, 1),
    "ATTRIBUTES": Names(tuple(TARGETS)),
    "MAX_OBJECTS": Count(1),
    "MAX_SIDE": Count(1),
    "SCENE_DETECTOR": Loadable(),
    **EVERYWHERE,
}
"""What a reader may set."""
SHARE = "compute the share of the map's sum that lies within the mask."


def find_objects(found: Detections, truth: Mapping[str, Tensor]) -> list[int]:
    """Which object each detection found: its number among the true ones, -1 where the detection is wrong.

    Args:
        found: N detections.
        truth: ``boxes`` and ``labels`` of the picture's objects.
    """
    rows = match(found, truth["boxes"], truth["labels"]).tolist()
    return [rows.index(row) if row in rows else -1 for row in range(len(found))]


def tell_shares(share: Tensor, own: int) -> str:
    """How much of a map's energy lies on its own object, beside the best other one.

    Args:
        share: ``Tensor[M]``, the energy on each of M objects.
        own: the number of its own object, -1 for a wrong detection.
    """
    others = [value for number, value in enumerate(share.tolist()) if number != own]
    best = max(others, default=0.0)
    if own < 0:
        return f"there is no such object; most on any other one {best:.1f}"
    return f"own mask {float(share[own]):.1f}, best other mask {best:.1f}"


def order_by_share(shares: Tensor, own: Sequence[int]) -> list[int]:
    """The rows of maps, from the one with the least energy on its own object; wrong detections come first.

    Args:
        shares: ``Tensor[N, M]``.
        own: of each of N maps the number of its object, or -1.
    """
    mine = [float(shares[row, number]) if number >= 0 else -1.0 for row, number in enumerate(own)]
    return sorted(range(len(own)), key=mine.__getitem__)


@reply
def check_wrong(answer: int | None, found: Detections, truth: Mapping[str, Tensor]) -> str:
    """Check which detection a learner thinks to be wrong."""
    own = find_objects(found, truth)
    if -1 not in own:
        return "open: no box is wrong here; choose another SCENE_DETECTOR."
    if not isinstance(answer, int) or answer not in range(len(found)):
        return f"open: give the number of a box, 0 to {len(found) - 1}."
    overlap = box_iou(found.boxes[answer : answer + 1].cpu(), truth["boxes"])[0]
    name = found.names()[answer]
    if own[answer] >= 0:
        return (
            f"not quite: there is a {name}, and the box has an IoU of {float(overlap[own[answer]]):.2f} with it. What "
            "stands behind others looks wrong, but its box still ends where the object does."
        )
    covered = found.categories[int(truth["labels"][overlap.argmax()])]
    return f"right: no {name} fills this box; what fits best is a {covered}, with an IoU of {float(overlap.max()):.2f}."


@reply
def check_share(answer: float | Tensor | None, heat: Tensor, mask: Tensor) -> str:
    """Check the share of a map's energy ``Tensor[H, W]`` within a mask."""
    if answer is None:
        return f"open: {SHARE}"
    if isinstance(answer, Tensor) and answer.numel() != 1:
        return f"not quite: that is {answer.numel()} numbers; add them up, and divide by the sum of heat."
    value, inside = as_number(answer, SHARE), heat * mask
    wrong = {
        float(mask.float().mean()): "that is the share of the picture which the mask covers, whatever the map",
        float(inside.sum()): "that is the energy inside, in the map's own unit; divide by all of it",
        float(inside.sum() / mask.sum()): "that is the mean within the mask; divide by the map's sum, not by the area",
        float(((heat > 0) & mask).sum() / (heat > 0).sum()): "that counts pixels; a bright one shall weigh more",
        float(1 - inside.sum() / heat.sum()): "that is the share outside",
    }
    share = float(inside.sum() / heat.sum())
    if abs(value - share) < 2e-3:
        return f"right: {share:.2f} of the energy lies on the object's visible pixels."
    reasons = [reason for number, reason in wrong.items() if abs(value - number) < 1e-3]
    return f"not quite: {reasons[0] if reasons else 'add up heat where mask is true, and divide by the sum of heat'}."


@reply
def check_shrinking(method: ODAM | None, detector: Detector, image: Tensor, heat_maps: HeatMaps) -> str:
    """Check that a method shows what *shrinks* the box: nothing in common with what expands it, and not empty."""
    asked = "build a method with ODAM(...) whose map of an edge shows what pulls that edge inwards."
    if method is None or not len(heat_maps):
        return f"open: {asked}"
    if not isinstance(method, ODAM):
        return f"open: {method!r} is no ODAM(...); {asked}"
    first = heat_maps.detections[0]
    theirs = explain(detector, image, first, ("x2",), method).maps[0]
    expanding = explain(detector, image, first, ("x2",), ODAM(smoothing=method.smoothing)).maps[0]
    if (theirs < 0).any():
        return "not quite: the map has negative values, so it mixes what shrinks the box with what expands it."
    if not theirs.any():
        return "not quite: the map is zero everywhere."
    shared = float(cosines(torch.stack([theirs, expanding]), torch.tensor([0]))[0, 1])
    if shared > 1e-3:
        return f"not quite: the map still shares evidence with the expanding one (cosine {shared:.2f})."
    return "right: where this map is high, more activation moves the right edge inwards."
