"""How sure a number is: bootstrap over groups, since what comes from one picture is not independent."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from odam_lib.kernels import checks

REPEATS = 1000
LEVEL = 0.95


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
        statistic: function of some rows ``[n, ...]``; a draw for which it is NaN is left out.
        rows: ``Tensor[N, ...]``.
        groups: int64 ``Tensor[N]``, the picture of each row.
        repeats: number of draws.
        seed: random seed of the draws.

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


def mean_interval(
    values: Tensor, groups: Tensor, repeats: int = REPEATS, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """The percentile interval of a mean when whole groups are drawn anew, with replacement.

    Args:
        values: ``Tensor[N]``.
        groups: int64 ``Tensor[N]``, the picture of each value.
        repeats: number of draws; (1 - level) / 2 of them lie beyond each end.
        seed: random seed of the draws.
        level: share of the draws within the interval, in (0, 1).

    Returns:
        (low, high); NaN for fewer than two groups, which tell nothing of how groups differ.

    Raises:
        TypeError, ValueError: no such tensors or numbers.
    """
    checks.tensor("values", values, "[N]")
    return ratio_interval(values, torch.ones_like(values), groups, repeats, seed, level)


def estimate_mean(values: Tensor, groups: Tensor) -> Estimate:
    """A mean with its :func:`mean_interval`; NaN of no values."""
    return Estimate(float(values.mean()), *mean_interval(values, groups))


def ratio_interval(
    above: Tensor, below: Tensor, groups: Tensor, repeats: int = REPEATS, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """The same of a sum over another sum, of ``Tensor[N]`` each."""
    _check_draws(groups, len(above), repeats, seed)
    checks.number("level", level, "(0, 1)")
    member = groups.unique(return_inverse=True)[1]
    number = int(member.max()) + 1 if len(member) else 0
    if number < 2:
        return math.nan, math.nan
    sums = torch.zeros(number, 2, dtype=torch.float64).index_add(0, member, torch.stack([above, below], 1).double())
    drawn = _count_draws(number, repeats, seed).double() @ sums
    return _middle(drawn[:, 0] / drawn[:, 1], level)


@lru_cache(maxsize=2)
def _count_draws(groups: int, repeats: int, seed: int) -> Tensor:
    """How often each group is in each draw of as many groups, int16 ``[repeats, groups]``; a table asks for one again
    and again."""
    with torch.inference_mode(False):
        draws = torch.randint(groups, (repeats, groups), generator=torch.Generator().manual_seed(seed))
        ones = torch.ones(1, 1, dtype=torch.int16).expand_as(draws)
        return torch.zeros(repeats, groups, dtype=torch.int16).scatter_add_(1, draws, ones)


def _middle(values: Tensor, level: float = LEVEL) -> tuple[float, float]:
    """Between which two numbers that share of some values lies; NaN of none."""
    if not len(values):
        return math.nan, math.nan
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = values.quantile(ends).tolist()
    return low, high


def _check_draws(groups: Tensor, number: int, repeats: int, seed: int) -> None:
    checks.tensor("groups", groups, f"[{number}]")
    checks.count("repeats", repeats)
    checks.count("seed", seed, least=None)
