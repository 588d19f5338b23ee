"""A detector whose detections and maps are planted, so that a map shown can be traced to its object."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import keep_all
from odam_lib.kernels.windows import Windows

SIZE = (96, 128)
STRIDE = 8
BOXES = ((8, 8, 88, 88), (20, 24, 44, 48), (16, 16, 60, 64), (96, 56, 124, 92))
"""Boxes 0, 2 and 1 lie one within the other, each smaller; box 3 stands alone."""
CATEGORIES = ("__background__", "person", "dog", "bicycle", "car")


def planted_image() -> Tensor:
    """A bright picture ``[3, 96, 128]`` with a block of another colour in each box."""
    image = torch.full((3, *SIZE), 0.8)
    colours = torch.tensor([[0.6, 0.7, 0.9], [0.5, 0.3, 0.2], [0.8, 0.7, 0.4], [0.3, 0.5, 0.3]])
    for row in (0, 2, 1, 3):
        x1, y1, x2, y2 = BOXES[row]
        image[:, y1:y2, x1:x2] = colours[row][:, None, None]
    return image


def planted_map(row: int, attribute: str) -> Tensor:
    """The map ``[12, 16]`` of one detection without smoothing: a block at a place that no other map has."""
    planted = torch.zeros(SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    planted[3 * row : 3 * row + 2, 3 * ATTRIBUTES.index(attribute) : 3 * ATTRIBUTES.index(attribute) + 2] = 1.0
    return planted


@dataclass(frozen=True, eq=False)
class PlantedTrace(Trace):
    """Features of ones and targets whose gradient is the planted map."""

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        maps = [planted_map(row, attribute) for row in detections.index.tolist()]
        return torch.stack([(self.features[0][0, 0] * planted).sum() for planted in maps])


class PlantedDetector(Detector):
    """Finds the boxes above in every picture, with scores 0.95, 0.85, 0.75 and 0.65; counts its forward passes."""

    name, model, categories, layers, towers = "planted", nn.Identity(), CATEGORIES, ("grid",), ()
    boxes, labels = BOXES, (1, 2, 3, 4)
    traced: type[PlantedTrace] = PlantedTrace

    def __init__(self) -> None:
        self.passes = 0

    def private(self) -> "PlantedDetector":
        return self  # so that passes are counted here

    def make_trace(self, image: Tensor, layer: str) -> PlantedTrace:
        self.passes += 1
        labels = torch.tensor(self.labels)
        scores = torch.tensor([0.95, 0.85, 0.75, 0.65])
        candidates = Detections(
            boxes=torch.tensor(self.boxes, dtype=torch.float32),
            scores=scores,
            labels=labels,
            class_probs=torch.zeros(4, 5).scatter(1, labels[:, None], scores[:, None]),
            level=torch.zeros(4, dtype=torch.int64),
            index=torch.arange(4),
            image_size=(image.shape[-2], image.shape[-1]),
            categories=CATEGORIES,
            source=self.source(image),
        )
        return self.traced(
            detector=self,
            image=image,
            layer=layer,
            features=(torch.ones(1, 1, SIZE[0] // STRIDE, SIZE[1] // STRIDE, requires_grad=True),),
            grids=(Grid(STRIDE / 2, STRIDE / 2, STRIDE, STRIDE),),
            input_size=SIZE,
            candidates=candidates,
            nms=keep_all,
        )


CROWD_BOXES = ((8, 8, 60, 88), (20, 8, 72, 88), (2, 8, 44, 88), (96, 56, 124, 92))
"""Boxes 0 and 1 overlap with an IoU of 0.62, boxes 0 and 2 with one of 0.62 too; box 3, a dog's, stands alone."""


def crowd_map(row: int) -> Tensor:
    """The map ``[12, 16]`` of one of the crowd: maps 0 and 2 are the same, half of map 1 is map 0; map 3 is zero."""
    planted = torch.zeros(SIZE[0] // STRIDE, SIZE[1] // STRIDE)
    for column in {0: (2, 6), 1: (6, 10), 2: (2, 6), 3: ()}[row]:
        planted[4:6, column : column + 2] = 1.0
    return planted


class CrowdWindows(Windowed):
    """Windows that are the whole feature map, of features of ones."""

    def size(self, detections: Detections) -> tuple[int, int]:
        return SIZE[0] // STRIDE, SIZE[1] // STRIDE

    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        maps = torch.stack([crowd_map(row) for row in detections.index.tolist()])
        return Windows.whole(maps[:, None, None].expand(-1, len(attributes), -1, -1, -1))


@dataclass(frozen=True, eq=False)
class CrowdTrace(PlantedTrace):
    """The crowd's windows, which are no gradients of its targets."""

    @property
    def windows(self) -> Windowed:
        return CrowdWindows(self, exact=False)


class PlantedCrowd(PlantedDetector):
    """Finds three persons, who overlap, and a dog, with the scores above."""

    boxes, labels, traced = CROWD_BOXES, (1, 1, 1, 2), CrowdTrace
