"""The numbers of suppression rules on crowds side by side, and against what they were to reach (Tab. 5, 7, 8, 9)."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from odam_chapters.crowds.estimates import estimate_differences, estimate_scores
from odam_chapters.crowds.results import CrowdResults
from odam_chapters.crowds.rules import CLASSICAL, FEATURE_NMS, ODAM_NMS, SOFT
from odam_chapters.tables import write_text
from odam_chapters.targets import rate
from odam_lib.evaluation.tables import write_markdown
from odam_lib.metrics.crowd_scores import best_threshold
from odam_lib.metrics.crowds import CrowdMatches
from odam_lib.metrics.intervals import REPEATS, Estimate

FAMILIES = {name: (f"{name}-crowd", f"{name}-crowd-odam") for name in ("fcos", "faster-rcnn")}
"""The two detectors of each architecture: trained without and with Odam-Train."""
RIVALS = (CLASSICAL, *SOFT, FEATURE_NMS)
"""What Odam-NMS is compared with."""
RECALL_GOALS = {"fcos": 0.10, "faster-rcnn": 0.04}
"""By how much it was to raise the recall of the crowd set over NMS."""
LESS_IS_BETTER = ("MR",)
BEST_AT = "JI best at"

Found = Mapping[tuple[str, str], CrowdMatches]
"""By detector and rule, on the same pictures."""
Scores = Mapping[tuple[str, str], Mapping[str, Estimate]]


def match_all(results: CrowdResults) -> dict[tuple[str, str], CrowdMatches]:
    """Everything in a file of results, matched with the people."""
    return {key: results.match_crowds(*key) for key in results.keys}


def score_all(found: Found, repeats: int = REPEATS, seed: int = 0) -> dict[tuple[str, str], dict[str, Estimate]]:
    """AP50, MR, JI, both recalls and the score threshold at which JI is best, which is where recalls are read.

    See :func:`~odam_chapters.crowds.estimates.estimate_scores`; the threshold has no interval.
    """
    return {
        key: estimate_scores(each, repeats=repeats, seed=seed)
        | {BEST_AT: Estimate(best_threshold(each), math.nan, math.nan)}
        for key, each in found.items()
    }


def tabulate_scores(scores: Scores) -> str:
    """Below the name of each detector a row for each rule: percentages and half the width of their 95 % intervals."""
    (_, *heading), *lines = _list_cells(scores, "\u00b1")
    rows = [heading]
    for detector, each in groupby(lines, key=itemgetter(0)):
        rows += [[detector], *(["  " + rule, *numbers] for _, rule, *numbers in each)]
    return write_text(rows, -20, 14)


def tabulate_scores_in_markdown(scores: Scores) -> str:
    """The same as a table for a text."""
    return write_markdown(_list_cells(scores, "\u00b1 "))


def _list_cells(scores: Scores, sign: str) -> list[list[str]]:
    """A heading, and a line for each detector and rule; ``sign`` stands before the half width."""
    lines = [["detector", "rule", *next(iter(scores.values()))]]
    for key, row in scores.items():
        numbers = [f"{one.value:.2f}" if name == BEST_AT else _percent(one, sign) for name, one in row.items()]
        lines.append([*key, *numbers])
    return lines


def _percent(one: Estimate, sign: str) -> str:
    return f"{100 * one.value:.1f} {sign}{50 * (one.high - one.low):.1f}"


def list_intervals(scores: Scores, detectors: tuple[str, ...]) -> list[dict[str, str | float]]:
    """The same for :func:`odam_chapters.charts.show_intervals`: some detectors, a line for each number."""
    return [
        {"method": f"{rule}, {detector}", "metric": name, "mean": one.value, "low": one.low, "high": one.high}
        for (detector, rule), row in scores.items()
        if detector in detectors
        for name, one in row.items()
    ]


def list_differences(
    found: Mapping[str, CrowdMatches], reference: CrowdMatches, repeats: int = REPEATS, seed: int = 0
) -> list[dict[str, str | float]]:
    """By how many points each rule exceeds another one, for :func:`odam_chapters.charts.show_intervals`.

    Args:
        found: by the name of the row.
        reference: of the rule that is subtracted, on the same pictures.
        repeats: number of draws of pictures.
        seed: of the draws.
    """
    return [
        {"method": name, "metric": metric, "mean": 100 * value, "low": 100 * low, "high": 100 * high}
        for name, each in found.items()
        for metric, (value, low, high) in estimate_differences(each, reference, repeats=repeats, seed=seed).items()
    ]


class Comparison(NamedTuple):
    """By how much Odam-NMS with Odam-Train exceeds another rule in one number, on the same pictures."""

    detector: str
    rule: str
    metric: str
    difference: Estimate

    @property
    def better(self) -> bool:
        """Whether the whole interval is on the right side of 0."""
        return self.difference.high < 0 if self.metric in LESS_IS_BETTER else self.difference.low > 0

    @property
    def worse(self) -> bool:
        """Whether the whole interval is on the wrong side of 0."""
        return self.difference.low > 0 if self.metric in LESS_IS_BETTER else self.difference.high < 0


def compare_rules(
    found: Found, family: str, repeats: int = REPEATS, seed: int = 0, rule: str = ODAM_NMS
) -> list[Comparison]:
    """Odam-NMS on the detector with Odam-Train against every rival on it, and on the one without, by every number.

    Args:
        found: matches of both detectors.
        family: ``fcos`` or ``faster-rcnn``.
        repeats: number of draws of pictures.
        seed: random seed of the draws.
        rule: ``ODAM_NMS`` with the thresholds that were chosen, or ``PAPERS_ODAM_NMS``.
    """
    ours = found[FAMILIES[family][1], rule]
    return [
        Comparison(detector, rival, metric, difference)
        for detector in FAMILIES[family]
        for rival in RIVALS
        if (detector, rival) in found
        for metric, difference in estimate_differences(ours, found[detector, rival], repeats=repeats, seed=seed).items()
    ]


def tabulate_comparisons(compared: Sequence[Comparison], metrics: Sequence[str] = ("JI", "MR")) -> str:
    """A row for each rival: differences in points with their intervals.

    ``*`` where the whole interval says that Odam-NMS is better, ``!`` where it says that it is worse.
    """
    lines = [["Odam-NMS with Odam-Train against", *metrics]]
    for (detector, rule), each in groupby(compared, key=itemgetter(0, 1)):
        by_metric = {one.metric: one for one in each}
        lines.append([f"{detector:23}{rule}"])
        for one in (by_metric[metric] for metric in metrics):
            mark = "*" if one.better else "!" if one.worse else " "
            lines[-1].append(_points(one.difference) + mark)
    return write_text(lines, -41, 26)


def rate_goals(family: str, compared: Sequence[Comparison]) -> str:
    """What was to be reached, and whether it was.

    Args:
        family: ``fcos`` or ``faster-rcnn``.
        compared: its :func:`compare_rules`.
    """
    lines = []
    here = [one for one in compared if one.detector == FAMILIES[family][1]]
    for metric in ("JI", "MR"):
        for each, where in ((here, "on the same detector"), (compared, "with or without Odam-Train")):
            better = [one.better for one in each if one.metric == metric]
            wanted = f"better by {metric} than every rule, {where}"
            lines.append(rate(all(better), f"{wanted}: than {sum(better)} of {len(better)}"))
    over_nms = {one.metric: one for one in compared if one[:2] == (FAMILIES[family][1], CLASSICAL)}
    if family == "faster-rcnn":
        precision = over_nms["AP50"]
        lines.append(rate(precision.better, f"better by AP50 than NMS: {_points(precision.difference)}"))
    goal, recall = RECALL_GOALS[family], over_nms["recall crowd"].difference
    text = f"recall of the crowd set at least {100 * goal:.0f} points over NMS"
    lines.append(rate(recall.value >= goal, f"{text}: {_points(recall)}"))
    return "\n".join(lines)


def _points(difference: Estimate) -> str:
    value, low, high = (100 * each for each in difference)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
