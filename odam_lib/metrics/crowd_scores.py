"""The numbers CrowdHuman asks for: AP50, miss rate, Jaccard index, two recalls."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.kernels import checks
from odam_lib.metrics.crowds import FALSE, THRESHOLDS, TRUE, CrowdMatches

FPPI = tuple(10 ** (step / 4 - 2) for step in range(9))
"""False positives per picture at which the miss rate is read: nine, 0.01 to 1, evenly spaced in logarithm."""
LEAST_MISS_RATE = 1e-10
"""What stands for a miss rate of 0, which has no logarithm."""

Measure = Callable[[CrowdMatches, Tensor], float]
"""A number of some pictures, each counted so often."""


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
    check_recall_threshold(score_threshold)
    weights = _weights(found, weights)
    people = float(weights @ truth.double())
    if not people:
        return math.nan
    threshold = best_threshold(found, weights) if score_threshold is None else score_threshold
    return float(weights @ matched[:, THRESHOLDS.index(threshold)].double()) / people


def _weights(found: CrowdMatches, weights: Tensor | None) -> Tensor:
    checks.kind("The matches", found, CrowdMatches, "what matches returned")
    if weights is None:
        return torch.ones(len(found), dtype=torch.float64)
    checks.tensor("weights", weights, "[...]")
    if weights.shape != (len(found),):
        raise ValueError(f"{len(found)} pictures have weights of shape {list(weights.shape)}: give one a picture.")
    return weights.double()


def check_recall_threshold(score_threshold: float | None) -> None:
    """Refuse a threshold at which nothing was matched: it is one of ``THRESHOLDS``, or None."""
    if score_threshold is not None and checks.number("The score threshold", score_threshold) not in THRESHOLDS:
        raise ValueError(f"The score threshold is {score_threshold}: choose one of 0, 0.05, ..., 0.95.")
