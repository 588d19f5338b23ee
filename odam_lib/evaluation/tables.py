"""Tables of rows that ``evaluate`` kept: means, and differences object by object.

``python -m odam_lib.evaluation.tables ROWS`` prints both tables, and writes rows as a CSV.
"""

import argparse
import html
import re
from collections.abc import Sequence
from math import isnan

from odam_lib.command import command
from odam_lib.evaluation.kept import write_csv
from odam_lib.evaluation.rows import OVERALL, Evaluation
from odam_lib.evaluation.store import read_rows
from odam_lib.evaluation.verdicts import BETTER, SEVEN, best_threshold, compare_paired, judge_all
from odam_lib.files import user_path
from odam_lib.metrics.intervals import Estimate

BY_BOX = {"energy mask": "energy box", "ODI mask": "ODI box"}
"""What stands for a metric of :data:`SEVEN` where there are no masks."""
FURTHER = (
    "deletion signed", "insertion signed", OVERALL, "VEA best", "pointing box", "pointing mask", "energy box",
    "ODI box", "sparsity", "all causes",
)  # fmt: skip
"""What a second table shows."""
WELL_DETECTED = 0.9
"""The paper judges objects whose detection overlaps them by more than this (Sec. 4.2)."""


def select_metrics(evaluation: Evaluation) -> list[str]:
    """Those of :data:`SEVEN` that were measured, by boxes where they were not measured by masks."""
    present = [name if name in evaluation.metrics else BY_BOX.get(name, name) for name in SEVEN]
    return [name for name in present if name in evaluation.metrics]


def as_markdown(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """Means as a Markdown table, a line for each method; half the width of each 95 % interval stands behind."""
    rows = [["method", *metrics]]
    for method in evaluation.methods:
        rows.append([escape_markdown(method), *(write_mean(evaluation.estimate(method, metric)) for metric in metrics)])
    return write_markdown(rows)


def write_mean(one: Estimate) -> str:
    """A mean with half the width of its interval; a dash where nothing was measured."""
    return "-" if isnan(one.value) else f"{one.value:.2f} ± {(one.high - one.low) / 2:.2f}"


def as_paired_markdown(
    evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN
) -> str:
    """:func:`compare_paired` as a Markdown table, a line for each rival.

    The intervals are of 95 %; bold where the method is better also by the intervals that :func:`judge_all` widens for
    the number of comparisons.
    """
    verdicts = judge_all(evaluation, method, others, metrics)
    rows = [[f"{escape_markdown(method)} minus", *metrics]]
    for other in others:
        rows.append([escape_markdown(other)])
        for metric in metrics:
            _, mean, low, high = compare_paired(evaluation, metric, method, other)
            cell = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
            rows[-1].append(f"**{cell}**" if verdicts[metric][other] == BETTER else cell)
    return write_markdown(rows)


def as_report(evaluation: Evaluation) -> str:
    """All tables of some rows as Markdown: means, the first method against the others, and further metrics."""
    metrics, (method, *others) = select_metrics(evaluation), evaluation.methods
    further = [name for name in FURTHER if name in evaluation.metrics or (name == OVERALL and "insertion" in metrics)]
    parts = [as_markdown(evaluation, metrics), as_markdown(evaluation, further)]
    if "VEA" in metrics:
        rows = [["method", "best threshold for all", "mean IoU there"]]
        for name in evaluation.methods:
            at = f"{best_threshold(evaluation, name):.2f}"
            value, low, high = evaluation.estimate(name, f"VEA@{at}")
            rows.append([escape_markdown(name), at, f"{value:.3f} ({low:.3f} to {high:.3f})"])
        parts.append(write_markdown(rows))
    if others:
        number = len(others) * len(metrics)
        parts += [
            as_paired_markdown(evaluation, method, others, metrics),
            f"{number} comparisons; bold: {escape_markdown(method)} is better, with intervals widened for that number.",
        ]
    return "\n\n".join(parts)


def write_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown; the first row is its heading."""
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def escape_markdown(name: str) -> str:
    """A name of any origin as Markdown that shows it and nothing else: exported pages run the HTML in Markdown."""
    return re.sub(r"([\\`*_\[\]|$])", r"\\\1", html.escape(" ".join(name.split()), quote=False))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of rows that ``python -m odam_lib.evaluation`` kept."""
    parser = argparse.ArgumentParser(prog="python -m odam_lib.evaluation.tables", description=main.__doc__)
    parser.add_argument("rows", type=user_path, help=".sqlite that evaluate kept, or a CSV that was written of one")
    parser.add_argument("--csv", type=user_path, help="CSV of all rows, or .csv.gz, to write; a .json lies beside it")
    parser.add_argument(
        "--least-iou", type=float, help="of a detection with its object; if left out, all rows and those from 0.9 on"
    )
    asked = parser.parse_args(arguments)
    found = Evaluation.load(asked.rows)
    if asked.csv is not None:
        write_csv(*read_rows(asked.rows), asked.csv)
        print(f"wrote {len(found.rows)} rows to {asked.csv}")
    if not found.rows:
        raise ValueError(f"{asked.rows} has no rows: there was no object with a detection to explain.")
    lowest = min(float(row["iou"]) for row in found.rows)
    for least_iou in (lowest, WELL_DETECTED) if asked.least_iou is None else (asked.least_iou,):
        some = found.well_detected(least_iou)
        if not some.rows:
            raise ValueError(f"{asked.rows} has no object with an IoU of at least {least_iou:g}: give a smaller one.")
        number = some.objects - some.undetected
        print(f"\n{number} of {some.objects} objects, detected with an IoU of at least {least_iou:.2f}\n")
        print(as_report(some))


if __name__ == "__main__":
    main()
