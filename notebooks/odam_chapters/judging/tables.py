"""Which of two methods a metric prefers, and how sure that is."""

from collections.abc import Sequence

from odam_chapters.tables import write_text
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.verdicts import BETTER, FEW, OPEN, SEVEN, SMALLER_IS_BETTER, WORSE, judge_all
from odam_lib.metrics.intervals import LEVEL


def summarize_wins(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> str:
    """A line for each metric: than which other methods one is better or worse, and which it is not told apart from.

    The last line says how many verdicts these are, which :func:`~odam_lib.evaluation.verdicts.judge_all` gives as one
    family.
    """
    lines = []
    for metric, verdicts in judge_all(evaluation, method, others, metrics).items():
        parts = [
            f"{word} {', '.join(other for other, its in verdicts.items() if its == word)}"
            for word in (BETTER, WORSE, OPEN, FEW)
            if word in verdicts.values()
        ]
        lines.append(f"{metric:12} {'; '.join(parts)}")
    number = len(others) * len(metrics)
    level = 1 - (1 - LEVEL) / max(number, 1)
    return "\n".join([*lines, f"{number} paired comparisons, each by an interval of {level:.2%}"])


def count_wins(evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN) -> int:
    """How many metrics find a method better than every other one."""
    verdicts = judge_all(evaluation, method, others, metrics)
    return sum(set(verdicts[metric].values()) == {BETTER} for metric in metrics)


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
