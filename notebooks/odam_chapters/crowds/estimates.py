"""The numbers of rules of suppression on crowds with their intervals, and differences on the same pictures."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from odam_lib.metrics.crowd_scores import (
    Measure,
    average_precision,
    check_recall_threshold,
    crowd_recall,
    jaccard,
    miss_rate,
    sparse_recall,
)
from odam_lib.metrics.crowds import CrowdMatches
from odam_lib.metrics.intervals import REPEATS, Estimate, bootstrap


def estimate_scores(
    found: CrowdMatches, score_threshold: float | None = None, repeats: int = REPEATS, seed: int = 0
) -> dict[str, Estimate]:
    """All numbers of one method, with 95 % bootstrap intervals over pictures.

    Args:
        found: of N pictures.
        score_threshold: threshold of the recalls, one of ``THRESHOLDS``; if left out each draw has its own best one.
        repeats: number of draws of N pictures, the same for every number.
        seed: random seed of the draws.

    Returns:
        ``AP50``, ``MR``, ``JI``, ``recall crowd``, ``recall sparse``: shares. The interval of fewer than two pictures
        is NaN.

    Raises:
        ValueError: another threshold.
    """
    check_recall_threshold(score_threshold)
    measures = _measures(score_threshold).items()
    return {name: _estimate(partial(measure, found), len(found), repeats, seed) for name, measure in measures}


def estimate_differences(
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
        score_threshold: as for :func:`estimate_scores`; if left out each method has its own best one.
        repeats: number of draws of N pictures.
        seed: random seed of the draws.

    Returns:
        As :func:`estimate_scores`, differences of shares.

    Raises:
        ValueError: other pictures (people or ignore regions differ), or another threshold.
    """
    check_recall_threshold(score_threshold)
    if len(found) != len(other):
        raise ValueError(f"The methods have {len(found)} and {len(other)} pictures: compare them on the same ones.")
    for number, (mine, theirs) in enumerate(zip(found.pictures, other.pictures)):
        if not (torch.equal(mine.truth, theirs.truth) and torch.equal(mine.ignored, theirs.ignored)):
            raise ValueError(f"People or ignore regions of picture {number} differ: compare methods on the same ones.")

    def differences(measure: Measure) -> Callable[[Tensor], float]:
        return lambda weights: measure(found, weights) - measure(other, weights)

    measures = _measures(score_threshold).items()
    return {name: _estimate(differences(measure), len(found), repeats, seed) for name, measure in measures}


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
