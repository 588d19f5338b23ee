"""Single cases from crowds: pairs and triples of boxes to decide about, people whom a rule loses or counts twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import box_iou

from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS, RASTER
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.suppression import find_candidates
from odam_lib.kernels.nms import Kept, nms, odam_nms
from odam_lib.kernels.similarity import correlation
from odam_lib.metrics.crowds import LEAST_IOU
from odam_lib.metrics.intervals import Estimate, bootstrap

LOST, DOUBLED = "lost", "counted twice"
FITTING, LEAD, MOST_SHARED = 0.7, 0.2, 0.8
"""What an eye needs to decide about two boxes, see :func:`list_couples`."""
TALL, SEEN = 50, 0.2
"""What it needs to recognise a person: pixels of height, and the share of the box that is visibly theirs."""
NEAR = 0.03
"""By how much the IoUs of two couples of a quiz may differ that are to tell nothing by their overlap."""


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


def find_telling_triple(found: Detections, maps: Tensor, truth: Tensor, iou_threshold: float = 0.5) -> Triple:
    """Three candidates: two boxes that overlap the first one, whose maps say best that only one is of the same person.

    Args:
        found: N candidates, best first.
        maps: ``Tensor[N, h, w]``, their maps on one raster.
        truth: ``Tensor[G, 4]``, the people.
        iou_threshold: what both IoUs are over.

    Returns:
        Of all such triples the one with the largest difference of the two correlations.

    Raises:
        ValueError: there is none.
    """
    if not len(found):
        raise ValueError("PICTURE has no detection that is sure and whole: take another crowd.")
    person, iou, agreement = find_owners(found.boxes, truth), box_iou(found.boxes, found.boxes), correlation(maps)
    follows = torch.ones_like(iou, dtype=torch.bool).triu(1) & (iou > iou_threshold) & (person[:, None] >= 0)
    alike = torch.where(follows & (person[:, None] == person), agreement, -torch.inf).max(dim=1)
    apart = torch.where(follows & (person[:, None] != person) & (person >= 0), agreement, torch.inf).min(dim=1)
    gap = alike.values - apart.values
    if not gap.isfinite().any():
        raise ValueError("PICTURE has no two boxes of a person that a neighbour's overlaps: take another crowd.")
    first = int(torch.where(gap.isfinite(), gap, -torch.inf).argmax())
    return Triple(first, int(alike.indices[first]), int(apart.indices[first]))


@dataclass(frozen=True, eq=False)
class Couple:
    """Two detections whose boxes overlap: of one person, or of two?

    Attributes:
        picture: number of the crowd.
        both: the two, the better first.
        iou, correlation: IoU of the two boxes, correlation of the two maps.
        same: whether both are of one person.
    """

    picture: int
    both: Detections
    iou: float
    correlation: float
    same: bool


def are_recognisable(target: Mapping[str, Tensor]) -> Tensor:
    """Which people of a picture an eye can recognise: those who are ``TALL``, and ``SEEN`` where masks tell that.

    Args:
        target: ``boxes`` ``[G, 4]`` and, perhaps, ``masks`` ``[G, H, W]`` of what is visible.

    Returns:
        bool ``Tensor[G]``.
    """
    width, height = (target["boxes"][:, 2:] - target["boxes"][:, :2]).T
    tall = height >= TALL
    if "masks" not in target:
        return tall
    return tall & (target["masks"].flatten(1).sum(dim=1) >= SEEN * width * height)


def list_couples(
    found: Detections, maps: Tensor, target: Mapping[str, Tensor], picture: int, seed: int = 0
) -> list[Couple]:
    """The overlapping pairs of a picture that an eye can decide: one at random of each person, and of each two.

    Both boxes lie wholly in the picture and fit their person, who can be recognised, by an IoU of at least
    ``FITTING``, and everybody else worse by at least ``LEAD``; the IoU of the two is over 0.5 and at most
    ``MOST_SHARED``.

    Args:
        found: N detections, best first.
        maps: ``Tensor[N, h, w]``, their maps on one raster.
        target: the people, see :func:`are_recognisable`.
        picture: its number.
        seed: random seed of the choice.
    """
    if not len(found) or not len(target["boxes"]):
        return []
    overlap = box_iou(found.boxes, target["boxes"].to(found.boxes))
    first, second = pad(overlap, (0, 1)).topk(2, dim=1).values.T
    known = are_recognisable(target).to(overlap.device)[overlap.argmax(dim=1)]
    clear = known & (first >= FITTING) & (first - second >= LEAD) & (found.clipped().boxes == found.boxes).all(dim=1)
    rows = torch.nonzero(clear).flatten()
    chosen, agreement, person = found[rows], correlation(maps[rows]), overlap[rows].argmax(dim=1).tolist()
    iou = box_iou(chosen.boxes, chosen.boxes)
    pairs = torch.nonzero(((iou > LEAST_IOU) & (iou <= MOST_SHARED)).triu(1)).cpu()
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))
    of_whom: dict[frozenset[int], tuple[int, int]] = {}
    for one, two in pairs[order].tolist():
        of_whom.setdefault(frozenset((person[one], person[two])), (one, two))
    return [
        Couple(picture, chosen[[one, two]], float(iou[one, two]), float(agreement[one, two]), len(people) == 1)
        for people, (one, two) in of_whom.items()
    ]


@torch.no_grad()
def map_both(detector: Detector, image: Tensor, both: Detections) -> Tensor:
    """The maps of two detections of a picture ``[3, H, W]`` on a raster of its size: ``Tensor[2, h, w]``."""
    return raster_maps(detector.trace(image), both, short_edge=min(image.shape[-2:]))


@torch.no_grad()
def find_couples(detector: Detector, pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> list[Couple]:
    """:func:`list_couples` of all pictures, among detections of a score over 0.5."""
    couples: list[Couple] = []
    for number, (image, target) in enumerate(pictures):
        trace = detector.trace(image)
        found = find_candidates(trace, 0.5)
        couples += list_couples(found, raster_maps(trace, found, short_edge=RASTER), target, number, number)
    return couples


def draw_quiz(couples: Sequence[Couple], number: int, seed: int) -> list[Couple]:
    """Couples for a quiz: some of two people at random, for each one of one person with the nearest IoU, mixed.

    Couples of two people without such a partner, whose IoU differs by at most ``NEAR``, are left out.

    Args:
        couples: what is drawn from.
        number: how many at most, an even number.
        seed: random seed of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    mixed = [couples[row] for row in torch.randperm(len(couples), generator=generator).tolist()]
    of_one, of_two = ([one for one in mixed if one.same == same] for same in (True, False))
    chosen: list[Couple] = []
    for one in of_two:
        partners = [other for other in of_one if abs(other.iou - one.iou) <= NEAR]
        if partners and len(chosen) + 2 <= number:
            nearest = min(partners, key=lambda other: abs(other.iou - one.iou))
            of_one.remove(nearest)
            chosen += [one, nearest]
    return [chosen[row] for row in torch.randperm(len(chosen), generator=generator).tolist()]


def rate_guesses(
    couples: Sequence[Couple], guesses: Mapping[str, Callable[[Couple], bool]], repeats: int, seed: int = 0
) -> dict[str, Estimate]:
    """How often a rule is right: the mean of its shares of couples of one person and of couples of two.

    Args:
        couples: at least one of each kind.
        guesses: couple -> whether a rule says that it is one person, by the rule's name.
        repeats: draws of pictures behind each 95 % interval.
        seed: of the draws.
    """
    same = torch.tensor([one.same for one in couples])
    pictures = torch.tensor([one.picture for one in couples])

    def rate(rows: Tensor) -> float:
        right, of_one = rows[:, 0], rows[:, 1] > 0
        return float(right[of_one].mean() + right[~of_one].mean()) / 2

    rated = {}
    for name, guess in guesses.items():
        right = torch.tensor([guess(one) for one in couples]) == same
        rows = torch.stack([right, same], dim=1).double()
        rated[name] = Estimate(rate(rows), *bootstrap(rate, rows, pictures, repeats, seed))
    return rated


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


class Mistake(NamedTuple):
    """A failure on one of several crowds: the crowd's number, the two detections, ``kept`` and ``other``, and it."""

    picture: int
    both: Detections
    failure: Failure


@torch.no_grad()
def list_mistakes(
    detector: Detector, pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]], low: float, high: float
) -> dict[str, list[Mistake]]:
    """What NMS and Odam-NMS get wrong among detections of a score over 0.5, by the name of the rule; the surest first.

    Args:
        detector: what finds people.
        pictures: items ``(image [3, H, W], target)`` with ``boxes`` of the people.
        low, high: T_l and T_h of Odam-NMS.
    """
    mistakes: dict[str, list[Mistake]] = {CLASSICAL: [], ODAM_NMS: []}
    for number, (image, target) in enumerate(pictures):
        trace = detector.trace(image)
        found = find_candidates(trace, 0.5)
        maps = raster_maps(trace, found, short_edge=RASTER)
        given = (found.boxes, found.scores, found.labels)
        for name, kept in ((CLASSICAL, nms(*given)), (ODAM_NMS, odam_nms(*given, maps, low=low, high=high))):
            failures = find_failures(found, maps, kept, target["boxes"])
            mistakes[name] += [Mistake(number, found[[one.kept, one.other]], one) for one in failures]
    return {name: sorted(each, key=lambda one: -float(one.both.scores[1])) for name, each in mistakes.items()}
