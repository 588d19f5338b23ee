"""How sure a number is: bootstrap over groups, since what comes from one picture is not independent."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.stats import binomtest, mannwhitneyu
from torch import Tensor

from odam_lib.kernels import checks

REPEATS = 1000


class Estimate(NamedTuple):
    """A number and its 95 % interval, NaN where undefined."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[Tensor], float], rows: Tensor, groups: Tensor, repeats: int = REPEATS, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic when whole groups are drawn anew, with replacement.

    Args:
        statistic: of some rows ``[n, ...]``; a draw for which it is NaN is left out.
        rows: ``Tensor[N, ...]``.
        groups: int64 ``Tensor[N]``, the picture of each row.
        repeats: how many draws.
        seed: of the draws.

    Returns:
        (low, high); NaN where there is no row.

    Raises:
        TypeError, ValueError: no such tensors or numbers.
    """
    checks.tensor("rows", rows, "[N, ...]")
    _check_draws(groups, len(rows), repeats, seed)
    if not len(rows):
        return math.nan, math.nan
    members = [torch.nonzero(groups == group).flatten() for group in groups.unique()]
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(members), (repeats, len(members)), generator=generator).tolist()
    values = [statistic(rows[torch.cat([members[group] for group in draw])]) for draw in draws]
    return _middle(torch.tensor([value for value in values if not math.isnan(value)], dtype=torch.float64))


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
    above, below = scores[positive].cpu(), scores[~positive].cpu()
    if not len(above) or not len(below):
        return math.nan
    return float(mannwhitneyu(above, below, method="asymptotic").statistic) / (len(above) * len(below))


def mean_interval(values: Tensor, groups: Tensor, repeats: int = REPEATS, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a mean when whole groups are drawn anew, with replacement.

    Args:
        values: ``Tensor[N]``.
        groups: int64 ``Tensor[N]``, the picture of each value.
        repeats: how many draws.
        seed: of the draws.

    Returns:
        (low, high); NaN for fewer than two groups, which tell nothing of how groups differ.

    Raises:
        TypeError, ValueError: no such tensors or numbers.
    """
    checks.tensor("values", values, "[N]")
    _check_draws(groups, len(values), repeats, seed)
    return _ratio_interval(values, torch.ones_like(values), groups, repeats, seed)


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
    _check_draws(groups, len(before), repeats, seed)
    change = float(after.double().sum() / before.double().sum()) - 1
    low, high = _ratio_interval(after, before, groups, repeats, seed)
    return change, low - 1, high - 1


def _ratio_interval(above: Tensor, below: Tensor, groups: Tensor, repeats: int, seed: int) -> tuple[float, float]:
    """The interval of a sum over another sum, of the same rows."""
    member = groups.unique(return_inverse=True)[1]
    number = int(member.max()) + 1 if len(member) else 0
    if number < 2:
        return math.nan, math.nan
    sums = torch.zeros(number, 2, dtype=torch.float64).index_add(0, member, torch.stack([above, below], 1).double())
    draws = torch.randint(number, (repeats, number), generator=torch.Generator().manual_seed(seed))
    drawn = sums[draws].sum(dim=1)
    return _middle(drawn[:, 0] / drawn[:, 1])


def _middle(values: Tensor) -> tuple[float, float]:
    """Between which two numbers 95 % of some values lie; NaN of none."""
    if not len(values):
        return math.nan, math.nan
    low, high = values.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


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


def _check_draws(groups: Tensor, number: int, repeats: int, seed: int) -> None:
    checks.tensor("groups", groups, f"[{number}]")
    checks.count("repeats", repeats)
    checks.count("seed", seed, least=None)
