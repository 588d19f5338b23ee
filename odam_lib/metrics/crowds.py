"""People found in a crowd, matched picture by picture in the two ways that CrowdHuman's numbers ask for.

One class, person. Each number (:mod:`odam_lib.metrics.crowd_scores`) is then a matter of counts, so that pictures can
be drawn anew a thousand times and several methods compared on the same draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.kernels import checks

LEAST_IOU = 0.5
"""From which IoU on a detection may be matched with a person, and from which share of its area on it lies on an ignore
region; two people with a larger IoU than this are a crowd."""


THRESHOLDS = tuple(step / 20 for step in range(20))
"""The score thresholds among which the Jaccard index is best: 0, 0.05, ..., 0.95. A detection counts if over it."""


TRUE, FALSE, IGNORED = 1, 0, -1
"""What a detection can count as."""


@dataclass(frozen=True, eq=False)
class CrowdPicture:
    """What was detected in one picture and what is there. Boxes are (x1, y1, x2, y2) in pixels.

    They are taken as they are. CrowdHuman's people reach beyond the picture, and the evaluation in common use cuts all
    boxes at its border first.

    Attributes:
        boxes: ``Tensor[P, 4]``, detections of people after NMS, in any order.
        scores: ``Tensor[P]``, in [0, 1].
        truth: ``Tensor[G, 4]``, the people.
        ignored: ``Tensor[I, 4]``, the ignore regions: crowds too dense to annotate, reflections, people in posters.

    Raises:
        TypeError: no tensor.
        ValueError: a tensor is of another shape, a number is not finite, a box has its corners in another order, or a
            score lies outside [0, 1].
    """

    boxes: Tensor
    scores: Tensor
    truth: Tensor
    ignored: Tensor

    def __post_init__(self) -> None:
        for name in ("boxes", "truth", "ignored"):
            _check_boxes(name, getattr(self, name))
        checks.tensor("scores", self.scores, "[...]", "float")
        if self.scores.shape != (len(self.boxes),):
            raise ValueError(f"{len(self.boxes)} boxes have scores of shape {list(self.scores.shape)}: give one a box.")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("A score lies outside [0, 1] or is no number: give probabilities, not logits.")


@dataclass(frozen=True, eq=False)
class CrowdMatches:
    """What N pictures come to: D detections by descending score over all pictures, and counts at T thresholds.

    Attributes:
        pictures: the N pictures.
        scores: float64 ``Tensor[D]``, descending.
        outcomes: int64 ``Tensor[D]``, ``TRUE``, ``FALSE`` or ``IGNORED``.
        owners: int64 ``Tensor[D]``, the picture of each detection.
        truth: int64 ``Tensor[N]``, people of each picture.
        crowd_truth: int64 ``Tensor[N]``, those of them in its crowd set.
        matched: int64 ``Tensor[N, T]``, pairs of the maximum matching with the detections over each of ``THRESHOLDS``.
        crowd_matched: int64 ``Tensor[N, T]``, those of them with a person of the crowd set.
        union: int64 ``Tensor[N, T]``, people and detections, a pair counted once, what is ignored not at all.
    """

    pictures: tuple[CrowdPicture, ...]
    scores: Tensor
    outcomes: Tensor
    owners: Tensor
    truth: Tensor
    crowd_truth: Tensor
    matched: Tensor
    crowd_matched: Tensor
    union: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


def crowd_set(truth: Tensor) -> Tensor:
    """Which people overlap another one with IoU > 0.5 (App. A.4.2, after Chu et al. 2020); the others are sparse.

    Args:
        truth: ``Tensor[G, 4]``, (x1, y1, x2, y2) in pixels.

    Returns:
        bool ``Tensor[G]``.

    Raises:
        TypeError, ValueError: not such a tensor.
    """
    checks.tensor("truth", truth, "[G, 4]")
    return (box_iou(truth.double(), truth.double()).fill_diagonal_(0) > LEAST_IOU).any(dim=1)


def match_crowds(pictures: Sequence[CrowdPicture]) -> CrowdMatches:
    """Match the detections of each picture with its people, in the two ways that the numbers ask for.

    For AP50 and the miss rate greedily: by descending score (equal ones in their order) each detection takes, of the
    people not taken yet, the one that it overlaps most, if with IoU >= 0.5, and is ``TRUE``. One that gets nobody is
    ``IGNORED`` if at least half of its own area lies on one ignore region, else ``FALSE``.

    For the Jaccard index and the recalls, at each threshold, by a one-to-one matching of as many pairs of IoU >= 0.5 as
    there can be. Of several such, the one that leaves fewest detections unmatched off the ignore regions, of these the
    one of largest total IoU. Detections left unmatched on an ignore region are set aside; people never are.

    Shao et al. (2018), with two differences to the evaluation in common use: 0.5 itself is enough, for IoU and for
    area, and for the Jaccard index people who lie on an ignore region and are missed still count as missed.

    Raises:
        ValueError: no picture.
    """
    for picture in pictures:
        checks.kind("A picture", picture, CrowdPicture, "each as a CrowdPicture")
    if not pictures:
        raise ValueError("There is no picture: give at least one.")
    scores, outcomes, crowds, counts = zip(*map(_match, pictures))
    order = torch.cat(scores).argsort(descending=True, stable=True)
    matched, crowd_matched, union = torch.stack(counts).unbind(dim=-1)
    return CrowdMatches(
        pictures=tuple(pictures),
        scores=torch.cat(scores)[order],
        outcomes=torch.cat(outcomes)[order],
        owners=torch.arange(len(pictures)).repeat_interleave(torch.tensor([len(each) for each in scores]))[order],
        truth=torch.tensor([len(each) for each in crowds]),
        crowd_truth=torch.stack([each.sum() for each in crowds]),
        matched=matched,
        crowd_matched=crowd_matched,
        union=union,
    )


def match_greedily(overlap: Tensor) -> Tensor:
    """The person of each box: of those not taken by an earlier box the one it overlaps most, with IoU >= 0.5.

    Args:
        overlap: ``Tensor[P, G]``, the IoU of boxes, best first, with people.

    Returns:
        int64 ``Tensor[P]``; -1 where a box gets nobody.
    """
    free = overlap.where(overlap >= LEAST_IOU, 0).cpu().numpy()
    person = np.full(len(free), -1)
    for row, candidates in enumerate(free):
        if candidates.any():
            person[row] = candidates.argmax()
            free[:, person[row]] = 0
    return torch.from_numpy(person)


def _match(picture: CrowdPicture) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores ``[P]``, descending, outcomes ``[P]``, crowd set ``[G]`` and, at T thresholds, ``_counts`` ``[T, 3]``."""
    order = picture.scores.detach().argsort(descending=True, stable=True)
    scores, boxes = picture.scores.detach()[order].cpu(), picture.boxes.detach()[order].cpu().double()
    truth, ignored = picture.truth.detach().cpu().double(), picture.ignored.detach().cpu().double()
    overlap, crowd = box_iou(boxes, truth), crowd_set(truth)
    on_ignored = (_shares_covered(boxes, ignored) >= LEAST_IOU).any(dim=1)
    outcomes = torch.where(on_ignored, IGNORED, FALSE).where(match_greedily(overlap) < 0, TRUE)
    thresholds = torch.tensor(THRESHOLDS, dtype=scores.dtype)  # a score of float32(0.05) is not over 0.05
    over, places = (scores[:, None] > thresholds).sum(dim=0).unique(return_inverse=True)
    enough = overlap.where(overlap >= LEAST_IOU, 0).numpy()
    counts = [_counts(enough[:number], on_ignored[:number].numpy(), crowd.numpy()) for number in over.tolist()]
    return scores.double(), outcomes, crowd, torch.tensor(counts)[places]


def _shares_covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """``Tensor[P, I]``: the share of each box's own area that lies on each region; NaN of an empty box."""
    corner = torch.maximum(boxes[:, None, :2], regions[:, :2])
    opposite = torch.minimum(boxes[:, None, 2:], regions[:, 2:])
    return (opposite - corner).clamp(min=0).prod(dim=2) / (boxes[:, 2:] - boxes[:, :2]).prod(dim=1, keepdim=True)


def _counts(overlap: np.ndarray, on_ignored: np.ndarray, crowd: np.ndarray) -> tuple[int, int, int]:
    """Pairs of a maximum matching, those of them with a person of the crowd set, and the size of the union.

    One pair more is worth more than any number of detections matched off the ignore regions, and one of those more than
    any total IoU.
    """
    most = min(overlap.shape) + 1
    worth = (overlap > 0) * (most * (most + 1) + most * ~on_ignored[:, None]) + overlap
    rows, columns = linear_sum_assignment(worth, maximize=True)
    paired = overlap[rows, columns] > 0
    unmatched = ~on_ignored
    unmatched[rows[paired]] = False
    return int(paired.sum()), int(crowd[columns[paired]].sum()), overlap.shape[1] + int(unmatched.sum())


def _check_boxes(name: str, boxes: Tensor) -> None:
    checks.tensor(name, boxes, "[...]")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has shape {list(boxes.shape)}: give one row (x1, y1, x2, y2) a box, [0, 4] for none.")
    if not boxes.isfinite().all():
        raise ValueError(f"{name} has a number that is NaN or infinite: every box needs four finite numbers.")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f"{name} has a box that ends before it begins: give (x1, y1, x2, y2), not (x, y, w, h).")
