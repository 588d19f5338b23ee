"""Planted causes: what in a picture truly moves a detection's numbers, measured by drawing the picture without it.

A scene is a value and can be drawn again without one part of an object, one neighbour or the horizon. What that does to
a detection's score and edges is the influence of what was removed, a finite difference within the pictures that the
detector knows, unlike that of grey patches. A heat map is right as far as it ranks these causes by influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import to_tensor

from odam_lib.datasets.scenes.render import render
from odam_lib.datasets.scenes.settings import ground_row
from odam_lib.datasets.scenes.values import Rendered, Scene
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.kernels import checks

RESOLUTION = 1e-4
"""Step to which influences are rounded: the last digits depend on how pictures are batched and must not be ranked."""
OWN = "own: "
"""With this the names of an object's own parts begin."""


@dataclass(frozen=True, eq=False)
class Removal:
    """A scene's picture without one thing.

    Attributes:
        name: of the thing, such as ``front wheel``, ``person 3`` or ``horizon``.
        index: the scene's index of the object that it is or belongs to; ``None`` for the horizon.
        part: name of the part; ``None`` for a whole object and the horizon.
        region: bool ``Tensor[H, W]``, the pixels of the full picture in which the thing is seen; shadows are left out.
        image: ``Tensor[3, H, W]`` in [0, 1], the picture without the thing.
    """

    name: str
    index: int | None
    part: str | None
    region: Tensor
    image: Tensor


@dataclass(frozen=True, eq=False)
class Cause:
    """What may have caused an object's detection to be as it is.

    Attributes:
        name: such as ``own: front wheel``, ``neighbour: person 3`` or ``horizon``.
        region: bool ``Tensor[H, W]``, the pixels in which it is seen.
        removal: row of its picture among the scene's removals.
    """

    name: str
    region: Tensor
    removal: int


class Planted(NamedTuple):
    """The R causes of one detection.

    Attributes:
        regions: bool ``Tensor[R, H, W]``, the pixels in which each is seen.
        influence: ``Tensor[R, 5]``, see :func:`measure_influences`.
        names: R names, see :class:`Cause`.
    """

    regions: Tensor
    influence: Tensor
    names: tuple[str, ...]


def draw_removals(scene: Scene, rendered: Rendered, indices: Sequence[int], least_pixels: int = 12) -> list[Removal]:
    """Every picture that the causes of some objects of a scene need, each drawn once.

    Args:
        scene: what was drawn.
        rendered: ``render(scene)``.
        indices: the scene's indices (``Instance.index``) of the objects to be explained, whose parts are removed.
        least_pixels: number of pixels that must be seen of a part or an object; what shows less is no cause.

    Returns:
        Each part of those objects, each object and distractor as a whole, and last the horizon. Removed objects take
        their shadow with them; a removed part's shadow stays, and may go on holding an object's lower edge.

    Raises:
        ValueError: an object that is not seen in the picture.
    """
    seen = (*rendered.instances, *rendered.distractors)
    strangers = set(indices) - {one.index for one in rendered.instances}
    if strangers:
        raise ValueError(f"No objects {sorted(strangers)} are seen: there are {[o.index for o in rendered.instances]}.")
    things: list[tuple[str, int | None, str | None, np.ndarray, Scene]] = [
        (part, one.index, part, mask, scene.without(one.index, part))
        for one in rendered.instances
        if one.index in indices
        for part, mask in one.parts.items()
    ]
    things += [(f"{one.name} {one.index}", one.index, None, one.mask, scene.without(one.index)) for one in seen]
    behind = ~np.any([np.zeros((scene.height, scene.width), bool), *(one.mask for one in seen)], axis=0)
    behind[ground_row(scene) :] = False
    things.append(("horizon", None, None, behind, scene.without_backdrop()))
    return [
        Removal(name, index, part, torch.from_numpy(mask), to_tensor(render(changed).image))
        for name, index, part, mask, changed in things
        if mask.sum() >= least_pixels
    ]


def list_causes(removed: Sequence[Removal], index: int) -> list[Cause]:
    """What may have caused one object's detection: its own parts, every other object, and the horizon.

    Args:
        removed: what is removed from the object's scene, see :func:`draw_removals`; its parts must be among them.
        index: the scene's index of the object.
    """
    found = []
    for row, one in enumerate(removed):
        if one.index is None:
            found.append(Cause(one.name, one.region, row))
        elif one.index == index and one.part is not None:
            found.append(Cause(f"{OWN}{one.name}", one.region, row))
        elif one.index != index and one.part is None:
            found.append(Cause(f"neighbour: {one.name}", one.region, row))
    return found


@torch.no_grad()
def measure_influences(trace: Trace, detections: Detections, pictures: Tensor, batch: int = 16) -> Tensor:
    """How much of a detection's numbers is lost in other pictures, by the very same prediction, one pass a picture.

    Args:
        trace: a pass on the full picture.
        detections: N rows of that trace.
        pictures: ``Tensor[R, 3, H, W]`` of the same size, each without one thing.
        batch: pictures that run together.

    Returns:
        ``Tensor[N, R, 5]`` for class, x1, y1, x2, y2, in steps of ``RESOLUTION``: by which share of itself the score of
        the detection's label falls, and by which share of the box's width or height each edge moves inwards. Positive
        is what raised the score or expanded the box; boxes are not clipped to the picture.

    Raises:
        TypeError: an argument of another type.
        ValueError: detections of another trace, or a batch under 1.
    """
    batch = checks.count("The batch", batch)
    checks.tensor("pictures", pictures, "[R, 3, H, W]", "float")
    trace.check(detections, ("class",))
    rows, labels = trace.row_of(detections), detections.labels
    number = torch.arange(len(rows), device=rows.device)
    same = replace(trace.candidates[rows], labels=labels)
    boxes_before, scores_before = trace.boxes(same), same.class_probs[number, labels]
    sides = (boxes_before[:, 2:] - boxes_before[:, :2]).repeat(1, 2) * boxes_before.new_tensor([1, 1, -1, -1])
    lost = []
    for some in pictures.to(trace.image).split(batch):
        for predictions in trace.again(some):
            boxes, scores = predictions.of(labels)
            fall = (scores_before - scores[number, rows]) / scores_before
            lost.append(torch.cat([fall[:, None], (boxes[number, rows] - boxes_before) / sides], dim=1))
    if not lost:
        return boxes_before.new_zeros(len(rows), 0, 5)
    return torch.stack(lost, dim=1).div(RESOLUTION).round().mul(RESOLUTION)


def find_planted_causes(
    trace: Trace,
    detections: Detections,
    indices: Sequence[int],
    scene: Scene,
    rendered: Rendered,
    least_pixels: int = 12,
) -> list[Planted]:
    """The causes of each detection with their influence, to judge the maps of any number of methods.

    Args:
        trace: a pass on the scene's picture.
        detections: N rows of that trace.
        indices: N of the scene's indices (``Instance.index``): which object each detection is of.
        scene: what was drawn.
        rendered: ``render(scene)``.
        least_pixels: see :func:`draw_removals`.

    Returns:
        N entries; their tensors lie on the trace's device.

    Raises:
        ValueError: not one index for each detection, an object that is not seen, or detections of another trace.
    """
    if len(indices) != len(detections):
        raise ValueError(f"There are {len(detections)} detections and {len(indices)} indices: give one for each.")
    if not indices:
        return []
    removed = draw_removals(scene, rendered, indices, least_pixels)
    size = (scene.height, scene.width)
    pictures = torch.stack([one.image for one in removed]) if removed else torch.zeros(0, 3, *size)
    regions = torch.stack([one.region for one in removed]) if removed else torch.zeros(0, *size, dtype=torch.bool)
    regions = regions.to(detections.boxes.device)
    planted = []
    for lost, index in zip(measure_influences(trace, detections, pictures), indices, strict=True):
        mine = list_causes(removed, index)
        rows = [one.removal for one in mine]
        planted.append(Planted(regions[rows], lost[rows], tuple(one.name for one in mine)))
    return planted
