"""What the README shows of rows that ``evaluate`` kept: means, and differences object by object.

``python -m odam_lib.evaluation.tables ROWS.csv`` prints both tables.
"""

import argparse
import html
import re
from collections.abc import Sequence

import torch

from odam_lib.command import command
from odam_lib.evaluation.rows import Evaluation
from odam_lib.files import user_path
from odam_lib.metrics.intervals import mean_interval

SMALLER_IS_BETTER = ("deletion", "compactness", "ODI box", "ODI mask")
SEVEN = ("deletion", "insertion", "VEA", "energy mask", "ODI mask", "compactness", "causes")
"""The metrics of the paper's comparison, one of each kind, and planted causes."""
BY_BOX = {"energy mask": "energy box", "ODI mask": "ODI box"}
"""What stands for a metric of :data:`SEVEN` where there are no masks."""


def select_metrics(evaluation: Evaluation) -> list[str]:
    """Those of :data:`SEVEN` that were measured, by boxes where they were not measured by masks."""
    present = [name if name in evaluation.metrics else BY_BOX.get(name, name) for name in SEVEN]
    return [name for name in present if name in evaluation.metrics]


def compare_paired(evaluation: Evaluation, metric: str, method: str, other: str) -> tuple[int, float, float, float]:
    """A method's value minus another's, object by object.

    Returns:
        How many objects have both values, the mean difference, and its 95 % interval (bootstrap over pictures).

    Raises:
        ValueError: the two were measured on different objects, or nothing was measured of one of them by this metric.
    """
    ours, theirs = (
        {(int(row["image_id"]), row["object"]): row for row in evaluation.rows if row["method"] == name}
        for name in (method, other)
    )
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


def as_markdown(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """Means as a Markdown table, a line for each method; half the width of each 95 % interval stands behind."""
    rows = [["", *metrics]]
    for method in evaluation.methods:
        estimates = (evaluation.estimate(method, metric) for metric in metrics)
        cells = (f"{one.value:.2f} ± {(one.high - one.low) / 2:.2f}" for one in estimates)
        rows.append([escape_markdown(method), *cells])
    return write_markdown(rows)


def as_paired_markdown(
    evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN
) -> str:
    """:func:`compare_paired` as a Markdown table, a line for each rival; bold where the method is certainly better."""
    rows = [[f"{escape_markdown(method)} minus", *metrics]]
    for other in others:
        rows.append([escape_markdown(other)])
        for metric in metrics:
            _, mean, low, high = compare_paired(evaluation, metric, method, other)
            cell = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
            certain = high < 0 if metric in SMALLER_IS_BETTER else low > 0
            rows[-1].append(f"**{cell}**" if certain else cell)
    return write_markdown(rows)


def write_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown; the first row is its heading."""
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def escape_markdown(name: str) -> str:
    """A name of any origin as Markdown that shows it and nothing else: exported pages run the HTML in Markdown."""
    return re.sub(r"([\\`*_\[\]|$])", r"\\\1", html.escape(" ".join(name.split()), quote=False))


@command
def main() -> None:
    """Print the tables of rows that ``python -m odam_lib.evaluation`` kept."""
    parser = argparse.ArgumentParser(prog="python -m odam_lib.evaluation.tables", description=main.__doc__)
    parser.add_argument("rows", type=user_path, help="CSV that evaluate made")
    path = parser.parse_args().rows
    found = Evaluation.load(path)
    if not found.rows:
        raise ValueError(f"{path} has no rows: there was no object with a detection to explain.")
    metrics = select_metrics(found)
    print(as_markdown(found, metrics), end="\n\n")
    print(as_paired_markdown(found, found.methods[0], found.methods[1:], metrics))


if __name__ == "__main__":
    main()
