"""How much more, how well apart, what share: numbers of several chapters, and how sure they are."""

import math

import torch
from scipy.stats import binomtest, rankdata
from torch import Tensor

from odam_lib.kernels import checks
from odam_lib.metrics.intervals import REPEATS, ratio_interval


def area_under_roc(scores: Tensor, positive: Tensor) -> float:
    """How often a positive has a larger score than a negative, a tie counting half; NaN if one kind is missing.

    Args:
        scores: ``Tensor[N]``.
        positive: bool ``Tensor[N]``.

    Raises:
        TypeError, ValueError: no such tensors.
    """
    checks.tensor("scores", scores, "[N]")
    checks.tensor("positive", positive, f"[{len(scores)}]", "bool")
    above, below = int(positive.sum()), int((~positive).sum())
    if not above or not below:
        return math.nan
    ranks = rankdata(torch.cat([scores[positive], scores[~positive]]).cpu())
    return float(ranks[:above].sum() - above * (above + 1) / 2) / (above * below)


def relative_change(
    before: Tensor, after: Tensor, groups: Tensor, repeats: int = REPEATS, seed: int = 0
) -> tuple[float, float, float]:
    """mean(after) / mean(before) - 1, and its 95 % percentile interval when whole groups are drawn anew.

    Args:
        before, after: ``Tensor[N]``, two numbers of each of the same things.
        groups: int64 ``Tensor[N]``, the picture of each.
        repeats: how many draws.
        seed: of the draws.

    Returns:
        (change, low, high); NaN of nothing, the interval NaN for fewer than two groups.

    Raises:
        TypeError, ValueError: no such tensors or numbers.
    """
    checks.tensor("earlier values", before, "[N]")
    checks.tensor("later values", after, f"[{len(before)}]")
    low, high = ratio_interval(after, before, groups, repeats, seed)
    return float(after.double().sum() / before.double().sum()) - 1, low - 1, high - 1


def wilson(successes: int, number: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; NaN of nothing.

    Raises:
        TypeError, ValueError: no whole numbers, or more successes than there were.
    """
    number, successes = checks.count("number", number, least=0), checks.count("successes", successes, least=0)
    if successes > number:
        raise ValueError(f"successes is {successes} of {number}: give at most that number.")
    if not number:
        return math.nan, math.nan
    interval = binomtest(successes, number).proportion_ci(method="wilson")
    return interval.low, interval.high
