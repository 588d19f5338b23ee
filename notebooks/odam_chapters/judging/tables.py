"""Which of two methods a metric prefers, and how sure that is."""

from collections.abc import Sequence

from odam_chapters.tables import write_text
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.tables import select_metrics, write_mean
from odam_lib.evaluation.verdicts import BETTER, FEW, OPEN, SEVEN, SMALLER_IS_BETTER, WORSE, judge_all
from odam_lib.metrics.intervals import LEVEL

WORDS = {BETTER: "better", WORSE: "worse", OPEN: "open", FEW: "too few"}
"""What a table says of each verdict; ``open`` is an interval that holds 0."""
WIDTHS = (-17, 13)


def tabulate_means(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """Means with half the width of their 95 % intervals: a line for each method, a column for each metric."""
    rows = [
        [method, *(write_mean(evaluation.estimate(method, metric)) for metric in metrics)]
        for method in evaluation.methods
    ]
    return write_text([["", *metrics], *rows], *WIDTHS)


def tabulate_verdicts(
    evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN
) -> str:
    """Is a method better than each other one? A line for each of them, a column for each metric.

    The last line says how many verdicts these are, which :func:`~odam_lib.evaluation.verdicts.judge_all` gives as one
    family.
    """
    verdicts = judge_all(evaluation, method, others, metrics)
    rows = [[other, *(WORDS[verdicts[metric][other]] for metric in metrics)] for other in others]
    heading, number = f"{method} against", len(others) * len(metrics)
    level = 1 - (1 - LEVEL) / max(number, 1)
    return "\n".join(
        [
            write_text([[heading, *metrics], *rows], min(WIDTHS[0], -len(heading)), WIDTHS[1]),
            f"{number} paired comparisons, each by an interval of {level:.2%}",
        ]
    )


def name_winners(evaluation: Evaluation, method: str = "ODAM") -> list[str]:
    """A sentence for each other method that some metrics find better, by verdicts that are one family."""
    others = [name for name in evaluation.methods if name != method]
    verdicts = judge_all(evaluation, method, others, select_metrics(evaluation))
    losses = {other: [metric for metric, its in verdicts.items() if its[other] == WORSE] for other in others}
    return [f"{other} is better than {method} by {', '.join(by)}" for other, by in losses.items() if by]


def count_wins(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> int:
    """How many metrics find a method better than every other one."""
    verdicts = judge_all(evaluation, method, others, metrics)
    return sum(set(verdicts[metric].values()) == {BETTER} for metric in metrics)


def rank_methods(evaluation: Evaluation, metric: str, methods: Sequence[str]) -> list[str]:
    """Methods from best to worst mean."""
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    return sorted(methods, key=lambda name: sign * evaluation.estimate(name, metric).value)
