"""How well a detector finds people in a crowd, as CrowdHuman asks it: AP50, miss rate, Jaccard index, two recalls.

One class, person. Everything is worked out picture by picture once (:func:`matches`); each number is then a matter of
counts, so that pictures can be drawn anew a thousand times and several methods compared on the same draws.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.kernels import checks
from odam_lib.metrics.intervals import REPEATS, Estimate, bootstrap

LEAST_IOU = 0.5
"""From which IoU on a detection may be matched with a person, and from which share of its area on it lies on an ignore
region; two people with a larger IoU than this are a crowd."""
THRESHOLDS = tuple(step / 20 for step in range(20))
"""The score thresholds among which the Jaccard index is best: 0, 0.05, ..., 0.95. A detection counts if over it."""
FPPI = tuple(10 ** (step / 4 - 2) for step in range(9))
"""False positives per picture at which the miss rate is read: nine, 0.01 to 1, evenly spaced in logarithm."""
LEAST_MISS_RATE = 1e-10
"""What stands for a miss rate of 0, which has no logarithm."""
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


Measure = Callable[[CrowdMatches, Tensor], float]
"""A number of some pictures, each counted so often."""


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


def matches(pictures: Sequence[CrowdPicture]) -> CrowdMatches:
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
    each = [_match(picture) for picture in pictures]
    lengths = torch.tensor([len(one.scores) for one in each])
    scores = torch.cat([one.scores for one in each])
    order = scores.argsort(descending=True, stable=True)
    counts = torch.stack([one.counts for one in each]).unbind(dim=-1)
    return CrowdMatches(
        pictures=tuple(pictures),
        scores=scores[order],
        outcomes=torch.cat([one.outcomes for one in each])[order],
        owners=torch.arange(len(each)).repeat_interleave(lengths)[order],
        truth=torch.tensor([len(picture.truth) for picture in pictures]),
        crowd_truth=torch.stack([one.crowd.sum() for one in each]),
        matched=counts[0],
        crowd_matched=counts[1],
        union=counts[2],
    )


def precision_recall(found: CrowdMatches, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Recall and the best precision to be had at that recall or a larger one, at each score that occurs, best first.

    Args:
        found: of N pictures.
        weights: ``Tensor[N]``, how often each picture is counted; each once if left out.

    Returns:
        Two float64 tensors, shares; recall is NaN without a person.

    Raises:
        ValueError: another number of weights than pictures.
    """
    weights = _weights(found, weights)
    true, false = _cumulative(found, weights)
    precision = true / (true + false).clamp(min=1)  # where nothing counts yet, recall does not rise either
    return true / _people(found, weights), precision.flip(0).cummax(0).values.flip(0)


def miss_curve(found: CrowdMatches, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """False positives per picture and the share of people missed, at each score that occurs, best first.

    Arguments and errors as for :func:`precision_recall`; the miss rate is NaN without a person.
    """
    weights = _weights(found, weights)
    true, false = _cumulative(found, weights)
    return false / weights.sum(), 1 - true / _people(found, weights)


def average_precision(found: CrowdMatches, weights: Tensor | None = None) -> float:
    """AP50, a share: sum of (r_k - r_{k-1}) max_{j >= k} p_j over all scores that occur, r recall and p precision.

    This is the area under the envelope of the whole curve, as of VOC since 2010; COCO's mean over 101 recalls differs
    by 0.01 at most. The evaluation in common use for CrowdHuman takes the area under the polyline without an envelope.

    Arguments and errors as for :func:`precision_recall`; NaN without a person.
    """
    recall, precision = precision_recall(found, weights)
    if not _people(found, weights):
        return math.nan
    return float((recall.diff(prepend=recall.new_zeros(1)) * precision).sum())


def miss_rate(found: CrowdMatches, weights: Tensor | None = None) -> float:
    """MR^-2, the log-average miss rate, a share: the geometric mean of nine (Dollar et al. 2012; smaller is better).

    At each of ``FPPI`` it is the miss rate at the last score whose false positives per picture are no more than that, 1
    if there is none, and at least 1e-10. (The evaluation in common use takes the first score with at least that many.)

    Arguments and errors as for :func:`precision_recall`; NaN without a person.
    """
    fppi, missed = miss_curve(found, weights)
    if not _people(found, weights):
        return math.nan
    missed = torch.cat([missed.new_ones(1), missed])  # over the best score nothing is found
    places = torch.searchsorted(fppi, torch.tensor(FPPI, dtype=torch.float64), right=True)
    return float(missed[places].clamp(min=LEAST_MISS_RATE).log().mean().exp())


def jaccard_curve(found: CrowdMatches, weights: Tensor | None = None) -> Tensor:
    """At each of ``THRESHOLDS`` matched / (detections + people - matched), over all pictures together.

    Arguments and errors as for :func:`precision_recall`.

    Returns:
        float64 ``Tensor[T]``, shares; NaN without a person.
    """
    weights = _weights(found, weights)
    if not _people(found, weights):
        return torch.full((len(THRESHOLDS),), math.nan, dtype=torch.float64)
    return (weights @ found.matched.double()) / (weights @ found.union.double())


def jaccard(found: CrowdMatches, weights: Tensor | None = None) -> float:
    """JI, the Jaccard index, a share: the best of :func:`jaccard_curve`.

    The evaluation in common use (Chu et al. 2020) takes the mean of the pictures' own indices and thresholds 0, 0.1,
    ..., 0.9; here a person counts the same in whatever picture.

    Arguments and errors as for :func:`precision_recall`; NaN without a person.
    """
    return float(jaccard_curve(found, weights).max())


def best_threshold(found: CrowdMatches, weights: Tensor | None = None) -> float:
    """The score threshold of the best Jaccard index, the smallest of equals.

    Arguments and errors as for :func:`precision_recall`; NaN without a person.
    """
    curve = jaccard_curve(found, weights)
    return math.nan if curve.isnan().any() else THRESHOLDS[int(curve.argmax())]


def crowd_recall(found: CrowdMatches, weights: Tensor | None = None, score_threshold: float | None = None) -> float:
    """The share of the people of the crowd set that are matched, one to one, with a detection over the threshold.

    Args:
        found: of N pictures.
        weights: ``Tensor[N]``, how often each picture is counted; each once if left out.
        score_threshold: one of ``THRESHOLDS``; if left out :func:`best_threshold` of these pictures, so that each
            method is asked at its own best (App. A.4.2).

    Returns:
        In [0, 1]; NaN if nobody is in the crowd set.

    Raises:
        ValueError: another threshold, or another number of weights than pictures.
    """
    return _recall(found, found.crowd_matched, found.crowd_truth, weights, score_threshold)


def sparse_recall(found: CrowdMatches, weights: Tensor | None = None, score_threshold: float | None = None) -> float:
    """The same of the sparse set, everybody who is not in the crowd set. See :func:`crowd_recall`."""
    matched, truth = found.matched - found.crowd_matched, found.truth - found.crowd_truth
    return _recall(found, matched, truth, weights, score_threshold)


def crowd_scores(
    found: CrowdMatches, score_threshold: float | None = None, repeats: int = REPEATS, seed: int = 0
) -> dict[str, Estimate]:
    """All numbers of one method, with 95 % bootstrap intervals over pictures.

    Args:
        found: of N pictures.
        score_threshold: of the recalls, one of ``THRESHOLDS``; if left out each draw has its own best one.
        repeats: how many draws of N pictures, the same for every number.
        seed: of the draws.

    Returns:
        ``AP50``, ``MR``, ``JI``, ``recall crowd``, ``recall sparse``: shares. The interval of fewer than two pictures
        is NaN.

    Raises:
        ValueError: another threshold.
    """
    _check_threshold(score_threshold)
    return {
        name: _estimate(partial(measure, found), len(found), repeats, seed)
        for name, measure in _measures(score_threshold).items()
    }


def crowd_differences(
    found: CrowdMatches,
    other: CrowdMatches,
    score_threshold: float | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """By how much one method's numbers exceed another's on the same pictures, drawn anew together.

    Args:
        found: of N pictures.
        other: of the same pictures in the same order, by the other method; it is subtracted.
        score_threshold: as for :func:`crowd_scores`; if left out each method has its own best one.
        repeats: how many draws of N pictures.
        seed: of the draws.

    Returns:
        As :func:`crowd_scores`, differences of shares.

    Raises:
        ValueError: other pictures (people or ignore regions differ), or another threshold.
    """
    _check_threshold(score_threshold)
    _check_same_pictures(found, other)
    return {
        name: _estimate(partial(_difference, measure, found, other), len(found), repeats, seed)
        for name, measure in _measures(score_threshold).items()
    }


class _Match(NamedTuple):
    scores: Tensor  # float64 [P], descending
    outcomes: Tensor  # int64 [P]
    crowd: Tensor  # bool [G]
    counts: Tensor  # int64 [T, 3]: matched, crowd_matched, union


def _match(picture: CrowdPicture) -> _Match:
    order = picture.scores.detach().argsort(descending=True, stable=True)
    scores, boxes = picture.scores.detach()[order].cpu(), picture.boxes.detach()[order].cpu().double()
    truth, ignored = picture.truth.detach().cpu().double(), picture.ignored.detach().cpu().double()
    overlap = box_iou(boxes, truth)
    overlap = overlap.where(overlap >= LEAST_IOU, 0).numpy()
    on_ignored = (_shares_covered(boxes, ignored) >= LEAST_IOU).any(dim=1).numpy()
    crowd = crowd_set(truth)
    thresholds = torch.tensor(THRESHOLDS, dtype=scores.dtype)  # a score of float32(0.05) is not over 0.05
    over, places = (scores[:, None] > thresholds).sum(dim=0).unique(return_inverse=True)
    counts = [_counts(overlap[:number], on_ignored[:number], crowd.numpy()) for number in over.tolist()]
    return _Match(scores.double(), _outcomes(overlap, on_ignored), crowd, torch.tensor(counts)[places])


def _shares_covered(boxes: Tensor, regions: Tensor) -> Tensor:
    """``Tensor[P, I]``: the share of each box's own area that lies on each region; NaN of an empty box."""
    corner = torch.maximum(boxes[:, None, :2], regions[:, :2])
    opposite = torch.minimum(boxes[:, None, 2:], regions[:, 2:])
    return (opposite - corner).clamp(min=0).prod(dim=2) / (boxes[:, 2:] - boxes[:, :2]).prod(dim=1, keepdim=True)


def _outcomes(overlap: np.ndarray, on_ignored: np.ndarray) -> Tensor:
    """int64 ``Tensor[P]``, by greedy matching of rows in their order. ``overlap [P, G]`` is 0 where it is too small."""
    free = overlap.copy()
    outcomes = np.where(on_ignored, IGNORED, FALSE)
    for row, candidates in enumerate(free):
        if candidates.any():
            outcomes[row] = TRUE
            free[:, candidates.argmax()] = 0
    return torch.from_numpy(outcomes)


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


def _cumulative(found: CrowdMatches, weights: Tensor) -> tuple[Tensor, Tensor]:
    """How many are true and how many false from the best detection down to each score that occurs."""
    last = found.scores.diff(append=found.scores.new_full((1,), -1)) != 0  # no threshold parts equal scores
    each = weights[found.owners]
    true = (each * (found.outcomes == TRUE)).cumsum(0)
    false = (each * (found.outcomes == FALSE)).cumsum(0)
    return true[last], false[last]


def _people(found: CrowdMatches, weights: Tensor | None) -> Tensor:
    return _weights(found, weights) @ found.truth.double()


def _recall(
    found: CrowdMatches, matched: Tensor, truth: Tensor, weights: Tensor | None, score_threshold: float | None
) -> float:
    _check_threshold(score_threshold)
    weights = _weights(found, weights)
    people = float(weights @ truth.double())
    if not people:
        return math.nan
    threshold = best_threshold(found, weights) if score_threshold is None else score_threshold
    return float(weights @ matched[:, THRESHOLDS.index(threshold)].double()) / people


def _difference(measure: Measure, found: CrowdMatches, other: CrowdMatches, weights: Tensor) -> float:
    return measure(found, weights) - measure(other, weights)


def _measures(score_threshold: float | None) -> dict[str, Measure]:
    return {
        "AP50": average_precision,
        "MR": miss_rate,
        "JI": jaccard,
        "recall crowd": lambda found, weights: crowd_recall(found, weights, score_threshold),
        "recall sparse": lambda found, weights: sparse_recall(found, weights, score_threshold),
    }


def _estimate(statistic: Callable[[Tensor], float], number: int, repeats: int, seed: int) -> Estimate:
    """Of a statistic of how often each of so many pictures is counted."""
    value = statistic(torch.ones(number))
    if number < 2:
        return Estimate(value, math.nan, math.nan)
    rows = torch.arange(number)
    drawn = bootstrap(lambda draw: statistic(torch.bincount(draw, minlength=number)), rows, rows, repeats, seed)
    return Estimate(value, *drawn)


def _weights(found: CrowdMatches, weights: Tensor | None) -> Tensor:
    checks.kind("The matches", found, CrowdMatches, "what matches returned")
    if weights is None:
        return torch.ones(len(found), dtype=torch.float64)
    checks.tensor("weights", weights, "[...]")
    if weights.shape != (len(found),):
        raise ValueError(f"{len(found)} pictures have weights of shape {list(weights.shape)}: give one a picture.")
    return weights.double()


def _check_boxes(name: str, boxes: Tensor) -> None:
    checks.tensor(name, boxes, "[...]")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has shape {list(boxes.shape)}: give one row (x1, y1, x2, y2) a box, [0, 4] for none.")
    if not boxes.isfinite().all():
        raise ValueError(f"{name} has a number that is NaN or infinite: every box needs four finite numbers.")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f"{name} has a box that ends before it begins: give (x1, y1, x2, y2), not (x, y, w, h).")


def _check_threshold(score_threshold: float | None) -> None:
    if score_threshold is not None and checks.number("The score threshold", score_threshold) not in THRESHOLDS:
        raise ValueError(f"The score threshold is {score_threshold}: choose one of 0, 0.05, ..., 0.95.")


def _check_same_pictures(found: CrowdMatches, other: CrowdMatches) -> None:
    if len(found) != len(other):
        raise ValueError(f"The methods have {len(found)} and {len(other)} pictures: compare them on the same ones.")
    for number, (mine, theirs) in enumerate(zip(found.pictures, other.pictures)):
        if not (torch.equal(mine.truth, theirs.truth) and torch.equal(mine.ignored, theirs.ignored)):
            raise ValueError(f"People or ignore regions of picture {number} differ: compare methods on the same ones.")
