"""What the rows of :mod:`~odam_chapters.attention.claims` say of each claim of the paper about DETR's attention."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from odam_chapters.attention.claims import Looked
from odam_chapters.tables import write_text
from odam_lib.evaluation.verdicts import LEAST_OBJECTS, difference_interval
from odam_lib.metrics.intervals import LEVEL, Estimate, estimate_mean

MEASURES = {
    "rim": "energy along the box's edge",
    "near": "along the edge, in and near the box",
    "outside": "energy outside the box",
    "backbone": "score lost, cells of the backbone",
    "encoder": "score lost, cells of the encoder",
}
MAPS = {"attention": "attention", "class": "ODAM, class map", "edges": "ODAM, edge maps", "control": "control"}
"""The columns of :class:`Looked` are a measure and a map; these are their names for a reader."""
COLUMNS = tuple(name for name in Looked.__annotations__ if "_" in name)


@dataclass(frozen=True)
class Claim:
    """That of the same detection one map has more, or less, of something than another one.

    Attributes:
        sentence: the claim, for a reader.
        measure: one of ``MEASURES``.
        ours, other: of ``MAPS``.
        more: whether the claim is that ``ours`` has more.
        either_way: whether a loss and a gain of the same size are the same.
    """

    sentence: str
    measure: str
    ours: str
    other: str
    more: bool
    either_way: bool = False


CLAIMS = (
    Claim("The decoder attends along the edge more than evenly", "rim", "attention", "control", True),
    Claim("... more than ODAM's class map", "rim", "attention", "class", True),
    Claim("... and ODAM's edge maps more than its class map", "rim", "edges", "class", True),
    Claim("In and near the box it does so more than evenly", "near", "attention", "control", True),
    Claim("... more than ODAM's class map", "near", "attention", "class", True),
    Claim("... and ODAM's edge maps more than its class map", "near", "edges", "class", True),
    Claim("ODAM's class map has less outside than the encoder's", "outside", "class", "attention", False),
    Claim("The encoder's own cells hold less score than ODAM's", "backbone", "attention", "class", False),
    Claim("... and change it less, either way", "backbone", "attention", "class", False, True),
    Claim("The decoder's own cells hold less score than ODAM's", "encoder", "attention", "class", False),
    Claim("... and change it less, either way", "encoder", "attention", "class", False, True),
)
"""Of App. A.5.5; that of ODAM's edge maps of Sec. 4.1."""


@dataclass(frozen=True)
class Judged:
    """A claim, and what the rows say of it.

    Attributes:
        claim: the claim.
        number: of objects.
        difference: mean of ``ours`` minus ``other``, object by object, and its 95 % bootstrap interval over scenes.
        verdict: ``reproduced`` or ``contradicted`` where 0 lies outside of the interval that is widened as that of
            :func:`odam_lib.evaluation.verdicts.judge_paired`, for all of ``CLAIMS`` together; else ``cannot tell``. Of
            fewer than ``LEAST_OBJECTS`` it says that they are too few.
    """

    claim: Claim
    number: int
    difference: Estimate
    verdict: str


def judge_claims(rows: Sequence[Looked]) -> list[Judged]:
    """A verdict on each of ``CLAIMS``."""
    scenes, judged = torch.tensor([one.scene for one in rows]), []
    beyond = (1 - LEVEL) / len(CLAIMS)
    for claim in CLAIMS:
        ours, other = (take_column(rows, claim.measure, name) for name in (claim.ours, claim.other))
        differences = ours.abs() - other.abs() if claim.either_way else ours - other
        low, high = difference_interval(differences, scenes, 1 - beyond)
        verdict = "cannot tell"
        if low > 0 or high < 0:
            verdict = "reproduced" if (low > 0) == claim.more else "contradicted"
        if len(rows) < LEAST_OBJECTS:
            verdict = f"too few objects: {len(rows)}"
        judged.append(Judged(claim, len(rows), estimate_mean(differences, scenes), verdict))
    return judged


def take_column(rows: Sequence[Looked], measure: str, name: str) -> Tensor:
    """float64 ``Tensor[N]`` of a measure of one of ``MAPS``."""
    return torch.tensor([getattr(one, f"{measure}_{name}") for one in rows], dtype=torch.float64)


def tabulate_means(rows: Sequence[Looked]) -> list[dict[str, Any]]:
    """For each measure and map ``method, metric, mean, low, high``, as ``show_intervals`` reads."""
    scenes, lines = torch.tensor([one.scene for one in rows]), []
    for name, title in MAPS.items():
        for measure in (one for one in MEASURES if f"{one}_{name}" in COLUMNS):
            mean, low, high = estimate_mean(take_column(rows, measure, name), scenes)
            lines.append({"method": title, "metric": measure, "mean": mean, "low": low, "high": high})
    return lines


def write_verdicts(judged: Sequence[Judged]) -> str:
    """A line for each claim: the difference of the two means, its interval, the verdict."""
    lines = [("claim", "difference", "95 % interval", "verdict")]
    for one in judged:
        mean, low, high = one.difference
        lines.append((one.claim.sentence, f"{mean:+.2f}", f"{low:+.2f} to {high:+.2f}", one.verdict))
    return write_text(lines, -54, -12, -18, -1)


def find_largest_difference(ours: Sequence[Looked], theirs: Sequence[Looked]) -> float:
    """Of any number of the objects that both rows have; NaN if there is none."""
    known = {(one.scene, one.object): one for one in theirs}
    return max(
        (
            abs(getattr(one, name) - getattr(known[one.scene, one.object], name))
            for one in ours
            if (one.scene, one.object) in known
            for name in COLUMNS
        ),
        default=math.nan,
    )
