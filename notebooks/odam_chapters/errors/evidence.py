"""What rows of mistakes say: how many a removal mends, where their maps lie, and what tells the one from the other."""

from collections.abc import Callable, Iterable, Sequence

import torch

from odam_chapters.errors.compared import BAD_BOX, SORTS, WRONG_NAME
from odam_chapters.errors.survey import Mistake
from odam_chapters.statistics import area_under_roc
from odam_lib.metrics.intervals import Estimate, bootstrap, estimate_mean


def estimate(values: Iterable[float], mistakes: Sequence[Mistake]) -> Estimate:
    """The mean of a number of some mistakes, and its interval when whole pictures are drawn anew; NaN is left out.

    Args:
        values: one a mistake.
        mistakes: of one detector.
    """
    numbers, scenes = torch.tensor([float(value) for value in values]), torch.tensor([one.scene for one in mistakes])
    kept = ~numbers.isnan()
    return estimate_mean(numbers[kept], scenes[kept])


def mend_by_sort(mistakes: Sequence[Mistake]) -> dict[str, Estimate]:
    """The share of mistakes that are gone without the planted thing: of all, and of each sort."""
    among = {"all mistakes": list(mistakes)} | {sort: [one for one in mistakes if one.sort == sort] for sort in SORTS}
    return {f"{name} (n = {len(them)})": estimate([one.mended for one in them], them) for name, them in among.items()}


def share_energy(mistakes: Sequence[Mistake]) -> dict[str, Estimate]:
    """The share of a map's energy on the planted thing, where the mistake has two maps to compare."""
    boxes = [one for one in mistakes if one.sort == BAD_BOX]
    names = [one for one in mistakes if one.sort == WRONG_NAME]
    return {
        "bad box: wrong edge's map": estimate([one.wrong_edge_share for one in boxes], boxes),
        "bad box: best edge's map": estimate([one.best_edge_share for one in boxes], boxes),
        "bad box: spread over the box": estimate([one.box_share for one in boxes], boxes),
        "wrong name: map of what was said": estimate([one.class_share for one in names], names),
        "wrong name: map of what is true": estimate([one.true_class_share for one in names], names),
        "wrong name: spread over the box": estimate([one.box_share for one in names], names),
    }


def compare_maps(mistakes: Sequence[Mistake]) -> dict[str, Estimate]:
    """The share of energy on the planted thing, the wrong map's minus the right one's, by detector."""
    gaps = {}
    for name in dict.fromkeys(one.detector for one in mistakes):
        them = [one for one in mistakes if one.detector == name]
        gaps[f"{name}, edge"] = estimate([one.wrong_edge_share - one.best_edge_share for one in them], them)
        gaps[f"{name}, class"] = estimate([one.class_share - one.true_class_share for one in them], them)
    return gaps


def tell_mended(number: Callable[[Mistake], float], mistakes: Sequence[Mistake]) -> Estimate:
    """How well a number tells mistakes that a removal mends from others: the area under the ROC curve."""
    pairs = torch.tensor([[float(number(one)), one.mended] for one in mistakes]).reshape(-1, 2)

    def area(drawn: torch.Tensor) -> float:
        return area_under_roc(drawn[:, 0], drawn[:, 1] > 0)

    scenes = torch.tensor([one.scene for one in mistakes], dtype=torch.int64)
    return Estimate(area(pairs), *bootstrap(area, pairs, scenes, 200))
