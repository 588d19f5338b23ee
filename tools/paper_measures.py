"""Ways to answer a claim of the paper from the bundled rows: what ``paper_map.toml`` names as ``kind`` of a measure.

Each gives numbers with their 95 % intervals (bootstrap over pictures) and what each says of the claim.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import torch
from crowd_estimates import estimate_crowds
from odam_chapters.crowds.results import load_results
from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS, THRESHOLDS
from odam_chapters.crowds.tables import LESS_IS_BETTER
from odam_chapters.errors.shortcut import Outcome, contrast, read_outcomes
from odam_chapters.judging.leaks import count_specific, read_leaks, relate
from odam_chapters.statistics import relative_change, wilson
from pandas import DataFrame
from paper_numbers import (
    CONTRADICTED,
    MARKS,
    OPEN,
    REPRODUCED,
    Number,
    UnmeasuredError,
    derive,
    evaluation,
    judge,
    label,
    printed,
    read_table,
    rows_at,
    spell,
)

from odam_lib.evaluation.tables import select_metrics
from odam_lib.evaluation.verdicts import SMALLER_IS_BETTER, best_threshold, compare_paired
from odam_lib.files import data_root
from odam_lib.metrics.intervals import Estimate, estimate_mean


def direction(metric: str) -> str:
    """Which sign of a difference in a metric, or in a point of its curve, is better."""
    name = re.split(r" - | > |@", metric)[0]
    return "less" if name in (*SMALLER_IS_BETTER, *LESS_IS_BETTER) else "more"


def measure_pairs(
    files: Sequence[str],
    metrics: Sequence[str],
    others: Sequence[str],
    method: str = "ODAM",
    expect: str = "",
    margin: float = 0.0,
    least_iou: float = 0.0,
) -> Iterator[Number]:
    """A method minus others, object by object; it is expected to be the better one."""
    for file in files:
        for metric in metrics:
            found = derive(evaluation(file, least_iou), metric)
            for other in others:
                if not {method, other} <= set(found.methods):
                    raise UnmeasuredError(other)
                n, *difference = compare_paired(found, metric, method, other)
                if not n:
                    raise UnmeasuredError(f"{metric} of {other}")
                estimate = Estimate(*difference)
                what = " ".join([*([metric] if len(metrics) > 1 else []), *([other] if len(others) > 1 else [])])
                verdict = judge(estimate, expect or direction(metric), n, margin)
                yield Number(label(file), f"{what} {spell(estimate)}".strip(), n, verdict)


def measure_wins(files: Sequence[str], others: Sequence[str], least: int, method: str = "ODAM") -> Iterator[Number]:
    """By how many metrics a method is better than others, by at least how many it is expected to be; and which not."""
    for file in files:
        metrics = select_metrics(evaluation(file))
        for other in others:
            said = list(measure_pairs([file], metrics, [other], method))
            words = {verdict: [name for name, one in zip(metrics, said) if one.verdict == verdict] for verdict in MARKS}
            better, worse, unclear = words.values()
            parts = [f"than {other} by {len(better)} of {len(metrics)}"]
            parts += [f"worse by {', '.join(worse)}"] if worse else []
            parts += [f"unclear by {', '.join(unclear)}"] if unclear else []
            enough, fails = len(better) >= least, len(worse) >= len(better)
            verdict = REPRODUCED if enough else CONTRADICTED if fails else OPEN
            yield Number(label(file), ", ".join(parts), said[0].n, verdict)


def measure_means(
    files: Sequence[str], metric: str, methods: Sequence[str], expect: str = "", than: float = 0.0
) -> Iterator[Number]:
    """The mean of a metric; where something is expected, more or less ``than`` a number."""
    for file in files:
        found = derive(evaluation(file), metric)
        for method in methods:
            if method not in found.methods:
                raise UnmeasuredError(method)
            estimate, n = found.estimate(method, metric), len(found.values(method, metric)[0])
            if not n:
                raise UnmeasuredError(f"{metric} of {method}")
            shifted = Estimate(*(one - than for one in estimate))
            text = f"{method} {spell(estimate, sign='+' if ' - ' in metric else '')}"
            yield Number(label(file), text, n, judge(shifted, expect, n) if expect else "")


def measure_best_vea(files: Sequence[str], method: str, other: str) -> Iterator[Number]:
    """The mean IoU of two methods, each at the threshold that is best for all objects together."""
    for file in files:
        found, columns, said = evaluation(file), [], []
        for name in (method, other):
            if name not in found.methods:
                raise UnmeasuredError(name)
            columns.append(f"VEA@{best_threshold(found, name):.2f}")
            said.append(f"{name} {found.estimate(name, columns[-1]).value:.3f} at {columns[-1][4:]}")
        ours, pictures = found.values(method, columns[0])
        difference = ours - found.values(other, columns[1])[0]
        estimate = estimate_mean(difference, pictures)
        text = f"{', '.join(said)}; {spell(estimate)}"
        yield Number(label(file), text, len(ours), judge(estimate, "more", len(ours)))


def measure_columns(
    file: str,
    of: Sequence[str],
    column: str,
    minus: str = "",
    group: str = "image_id",
    split: str = "",
    where: dict[str, list[str]] | None = None,
    expect: str = "",
    than: float = 0.0,
    percent: bool = False,
) -> Iterator[Number]:
    """The mean of a column, or of one minus another, row by row, for each value ``of`` of the column ``split``."""
    for value in of:
        rows = [
            row
            for row in read_table(file)
            if (not split or row[split] == value) and all(row[key] in some for key, some in (where or {}).items())
        ]
        truth = {"True": 1.0, "False": 0.0, "": float("nan")}
        columns = [[truth.get(row[name], row[name]) for row in rows] for name in filter(None, (column, minus))]
        numbers = torch.tensor([[float(cell) for cell in one] for one in columns], dtype=torch.float64)
        values = numbers[0] - numbers[1] if minus else numbers[0]
        known = ~values.isnan()
        pictures = torch.tensor([int(row[group]) for row in rows])[known]
        if not len(pictures):
            raise UnmeasuredError(value)
        estimate = estimate_mean(values[known], pictures)
        shifted = Estimate(*(one - than for one in estimate))
        text = spell(estimate, percent, "+" if minus else "")
        yield Number(label(value), text, len(pictures), judge(shifted, expect, len(pictures)) if expect else "")


@cache
def _sticker_outcomes() -> Sequence[Outcome]:
    return read_outcomes(rows_at("shortcut"))


def measure_sticker(of: Sequence[str], layer: str, expect: str = "") -> Iterator[Number]:
    """How much more of each method's map lies on a sticker with the detector that goes by it than with another."""
    for method in of:
        shown = [one for one in _sticker_outcomes() if (one.layer, one.method) == (layer, method)]
        number = len({(one.scene, one.object) for one in shown})
        estimate = contrast(shown, layer, method)
        yield Number(label(method), spell(estimate, False, "+"), number, judge(estimate, expect, number))


def measure_training(
    pairs: Sequence[Sequence[str]], metrics: Sequence[str], method: str = "ODAM", expect: str = ""
) -> Iterator[Number]:
    """The relative change of a metric from a detector to the one trained with Odam-Train, on what both found."""
    for pair in pairs:
        for metric in metrics:
            values = []
            for file in pair:
                found = derive(evaluation(file), metric)
                rows = [row for row in found.rows if row["method"] == method]
                values.append({(int(row["image_id"]), row["object"]): float(row[metric]) for row in rows})
            before, after = values
            both = [key for key in before if key in after and before[key] == before[key] and after[key] == after[key]]
            if not both:
                raise UnmeasuredError(method)
            first, second = (torch.tensor([one[key] for key in both], dtype=torch.float64) for one in values)
            estimate = Estimate(*relative_change(first, second, torch.tensor([image for image, _ in both])))
            text = " ".join([*([metric] if len(metrics) > 1 else []), spell(estimate, percent=True)])
            yield Number(label(pair[0]), text, len(both), judge(estimate, expect or direction(metric), len(both)))


def measure_sweep(file: str, variants: Sequence[str], column: str, expect: str = "less") -> Iterator[Number]:
    """The relative change that short trainings with one setting of Odam-Train reached."""
    found = {row["variant"]: row for row in read_table(file)}
    for variant in variants:
        if variant not in found:
            raise UnmeasuredError(variant)
        numbers = (float(found[variant][f"{column}_{end}"]) for end in ("change", "low", "high"))
        estimate, n = Estimate(*numbers), int(found[variant]["people"])
        yield Number(label(file), f"{variant} {spell(estimate, percent=True)}", n, judge(estimate, expect, n))


def measure_crowds(
    detectors: Sequence[str],
    metrics: Sequence[str],
    rule: str = ODAM_NMS,
    others: Sequence[str] = (CLASSICAL,),
    against: dict[str, str] | None = None,
    expect: str = "",
    margin: float = 0.01,
) -> Iterator[Number]:
    """A rule minus others in points on the same crowds; ``against`` names the others' detector if it is another one."""
    for detector in detectors:
        their = (against or {}).get(detector, detector)
        for other in others:
            try:
                found = estimate_crowds(detector, rule, their, other)
            except KeyError as error:
                raise UnmeasuredError(str(error)) from error
            for metric in metrics:
                points = Estimate(*(100 * one for one in found[metric]))
                what = " ".join([metric, *([f"than {other}"] if len(others) > 1 else [])])
                text = f"{what} {points.value:+.1f} ({points.low:+.1f} to {points.high:+.1f})"
                verdict = judge(points, expect or direction(metric), margin=100 * margin)
                yield Number(label(detector), text, len(load_results().truth), verdict)


def measure_cards(detectors: Sequence[str], column: str = "AP50") -> Iterator[Number]:
    """A number of the cards of weights."""
    for name in detectors:
        path = data_root() / "weights" / f"{name}.json"
        if not path.is_file():
            raise UnmeasuredError(name)
        yield Number(label(name), f"{column} {json.loads(path.read_text(encoding='utf-8'))[column]:.3f}")


def measure_stored(
    notebook: str,
    pattern: str,
    text: str,
    of: str = "",
    expect: str = "",
    judged: Sequence[int] = (),
    minus: int = 0,
    than: float = 0.0,
    margin: float = 0.0,
) -> Iterator[Number]:
    """What a notebook printed when it was stored: groups of a pattern.

    ``judged`` names the group of a value, or of a value and its interval, that is expected to be more or less than the
    group ``minus``, or than a number.
    """
    found = list(re.finditer(pattern, printed(notebook)))
    if not found:
        raise UnmeasuredError(f"{notebook}: {pattern}")
    for one in found:
        base = float(one[minus]) if minus else than
        values = [float(one[group]) - base for group in judged]
        estimate = Estimate(*(values if len(values) == 3 else 3 * values)) if judged else None
        verdict = judge(estimate, expect, margin=margin) if estimate else ""
        names = [label(name) for name in one.groups()]
        yield Number(of.format(*names), text.format(*names), verdict=verdict)


def measure_thresholds(
    detectors: Sequence[str], stricter: dict[str, str] | None = None, within: Sequence[float] = (0.0, 1.0)
) -> Iterator[Number]:
    """Odam-NMS's chosen thresholds, T_l ``within`` two numbers; ``stricter`` than those of another detector."""
    for name in detectors:
        low, high = THRESHOLDS[name]
        their_low, their_high = THRESHOLDS[stricter[name]] if stricter else (1.0, 0.0)
        holds = within[0] <= low <= min(within[1], their_low) and high >= their_high
        yield Number(label(name), f"T_l = {low}, T_h = {high}", verdict=REPRODUCED if holds else CONTRADICTED)


@cache
def _leaks() -> DataFrame:
    return read_leaks(rows_at("leaks"))


def measure_leaks(of: Sequence[str], change: str, energy: str = "energy") -> Iterator[Number]:
    """Whether the score falls more where more of a map lies on the other object that is changed."""
    rows = _leaks()
    for name in of:
        some = rows[(rows["detector"] == name) & rows[change].notna()]
        if some.empty:
            raise UnmeasuredError(name)
        estimate = relate(some, change, energy)
        verdict = judge(estimate, "more", len(some)) if energy == "energy" else ""
        yield Number(label(name), f"{change}{' (noise)' * (energy != 'energy')} {spell(estimate)}", len(some), verdict)


def measure_own_masks(
    of: Sequence[str], bands: Sequence[str], than: float, same_class: bool = False
) -> Iterator[Number]:
    """The share of class maps with more energy on their own object than on any other one, by how much these cover."""
    rows = _leaks()
    found = count_specific(rows[rows["label"] == rows["other_label"]] if same_class else rows)
    for name in of:
        if name not in set(rows["detector"]):
            raise UnmeasuredError(name)
        wins, number = (sum(found[name, band][place] for band in bands) for place in (0, 1))
        estimate = Estimate(wins / number, *wilson(wins, number))
        shifted = Estimate(*(one - than for one in estimate))
        yield Number(label(name), spell(estimate, percent=True, sign=""), number, judge(shifted, "more", number))


MEASURES: dict[str, Callable[..., Iterator[Number]]] = {
    "pairs": measure_pairs,
    "wins": measure_wins,
    "means": measure_means,
    "best VEA": measure_best_vea,
    "columns": measure_columns,
    "sticker": measure_sticker,
    "training": measure_training,
    "sweep": measure_sweep,
    "crowds": measure_crowds,
    "cards": measure_cards,
    "stored": measure_stored,
    "thresholds": measure_thresholds,
    "leaks": measure_leaks,
    "own masks": measure_own_masks,
}
