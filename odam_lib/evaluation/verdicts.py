"""Which of two methods a metric prefers, and how sure that is: by differences object by object."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from odam_lib.evaluation.rows import Evaluation
from odam_lib.metrics.intervals import LEVEL, REPEATS, mean_interval

SEVEN = ("deletion", "insertion", "VEA", "energy mask", "ODI mask", "compactness", "causes")
"""The metrics of the paper's comparison, one of each kind, and planted causes."""
SMALLER_IS_BETTER = ("deletion", "deletion signed", "compactness", "ODI box", "ODI mask")
LEAST_OBJECTS = 30
"""Of fewer objects no verdict is given: a bootstrap over so few pictures is too sure of itself."""
BETTER, WORSE, OPEN, FEW = "better than", "worse than", "not told apart from", "compared on too few objects with"
DRAWS_BEYOND = 20
"""At least so many draws lie beyond each end of an interval, however wide it is."""


def compare_paired(
    evaluation: Evaluation, metric: str, method: str, other: str, level: float = LEVEL
) -> tuple[int, float, float, float]:
    """A method's value minus another's, object by object.

    Args:
        evaluation: rows of both methods.
        metric: its name.
        method, other: their names.
        level: of the interval.

    Returns:
        How many objects have both values, the mean difference, and its interval (bootstrap over pictures).

    Raises:
        ValueError: the two were measured on different objects, or nothing was measured of one of them by this metric.
    """
    ours, theirs = (evaluation.by_object(name, metric) for name in (method, other))
    if ours.keys() != theirs.keys():
        raise ValueError(
            f"{method} and {other} were measured on different objects ({len(ours)} and {len(theirs)}): only values of "
            "the same objects can be compared; evaluate both again."
        )
    differences = torch.tensor([ours[key] - theirs[key] for key in ours], dtype=torch.float64)
    pictures, known = torch.tensor([image for image, _ in ours]), ~differences.isnan()
    low, high = difference_interval(differences[known], pictures[known], level)
    return int(known.sum()), float(differences[known].mean()), low, high


def difference_interval(differences: Tensor, groups: Tensor, level: float) -> tuple[float, float]:
    """:func:`mean_interval` by so many draws that the ends of a wide interval do not hang on a few of them."""
    repeats = max(REPEATS, ceil(2 * DRAWS_BEYOND / (1 - level)))
    return mean_interval(differences, groups, repeats, level=level)


def judge_paired(evaluation: Evaluation, metric: str, method: str, other: str, comparisons: int = 1) -> str:
    """Whether a method is better than another by a metric, as one of several comparisons that are made together.

    The interval of the paired difference is widened to 1 - 0.05 / ``comparisons`` (Bonferroni): all verdicts of the
    family are right with 95 %, whereas one in twenty of plain 95 % intervals excludes 0 where nothing differs. Holm's
    procedure would find a little more, but no interval goes with it.

    Args:
        evaluation, metric, method, other: as for :func:`compare_paired`.
        comparisons: how many are made.

    Returns:
        ``BETTER``, ``WORSE``, ``OPEN`` where the interval includes 0, or ``FEW`` for fewer than ``LEAST_OBJECTS``
        objects, of which no verdict is given.

    Raises:
        ValueError: as for :func:`compare_paired`.
    """
    number, _, low, high = compare_paired(evaluation, metric, method, other, 1 - (1 - LEVEL) / comparisons)
    if number < LEAST_OBJECTS:
        return FEW
    if metric in SMALLER_IS_BETTER:
        low, high = -high, -low
    return BETTER if low > 0 else WORSE if high < 0 else OPEN


def judge_all(
    evaluation: Evaluation, method: str, others: Sequence[str], metrics: Sequence[str] = SEVEN
) -> dict[str, dict[str, str]]:
    """:func:`judge_paired` of a method against others by several metrics, which are one family: by metric, by other."""
    family = len(others) * len(metrics)
    return {
        metric: {other: judge_paired(evaluation, metric, method, other, family) for other in others}
        for metric in metrics
    }


def best_threshold(evaluation: Evaluation, method: str) -> float:
    """The threshold of the visual explanation accuracy at which a method's mean IoU over all objects is largest.

    The paper compares methods by it (Sec. 4.2): one threshold for all objects, each method its own. ``VEA best`` is
    the mean of the IoU at each object's own best threshold, which nobody knows without the mask.

    Raises:
        ValueError: no such method, or no such curve was measured.
    """
    places, means = evaluation.curve(method, "VEA")
    return places[max(range(len(means)), key=means.__getitem__)]
