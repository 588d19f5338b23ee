"""Items of the questionnaires, made of pictures by detectors and methods of explanation."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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

    Detections are those that found a true object, or all where nothing is known; a class comes twice at most, as in the
    paper, and of a picture at most two detections are taken.

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
            region = box_regions(found.boxes[[place]], found.image_size)
            shares = {name: float(energy_inside(each.to_image()[:, 0], region)) for name, each in maps.items()}
            items.append(_make_ranking(f"{picture.name}, {row}", picture.image, maps, methods, shares, ""))
    return items


def make_edge_items(detector: Detector, pictures: Iterable[Picture], number: int) -> list[Item]:
    """Items of Tab. 10: the maps of one edge of a box by the variants of Fig. 16, every edge equally often.

    Args:
        detector: what is explained.
        pictures: to be asked about, in order; of each one detection is taken.
        number: of items; fewer if there are fewer pictures with a detection.
    """
    items: list[Item] = []
    for picture, trace, (row,), one in _choose(detector, pictures, 1, number):
        edge = EDGES[len(items) % len(EDGES)]
        maps = {name: method(trace, one, [edge]) for name, method in VARIANTS.items()}
        shares = {
            name: float(measure_edge_energy(each.to_image()[:, 0].abs(), one.boxes)[0, EDGES.index(edge)])
            for name, each in maps.items()
        }
        items.append(_make_ranking(f"{picture.name}, {row}", picture.image, maps, VARIANTS, shares, edge))
    return items


def make_discrimination_items(
    conditions: Mapping[str, tuple[Detector, Explainer]], pictures: Iterable[Picture], number: int, seed: int = 0
) -> list[Item]:
    """Items of App. A.3: the class maps of one object under several conditions, and all objects to choose from.

    Of each picture one object is taken at random, among those that every detector finds. Objects are the true ones with
    their masks; where nothing is known, the detections and their boxes.

    Args:
        conditions: detector and method by name.
        pictures: to be asked about, in order; those with fewer than two objects are left out.
        number: of items; fewer if there are fewer such pictures.
        seed: random seed of the choice.
    """
    items: list[Item] = []
    detectors = {detector.name: detector for detector, _ in conditions.values()}
    for picture in pictures:
        if len(items) >= number:
            break
        traces = {name: detector.trace(picture.image) for name, detector in detectors.items()}
        boxes, regions, found = _find_objects(traces, picture)
        common = sorted(set.intersection(*(set(own) for own, _ in found.values())))
        if len(boxes) < 2 or not common:
            continue
        target = Random(f"{seed} {picture.name}").choice(common)
        maps = {}
        for name, (detector, method) in conditions.items():
            own, rows = found[detector.name]
            maps[name] = method(traces[detector.name], rows[[own.index(target)]], ["class"])
        name = f"{picture.name}, {target}"
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
    traces: Mapping[str, Trace], picture: Picture
) -> tuple[Tensor, Tensor, dict[str, tuple[list[int], Detections]]]:
    """Boxes ``[M, 4]`` and regions ``[M, H, W]`` of all objects; each detector's objects, and predictions of them."""
    size = picture.image.shape[-2], picture.image.shape[-1]
    if picture.target is None:
        found = {name: trace.detections(LEAST_SCORE).clipped() for name, trace in traces.items()}
        first = next(iter(found.values()))
        boxes, labels = first.boxes.cpu(), first.labels.cpu()
    else:
        boxes, labels = picture.target["boxes"], picture.target["labels"]
    regions = (picture.target or {}).get("masks")
    regions = box_regions(boxes, size) if regions is None else regions
    wide = [min(x2 - x1, y2 - y1) >= LEAST_SIDE / 2 for x1, y1, x2, y2 in boxes.tolist()]
    chosen = {}
    for name, trace in traces.items():
        rows, own = choose_representatives(trace, boxes, labels)
        keep = [at for at, one in enumerate(own.tolist()) if wide[one] and float(rows.scores[at]) >= LEAST_SCORE]
        chosen[name] = ([int(own[at]) for at in keep], rows[keep])
    return boxes, regions, chosen


def _choose(
    detector: Detector, pictures: Iterable[Picture], most: int, number: int
) -> Iterator[tuple[Picture, Trace, list[int], Detections]]:
    """So many detections to ask about, ``most`` of a picture at most: their rows among all of its, and themselves."""
    taken: dict[str, int] = {}
    for picture in pictures if number > 0 else ():
        trace = detector.trace(picture.image)
        found = trace.detections(LEAST_SCORE)
        rows = _choose_rows(found, picture, taken)[: min(most, number)]
        if rows:
            yield picture, trace, rows, found[rows]
        number -= len(rows)
        if not number:
            return


def _choose_rows(found: Detections, picture: Picture, taken: dict[str, int]) -> list[int]:
    """Rows of a picture's detections to ask about, two at most, each of a class that was asked about once at most."""
    rows = range(len(found))
    if picture.target is not None:
        true = match(found, picture.target["boxes"], picture.target["labels"]).tolist()
        rows = sorted(row for row in true if row >= 0)
    chosen = []
    for row in rows:
        x1, y1, x2, y2 = found.boxes[row].tolist()
        name = found.names()[row]
        if len(chosen) < 2 and taken.get(name, 0) < 2 and min(x2 - x1, y2 - y1) >= LEAST_SIDE:
            taken[name] = taken.get(name, 0) + 1
            chosen.append(row)
    return chosen


def _make_ranking(
    name: str,
    image: Tensor,
    maps: Mapping[str, HeatMaps],
    methods: Mapping[str, Explainer],
    shares: Mapping[str, float],
    edge: str,
) -> Item:
    one = next(iter(maps.values())).detections
    view = view_box(one.boxes[0].cpu(), one.image_size, PANEL, MARGIN if edge else AROUND)
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
        box=_shift(one.clipped().boxes[0], view),
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
    pixels = {key: each.to_image()[:, 0].cpu() for key, each in maps.items()}
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
