"""Single cases from crowds: pairs and triples of boxes to decide about, people whom a rule loses or counts twice."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.kernels.nms import Kept
from odam_lib.kernels.similarity import correlation
from odam_lib.metrics.crowds import LEAST_IOU

LOST, DOUBLED = "lost", "counted twice"


def find_owners(boxes: Tensor, truth: Tensor) -> Tensor:
    """The person that each box is of: the one that it overlaps most, if with an IoU of at least 0.5.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        truth: ``Tensor[G, 4]``, the people.

    Returns:
        int64 ``Tensor[N]``; -1 of nobody.
    """
    if not len(truth):
        return torch.full((len(boxes),), -1, device=boxes.device)
    overlap, person = box_iou(boxes, truth.to(boxes)).max(dim=1)
    return torch.where(overlap >= LEAST_IOU, person, -1)


class Triple(NamedTuple):
    """Rows of three candidates of a picture that overlap.

    Attributes:
        first: row of one person.
        same: row of another one of the same person, of a lower score.
        other: row of another person, of a lower score than ``first``.
    """

    first: int
    same: int
    other: int


def find_telling_triple(found: Detections, maps: Tensor, truth: Tensor, iou_threshold: float = 0.5) -> Triple | None:
    """Three candidates: two boxes that overlap the first one, whose maps say best that only one is of the same person.

    Args:
        found: N candidates, best first.
        maps: ``Tensor[N, h, w]``, their maps on one raster.
        truth: ``Tensor[G, 4]``, the people.
        iou_threshold: what both IoUs are over.

    Returns:
        Of all such triples the one with the largest difference of the two correlations; None if there is none.
    """
    if not len(found):
        return None
    person, iou, agreement = find_owners(found.boxes, truth), box_iou(found.boxes, found.boxes), correlation(maps)
    follows = torch.ones_like(iou, dtype=torch.bool).triu(1) & (iou > iou_threshold) & (person[:, None] >= 0)
    alike = torch.where(follows & (person[:, None] == person), agreement, -torch.inf).max(dim=1)
    apart = torch.where(follows & (person[:, None] != person) & (person >= 0), agreement, torch.inf).min(dim=1)
    gap = alike.values - apart.values
    if not gap.isfinite().any():
        return None
    first = int(torch.where(gap.isfinite(), gap, -torch.inf).argmax())
    return Triple(first, int(alike.indices[first]), int(apart.indices[first]))


@dataclass(frozen=True)
class Couple:
    """Two candidates whose boxes overlap: of one person, or of two?

    Attributes:
        better, worse: their rows.
        iou, correlation: IoU of the two boxes, correlation of the two maps.
        same: whether both are of one person.
    """

    better: int
    worse: int
    iou: float
    correlation: float
    same: bool


def pick_couples(found: Detections, maps: Tensor, truth: Tensor, number: int, seed: int) -> list[Couple]:
    """Overlapping pairs at random, as many of one person as of two where there are enough, in random order.

    Args:
        found: N candidates, best first.
        maps: ``Tensor[N, h, w]``, their maps on one raster.
        truth: ``Tensor[G, 4]``, the people.
        number: how many.
        seed: random seed of the choice.

    Returns:
        At most so many pairs with an IoU over 0.5, both boxes being of somebody; each person, and each two, once.
    """
    person, iou, agreement = find_owners(found.boxes, truth), box_iou(found.boxes, found.boxes), correlation(maps)
    known = (person[:, None] >= 0) & (person >= 0)
    rows = torch.nonzero(torch.ones_like(iou, dtype=torch.bool).triu(1) & known & (iou > LEAST_IOU)).cpu()
    generator = torch.Generator().manual_seed(seed)
    of_whom: dict[tuple[int, ...], tuple[int, int]] = {}
    for one, two in rows[torch.randperm(len(rows), generator=generator)].tolist():
        of_whom.setdefault(tuple(sorted((int(person[one]), int(person[two])))), (one, two))
    kinds = {
        flag: [pair for people, pair in of_whom.items() if (people[0] == people[1]) == flag] for flag in (True, False)
    }
    chosen = kinds[True][: -(-number // 2)] + kinds[False][: number // 2]
    order = torch.randperm(len(chosen), generator=generator).tolist()
    return [
        Couple(one, two, float(iou[one, two]), float(agreement[one, two]), bool(person[one] == person[two]))
        for one, two in (chosen[place] for place in order)
    ]


@dataclass(frozen=True, eq=False)
class Failure:
    """A person whom a rule lost, or counted twice.

    Attributes:
        kind: ``lost``: no detection that was kept has an IoU of at least 0.5; ``counted twice``: a second one has.
        truth: ``Tensor[4]``, the person's box.
        kept: row of the candidate that was kept: the one that overlaps the person most, or the better of the two.
        other: row of the person's best candidate, which was suppressed, or of the second one, which was not.
        iou, correlation: IoU of their boxes, correlation of their maps.
    """

    kind: str
    truth: Tensor
    kept: int
    other: int
    iou: float
    correlation: float


def find_failures(found: Detections, maps: Tensor, kept: Kept, truth: Tensor) -> list[Failure]:
    """What a rule got wrong that better suppression could have got right; people without a candidate are left out.

    Args:
        found: N candidates.
        maps: ``Tensor[N, h, w]``, their maps on one raster.
        kept: what the rule kept of them.
        truth: ``Tensor[G, 4]``, the people.

    Returns:
        The lost ones, then those counted twice, each by descending score of ``other``.
    """
    person, iou, agreement = find_owners(found.boxes, truth), box_iou(found.boxes, found.boxes), correlation(maps)
    rows = kept.index
    lost, doubled = [], []
    for number in range(len(truth)):
        own, theirs = rows[person[rows] == number], torch.nonzero(person == number).flatten()
        if len(own):
            doubled += [(DOUBLED, number, int(own[0]), int(second)) for second in own[1:]]
        elif len(theirs) and len(rows):
            nearest = rows[box_iou(found.boxes[rows], truth[[number]].to(found.boxes))[:, 0].argmax()]
            lost.append((LOST, number, int(nearest), int(theirs[found.scores[theirs].argmax()])))
    ordered = [sorted(each, key=lambda case: -float(found.scores[case[3]])) for each in (lost, doubled)]
    return [
        Failure(kind, truth[number], one, other, float(iou[one, other]), float(agreement[one, other]))
        for kind, number, one, other in (*ordered[0], *ordered[1])
    ]
