"""Which of two methods a metric prefers, and how sure that is.

``python -m odam_lib.evaluation.verdicts ROWS.csv`` prints the README's table of rows that ``evaluate`` kept.
"""

import argparse
import html
import re
from collections.abc import Sequence

import torch

from odam_lib.command import command
from odam_lib.evaluation.evaluate import Evaluation, Row
from odam_lib.files import user_path
from odam_lib.metrics.intervals import mean_interval

SMALLER_IS_BETTER = ("deletion", "compactness", "ODI box", "ODI mask")
SEVEN = ("deletion", "insertion", "VEA", "energy mask", "ODI mask", "compactness", "causes")
"""The metrics of the paper's comparison, one of each kind, and planted causes."""
BY_BOX = {"energy mask": "energy box", "ODI mask": "ODI box"}
"""What stands for a metric of :data:`SEVEN` where there are no masks."""


def measured(evaluation: Evaluation) -> list[str]:
    """Those of :data:`SEVEN` that were measured, by boxes where they were not measured by masks."""
    present = [name if name in evaluation.metrics else BY_BOX.get(name, name) for name in SEVEN]
    return [name for name in present if name in evaluation.metrics]


def better(evaluation: Evaluation, metric: str, method: str, other: str) -> bool | None:
    """Whether a method is better than another by a metric: ``None`` where the 95 % intervals of the means overlap.

    Raises:
        ValueError: nothing was measured of one of them by this metric.
    """
    ours, theirs = (_line(evaluation, metric, name) for name in (method, other))
    if metric in SMALLER_IS_BETTER:
        ours, theirs = theirs, ours
    if ours[1] > theirs[2]:
        return True
    return False if ours[2] < theirs[1] else None


def paired(evaluation: Evaluation, metric: str, method: str, other: str) -> tuple[int, float, float, float]:
    """A method's value minus another's, object by object.

    Returns:
        How many objects have both values, the mean difference, and its 95 % interval (bootstrap over pictures).

    Raises:
        ValueError: the two were measured on different objects, or nothing was measured of one of them by this metric.
    """
    ours, theirs = ({_object(row): row for row in evaluation.rows if row["method"] == name} for name in (method, other))
    for name, found in ((method, ours), (other, theirs)):
        if not found or metric not in next(iter(found.values())):
            raise ValueError(f"Nothing was measured of method {name!r} by metric {metric!r}.")
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"{method} and {other} were measured on different objects ({len(ours)} and {len(theirs)}): only values of "
            "the same objects can be compared; evaluate both again."
        )
    differences = torch.tensor([float(ours[key][metric]) - float(theirs[key][metric]) for key in ours])
    pictures, known = torch.tensor([image for image, _ in ours]), ~differences.isnan()
    low, high = mean_interval(differences[known], pictures[known])
    return int(known.sum()), float(differences[known].mean()), low, high


def as_paired_markdown(
    evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN
) -> str:
    """:func:`paired` as a Markdown table, a line for each rival; bold where the method is better for certain."""
    lines = [f"| {markdown_cell(method)} minus | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for other in others:
        cells = []
        for metric in metrics:
            _, mean, low, high = paired(evaluation, metric, method, other)
            cell = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
            cells.append(f"**{cell}**" if (high < 0 if metric in SMALLER_IS_BETTER else low > 0) else cell)
        lines.append(f"| {markdown_cell(other)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scoreboard(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> str:
    """A line for each metric: against which other methods one is better, worse or not told apart."""
    lines = []
    for metric in metrics:
        found = {other: better(evaluation, metric, method, other) for other in others}
        words = {True: "better than", False: "worse than", None: "not told from"}
        parts = [
            f"{word} {', '.join(name for name, verdict in found.items() if verdict is kind)}"
            for kind, word in words.items()
            if kind in found.values()
        ]
        lines.append(f"{metric:12} {'; '.join(parts)}")
    return "\n".join(lines)


def won(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> int:
    """How many metrics find a method better than every other one."""
    return sum(all(better(evaluation, metric, method, other) for other in others) for metric in metrics)


def ranking(evaluation: Evaluation, metric: str, methods: Sequence[str]) -> list[str]:
    """Methods from best to worst mean."""
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    return sorted(methods, key=lambda name: sign * _line(evaluation, metric, name)[0])


def as_table(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """Means and 95 % intervals as text: a line for each method, a column for each metric."""
    lines = [f"{'':18}" + "".join(f"{metric:>22}" for metric in metrics)]
    for method in evaluation.methods:
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*_line(evaluation, metric, method)) for metric in metrics]
        lines.append(f"{method:18}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def as_markdown(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """:func:`as_table` as a Markdown table; half the width of each interval stands behind the mean."""
    lines = ["| | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for method in evaluation.methods:
        found = [_line(evaluation, metric, method) for metric in metrics]
        cells = [f"{mean:.2f} ± {(high - low) / 2:.2f}" for mean, low, high in found]
        lines.append(f"| {markdown_cell(method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@command
def main() -> None:
    """Print the tables of rows that ``python -m odam_lib.evaluation`` kept."""
    parser = argparse.ArgumentParser(prog="python -m odam_lib.evaluation.verdicts", description=main.__doc__)
    parser.add_argument("rows", type=user_path, help="CSV that evaluate made")
    path = parser.parse_args().rows
    found = Evaluation.load(path)
    if not found.rows:
        raise ValueError(f"{path} has no rows: there was no object with a detection to explain.")
    metrics = measured(found)
    print(as_markdown(found, metrics), end="\n\n")
    print(as_paired_markdown(found, found.methods[0], found.methods[1:], metrics))


def markdown_cell(name: str) -> str:
    """A name of any origin as Markdown that shows it and nothing else: exported pages run the HTML in Markdown."""
    return re.sub(r"([\\`*_\[\]|$])", r"\\\1", html.escape(" ".join(name.split()), quote=False))


def _object(row: Row) -> tuple[int, int]:
    return int(row["image_id"]), int(row["object"])


def _line(evaluation: Evaluation, metric: str, method: str) -> tuple[float, float, float]:
    line = evaluation.line(method, metric)
    return float(line["mean"]), float(line["low"]), float(line["high"])


if __name__ == "__main__":
    main()
