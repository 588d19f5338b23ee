"""Maps of the same true objects by several detectors, layers or networks that forget, and how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.ops import box_area

from odam_chapters.detectors.agreement import measure_cosine, measure_energy_outside, measure_spread
from odam_chapters.in_boxes import frame_box
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.kernels.gradients import differentiate
from odam_lib.kernels.regions import box_blob
from odam_lib.metrics.agreement import rank_correlation
from odam_lib.metrics.intervals import Estimate, estimate_mean
from odam_lib.metrics.localization import energy_inside
from odam_lib.metrics.matching import match

BLOB = "blob"
"""Name of the map that knows nothing but the box."""

Item = tuple[Tensor, dict[str, Any]]
"""A picture and what is true of it."""

Find = tuple[Detections, Tensor]
"""Detections that are of a true object each, and the numbers of these objects."""


def find_objects(detector: Detector, item: Item, score_threshold: float) -> Find:
    """The detections of a picture that are of a true object: same class, IoU of at least 0.5, one to one."""
    image, target = item
    found = detector.detect(image, score_threshold)
    rows = match(found, target["boxes"], target["labels"]).cpu()
    return found[rows[rows >= 0]], torch.nonzero(rows >= 0).flatten()


def choose_object(finds: Mapping[str, Find], item: Item) -> int:
    """The number of the object of a picture that every detector finds, the one with the largest box.

    Raises:
        ValueError: there is none.
    """
    numbers = [number for _, objects in finds.values() for number in objects.tolist()]
    areas = box_area(item[1]["boxes"]).tolist()
    sizes = {one: areas[one] for one in set(numbers) if numbers.count(one) == len(finds)}
    if not sizes:
        raise ValueError("No object of the drawing is found by all detectors: choose a lower SCORE_THRESHOLD.")
    return max(sizes, key=sizes.__getitem__)


def make_class_maps(detector: Detector, item: Item, find: Find, layer: str | None = None) -> Tensor:
    """The class map of every true object of a picture, ``Tensor[n, H, W]``; NaN where it was not found."""
    (image, target), (found, objects) = item, find
    heats = torch.full(target["masks"].shape, torch.nan)
    heats[objects] = explain(detector, image, found, ("class",), layer=layer).to_image()[:, 0].cpu()
    return heats


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike the class maps of D detectors and the blob are, for N true objects; NaN where one was not found.

    Attributes:
        rows: the D names and ``BLOB``.
        cosines, ranks: ``Tensor[D + 1, D + 1, N]``, of two maps of the same object: over the whole picture, and
            Spearman's within the box.
        other_cosines, other_ranks: ``Tensor[D + 1, N]``, of a detector's map of an object with its maps of the other
            objects of the picture, on average.
        energies: ``Tensor[D + 1, N]``, share of a map's energy on the object's visible pixels.
        scene_of: int64 ``Tensor[N]``.
    """

    rows: tuple[str, ...]
    cosines: Tensor
    ranks: Tensor
    other_cosines: Tensor
    other_ranks: Tensor
    energies: Tensor
    scene_of: Tensor

    def average(self, values: Tensor, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """For each object the mean over some pairs of rows, ``Tensor[N]``."""
        chosen = [values[self.rows.index(one), self.rows.index(other)] for one, other in pairs]
        return torch.stack(chosen).nanmean(dim=0) if chosen else torch.full((len(self.scene_of),), torch.nan)

    def estimate(self, values: Tensor) -> Estimate:
        """The mean over objects, those of NaN left out, and its 95 % bootstrap interval over scenes."""
        known = ~values.isnan()
        kept = values[known].double()
        return estimate_mean(kept, self.scene_of[known])


def compare_detectors(
    detectors: Mapping[str, Detector], items: Sequence[Item], finds: Mapping[str, Sequence[Find]], cells: int
) -> Likeness:
    """Compare the class maps of several detectors with each other and with a blob.

    Args:
        detectors: by name.
        items: pictures with one true object or more.
        finds: of each detector, one for each picture.
        cells: side of the grid on which maps of one box are ranked.
    """
    parts: list[list[Tensor]] = []
    for number, item in enumerate(items):
        boxes, masks = item[1]["boxes"], item[1]["masks"]
        blobs = box_blob(boxes, masks.shape[1:])
        maps = [make_class_maps(one, item, finds[name][number]) for name, one in detectors.items()]
        heats = torch.stack([*maps, blobs])
        framed = torch.stack([frame_in_box(one, boxes, cells) for one in heats])
        tables = [
            measure(one[:, None, :, None], one[None, :, None])
            for measure, one in ((measure_cosine, avg_pool2d(heats, 4)), (rank_correlation, framed))
        ]
        same = [table.diagonal(dim1=-2, dim2=-1) for table in tables]
        apart = torch.where(torch.eye(len(boxes)).bool(), torch.nan, torch.ones(()))
        others = [(table.diagonal(dim1=0, dim2=1).movedim(-1, 0) * apart).nanmean(dim=-1) for table in tables]
        parts.append([*same, *others, energy_inside(heats, masks), torch.full((len(boxes),), number)])
    return Likeness((*detectors, BLOB), *(torch.cat(columns, dim=-1) for columns in zip(*parts)))


def frame_in_box(heats: Tensor, boxes: Tensor, cells: int) -> Tensor:
    """Maps ``[N, H, W]`` cut out with their boxes: ``Tensor[N, cells, cells]``."""
    return frame_box(heats[:, None], boxes, cells, margin=0)[:, 0]


def group_pairs(names: Sequence[str], backbones: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of rows of :class:`Likeness` by what the two share.

    Args:
        names: detectors on one backbone.
        backbones: detectors on another one, named as one of the others with ``-pvt`` in it.
    """
    everyone = [*names, *backbones]
    return {
        "two heads, one backbone": [(one, other) for n, one in enumerate(names) for other in names[n + 1 :]],
        "one head, two backbones": [
            (one, other) for one in backbones for other in names if other == one.replace("-pvt", "")
        ],
        "a detector and the blob": [(name, BLOB) for name in everyone],
    }


def measure_energies(
    detector: Detector, items: Sequence[Item], finds: Sequence[Find], layer: str | None = None
) -> tuple[Tensor, Tensor]:
    """Of every true object the share of its class map's energy on it, and the area that holds 80 % of that energy.

    Returns:
        Two ``Tensor[N]``, shares in [0, 1]; NaN where an object was not found.
    """
    measured = []
    for item, find in zip(items, finds):
        heats = make_class_maps(detector, item, find, layer)
        measured.append(torch.stack([energy_inside(heats, item[1]["masks"]), measure_spread(heats)]))
    energies, areas = torch.cat(measured, dim=1)
    return energies, areas


def frame_found(network: Detector, items: Sequence[Item], finds: Sequence[Find], cells: int) -> tuple[Tensor, Tensor]:
    """Class maps of the same detections by a network, in the frame of their boxes, and their energy on the object.

    Args:
        network: the detector that found them, or a copy that has lost some of its training.
        items, finds: pictures and what was found in them.
        cells: side of the frame.

    Returns:
        ``Tensor[M, cells, cells]`` and ``Tensor[M]`` of the M detections.
    """
    frames, shares = [torch.zeros(0, cells, cells)], [torch.zeros(0)]
    for (image, target), (found, objects) in zip(items, finds):
        heats = explain(network, image, found, ("class",)).to_image()[:, 0].cpu()
        frames.append(frame_in_box(heats, target["boxes"][objects], cells))
        shares.append(energy_inside(heats, target["masks"][objects]))
    return torch.cat(frames), torch.cat(shares)


def compare_derivatives(
    detector: Detector, items: Sequence[Item], finds: Sequence[Find], attribute: str
) -> tuple[Tensor, Tensor]:
    """The exact derivative of a head with norms beside that on each prediction's receptive field.

    Args:
        detector: a dense one, whose windows are not exact.
        items, finds: pictures and what was found in them.
        attribute: what is explained.

    Returns:
        ``Tensor[M]``, the cosine of the two maps of each detection, and ``Tensor[M]``, the share of the exact
        gradient's energy, its sum of squares, outside the window.

    Raises:
        ValueError: the two derivatives are the same by construction.
    """
    alike, outside = [torch.zeros(0)], [torch.zeros(0)]
    for (image, _), (found, _) in zip(items, finds):
        trace = detector.trace(image)
        if trace.windows is None or trace.windows.exact:
            raise ValueError(f"{detector.name} has no GroupNorm in its head: choose another TWIN.")
        for row in range(len(found)):
            one = found[row]
            full, fast = (ODAM(derivative=kind)(trace, one, (attribute,)).maps[0][0] for kind in ("exact", "window"))
            level = trace.features[trace.feature_level(one)[0]]
            (gradient,) = differentiate(trace.targets(attribute, one), [level])
            alike.append(measure_cosine(full, fast)[None].cpu())
            outside.append(measure_energy_outside(gradient, trace.windows.gradients((attribute,), one)).cpu())
    return torch.cat(alike), torch.cat(outside)
