"""Which of two methods a metric prefers, and how sure that is."""

from collections.abc import Sequence

from odam_chapters.tables import write_text
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.tables import SEVEN, SMALLER_IS_BETTER


def is_better(evaluation: Evaluation, metric: str, method: str, other: str) -> bool | None:
    """Whether a method is better than another by a metric: ``None`` where the 95 % intervals of the means overlap.

    Raises:
        ValueError: nothing was measured of one of them by this metric.
    """
    ours, theirs = (evaluation.estimate(name, metric) for name in (method, other))
    if metric in SMALLER_IS_BETTER:
        ours, theirs = theirs, ours
    if ours.low > theirs.high:
        return True
    return False if ours.high < theirs.low else None


def summarize_wins(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> str:
    """A line for each metric: than which other methods one is better or worse, and which it cannot be told from."""
    lines = []
    for metric in metrics:
        outcomes = {other: is_better(evaluation, metric, method, other) for other in others}
        words = {True: "better than", False: "worse than", None: "indistinguishable from"}
        parts = [
            f"{words[outcome]} {', '.join(name for name, its in outcomes.items() if its is outcome)}"
            for outcome in words
            if outcome in outcomes.values()
        ]
        lines.append(f"{metric:12} {'; '.join(parts)}")
    return "\n".join(lines)


def count_wins(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> int:
    """How many metrics find a method better than every other one."""
    return sum(all(is_better(evaluation, metric, method, other) for other in others) for metric in metrics)


def rank_methods(evaluation: Evaluation, metric: str, methods: Sequence[str]) -> list[str]:
    """Methods from best to worst mean."""
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    return sorted(methods, key=lambda name: sign * evaluation.estimate(name, metric).value)


def tabulate_means(evaluation: Evaluation, metrics: Sequence[str] = SEVEN) -> str:
    """Means and 95 % intervals as text: a line for each method, a column for each metric."""
    rows = [
        [method, *("{:.2f} [{:.2f}, {:.2f}]".format(*evaluation.estimate(method, metric)) for metric in metrics)]
        for method in evaluation.methods
    ]
    return write_text([["", *metrics], *rows], -18, 22)
