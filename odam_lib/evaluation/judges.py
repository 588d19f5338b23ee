"""The paper's metrics as :func:`odam_lib.evaluation.runs.evaluate` takes them: one case in, a number a map out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from odam_lib.datasets.categories import original
from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.evaluation.planted import OWN, Planted, find_planted_causes
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels import checks
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.agreement import agreement, brightness_per_part
from odam_lib.metrics.discrimination import floor, object_discrimination
from odam_lib.metrics.faithfulness import auc, deletion, insertion
from odam_lib.metrics.localization import (
    THRESHOLDS,
    compactness,
    energy_inside,
    pointing,
    sparsity,
    visual_explanation_accuracy,
)


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
        scene = original(self.dataset).scene(self.item)
        rendered = render(scene)
        indices = [rendered.instances[own].index for own in self.own.tolist()]
        return find_planted_causes(self.trace, self.detections, indices, scene, rendered)


class Judge(Protocol):
    """A metric, or a few that share their work.

    Attributes:
        needs: keys of the truth without which it cannot be computed.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def check(self, dataset: Any) -> None:
        """Raise ``ValueError`` for a data set that it cannot judge maps on."""
        return

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
class Faithfulness(Judge):
    """Deletion and insertion: curves and the areas under them, as shares of the untouched picture's score.

    Attributes:
        steps: number of steps of each curve.
        seed: random seed of the noise and of the order among equal values.
        batch: number of pictures predicted at a time.
    """

    steps: int = 6
    seed: int = 0
    batch: int = 8

    def check(self, dataset: Any) -> None:
        checks.count("steps", self.steps)
        checks.count("batch", self.batch)
        checks.count("seed", self.seed, least=None)

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        numbers: dict[str, Tensor] = {}
        trace = picture.trace
        for name, measure in (("deletion", deletion), ("insertion", insertion)):
            curve = measure(trace.detector, trace.image, picture.detections, maps, self.steps, self.seed, self.batch)
            numbers[name] = auc(curve)
            numbers |= {f"{name}@{step / self.steps:.3f}": curve[:, step] for step in range(self.steps + 1)}
        return numbers


@dataclass(frozen=True)
class SignedFaithfulness(Faithfulness):
    """Deletion and insertion of ODAM's map with its zeros in the order of the map before the rectifier.

    ReLU leaves exact zeros over much of the picture, which :class:`Faithfulness` takes in random order. The signed map
    says of each how far below zero it is. NaN for the maps of other methods, and of an ODAM that rectifies otherwise.
    """

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        names = {"deletion": "deletion signed", "insertion": "insertion signed"}
        if heat_maps.method != ODAM.method or heat_maps.settings["rectify"] != "relu":
            return {name: maps.new_full((len(maps),), torch.nan) for name in names.values()}
        settings: dict[str, Any] = {**heat_maps.settings, "rectify": "none"}
        below = (
            ODAM(**settings)(picture.trace, picture.detections, ("class",)).normalized().to_image()[:, 0].clamp(max=0)
        )
        numbers = super().__call__(picture, torch.where(maps > 0, maps, below), heat_maps)
        return {name: numbers[unsigned] for unsigned, name in names.items()}


@dataclass(frozen=True)
class BoxLocalization(Judge):
    """The pointing game and energy in the true box, compactness, sparsity: :class:`Localization` without masks."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        boxes, regions = picture.target["boxes"].to(maps)[picture.own], _box_regions(picture, maps)[picture.own]
        return {
            "pointing box": pointing(maps, regions).float(),
            "energy box": energy_inside(maps, regions),
            "compactness": compactness(maps, boxes),
            "sparsity": sparsity(maps),
        }


@dataclass(frozen=True)
class Localization(Judge):
    """VEA, the pointing game, energy, compactness: does the map lie on its own object? And how sparse is it?"""

    needs: ClassVar[tuple[str, ...]] = ("masks",)
    by_mask: ClassVar[tuple[str, ...]] = ("VEA", "VEA best", "pointing mask", "energy mask")
    without_masks: ClassVar[Judge] = BoxLocalization()

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        masks = picture.target["masks"].to(maps.device)[picture.own]
        in_box = self.without_masks(picture, maps, heat_maps)
        curve = visual_explanation_accuracy(maps, masks)
        numbers = {  # in the order of the columns
            "VEA": torch.trapezoid(curve, THRESHOLDS.to(maps), dim=1) / (THRESHOLDS[-1] - THRESHOLDS[0]),
            "VEA best": curve.amax(dim=1),
            "pointing box": in_box["pointing box"],
            "pointing mask": pointing(maps, masks).float(),
            "energy box": in_box["energy box"],
            "energy mask": energy_inside(maps, masks),
            "compactness": in_box["compactness"],
            "sparsity": in_box["sparsity"],
        }
        return numbers | {f"VEA@{at:.2f}": curve[:, place] for place, at in enumerate(THRESHOLDS.tolist())}


@dataclass(frozen=True)
class BoxDiscrimination(Judge):
    """ODI by boxes, without the floor, which only masks could tell."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        return {"ODI box": object_discrimination(maps, picture.own.to(maps.device), _box_regions(picture, maps))}


@dataclass(frozen=True)
class Discrimination(Judge):
    """ODI by boxes and by masks, with the floor that a map of the object's own mask would reach."""

    needs: ClassVar[tuple[str, ...]] = ("masks",)
    by_mask: ClassVar[tuple[str, ...]] = ("ODI mask", "ODI box floor", "ODI mask floor")
    without_masks: ClassVar[Judge] = BoxDiscrimination()

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        masks, own = picture.target["masks"].to(maps.device), picture.own.to(maps.device)
        return self.without_masks(picture, maps, heat_maps) | {
            "ODI mask": object_discrimination(maps, own, masks),
            "ODI box floor": floor(own, _box_regions(picture, maps), masks),
            "ODI mask floor": floor(own, masks, masks),
        }


def _box_regions(picture: Picture, maps: Tensor) -> Tensor:
    """Pixels of the true box of every object of the picture, bool ``[M, H, W]``."""
    return box_regions(picture.target["boxes"].to(maps), (maps.shape[-2], maps.shape[-1]))


@dataclass(frozen=True)
class PlantedCauses(Judge):
    """Does a map rank the parts of the scene as their true influence does, for every attribute?

    Parts are ranked by how bright the map is in them. ``causes`` compares the object's own parts with each other, which
    no knowledge of where the object is can answer; ``all causes`` compares them with neighbours and the horizon too.
    """

    def check(self, dataset: Any) -> None:
        if not isinstance(original(dataset), Scenes):
            raise ValueError(
                f"Planted causes are known in generated scenes alone, not in {type(dataset).__name__}: "
                "leave this metric out or give Scenes."
            )

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        images = heat_maps.select(*ATTRIBUTES).to_image()
        numbers: dict[str, Tensor] = {}
        for name, beginning in (("causes", OWN), ("all causes", "")):
            each = torch.stack([_agreement(heat, cause, beginning) for heat, cause in zip(images, picture.causes)])
            numbers |= {f"{name} {attribute}": each[:, column] for column, attribute in enumerate(ATTRIBUTES)}
            numbers[name] = each.nanmean(dim=1)
        return numbers


def _agreement(maps: Tensor, planted: Planted, beginning: str) -> Tensor:
    """``Tensor[A]``, over the causes whose names begin like that."""
    rows = [row for row, name in enumerate(planted.names) if name.startswith(beginning)]
    return agreement(brightness_per_part(maps, planted.regions[rows]), planted.influence[rows])


JUDGES: tuple[Judge, ...] = (
    Faithfulness(),
    SignedFaithfulness(),
    Localization(),
    Discrimination(),
    PlantedCauses(),
)
"""Every metric; :func:`choose_judges` leaves out those that a data set has nothing for."""


def choose_judges(dataset: Any, judges: Sequence[Judge] = JUDGES) -> tuple[tuple[Judge, ...], tuple[str, ...]]:
    """The judges that can work on a data set; those that need masks give way to what boxes can tell.

    Args:
        dataset: as for :func:`odam_lib.evaluation.runs.evaluate`.
        judges: the ones that are wanted.

    Returns:
        The judges in their order, and sentences that name the metrics which are left out, and say why.
    """
    chosen: list[Judge] = []
    left_out: dict[str, list[str]] = {}
    for judge in judges:
        if isinstance(judge, PlantedCauses) and not isinstance(original(dataset), Scenes):
            left_out["Planted causes are known in generated scenes alone"] = ["causes", "all causes"]
        elif isinstance(judge, (Localization, Discrimination)) and (reason := _why_no_masks(dataset)):
            left_out.setdefault(f"They need a mask of every object: {reason}", []).extend(judge.by_mask)
            chosen.append(judge.without_masks)
        else:
            chosen.append(judge)
    return tuple(chosen), tuple(f"Left out: {', '.join(names)}. {reason}." for reason, names in left_out.items())


def _why_no_masks(dataset: Any) -> str:
    """Why a data set has no masks; empty if it has: what it says itself, else what its first item shows."""
    said = getattr(dataset, "no_masks", None)
    if said is not None:
        return str(said)
    return "" if "masks" in dataset[0][1] else "the target of its first picture has none"
