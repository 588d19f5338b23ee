"""Items of the questionnaires, made of pictures by detectors and methods of explanation."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from odam_chapters.in_boxes import measure_edge_energy
from odam_chapters.odam_train.separation import choose_representatives
from odam_chapters.study.items import Box, Item
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import EDGES, HeatMaps
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.discrimination import object_discrimination
from odam_lib.metrics.localization import energy_inside
from odam_lib.metrics.matching import match
from odam_lib.viz.drawing import TITLES, blend, encode_png, resize
from odam_lib.viz.sheets import make_legible
from odam_lib.viz.views import MARGIN, View, view_box

PANEL, WHOLE = 320, 512
"""Pixels of the longer side of a picture that is cut around a box, and of a whole one."""
AROUND = 1.0
"""How much is shown around a box, as a share of its longer side: a map that lies on a neighbour has to be seen."""
LEAST_SCORE, LEAST_SIDE = 0.5, 24
"""A detection is asked about from this score on, and if its box is that many pixels wide and high."""
OF_A_CLASS = 2
"""How often a class is asked about, as in the paper; more often by a detector of few classes."""

VARIANTS = {
    "positive, ReLU": ODAM(),
    "negative, ReLU": ODAM(gradient="negative"),
    "positive, signed": ODAM(rectify="none"),
    "positive, absolute": ODAM(rectify="abs"),
}
"""The four maps of an edge of Fig. 16, in the paper's order."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture to ask about.

    Attributes:
        name: unlike any other's.
        image: ``Tensor[3, H, W]`` in [0, 1].
        target: its true ``boxes``, ``labels`` and, where they are known, ``masks``; ``None`` if nothing is known.
    """

    name: str
    image: Tensor
    target: Mapping[str, Tensor] | None = None


def make_trust_items(
    detector: Detector, pictures: Iterable[Picture], methods: Mapping[str, Explainer], number: int
) -> list[Item]:
    """Items of Tab. 2: the class maps of one detection by several methods.

    Detections are those that found a true object, or all where nothing is known; a class comes ``OF_A_CLASS`` times at
    most, and of a picture at most two detections are taken.

    Args:
        detector: what is explained.
        pictures: to be asked about, in order.
        methods: by name; their maps are non-negative.
        number: of items; fewer if the pictures hold no more.
    """
    items: list[Item] = []
    for picture, trace, rows, found in _choose(detector, pictures, 2, number):
        every = {name: method(trace, found, ["class"]) for name, method in methods.items()}
        for place, row in enumerate(rows):
            maps = {name: each[[place]] for name, each in every.items()}
            shares = _share_inside(found.boxes[place].cpu(), maps)
            items.append(_make_ranking(f"{picture.name}, {row}", picture.image, maps, methods, shares, ""))
    return items


def make_model_items(
    detectors: Sequence[Detector], pictures: Iterable[Picture], method: Explainer, number: int
) -> list[Item]:
    """Items of the second questionnaire of App. A.2: the class maps of one object by one method from two detectors.

    Of each picture one object is taken that both find, the one that is surest by the less sure of them; a class comes
    ``OF_A_CLASS`` times at most. The outline is the first detector's box where nothing is known, else the true one.

    Args:
        detectors: with different names.
        pictures: to be asked about, in order.
        method: of both maps, which are non-negative.
        number: of items; fewer if there are fewer such pictures.

    Raises:
        ValueError: two detectors have one name.
    """
    named = {detector.name: detector for detector in detectors}
    if len(named) < len(detectors):
        raise ValueError(f"Both detectors are called {detectors[0].name!r}: compare it with another one.")
    most, taken = _count_of_a_class(detectors[0], number), Counter[str]()
    methods = dict.fromkeys(named, method)
    items: list[Item] = []
    for picture in pictures:
        if len(items) >= number:
            break
        traces = {name: detector.trace(picture.image) for name, detector in named.items()}
        boxes, _, found = _find_objects(traces, picture, LEAST_SCORE)
        scores = {
            one: min(float(rows.scores[own.index(one)]) for own, rows in found.values())
            for one in set.intersection(*(set(own) for own, _ in found.values()))
        }
        own, rows = found[detectors[0].name]
        classes = {one: rows.names()[own.index(one)] for one in scores}
        free = [one for one in sorted(scores) if taken[classes[one]] < most]
        if not free:
            continue
        target = max(free, key=scores.__getitem__)
        taken[classes[target]] += 1
        maps = {name: method(traces[name], rows[[own.index(target)]], ["class"]) for name, (own, rows) in found.items()}
        shares = _share_inside(boxes[target], maps)
        item = _make_ranking(f"{picture.name}, {target}", picture.image, maps, methods, shares, "", boxes[target])
        items.append(item)
    return items


def make_edge_items(detector: Detector, pictures: Iterable[Picture], number: int, before: int = 0) -> list[Item]:
    """Items of Tab. 10: the maps of one edge of a box by the variants of Fig. 16, every edge equally often.

    Args:
        detector: what is explained.
        pictures: to be asked about, in order; of each one detection is taken.
        number: of items; fewer if there are fewer pictures with a detection.
        before: how many items there are already, so that edges go on taking turns.
    """
    items: list[Item] = []
    for picture, trace, (row,), one in _choose(detector, pictures, 1, number):
        edge = EDGES[(before + len(items)) % len(EDGES)]
        maps = {name: method(trace, one, [edge]) for name, method in VARIANTS.items()}
        shares = {
            name: float(measure_edge_energy(each.to_image()[:, 0].abs(), one.boxes)[0, EDGES.index(edge)])
            for name, each in maps.items()
        }
        items.append(_make_ranking(f"{picture.name}, {row}", picture.image, maps, VARIANTS, shares, edge))
    return items


def make_discrimination_items(
    conditions: Mapping[str, tuple[Detector, Explainer]],
    pictures: Iterable[Picture],
    number: int,
    seed: int = 0,
    of_a_picture: int = 1,
    least_score: float = LEAST_SCORE,
) -> list[Item]:
    """Items of App. A.3: the class maps of one object under several conditions, and all objects to choose from.

    Objects are taken at random among those that every detector finds. All objects are the true ones with their masks;
    where nothing is known, the detections and their boxes.

    Args:
        conditions: detector and method by name.
        pictures: to be asked about, in order; those with fewer than two objects are left out.
        number: of items; fewer if there are fewer such pictures.
        seed: random seed of the choice.
        of_a_picture: how many objects are taken of each at most.
        least_score: from which on a detector counts as having found an object.
    """
    items: list[Item] = []
    detectors = {detector.name: detector for detector, _ in conditions.values()}
    for picture in pictures:
        if len(items) >= number:
            break
        traces = {name: detector.trace(picture.image) for name, detector in detectors.items()}
        boxes, regions, found = _find_objects(traces, picture, least_score)
        common = sorted(set.intersection(*(set(own) for own, _ in found.values())))
        if len(boxes) < 2 or not common:
            continue
        enough = min(of_a_picture, number - len(items), len(common))
        targets = sorted(Random(f"{seed} {picture.name}").sample(common, enough))
        every = {}
        for name, (detector, method) in conditions.items():
            own, rows = found[detector.name]
            every[name] = method(traces[detector.name], rows[[own.index(one) for one in targets]], ["class"])
        for place, target in enumerate(targets):
            maps, name = {key: each[[place]] for key, each in every.items()}, f"{picture.name}, {target}"
            items.append(_make_pointing(name, picture.image, maps, conditions, boxes, regions, target))
    return items


def read_shares(maps: Tensor, regions: Tensor) -> Tensor:
    """The share of each map's energy on each object.

    Args:
        maps: ``Tensor[N, H, W]``, non-negative.
        regions: bool ``Tensor[M, H, W]``.

    Returns:
        ``Tensor[N, M]``; 0 for a map of zeros.
    """
    flat = maps.flatten(1) / maps.amax(dim=(-2, -1)).clamp(min=torch.finfo(maps.dtype).tiny)[:, None]
    return flat @ regions.flatten(1).to(flat).T / flat.sum(dim=1, keepdim=True).clamp(min=1)


def _find_objects(
    traces: Mapping[str, Trace], picture: Picture, least_score: float
) -> tuple[Tensor, Tensor, dict[str, tuple[list[int], Detections]]]:
    """Boxes ``[M, 4]`` and regions ``[M, H, W]`` of all objects; each detector's objects, and predictions of them."""
    size = picture.image.shape[-2], picture.image.shape[-1]
    if picture.target is None:
        found = {name: trace.detections(least_score).clipped() for name, trace in traces.items()}
        all_of_one = next(iter(found.values()))
        boxes, labels = all_of_one.boxes.cpu(), all_of_one.labels.cpu()
    else:
        boxes, labels = picture.target["boxes"], picture.target["labels"]
    regions = (picture.target or {}).get("masks")
    regions = box_regions(boxes, size) if regions is None else regions
    wide = [min(x2 - x1, y2 - y1) >= LEAST_SIDE / 2 for x1, y1, x2, y2 in boxes.tolist()]
    chosen = {}
    first = next(iter(traces.values())).detector.categories
    for name, trace in traces.items():
        rows, own = choose_representatives(trace, boxes, _renumber(labels, first, trace.detector.categories))
        keep = [at for at, one in enumerate(own.tolist()) if wide[one] and float(rows.scores[at]) >= least_score]
        chosen[name] = ([int(own[at]) for at in keep], rows[keep])
    return boxes, regions, chosen


def _renumber(labels: Tensor, ours: Sequence[str], theirs: Sequence[str]) -> Tensor:
    """Labels in another detector's numbering, by name; -1 for a class that it does not know."""
    places = {name: place for place, name in enumerate(theirs)}
    known = [places.get(ours[label], -1) if label < len(ours) else -1 for label in labels.tolist()]
    return torch.tensor(known, dtype=torch.int64)


def _choose(
    detector: Detector, pictures: Iterable[Picture], most: int, number: int
) -> Iterator[tuple[Picture, Trace, list[int], Detections]]:
    """So many detections to ask about, ``most`` of a picture at most: their rows among all of its, and themselves."""
    of_a_class, taken = _count_of_a_class(detector, number), Counter[str]()
    for picture in pictures if number > 0 else ():
        trace = detector.trace(picture.image)
        found = trace.detections(LEAST_SCORE)
        rows = _choose_rows(found, picture, taken, of_a_class)[: min(most, number)]
        if rows:
            yield picture, trace, rows, found[rows]
        number -= len(rows)
        if not number:
            return


def _count_of_a_class(detector: Detector, number: int) -> int:
    """How often a class may be asked about, so that so many items are possible."""
    return max(OF_A_CLASS, math.ceil(number / (len(detector.categories) - 1)))


def _choose_rows(found: Detections, picture: Picture, taken: Counter[str], of_a_class: int) -> list[int]:
    """Rows of a picture's detections to ask about, two at most, of classes that were not asked about often enough."""
    rows = range(len(found))
    if picture.target is not None:
        true = match(found, picture.target["boxes"], picture.target["labels"]).tolist()
        rows = sorted(row for row in true if row >= 0)
    chosen = []
    for row in rows:
        x1, y1, x2, y2 = found.boxes[row].tolist()
        name = found.names()[row]
        if len(chosen) < 2 and taken[name] < of_a_class and min(x2 - x1, y2 - y1) >= LEAST_SIDE:
            taken[name] += 1
            chosen.append(row)
    return chosen


def _share_inside(box: Tensor, maps: Mapping[str, HeatMaps]) -> dict[str, float]:
    """The share of each map's energy in a box ``[4]`` of the picture."""
    region = box_regions(box[None], next(iter(maps.values())).detections.image_size)
    return {name: float(energy_inside(_look_at(each), region)) for name, each in maps.items()}


def _make_ranking(
    name: str,
    image: Tensor,
    maps: Mapping[str, HeatMaps],
    methods: Mapping[str, Explainer],
    shares: Mapping[str, float],
    edge: str,
    box: Tensor | None = None,
) -> Item:
    """Around the box that is given, or the detection's own, which all maps have in common then."""
    one = next(iter(maps.values())).detections
    box = one.clipped().boxes[0].cpu() if box is None else box
    view = view_box(box, one.image_size, PANEL, MARGIN if edge else AROUND)
    small = view.cut(image.cpu())
    thing = make_legible(one.names()[0])
    return Item(
        name=name,
        origin=_hash_origin(maps, methods),
        asked=f"{TITLES[edge]} of the {thing}" if edge else f"the {thing}",
        picture=encode_png(small),
        maps={key: encode_png(blend(small, view.spread(each.normalized())[0])) for key, each in maps.items()},
        size=view.size,
        shares={key: (share,) for key, share in shares.items()},
        box=_shift(box, view),
        edge=edge,
    )


def _make_pointing(
    name: str,
    image: Tensor,
    maps: Mapping[str, HeatMaps],
    conditions: Mapping[str, tuple[Detector, Explainer]],
    boxes: Tensor,
    regions: Tensor,
    target: int,
) -> Item:
    full = image.shape[-2], image.shape[-1]
    view = view_box(None, full, WHOLE)
    size = view.size
    small = resize(image.cpu(), size)
    pixels = {key: _look_at(each) for key, each in maps.items()}
    shares = {key: tuple(read_shares(each, regions)[0].tolist()) for key, each in pixels.items()}
    odi = {key: float(object_discrimination(each, torch.tensor([target]), regions)) for key, each in pixels.items()}
    methods = {key: method for key, (_, method) in conditions.items()}
    return Item(
        name=name,
        origin=_hash_origin(maps, methods),
        asked="",
        picture=encode_png(small),
        maps={
            key: encode_png(blend(small, each.normalized().to_image(size)[0, 0].cpu())) for key, each in maps.items()
        },
        size=size,
        shares=shares,
        objects=tuple(_shift(box, view) for box in boxes),
        target=target,
        odi=odi,
    )


def _look_at(maps: HeatMaps) -> Tensor:
    """The maps of the first attribute ``[N, H, W]`` as people see them: from their smallest value to their largest one.

    Before that all of D-RISE's maps are bright, everywhere.
    """
    return maps.normalized().to_image()[:, 0].cpu()


def _shift(box: Tensor, view: View) -> Box:
    """A box in pixels of a view, cut at its border."""
    corner = box.new_tensor([view.left, view.top, view.left, view.top])
    high, wide = view.size
    x1, y1, x2, y2 = ((box - corner) * view.scale).tolist()
    return min(max(x1, 0), wide), min(max(y1, 0), high), min(max(x2, 0), wide), min(max(y2, 0), high)


def _hash_origin(maps: Mapping[str, HeatMaps], methods: Mapping[str, Any]) -> str:
    """Of the picture's pixels, the detectors' weights, the predictions and the methods with their settings."""
    said = hashlib.sha256()
    for key, each in maps.items():
        found = each.detections
        said.update(repr((key, methods[key], found.source, found.level.tolist(), found.index.tolist())).encode())
        said.update(repr((each.attributes, each.layer)).encode())
    return said.hexdigest()
