"""Mistakes in pictures that cannot be drawn again: what to hide in them, and what other object a map lies on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from odam_chapters.errors.cases import explain_edges, make_case
from odam_chapters.errors.compared import find_worst_and_best_edge, measure_deviations
from odam_chapters.errors.plots import Case
from odam_chapters.errors.survey import Judged, speak_of
from odam_chapters.influence import measure_edge_moves, measure_scores_without, move_into, roll_in, select_strongest
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside
from odam_lib.viz.drawing import TITLES


@dataclass(frozen=True, eq=False)
class Confusion:
    """A prediction of the wrong class, with the maps of both classes.

    Attributes:
        image: ``Tensor[3, H, W]`` in [0, 1].
        prediction: one row, as it was said.
        labels: the class that was said and the true one.
        names: names of both.
        scores: ``Tensor[2]``, of both.
        maps: ``Tensor[2, H, W]``, of both, zero outside the box.
        case: ready to be shown.
    """

    image: Tensor
    prediction: Detections
    labels: tuple[int, int]
    names: tuple[str, str]
    scores: Tensor
    maps: Tensor
    case: Case


def find_confusion(image: Tensor, target: Mapping[str, Tensor], judged: Judged, row: int) -> Confusion | None:
    """What a detection confused; ``None`` if its class is right or the detector does not know the true one.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: its ``boxes`` and ``labels``.
        judged: as :func:`~odam_chapters.errors.survey.judge` returned them for that image.
        row: row of the detection.
    """
    trace, found, errors = judged
    one = found[row]
    true = int(target["labels"][errors.objects[row]]) if errors.names()[row] == "misclassified" else 0
    if not 0 < true < len(one.categories):
        return None
    other = speak_of(one, torch.tensor([true]))
    heats = torch.cat([ODAM()(trace, each, ("class",)).to_image()[:, 0] for each in (one, other)])
    return Confusion(
        image=image,
        prediction=one,
        labels=(int(one.labels[0]), true),
        names=(one.names()[0], other.names()[0]),
        scores=torch.cat([one.scores, other.scores]).cpu(),
        maps=(heats * box_regions(one.boxes, one.image_size)).cpu(),
        case=make_case(image, target, judged, row),
    )


def measure_covered(detector: Detector, one: Confusion, share: float, draws: int, generator: torch.Generator) -> Tensor:
    """The scores of both classes when a share of the box is hidden.

    Args:
        detector: what confused them.
        one: the confusion.
        share: of the box, in (0, 1].
        draws: how many random places.
        generator: of the random places, on the CPU.

    Returns:
        ``Tensor[2 + draws, 2]``: where the map of what was said is strongest, where that of what is true is, and where
        the former's patch lies at random places of the box.
    """
    box = one.prediction.boxes[0].cpu()
    count = round(share * int(box_regions(box[None], one.prediction.image_size).sum()))
    strong = [select_strongest(heat, count) for heat in one.maps]
    regions = torch.stack(strong + [roll_in(strong[0], box, generator) for _ in range(draws)])
    return measure_scores_without(detector, one.image, one.prediction, regions, one.labels).cpu()


def select_ninths(box: Tensor, numbers: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Some of the nine equal parts of a box, counted from 0 in reading order.

    Args:
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.
        numbers: which parts.
        size: (height, width) of the image.

    Returns:
        bool ``Tensor[height, width]``.
    """
    corner, sides = box[:2], (box[2:] - box[:2]) / 3
    low = [corner + sides * sides.new_tensor([number % 3, number // 3]) for number in numbers]
    parts = torch.stack([torch.cat([at, at + sides]) for at in low]) if low else box.new_zeros((0, 4))
    return box_regions(parts, size).any(dim=0)


@dataclass(frozen=True, eq=False)
class BadEdge:
    """A detection of the right class with one edge clearly out of place, and the object that the edge's map lies on.

    Attributes:
        image: ``Tensor[3, H, W]`` in [0, 1].
        prediction: one row.
        edge: 0 to 3, the most wrong one: x1, y1, x2, y2.
        off: how far it lies outside its true place, in pixels; negative where it lies too far inwards.
        deviation: the same as a share of the true box's side.
        other: the name of the other object that most of the edge's map lies on.
        shares: shares of the wrong edge's and of the best edge's map, how much lies on that object.
        mask: bool ``Tensor[H, W]``, its visible pixels.
        case: ready to be shown.
    """

    image: Tensor
    prediction: Detections
    edge: int
    off: float
    deviation: float
    other: str
    shares: tuple[float, float]
    mask: Tensor
    case: Case

    @property
    def edge_name(self) -> str:
        """The edge in words."""
        return TITLES[EDGES[self.edge]]


def find_bad_edge(
    image: Tensor, target: Mapping[str, Tensor], judged: Judged, row: int, categories: Sequence[str], least: float
) -> BadEdge | None:
    """What is wrong with the worst edge of a detection of the right class.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: its ``boxes``, ``labels`` and ``masks``.
        judged: as :func:`~odam_chapters.errors.survey.judge` returned them for that image.
        row: row of the detection.
        categories: the names of the target's labels.
        least: from which deviation on an edge is bad, as a share of the true box's side.

    Returns:
        ``None`` if no edge is, or if there is no other object.
    """
    trace, found, errors = judged
    one, chosen = found[row], int(errors.objects[row])
    if chosen < 0 or target["labels"][chosen] != one.labels[0].cpu() or len(target["labels"]) < 2:
        return None
    box, true_box = one.boxes[0].cpu(), target["boxes"][chosen]
    worst = int(find_worst_and_best_edge(box[None], true_box[None])[0])
    deviation = float(measure_deviations(box[None], true_box[None])[0, worst])
    if abs(deviation) < least:
        return None
    pairs = explain_edges(trace, one, true_box)
    masks = target["masks"]
    on = torch.stack([energy_inside(heat, masks) for _, _, heat in pairs])
    on[:, chosen] = -1
    other = int(on[0].argmax())
    name = categories[int(target["labels"][other])]
    headings = [
        f"{text}\n{100 * share:.0f} % on the {_another(name, one)}" for (text, _, _), share in zip(pairs, on[:, other])
    ]
    sign = 1 if worst >= 2 else -1
    return BadEdge(
        image=image,
        prediction=one,
        edge=worst,
        off=sign * float(box[worst] - true_box[worst]),
        deviation=deviation,
        other=_another(name, one),
        shares=(float(on[0, other]), float(on[1, other])),
        mask=masks[other] & ~masks[chosen],
        case=Case(
            image=image,
            box=box,
            true_box=true_box,
            distractor=None,
            caption=f"{one.names()[0]} {one.scores[0]:.2f}, IoU {errors.overlaps[row]:.2f}",
            maps={heading: heat for heading, (_, _, heat) in zip(headings, pairs)},
            edges={heading: edge for heading, (_, edge, _) in zip(headings, pairs)},
        ),
    )


def measure_hidden(detector: Detector, one: BadEdge, draws: int, generator: torch.Generator) -> tuple[float, Tensor]:
    """How far a bad edge moves when the other object is hidden, and when its shape is hidden elsewhere in the box.

    Args:
        detector: what placed it.
        one: the bad edge.
        draws: how many random places.
        generator: of the random places, on the CPU.

    Returns:
        Pixels outwards, and a ``Tensor[draws]`` of such; NaN where the object is lost.
    """
    box = one.prediction.boxes[0].cpu()
    places = torch.stack([one.mask] + [move_into(one.mask, box, generator) for _ in range(draws)])
    side = float((box[2:] - box[:2])[one.edge % 2])
    moves = side * measure_edge_moves(detector, one.image, one.prediction, places)[:, one.edge].cpu()
    return float(moves[0]), moves[1:]


def _another(name: str, one: Detections) -> str:
    return f"other {name}" if name == one.names()[0] else name
