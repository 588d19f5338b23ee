"""The paper's metrics as :func:`odam_lib.metrics.evaluate.evaluate` takes them: one case in, a number a map out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.base import Trace
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.metrics.discrimination import floor, object_discrimination
from odam_lib.metrics.faithfulness import auc, deletion, insertion
from odam_lib.metrics.localization import (
    THRESHOLDS,
    compactness,
    energy_inside,
    pointing,
    visual_explanation_accuracy,
)
from odam_lib.metrics.parts import OWN, Planted, agreement, brightness_per_part, planted_causes
from odam_lib.regions import box_regions


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a data set and the detections to explain, shared by all methods.

    Attributes:
        dataset: where it is from.
        item: its number there.
        trace: the pass of the detector.
        target: the truth of this picture, as the data set gives it.
        detections: N rows of that pass.
        own: ``Tensor[N]``, int64, the true object that each detection was matched with.
    """

    dataset: Any
    item: int
    trace: Trace
    target: dict[str, Tensor]
    detections: Detections
    own: Tensor

    @cached_property
    def causes(self) -> Sequence[Planted]:
        """What was removed from the scene, and its influence on each detection."""
        scene = self.dataset.scene(self.item)
        rendered = render(scene)
        indices = [rendered.instances[own].index for own in self.own.tolist()]
        return planted_causes(self.trace, self.detections, indices, scene, rendered)


class Judge(Protocol):
    """A metric, or a few that share their work.

    Attributes:
        needs: keys of the truth without which it cannot be computed.
    """

    needs: ClassVar[tuple[str, ...]]

    def check(self, dataset: Any) -> None:
        """Raise ``ValueError`` for a data set that it cannot judge maps on."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        """Judge the maps of all detections of a picture.

        Args:
            picture: with N detections.
            maps: ``Tensor[N, H, W]`` at image size, each min-max normalised at its own resolution.
            heat_maps: all attributes, raw.

        Returns:
            ``Tensor[N]`` by the metric's name; a point of a curve is named ``curve@x``.
        """
        ...


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion: curves and the areas under them, as shares of the untouched picture's score.

    Attributes:
        steps: of each curve.
        seed: of the noise and of the order among equal values.
        batch: pictures at a time.
    """

    steps: int = 6
    seed: int = 0
    batch: int = 8
    needs: ClassVar[tuple[str, ...]] = ()

    def check(self, dataset: Any) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: a curve needs at least 1.")

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        numbers: dict[str, Tensor] = {}
        curves: tuple[tuple[str, Callable], ...] = (("deletion", deletion), ("insertion", insertion))
        for name, make in curves:
            trace = picture.trace
            curve = make(trace.detector, trace.image, picture.detections, maps, self.steps, self.seed, self.batch)
            numbers[name] = auc(curve)
            numbers |= {f"{name}@{step / self.steps:.3f}": curve[:, step] for step in range(self.steps + 1)}
        return numbers


@dataclass(frozen=True)
class Localization:
    """VEA, the pointing game, energy and compactness: does the map lie on its own object?"""

    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def check(self, dataset: Any) -> None:
        """Any data set will do."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        masks = picture.target["masks"].to(maps.device)[picture.own]
        boxes = picture.target["boxes"].to(maps)[picture.own]
        regions = box_regions(boxes, (maps.shape[-2], maps.shape[-1]))
        curve = visual_explanation_accuracy(maps, masks)
        numbers = {
            "VEA": torch.trapezoid(curve, THRESHOLDS.to(maps), dim=1) / (THRESHOLDS[-1] - THRESHOLDS[0]),
            "VEA best": curve.amax(dim=1),
            "pointing box": pointing(maps, regions).float(),
            "pointing mask": pointing(maps, masks).float(),
            "energy box": energy_inside(maps, regions),
            "energy mask": energy_inside(maps, masks),
            "compactness": compactness(maps, boxes),
        }
        return numbers | {f"VEA@{at:.2f}": curve[:, place] for place, at in enumerate(THRESHOLDS.tolist())}


@dataclass(frozen=True)
class Discrimination:
    """ODI by boxes and by masks, with the floor that a map of the object's own mask would reach."""

    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def check(self, dataset: Any) -> None:
        """Any data set will do."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        masks = picture.target["masks"].to(maps.device)
        regions = box_regions(picture.target["boxes"].to(maps), (maps.shape[-2], maps.shape[-1]))
        own = picture.own.to(maps.device)
        return {
            "ODI box": object_discrimination(maps, own, regions),
            "ODI mask": object_discrimination(maps, own, masks),
            "ODI box floor": floor(own, regions, masks),
            "ODI mask floor": floor(own, masks, masks),
        }


@dataclass(frozen=True)
class PlantedCauses:
    """Does a map rank the parts of the scene as their true influence does, for every attribute?

    Parts are ranked by how bright the map is in them. ``causes`` compares the object's own parts with each other, which
    no knowledge of where the object is can answer; ``all causes`` compares them with neighbours and the horizon too.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def check(self, dataset: Any) -> None:
        if not isinstance(dataset, Scenes):
            raise ValueError(
                f"Planted causes are known in generated scenes alone, not in {type(dataset).__name__}: "
                "leave this metric out or give Scenes."
            )

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        images = heat_maps.select(*ATTRIBUTES).to_image()
        numbers: dict[str, Tensor] = {}
        for name, kind in (("causes", OWN), ("all causes", "")):
            each = torch.stack([_agreement(maps, cause, kind) for maps, cause in zip(images, picture.causes)])
            numbers |= {f"{name} {attribute}": each[:, column] for column, attribute in enumerate(ATTRIBUTES)}
            numbers[name] = each.nanmean(dim=1)
        return numbers


def _agreement(maps: Tensor, cause: Planted, kind: str) -> Tensor:
    """``Tensor[A]``, over the causes whose names begin with ``kind``."""
    rows = [row for row, name in enumerate(cause.names) if name.startswith(kind)]
    return agreement(brightness_per_part(maps, cause.regions[rows]), cause.influence[rows])


JUDGES: tuple[Judge, ...] = (Faithfulness(), Localization(), Discrimination(), PlantedCauses())
