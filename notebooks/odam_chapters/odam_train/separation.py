"""Whether maps of neighbours in a crowd are apart (Fig. 4): one map a person, compared with those that overlap it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.in_boxes import frame_box
from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.detectors.boxes import measure_paired_iou
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.explain import Explainer, check_explainer
from odam_lib.kernels import checks
from odam_lib.kernels.similarity import cosines
from odam_lib.metrics.discrimination import floor, object_discrimination
from odam_lib.metrics.intervals import Estimate, bootstrap, estimate_mean, mean_interval
from odam_lib.metrics.localization import energy_inside, pointing

RASTER = 50
"""Maps are compared on so many lines and columns over the picture, as Odam-NMS does."""
PAIRED = ("pairs", "pair_ious", "correlations")
"""What a survey knows of pairs of people, not of single ones."""


def choose_representatives(
    trace: Trace, boxes: Tensor, labels: Tensor, least_iou: float = 0.5
) -> tuple[Detections, Tensor]:
    """One prediction for each true object, before any suppression, which would leave out those that overlap most.

    A candidate is of the object of its label that it overlaps most, if their IoU is at least ``least_iou``; the object
    is represented by its candidate of highest score.

    Args:
        trace: one forward pass.
        boxes: ``Tensor[M, 4]``, true boxes in pixels of the image.
        labels: ``Tensor[M]``, int64.
        least_iou: in (0, 1].

    Returns:
        N <= M detections, and the object ``Tensor[N]``, int64, of each, in increasing order.

    Raises:
        TypeError, ValueError: not such tensors, or an IoU outside (0, 1].
    """
    checks.tensor("boxes", boxes, "[M, 4]")
    checks.tensor("labels", labels, f"[{len(boxes)}]", "int")
    least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
    candidates = trace.candidates
    if not len(boxes) or not len(candidates):
        return candidates[:0], torch.zeros(0, dtype=torch.int64)
    overlap = box_iou(boxes.to(candidates.boxes), candidates.boxes)
    overlap = overlap * (labels.to(candidates.labels)[:, None] == candidates.labels)
    best, of = overlap.max(dim=0)
    theirs = (of == torch.arange(len(boxes), device=of.device)[:, None]) & (best >= least_iou)
    scores = torch.where(theirs, candidates.scores, -1.0)
    found = theirs.any(dim=1)
    return candidates[scores.argmax(dim=1)[found]], torch.nonzero(found).flatten().cpu()


def pair_overlapping(boxes: Tensor, least_iou: float = 0.3) -> Tensor:
    """Pairs of different boxes ``[N, 4]`` whose IoU is above a bound: ``Tensor[P, 2]``, int64, each pair once.

    Raises:
        TypeError, ValueError: no such tensor, or a bound outside [0, 1].
    """
    checks.tensor("boxes", boxes, "[N, 4]")
    least_iou = checks.number("The least IoU", least_iou, "[0, 1]")
    return torch.nonzero(box_iou(boxes, boxes).triu(diagonal=1) > least_iou)


def choose_couple(traces: Mapping[str, Trace], target: Mapping[str, Tensor], least_iou: float = 0.3) -> Tensor:
    """Two people to look at: wholly in the picture, predicted by every detector, with the largest common area.

    Args:
        traces: of one picture, by the detector's name.
        target: ``boxes`` and ``labels`` of the people.
        least_iou: of the two boxes.

    Returns:
        ``Tensor[2]``, int64.

    Raises:
        ValueError: there are no such two.
    """
    boxes, size = target["boxes"], min(next(iter(traces.values())).image.shape[-2:])
    found = [set(choose_representatives(each, boxes, target["labels"])[1].tolist()) for each in traces.values()]
    inside = ((boxes >= 0) & (boxes <= size)).all(dim=1)
    people = torch.tensor([person for person in sorted(set.intersection(*found)) if inside[person]], dtype=torch.int64)
    pairs = people[pair_overlapping(boxes[people], least_iou)]
    if not len(pairs):
        raise ValueError("PICTURE has no two people who overlap and are found by both detectors: take another crowd.")
    low, high = boxes[pairs, :2].amax(dim=1), boxes[pairs, 2:].amin(dim=1)
    return pairs[(high - low).prod(dim=1).argmax()]


def represent(trace: Trace, target: Mapping[str, Tensor], people: Tensor) -> Detections:
    """The prediction of each of some people, see :func:`choose_representatives`; every one of them has one.

    Args:
        trace: one forward pass.
        target: ``boxes`` and ``labels`` of all people.
        people: ``Tensor[N]``, int64.
    """
    found, own = choose_representatives(trace, target["boxes"], target["labels"])
    return found[[own.tolist().index(person) for person in people.tolist()]]


def correlate_pairs(maps: Tensor, pairs: Tensor) -> Tensor:
    """The cosine of each pair of maps.

    Args:
        maps: ``Tensor[N, ...]``, non-negative, of one size.
        pairs: ``Tensor[P, 2]``, int64.

    Returns:
        ``Tensor[P]`` in [0, 1]; NaN where one of the two is a map of zeros, which has no direction.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("pairs", pairs, "[P, 2]", "int")
    first, place = pairs[:, 0].unique(return_inverse=True)
    found = cosines(maps, first)[place, pairs[:, 1]]
    zero = ~maps.flatten(1).any(dim=1)
    return torch.where(zero[pairs].any(dim=1), torch.nan, found)


@dataclass(frozen=True, eq=False)
class Survey:
    """The maps of one detector's predictions on crowds, judged; N people and P pairs of people that overlap.

    Attributes:
        image_ids, objects: ``Tensor[N]``, int64, whose map it is.
        scores, ious: ``Tensor[N]``, of the explained prediction.
        odi, floors: ``Tensor[N]``, :func:`~odam_lib.metrics.discrimination.object_discrimination` by visible masks, and
            that of the person's own mask.
        energies: ``Tensor[N]``, share of the map on the person's own visible pixels.
        hits: bool ``Tensor[N]``, whether the map's maximum lies there.
        pair_image_ids: ``Tensor[P]``, int64.
        pairs: ``Tensor[P, 2]``, int64, the two people.
        pair_ious: ``Tensor[P]``, of the two true boxes.
        correlations: ``Tensor[P]``, cosine of the two maps; NaN with a map of zeros.
    """

    image_ids: Tensor
    objects: Tensor
    scores: Tensor
    ious: Tensor
    odi: Tensor
    floors: Tensor
    energies: Tensor
    hits: Tensor
    pair_image_ids: Tensor
    pairs: Tensor
    pair_ious: Tensor
    correlations: Tensor


def survey(
    detector: Detector,
    items: Iterable[tuple[Tensor, dict[str, Tensor]]],
    method: Explainer,
    attribute: str = "class",
    least_iou: float = 0.3,
) -> Survey:
    """Explain one prediction of every person that a detector finds, and judge the maps.

    Which prediction it is says :func:`choose_representatives`.

    Args:
        detector: what is explained.
        items: ``(image, target)`` with ``boxes``, ``labels``, ``masks`` and ``image_id``.
        method: the explainer.
        attribute: what is explained.
        least_iou: of the true boxes of two people that are compared.

    Raises:
        TypeError: an argument of another type.
        ValueError: no picture.
    """
    check_detector(detector)
    check_explainer("method", method)
    least_iou = checks.number("The least IoU", least_iou, "[0, 1]")
    found = [_survey_picture(detector, image, target, method, attribute, least_iou) for image, target in items]
    if not found:
        raise ValueError("There is no picture to look at: give at least one.")
    return Survey(**{one.name: torch.cat([getattr(each, one.name) for each in found]) for one in fields(Survey)})


def _survey_picture(
    detector: Detector,
    image: Tensor,
    target: dict[str, Tensor],
    method: Explainer,
    attribute: str,
    least_iou: float,
) -> Survey:
    trace = detector.trace(image)
    explained, own = choose_representatives(trace, target["boxes"], target["labels"])
    heat_maps = method(trace, explained, [attribute])
    maps, masks = heat_maps.to_image()[:, 0].cpu(), target["masks"]
    boxes = target["boxes"][own]
    pairs = pair_overlapping(boxes, least_iou)
    return Survey(
        image_ids=torch.full_like(own, int(target["image_id"])),
        objects=own,
        scores=explained.scores.cpu(),
        ious=measure_paired_iou(explained.boxes.cpu(), boxes),
        odi=object_discrimination(maps, own, masks),
        floors=floor(own, masks, masks),
        energies=energy_inside(maps, masks[own]),
        hits=pointing(maps, masks[own]),
        pair_image_ids=torch.full((len(pairs),), int(target["image_id"])),
        pairs=own[pairs],
        pair_ious=measure_paired_iou(boxes[pairs[:, 0]], boxes[pairs[:, 1]]),
        correlations=correlate_pairs(heat_maps.to_image((RASTER, RASTER))[:, 0].cpu(), pairs),
    )


def align_surveys(before: Survey, after: Survey, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of the people, or pairs, that two detectors have in common, and the picture ``[n]`` of each.

    Args:
        before, after: of the same pictures.
        name: an attribute of :class:`Survey`.
    """
    of_pairs = name in PAIRED
    keys = [_keys(one, of_pairs) for one in (before, after)]
    places = {key: place for place, key in enumerate(keys[1])}
    rows = [(place, places[key]) for place, key in enumerate(keys[0]) if key in places]
    first, second = torch.tensor(rows, dtype=torch.int64).reshape(-1, 2).T
    ours, theirs = getattr(before, name)[first].double(), getattr(after, name)[second].double()
    known = ~(ours.isnan() | theirs.isnan())
    images = (before.pair_image_ids if of_pairs else before.image_ids)[first]
    return ours[known], theirs[known], images[known]


def _keys(one: Survey, of_pairs: bool) -> list[tuple[int, ...]]:
    if of_pairs:
        return [(image, *pair) for image, pair in zip(one.pair_image_ids.tolist(), one.pairs.tolist())]
    return list(zip(one.image_ids.tolist(), one.objects.tolist()))


@dataclass(frozen=True, eq=False)
class CandidatePairs:
    """Pairs of predictions before suppression (the scatter of IoU against correlation).

    Attributes:
        ious: ``Tensor[P]``, of the two predicted boxes.
        correlations: ``Tensor[P]``, of the two maps.
        same: bool ``Tensor[P]``, whether both are of the same person.
        images: ``Tensor[P]``, int64, the place of the picture among those looked at.
    """

    ious: Tensor
    correlations: Tensor
    same: Tensor
    images: Tensor

    def agreement(self, same: bool, least_iou: float = 0.5) -> tuple[Estimate, int]:
        """The mean correlation of pairs of one person, or of two, whose boxes overlap by more than ``least_iou``.

        Returns:
            The mean with its 95 % bootstrap interval over pictures, and the number of pairs.
        """
        chosen = (self.ious > least_iou) & (self.same == same) & self.correlations.isfinite()
        values = self.correlations[chosen].double()
        return estimate_mean(values, self.images[chosen]), len(values)


def estimate_gaps(pairs: CandidatePairs, repeats: int = 200, seed: int = 0) -> dict[float, Estimate]:
    """By how much the maps of one person agree more than those of two, in bands of the IoU that are 0.1 wide.

    Args:
        pairs: of candidates.
        repeats: draws of pictures behind each 95 % interval.
        seed: of the draws.

    Returns:
        The difference of the mean correlations by the middle of the band, of those with ten pairs of each kind or more.
    """
    known = pairs.correlations.isfinite()
    band = (pairs.ious * 10).long().clamp(max=9)

    def gap(rows: Tensor) -> float:
        same = rows[:, 1] > 0
        return float(rows[same, 0].mean() - rows[~same, 0].mean())

    gaps = {}
    for number in range(10):
        chosen = known & (band == number)
        rows = torch.stack([pairs.correlations, pairs.same.to(pairs.correlations)], dim=1)[chosen].double()
        if min(int(rows[:, 1].sum()), int((1 - rows[:, 1]).sum())) >= 10:
            drawn = bootstrap(gap, rows, pairs.images[chosen], repeats, seed)
            gaps[(number + 0.5) / 10] = Estimate(gap(rows), *drawn)
    return gaps


def pair_candidates(
    detector: Detector,
    items: Iterable[tuple[Tensor, dict[str, Tensor]]],
    method: Explainer,
    score_threshold: float = 0.3,
    least_iou: float = 0.05,
    attribute: str = "logit",
) -> CandidatePairs:
    """Compare the maps of all overlapping candidates that are of a person, with IoU of at least 0.5.

    Args:
        detector: what is explained.
        items: ``(image, target)`` with ``boxes`` and ``labels``.
        method: the explainer.
        score_threshold: least score of a candidate, in [0, 1].
        least_iou: of two predicted boxes that are compared.
        attribute: what is explained.

    Raises:
        TypeError, ValueError: an argument of another type, or a number outside [0, 1].
    """
    check_detector(detector)
    check_explainer("method", method)
    score_threshold = check_threshold(score_threshold)
    least_iou = checks.number("The least IoU", least_iou, "[0, 1]")
    found = []
    for number, (image, target) in enumerate(items):
        trace = detector.trace(image)
        candidates = trace.above(score_threshold)
        overlap = box_iou(candidates.boxes, target["boxes"].to(candidates.boxes))
        overlap = overlap * (candidates.labels[:, None] == target["labels"].to(candidates.labels))
        best, person = overlap.max(dim=1)
        chosen, person = candidates[best >= 0.5], person[best >= 0.5].cpu()
        maps = method(trace, chosen, [attribute]).to_image((RASTER, RASTER))[:, 0].cpu()
        boxes = chosen.boxes.cpu()
        pairs = pair_overlapping(boxes, least_iou)
        ious = measure_paired_iou(boxes[pairs[:, 0]], boxes[pairs[:, 1]])
        same = person[pairs[:, 0]] == person[pairs[:, 1]]
        found.append((ious, correlate_pairs(maps, pairs), same, torch.full((len(pairs),), number)))
    return CandidatePairs(*(torch.cat(each) for each in zip(*found)))


def face_neighbours(maps: Tensor, boxes: Tensor, others: Tensor, margin: float = 0.5) -> Tensor:
    """Maps in the frame of their own box, mirrored where needed so that the neighbour stands on the right.

    Args:
        maps: ``Tensor[N, H, W]``, at image size.
        boxes: ``Tensor[N, 4]``, of the person explained.
        others: ``Tensor[N, 4]``, of its neighbour.
        margin: see :func:`odam_chapters.in_boxes.frame_box`.

    Returns:
        ``Tensor[N, cells, cells]``.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("maps", maps, "[N, H, W]", "float")
    checks.tensor("others", others, f"[{len(maps)}, 4]")
    frames = frame_box(maps[:, None], boxes, margin=margin)[:, 0]
    left = others[:, 0] + others[:, 2] < boxes[:, 0] + boxes[:, 2]
    return torch.where(left[:, None, None], frames.flip(-1), frames)


def list_intervals(surveys: Mapping[str, Survey], names: Sequence[str]) -> list[dict[str, str | float]]:
    """Means with 95 % bootstrap intervals over pictures, as :func:`odam_chapters.charts.show_intervals` draws them.

    Args:
        surveys: by the name of their row.
        names: attributes of :class:`Survey`.
    """
    made: list[dict[str, str | float]] = []
    for method, seen in surveys.items():
        for name in names:
            values = getattr(seen, name).double()
            groups = seen.pair_image_ids if name in PAIRED else seen.image_ids
            known = ~values.isnan()
            low, high = mean_interval(values[known], groups[known])
            mean = float(values[known].mean())
            made.append({"method": method, "metric": name, "mean": mean, "low": low, "high": high})
    return made
