"""What answers say, in lines of text."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from odam_chapters.study.given import Pointing, Ranking
from odam_chapters.study.inference import (
    Table,
    compare,
    estimate_means,
    is_right,
    keep_finished,
    tabulate_pointings,
    tabulate_ranks,
)


def describe_rankings(rankings: Sequence[Ranking], questions: int) -> str:
    """Mean ranks, of two maps how often each was chosen, and tests of those who answered all questions."""
    finished, left_out = keep_finished(rankings, questions)
    table = tabulate_ranks(finished) if finished else None
    if table is not None and len(table.conditions) == 2:
        return _describe(replace(table, values=2 - table.values), left_out, "chosen")
    return _describe(table, left_out, "mean rank")


def describe_pointings(
    pointings: Sequence[Pointing], questions: int, value: Callable[[Pointing], float] = is_right, what: str = "right"
) -> str:
    """Means of a number and tests of those who answered all questions."""
    finished, left_out = keep_finished(pointings, questions)
    return _describe(tabulate_pointings(finished, value) if finished else None, left_out, what)


def _describe(table: Table | None, left_out: int, what: str) -> str:
    people = 0 if table is None else len(table.people)
    lines = [f"{people} people" + (f", {left_out} more have not finished and are left out" if left_out else "")]
    if table is not None:
        wide = max(map(len, table.conditions))
        lines += [
            f"  {name:{wide}}  {what} {value:.2f}" + (f" ({low:.2f} to {high:.2f})" if people > 1 else "")
            for name, (value, low, high) in estimate_means(table).items()
        ]
    if table is None or people < 2:
        return "\n".join([*lines, "  A test takes two people or more."])
    found = compare(table)
    if len(table.conditions) > 2:
        lines.append(f"  Friedman: chi-square {found.statistic:.1f}, p {_write(found.p)}")
    told = {f"{pair.first} - {pair.second}": pair for pair in found.pairs}
    corrected = "p by Holm" if len(told) > 1 else "Wilcoxon: p"
    for names, pair in told.items():
        value, low, high = pair.difference
        said = f"{value:+.2f} ({low:+.2f} to {high:+.2f}), {corrected} {_write(pair.adjusted)}"
        lines.append(f"  {names:{max(map(len, told))}}  {said}")
    return "\n".join([*lines, *(f"  {warning}" for warning in found.warnings)])


def _write(p: float) -> str:
    return f"{p:.3f}" if p >= 0.0005 else "below 0.001"
