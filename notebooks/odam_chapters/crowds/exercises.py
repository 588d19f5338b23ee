"""Checks for the exercises of notebook 07."""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.exercises import Unusable, as_number, call, reply
from odam_chapters.odam_train.separation import CandidatePairs
from odam_lib.kernels import are_duplicates
from odam_lib.kernels.similarity import correlation

Rule = Callable[[float, float, float, float, float], bool]
"""(IoU, correlation, T_iou, T_l, T_h) -> whether a candidate is a duplicate of a better one."""
MISTAKES: tuple[tuple[Rule, str], ...] = (
    (
        lambda iou, corr, t_iou, low, high: iou > t_iou,
        "that is classical NMS, which calls everything that overlaps a duplicate; nobody asked the maps.",
    ),
    (
        lambda iou, corr, t_iou, low, high: iou > t_iou and corr > low,
        "only the first half. It looks complete, for NMS has nothing to say of boxes that lie apart; but two boxes of "
        "one person may overlap little, and a correlation over T_h still makes them one.",
    ),
    (
        lambda iou, corr, t_iou, low, high: corr > (high if iou > t_iou else low),
        "the thresholds are swapped. A high IoU seems to ask for a high threshold, but it is evidence already: where "
        "boxes overlap, little agreement (T_l) is enough.",
    ),
    (
        lambda iou, corr, t_iou, low, high: iou > t_iou or corr > high,
        "you suppress by the boxes alone wherever they overlap: T_l is what saves the neighbour.",
    ),
    (
        lambda iou, corr, t_iou, low, high: corr >= (low if iou > t_iou else high),
        "a correlation of exactly T_l or T_h counts as over it. That looks like a trifle, but maps that share no cell "
        "have a correlation of exactly 0, and two maps in one place have 1: T_h = 1 is to merge nothing. Write > .",
    ),
    (
        lambda iou, corr, t_iou, low, high: corr > (low if iou >= t_iou else high),
        "an IoU of exactly T_iou counts as overlapping. The rule says IoU > T_iou, as NMS does.",
    ),
    (
        lambda iou, corr, t_iou, low, high: corr >= (low if iou >= t_iou else high),
        "what is exactly at a threshold is not over it: the rule says > three times, and once that IoU <= T_iou is "
        "lying apart.",
    ),
)
"""Plausible rules that are wrong, and why."""
TRIED = tuple(
    itertools.product(
        (0.0, 0.25, 0.375, 0.5, 0.75, 1.0),
        (0.0, 0.125, 0.25, 0.5, 0.625, 0.75, 1.0),
        ((0.5, 0.25, 0.75), (0.375, 0.625, 0.625)),
    )
)
"""IoU, correlation and thresholds that a rule is tried on, some exactly at the thresholds; all are exact in binary."""
CORRELATION = "write a function (one [h, w], two [h, w]) -> their correlation, one number."
DUPLICATE = "write a function (iou, corr, t_iou, t_l, t_h) -> True for a duplicate."
LOW = "give the T_l at which the mean of the two shares is largest."


@reply
def check_pairs(answers: Sequence[bool | None], truth: Sequence[bool], rules: Mapping[str, Sequence[bool]]) -> str:
    """Check which pairs of boxes someone takes for one person, beside what boxes and maps say.

    Args:
        answers: ``True`` for one person, ``False`` for two, ``None`` where it was left open.
        truth: the right answers.
        rules: the answers of rules, by their names: the last one by maps, the one before it the best by boxes.
    """
    given = list(answers) if isinstance(answers, (list, tuple)) else []
    if len(given) != len(truth) or any(answer not in (True, False) for answer in given):
        return f"open: answer with {len(truth)} values, True for one person, False for two."
    wrong = [str(place) for place, pair in enumerate(zip(given, truth)) if bool(pair[0]) != pair[1]]
    grade = f"not quite: wrong about pair {', '.join(wrong)}" if wrong else "right: all of them"
    mine, right = len(truth) - len(wrong), {name: sum(map(operator.eq, each, truth)) for name, each in rules.items()}
    listed = ", ".join(f"{name} {number}" for name, number in right.items())
    boxes, maps = list(right.values())[-2:]
    against = "better than" if maps > boxes else "worse than" if maps < boxes else "no better than"
    you = "you beat them" if mine > maps else "they beat you" if mine < maps else "you and they are level"
    return (
        f"{grade}. Right of {len(truth)}: you {mine}, {listed}. Here the maps do {against} the boxes, and {you}; "
        f"{len(truth)} pairs are few, the next cell counts many."
    )


@reply
def check_correlation(function: Callable[[Tensor, Tensor], Tensor] | None, seed: int = 0) -> str:
    """Check the normalised correlation of two maps.

    Args:
        function: (map ``[h, w]``, map ``[h, w]``) -> their correlation.
        seed: random seed of the maps that it is tried on.
    """
    if function is None:
        return f"open: {CORRELATION}"
    one, two = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(seed)).square() + 0.01

    def found(first: Tensor, second: Tensor) -> float:
        said = call(function, first.clone(), second.clone(), wanted=CORRELATION)
        if isinstance(said, Tensor) and said.numel() != 1:
            raise Unusable(
                f"not quite: one number is wanted, this has the shape {list(said.shape)}; sum over the cells."
            )
        return as_number(said, "the function is to return one.")

    given = found(one, two)
    right = float(correlation(torch.stack([one, two]))[0, 1])
    if math.isclose(given, right, rel_tol=1e-3):
        return "right: 1 for the same map however bright, 0 for two that share no place."
    if not math.isclose(found(3 * one, two), given, rel_tol=1e-3):
        return (
            "not quite: a map three times as bright has another value. The plain dot product is tempting, but it asks "
            "how bright both are; divide each map by its length first."
        )
    if math.isclose(given, float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]), rel_tol=1e-3):
        return (
            "not quite: that is Pearson's correlation, as the name suggests. Do not subtract the means: two maps that "
            "share no place should have 0, not less."
        )
    if not math.isclose(found(one, one), 1, rel_tol=1e-3):
        return (
            f"not quite: a map agrees with itself by {found(one, one):.2f}, which should be 1. A sum or a maximum of 1 "
            "makes maps equally bright, but only a length of 1 makes the dot product a cosine."
        )
    return f"not quite: {given:.3f} for the maps that were tried, {right:.3f} is right."


@reply
def check_duplicate(function: Rule | None) -> str:
    """Check the rule by which Algorithm 1 calls a candidate a duplicate of a better one."""
    if function is None:
        return f"open: {DUPLICATE}"
    answers = [call(function, iou, corr, *thresholds, wanted=DUPLICATE) for iou, corr, thresholds in TRIED]
    if strange := [answer for answer in answers if answer not in (True, False)]:
        return f"not quite: the function is to return True or False, and returns {strange[0]!r}."
    for mistake, why in MISTAKES:
        if answers == [bool(mistake(iou, corr, *thresholds)) for iou, corr, thresholds in TRIED]:
            return f"not quite: {why}"
    for answer, (iou, corr, thresholds) in zip(answers, TRIED):
        duplicate = bool(are_duplicates(torch.tensor(iou), torch.tensor(corr), *thresholds))
        if answer != duplicate:
            found = "a duplicate" if duplicate else "another object"
            return f"not quite: IoU {iou:g} and correlation {corr:g} with thresholds {thresholds} is {found}."
    return "right: boxes that overlap need little agreement to be one object, boxes that lie apart need much."


@reply
def check_low(answer: float | None, pairs: CandidatePairs, least_iou: float = 0.5) -> str:
    """Check which T_l sorts overlapping pairs best, both kinds of pairs counting alike.

    Args:
        answer: a threshold of the correlation.
        pairs: of candidates.
        least_iou: of the pairs that are sorted.
    """
    if answer is None:
        return f"open: {LOW}"
    answer = as_number(answer, LOW)
    if not 0 <= answer <= 1:
        return f"open: {answer:g} is no threshold; give a number from 0 to 1."
    chosen = (pairs.ious > least_iou) & pairs.correlations.isfinite()
    values, same = pairs.correlations[chosen], pairs.same[chosen]

    def shares(low: float) -> tuple[float, float]:
        return float((values[same] > low).float().mean()), float((values[~same] <= low).float().mean())

    (of_one, of_two), grid = shares(answer), [step / 50 for step in range(50)]
    best = max(grid, key=lambda low: sum(shares(low)))
    told = f"T_l {answer:g} calls {of_one:.0%} of the pairs of one person one, and {of_two:.0%} of those of two two"
    if sum(shares(best)) - (of_one + of_two) <= 0.02:
        return f"right: {told}, as well as any threshold does, and far from always."
    if answer < best:
        most = int(same.sum()) / len(same)
        return (
            f"not quite: {told}. A small T_l is tempting, since {most:.0%} of all pairs are of one person and calling "
            "everything one person is right so often; but then nobody is saved. Count the two kinds apart."
        )
    return (
        f"not quite: {told}. A large T_l is tempting, since it saves every neighbour; but it parts boxes of one "
        "person, and each of these is a box too many."
    )
