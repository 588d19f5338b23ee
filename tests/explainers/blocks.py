"""A detector of which everything is known: its score is the mean of a block of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import keep_all

SIZE = (48, 64)
BLOCK = (16, 8, 32, 24)
"""(x1, y1, x2, y2): the only pixels that the toy detector reads."""


@dataclass(frozen=True, eq=False)
class BlockTrace(Trace):
    """A pass of the detector below; it has features of ones."""

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        return self.features[0].mean() * (1 + detections.index)


class BlockDetector(Detector):
    """Its score is the mean of a block of pixels: prediction 0 is a box around it, prediction 1 one beside it.

    Args:
        differentiable: whether predictions pass a gradient to the picture.
    """

    name, model, layers, towers = "block", nn.Identity(), ("grid",), ()
    categories = ("__background__", "a", "b")

    def __init__(self, differentiable: bool = True) -> None:
        self.differentiable = differentiable
        self.batches: list[int] = []

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        self.batches.append(len(images))
        found = [self._read(image) for image in images]
        return found if self.differentiable else [Predictions(p.boxes, p.class_probs.detach()) for p in found]

    def _read(self, image: Tensor) -> Predictions:
        x1, y1, x2, y2 = BLOCK
        score = image[:, y1:y2, x1:x2].mean()
        zero = torch.zeros(())
        probs = torch.stack([torch.stack([zero, score, score / 4]), torch.stack([zero, score / 8, score / 2])])
        boxes = torch.tensor([[14.0, 6, 34, 26], [40, 30, 60, 44]])
        return Predictions(boxes, probs)

    def make_trace(self, image: Tensor, layer: str) -> BlockTrace:
        place = torch.zeros(2, dtype=torch.int64)
        return BlockTrace(
            detector=self,
            image=image,
            layer=layer,
            features=(torch.ones(1, 1, 6, 8, requires_grad=True),),
            grids=(Grid(4, 4, 8, 8),),
            input_size=SIZE,
            candidates=self.candidates(image, self._read(image), place, torch.arange(2)),
            nms=keep_all,
        )


class Script(Detector):
    """Returns predictions that were written down, one picture after another."""

    name, model, layers, towers = "script", nn.Identity(), ("grid",), ()
    categories = ("__background__", "a", "b")
    make_trace = BlockDetector.make_trace

    def __init__(self, boxes: Sequence[Sequence[float]], probs: Sequence[Sequence[float]]) -> None:
        self.found = Predictions(torch.tensor(boxes).reshape(-1, 4), torch.tensor(probs).reshape(-1, 3))

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        return [self.found] * len(images)

    def _read(self, image: Tensor) -> Predictions:
        return BlockDetector()._read(image)


def bright(seed: int = 0) -> Tensor:
    """A bright picture whose block is white."""
    x1, y1, x2, y2 = BLOCK
    image = 0.4 + 0.2 * torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(seed))
    image[:, y1:y2, x1:x2] = 1
    return image
