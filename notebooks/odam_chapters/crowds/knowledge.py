"""How much maps know of who is who: do they tell pairs of one person from pairs of two, and better than boxes do?"""

from collections.abc import Mapping

import torch
from torch import Tensor

from odam_chapters.odam_train.separation import CandidatePairs
from odam_chapters.statistics import area_under_roc
from odam_lib.metrics.intervals import Estimate, bootstrap

BANDS = {f"IoU {low} to {high}": (low, high) for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9))}
"""Narrow bands of the IoU of two boxes, by name."""
MAPS, BOXES = "maps", "boxes"


def estimate_areas(
    pairs: CandidatePairs, band: tuple[float, float], repeats: int, seed: int = 0
) -> dict[str, Estimate]:
    """How often a pair of one person has more than a pair of two, both with an IoU in a band.

    Args:
        pairs: of candidates.
        band: between which two IoUs, the upper one belongs to it.
        repeats: draws of pictures behind each 95 % interval.
        seed: of the draws.

    Returns:
        ``maps``: more correlation; ``boxes``: more IoU; ``difference``: by how much the first exceeds the second, on
        the same draws. NaN where one kind of pair is missing.
    """
    chosen = (pairs.ious > band[0]) & (pairs.ious <= band[1]) & pairs.correlations.isfinite()
    rows = torch.stack([pairs.correlations, pairs.ious, pairs.same.to(pairs.ious)], dim=1)[chosen]

    def area(rows: Tensor, column: int) -> float:
        return area_under_roc(rows[:, column], rows[:, 2] > 0)

    measures = {
        MAPS: lambda rows: area(rows, 0),
        BOXES: lambda rows: area(rows, 1),
        "difference": lambda rows: area(rows, 0) - area(rows, 1),
    }
    images = pairs.images[chosen]
    return {
        name: Estimate(measure(rows), *bootstrap(measure, rows, images, repeats, seed))
        for name, measure in measures.items()
    }


def estimate_knowledge(
    scatter: Mapping[str, CandidatePairs], repeats: int
) -> dict[tuple[str, str], dict[str, Estimate]]:
    """:func:`estimate_areas` of each detector in each of ``BANDS``."""
    return {
        (detector, name): estimate_areas(pairs, band, repeats)
        for detector, pairs in scatter.items()
        for name, band in BANDS.items()
    }


def list_knowledge(known: Mapping[tuple[str, str], Mapping[str, Estimate]]) -> list[dict[str, str | float]]:
    """The areas of maps and boxes for :func:`odam_chapters.charts.show_intervals`: a panel for each band."""
    return [
        {"method": f"{kind}, {detector}", "metric": band, "mean": one.value, "low": one.low, "high": one.high}
        for (detector, band), each in known.items()
        for kind, one in each.items()
        if kind in (MAPS, BOXES)
    ]
