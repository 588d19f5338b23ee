"""What answers say, and how surely: the unit is a person, whose answers are not independent of each other.

Friedman's test asks whether the conditions differ at all, Wilcoxon's signed-rank test which pairs do, its p-values
corrected by Holm's method; both by scipy.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeVar

import numpy as np
import torch
from scipy.stats import friedmanchisquare, wilcoxon

from odam_chapters.study.given import SUREST, Pointing, Ranking
from odam_lib.metrics.intervals import Estimate, estimate_mean

LEVEL = 0.05
BANDS = (0, 0.2, 0.4, 0.6, 0.8, 1)
"""Edges of the bands of ODI."""
FEWEST = 6
"""Of people, for Wilcoxon's two-sided p to be able to fall below 0.05."""

Answer = TypeVar("Answer", Ranking, Pointing)


@dataclass(frozen=True, eq=False)
class Table:
    """One number of each person under each condition.

    Attributes:
        people: P numbers.
        conditions: K names, in the order of the alphabet.
        values: ``[P, K]``, the mean over the person's answers.
    """

    people: tuple[int, ...]
    conditions: tuple[str, ...]
    values: np.ndarray


def tabulate_ranks(rankings: Sequence[Ranking]) -> Table:
    """The mean rank that each person gave each condition, 1 the best.

    Raises:
        ValueError: no ranking, one of other conditions, or two of a person of one item.
    """
    conditions = _conditions_of([tuple(one.ranks) for one in rankings])
    for one in rankings:
        if sorted(one.ranks) != sorted(conditions) or sorted(one.ranks.values()) != list(range(1, len(conditions) + 1)):
            raise ValueError(
                f"Person {one.person} ranked {', '.join(one.ranks)} of item {one.item!r}, not all of "
                f"{', '.join(conditions)} from 1 to {len(conditions)}: leave incomplete rankings out."
            )
    _check_once(rankings)
    by_person = _group(rankings)
    means = [[np.mean([one.ranks[name] for one in theirs]) for name in conditions] for theirs in by_person.values()]
    return Table(tuple(by_person), conditions, np.array(means))


def tabulate_pointings(pointings: Sequence[Pointing], value: Callable[[Pointing], float]) -> Table:
    """The mean of a number of each person's answers under each condition, such as :func:`is_right`.

    Raises:
        ValueError: no answer, two of a person of one item, or a person who met some of the conditions only: then the
            design is mixed, and tests of the same people under all conditions have no meaning.
    """
    conditions = _conditions_of([(one.condition,) for one in pointings])
    _check_once(pointings)
    by_person = _group(pointings)
    means = []
    for person, theirs in by_person.items():
        met = {name: [value(one) for one in theirs if one.condition == name] for name in conditions}
        if missing := [name for name, numbers in met.items() if not numbers]:
            raise ValueError(
                f"Person {person} has no answer under {', '.join(missing)}: a mixed design. The tests compare the same "
                "people under every condition; leave out who did not meet all (keep_finished)."
            )
        means.append([np.mean(numbers) for numbers in met.values()])
    return Table(tuple(by_person), conditions, np.array(means))


def is_right(one: Pointing) -> float:
    """1 for the explained object."""
    return float(one.right)


def is_certain(one: Pointing) -> float:
    """1 for the highest confidence, as App. A.3 counts it."""
    return float(one.confidence == SUREST)


def read_confidence(one: Pointing) -> float:
    """From 1 to 5."""
    return float(one.confidence)


def keep_finished(answers: Sequence[Answer], questions: int) -> tuple[list[Answer], int]:
    """The answers of those who answered all questions of the questionnaire, and how many others there were."""
    by_person = _group(answers)
    done = {person for person, theirs in by_person.items() if len(theirs) == questions}
    return [one for one in answers if one.person in done], len(by_person) - len(done)


@dataclass(frozen=True)
class Pair:
    """Two conditions compared by Wilcoxon's signed-rank test.

    Attributes:
        first, second: their names.
        difference: mean of first minus second, with its interval over people.
        p: two-sided; 1 if nobody made a difference.
        adjusted: p by Holm's method, over all pairs.
    """

    first: str
    second: str
    difference: Estimate
    p: float
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    """All conditions compared.

    Attributes:
        statistic, p: Friedman's chi-square and its p; NaN for two conditions.
        pairs: every pair.
        warnings: sentences on what the number of people does not allow.
    """

    statistic: float
    p: float
    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]


def compare(table: Table) -> Comparison:
    """Friedman's test, and Wilcoxon's of every pair by Holm's method.

    Raises:
        ValueError: fewer than two conditions, or than two people.
    """
    people, conditions = table.values.shape
    if conditions < 2 or people < 2:
        raise ValueError(
            f"There are {people} people and {conditions} conditions: a comparison takes two of each or more."
        )
    statistic, p = (math.nan, math.nan) if conditions == 2 else _friedman(table.values)
    columns = list(combinations(range(conditions), 2))
    differences = [np.round(table.values[:, one] - table.values[:, other], 12) for one, other in columns]
    alone = [_wilcoxon(each) for each in differences]
    pairs = [
        Pair(table.conditions[one], table.conditions[other], _estimate(each), by_itself, adjusted)
        for (one, other), each, by_itself, adjusted in zip(columns, differences, alone, adjust_by_holm(alone))
    ]
    return Comparison(statistic, p, tuple(pairs), tuple(warn_of_few(people, len(pairs))))


def adjust_by_holm(p: Sequence[float]) -> list[float]:
    """P-values of a family of tests by Holm's method: the smallest times their number, the next times one less, ...

    None is smaller than that of a smaller p, and none over 1.
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, highest = [0.0] * len(p), 0.0
    for place, test in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[test]))
        adjusted[test] = highest
    return adjusted


def warn_of_few(people: int, pairs: int) -> list[str]:
    """Sentences on the tests that mean nothing with so few people, whatever they answer."""
    least = 2 / 2**people
    enough = next(number for number in range(1, 99) if pairs * 2 / 2**number < LEVEL)
    said = []
    if people < FEWEST:
        said.append(
            f"With {people} people Wilcoxon's p cannot be below {least:.2g}: it tells nothing, whatever they answer. "
            f"Ask {FEWEST} or more."
        )
    if pairs > 1 and people < enough:
        said.append(
            f"Corrected for {pairs} pairs by Holm, p gets below {LEVEL:g} from {enough} people on, if all agree."
        )
    if pairs > 1 and people <= 10:
        said.append("Friedman's p is by a chi-square distribution, which 10 people or fewer do not follow closely.")
    return said


def estimate_means(table: Table) -> dict[str, Estimate]:
    """The mean over people of each condition, with a 95 % bootstrap interval over people."""
    return {name: _estimate(table.values[:, column]) for column, name in enumerate(table.conditions)}


def estimate_places(rankings: Sequence[Ranking], place: int = 1) -> dict[str, Estimate]:
    """How often each condition was put at a place, as in Tab. 2, with a 95 % bootstrap interval over people."""
    people = torch.tensor([one.person for one in rankings])
    return {
        name: estimate_mean(torch.tensor([float(one.ranks[name] == place) for one in rankings]), people)
        for name in sorted(rankings[0].ranks if rankings else ())
    }


def estimate_by_odi(
    pointings: Sequence[Pointing],
    value: Callable[[Pointing], float],
    edges: Sequence[float] = BANDS,
) -> dict[float, tuple[Estimate, int]]:
    """The mean of a number of the answers in bands of the map's ODI (Fig. 8), and how many they were.

    Args:
        pointings: answers; those of maps without an ODI are left out.
        value: such as :func:`is_right`.
        edges: of the bands; the last one holds its upper edge, too.

    Returns:
        By the middle of the band, of those with an answer; intervals are bootstrapped over people.
    """
    found = {}
    for low, high in pairwise(edges):
        inside = [one for one in pointings if low <= one.odi < high or one.odi == high == edges[-1]]
        if inside:
            values = torch.tensor([value(one) for one in inside])
            people = torch.tensor([one.person for one in inside])
            found[(low + high) / 2] = estimate_mean(values, people), len(inside)
    return found


def _friedman(values: np.ndarray) -> tuple[float, float]:
    """Of ``[P, K]``; where nobody makes any difference there is no statistic, and p is 1."""
    if (values == values[:, :1]).all():
        return 0.0, 1.0
    found = friedmanchisquare(*np.round(values, 12).T)
    return float(found.statistic), float(found.pvalue)


def _wilcoxon(differences: np.ndarray) -> float:
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def _estimate(values: np.ndarray) -> Estimate:
    return estimate_mean(torch.from_numpy(values), torch.arange(len(values)))


def _conditions_of(named: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if not named:
        raise ValueError("There is no answer to tabulate: let somebody answer first.")
    return tuple(sorted({name for names in named for name in names}))


def _group(answers: Sequence[Answer]) -> Mapping[int, list[Answer]]:
    found: dict[int, list[Answer]] = defaultdict(list)
    for one in answers:
        found[one.person].append(one)
    return found


def _check_once(answers: Sequence[Ranking] | Sequence[Pointing]) -> None:
    """Raise unless every person answered an item once: two people with one number would look so."""
    seen = set()
    for one in answers:
        if (one.person, one.item) in seen:
            raise ValueError(f"Person {one.person} answered item {one.item!r} twice: two people may have one number.")
        seen.add((one.person, one.item))
