"""Whether maps of neighbours in a crowd are apart (Fig. 4): one map a person, compared with those that overlap it."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.detectors.base import Trace
from odam_lib.losses import cosines


def representatives(trace: Trace, boxes: Tensor, labels: Tensor, least_iou: float = 0.5) -> tuple[Detections, Tensor]:
    """One prediction for each true object, before any suppression, which would leave out those that overlap most.

    A candidate is of the object of its label that it overlaps most, if their IoU is at least ``least_iou``; the object
    is represented by its candidate of highest score.

    Args:
        trace: one forward pass.
        boxes: ``Tensor[M, 4]``, true boxes in pixels of the image.
        labels: ``Tensor[M]``, int64.
        least_iou: in (0, 1].

    Returns:
        N <= M detections, and the object ``Tensor[N]``, int64, of each, in increasing order.
    """
    candidates = trace.candidates
    if not len(boxes) or not len(candidates):
        return candidates[:0], torch.zeros(0, dtype=torch.int64)
    overlap = box_iou(boxes.to(candidates.boxes), candidates.boxes)
    overlap = overlap * (labels.to(candidates.labels)[:, None] == candidates.labels)
    best, of = overlap.max(dim=0)
    theirs = (of == torch.arange(len(boxes), device=of.device)[:, None]) & (best >= least_iou)
    scores = torch.where(theirs, candidates.scores, -1.0)
    found = theirs.any(dim=1)
    return candidates[scores.argmax(dim=1)[found]], torch.nonzero(found).flatten().cpu()


def overlapping_pairs(boxes: Tensor, least_iou: float = 0.3) -> Tensor:
    """Pairs of different boxes ``[N, 4]`` whose IoU is above a bound: ``Tensor[P, 2]``, int64, each pair once."""
    return torch.nonzero(box_iou(boxes, boxes).triu(diagonal=1) > least_iou)


def pair_correlations(maps: Tensor, pairs: Tensor) -> Tensor:
    """The cosine of each pair of maps.

    Args:
        maps: ``Tensor[N, ...]``, non-negative, of one size.
        pairs: ``Tensor[P, 2]``, int64.

    Returns:
        ``Tensor[P]`` in [0, 1]; NaN where one of the two is a map of zeros, which has no direction.
    """
    first, place = pairs[:, 0].unique(return_inverse=True)
    found = cosines(maps, first)[place, pairs[:, 1]]
    zero = ~maps.flatten(1).any(dim=1)
    return torch.where(zero[pairs].any(dim=1), torch.nan, found)
