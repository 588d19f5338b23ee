"""Which of two methods a metric prefers, and how sure that is.

``python -m odam_lib.metrics.verdicts ROWS.csv`` prints the README's table of rows that ``evaluate`` kept.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from odam_lib.metrics.evaluate import Evaluation

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
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table of rows that ``python -m odam_lib.metrics.evaluate`` kept."""
    parser = argparse.ArgumentParser(prog="python -m odam_lib.metrics.verdicts", description=main.__doc__)
    parser.add_argument("rows", type=Path, help="CSV that evaluate made")
    found = Evaluation.load(parser.parse_args().rows)
    print(as_markdown(found, measured(found)))


def _line(evaluation: Evaluation, metric: str, method: str) -> tuple[float, float, float]:
    line = evaluation.line(method, metric)
    return float(line["mean"]), float(line["low"]), float(line["high"])


if __name__ == "__main__":
    main()
