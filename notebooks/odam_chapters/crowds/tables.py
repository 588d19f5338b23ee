"""The numbers of suppression rules on crowds side by side, and against what they were to reach (Tab. 5, 7, 8, 9)."""

from collections.abc import Mapping
from typing import NamedTuple

from odam_chapters.crowds.estimates import estimate_differences, estimate_scores
from odam_chapters.crowds.results import CrowdResults
from odam_chapters.crowds.rules import CLASSICAL, FEATURE_NMS, ODAM_NMS, SOFT
from odam_chapters.targets import rate
from odam_lib.evaluation.tables import markdown_cell
from odam_lib.metrics.crowds import CrowdMatches
from odam_lib.metrics.intervals import REPEATS, Estimate

FAMILIES = {name: (f"{name}-crowd", f"{name}-crowd-odam") for name in ("fcos", "faster-rcnn")}
"""The two detectors of each architecture: trained without and with Odam-Train."""
RIVALS = (CLASSICAL, *SOFT, FEATURE_NMS)
"""What Odam-NMS is compared with."""
RECALL_GOALS = {"fcos": 0.10, "faster-rcnn": 0.04}
"""By how much it was to raise the recall of the crowd set over NMS."""
LESS_IS_BETTER = ("MR",)

Found = Mapping[tuple[str, str], CrowdMatches]
"""By detector and rule, on the same pictures."""
Scores = Mapping[tuple[str, str], Mapping[str, Estimate]]


def match_all(results: CrowdResults) -> dict[tuple[str, str], CrowdMatches]:
    """Everything in a file of results, matched with the people."""
    return {key: results.match_crowds(*key) for key in results.kept}


def score_all(found: Found, repeats: int = REPEATS, seed: int = 0) -> dict[tuple[str, str], dict[str, Estimate]]:
    """AP50, MR, JI and both recalls of each, see :func:`~odam_chapters.crowds.estimates.estimate_scores`."""
    return {key: estimate_scores(each, repeats=repeats, seed=seed) for key, each in found.items()}


def tabulate_scores(scores: Scores) -> str:
    """A row for each detector and rule: percentages and half the width of their 95 % intervals."""
    columns = list(next(iter(scores.values())))
    lines = [f"{'detector':23}{'rule':18}" + "".join(f"{column:>15}" for column in columns)]
    for (detector, rule), row in scores.items():
        cells = (f"{100 * one.value:.1f} \u00b1{50 * (one.high - one.low):.1f}" for one in row.values())
        lines.append(f"{detector:23}{rule:18}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def tabulate_in_markdown(scores: Scores) -> str:
    """The same as a table for a text."""
    columns = list(next(iter(scores.values())))
    lines = [f"| detector | rule | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for (detector, rule), row in scores.items():
        cells = (f"{100 * one.value:.1f} \u00b1 {50 * (one.high - one.low):.1f}" for one in row.values())
        lines.append(f"| {markdown_cell(detector)} | {markdown_cell(rule)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def list_intervals(scores: Scores, detectors: tuple[str, ...]) -> list[dict[str, str | float]]:
    """The same for :func:`odam_chapters.charts.show_intervals`: some detectors, a line for each number."""
    return [
        {"method": f"{rule}, {detector}", "metric": name, "mean": one.value, "low": one.low, "high": one.high}
        for (detector, rule), row in scores.items()
        if detector in detectors
        for name, one in row.items()
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
    found: Found, family: str, metrics: tuple[str, ...], repeats: int = REPEATS, seed: int = 0
) -> list[Comparison]:
    """Odam-NMS on the detector with Odam-Train against every rival on it, and on the one without.

    Args:
        found: matches of both detectors.
        family: ``fcos`` or ``faster-rcnn``.
        metrics: names of ``crowd_scores``.
        repeats, seed: number of draws, random seed of the bootstrap over pictures.
    """
    ours = found[FAMILIES[family][1], ODAM_NMS]
    compared = []
    for detector in FAMILIES[family]:
        for rule in (rule for rule in RIVALS if (detector, rule) in found):
            differences = estimate_differences(ours, found[detector, rule], repeats=repeats, seed=seed)
            compared += [Comparison(detector, rule, metric, differences[metric]) for metric in metrics]
    return compared


def tabulate_comparisons(compared: list[Comparison]) -> str:
    """A row for each rival: differences in points with their intervals.

    ``*`` where the whole interval says that Odam-NMS is better, ``!`` where it says that it is worse.
    """
    metrics = list(dict.fromkeys(one.metric for one in compared))
    rows: dict[tuple[str, str], list[str]] = {}
    for one in compared:
        value, low, high = (100 * each for each in one.difference)
        cell = f"{value:+.1f} ({low:+.1f} to {high:+.1f}){'*' if one.better else '!' if one.worse else ' '}"
        rows.setdefault((one.detector, one.rule), []).append(f"{cell:>26}")
    head = f"{'Odam-NMS with Odam-Train against':41}" + "".join(f"{metric:>26}" for metric in metrics)
    return "\n".join([head] + [f"{detector:23}{rule:18}" + "".join(cells) for (detector, rule), cells in rows.items()])


def rate_goals(found: Found, family: str, compared: list[Comparison], repeats: int = REPEATS, seed: int = 0) -> str:
    """What was to be reached, and whether it was.

    Args:
        found: matches of both detectors.
        family: ``fcos`` or ``faster-rcnn``.
        compared: its :func:`compare_rules` by JI and MR.
        repeats, seed: number of draws, random seed of the bootstrap over pictures.
    """
    lines = []
    for metric in ("JI", "MR"):
        beaten = [one for one in compared if one.metric == metric and one.better]
        asked = [one for one in compared if one.metric == metric]
        goal = f"better by {metric} than every rule, with or without Odam-Train"
        lines.append(rate(len(beaten) == len(asked), f"{goal}: than {len(beaten)} of {len(asked)}"))
    detector = FAMILIES[family][1]
    gain = estimate_differences(found[detector, ODAM_NMS], found[detector, CLASSICAL], repeats=repeats, seed=seed)
    if family == "faster-rcnn":
        one = Comparison(detector, CLASSICAL, "AP50", gain["AP50"])
        lines.append(rate(one.better, f"better by AP50 than NMS: {_points(one.difference)}"))
    goal, recall = RECALL_GOALS[family], gain["recall crowd"]
    text = f"recall of the crowd set at least {100 * goal:.0f} points over NMS"
    lines.append(rate(recall.value >= goal, f"{text}: {_points(recall)}"))
    return "\n".join(lines)


def _points(difference: Estimate) -> str:
    value, low, high = (100 * each for each in difference)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
