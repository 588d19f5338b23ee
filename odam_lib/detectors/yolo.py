"""YOLOv3-tiny (Redmon and Farhadi, 2018) behind the contract: two heads on a small pyramid, trained on COCO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid, pad

from odam_lib.categories import BACKGROUND, UNUSED
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, Layer, check_elongation, iou_nms
from odam_lib.detectors.boxes import place_boxes
from odam_lib.detectors.cells import CellTrace, list_centres, number_predictions
from odam_lib.detectors.chains import make_chain_windows
from odam_lib.detectors.hooks import detach_output
from odam_lib.detectors.trace import Limits, Predictions
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid

STRIDES = (16, 32)
ANCHORS = (((23, 27), (37, 58), (81, 82)), ((81, 82), (135, 169), (344, 319)))
"""Width and height of the three anchors of each level, in pixels of the detector's input.

The authors' settings name others for the finer level, but the published weights were trained with these
(data/evaluation/README.md).
"""
LONG_SIDE = 416
"""Pictures are resized to this longer side, in pixels."""
GREY = 0.5
"""What the resized picture is padded with to a multiple of the coarsest stride, on its right and below."""
NMS_IOU = 0.45
LIMITS = Limits(before=1000, after=300)
"""The authors' code has none; a threshold of 0 would leave 200,000 predictions."""
FPN = "fpn"
NOT_PREDICTED = (BACKGROUND, UNUSED)
BOX, OBJECTNESS, CLASSES = 4, 4, 5
"""A head says of each anchor four numbers for the box, the logit of its objectness, and a logit for each class."""


def make_convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, its batch norm, and a leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1),
    )


class Pyramid(nn.Module):
    """The backbone down to a stride of 32, and one step back up."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128, 256)
        stages = [make_convolution(inputs, outputs, 3) for inputs, outputs in pairwise(widths)]
        halved = [layer for stage in stages for layer in (stage, nn.MaxPool2d(2))]
        self.stride16 = nn.Sequential(*halved[:-1])
        self.stride32 = nn.Sequential(
            nn.MaxPool2d(2),
            make_convolution(256, 512, 3),
            nn.ConstantPad2d((0, 1, 0, 1), -torch.inf),  # the pool of stride 1 looks one cell to the right and below
            nn.MaxPool2d(2, stride=1),
            make_convolution(512, 1024, 3),
            make_convolution(1024, 256, 1),
        )
        self.lateral = nn.Sequential(make_convolution(256, 128, 1), nn.Upsample(scale_factor=2))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``Tensor[B, 3, H, W]`` to ``fine`` ``[B, 384, H/16, W/16]`` and ``coarse`` ``[B, 256, H/32, W/32]``."""
        sixteenth = self.stride16(images)
        coarse = self.stride32(sixteenth)
        return {"fine": torch.cat([self.lateral(coarse), sixteenth], dim=1), "coarse": coarse}


class YOLOv3Tiny(nn.Module):
    """The network: a pyramid and a head for each of its levels.

    Args:
        classes: how many, without the background.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        outputs = len(ANCHORS[0]) * (CLASSES + classes)
        self.pyramid = Pyramid()
        self.heads = nn.ModuleDict(
            {
                "fine": nn.Sequential(make_convolution(128 + 256, 256, 3), nn.Conv2d(256, outputs, 1)),
                "coarse": nn.Sequential(make_convolution(256, 512, 3), nn.Conv2d(512, outputs, 1)),
            }
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """``Tensor[B, 3, H, W]``, sides multiples of 32, to what each head says, ``Tensor[B, A (5 + C), h, w]``."""
        return self.read(self.pyramid(images))

    def read(self, levels: Mapping[str, Tensor]) -> list[Tensor]:
        """What the heads say about a pyramid."""
        return [head(levels[level]) for level, head in self.heads.items()]


def measure_distances(numbers: Tensor, references: Tensor, strides: Tensor) -> Tensor:
    """Distances ``[N, 4]`` in pixels from the cells' centres to the left, top, right and bottom edge.

    Args:
        numbers: ``Tensor[N, 4]``, what the head says of the box.
        references: ``Tensor[N, 4]``, the anchors (x1, y1, x2, y2) around the cells' centres, in pixels of the image.
        strides: ``Tensor[N, 2]``, of the level, in pixels of the image across and down.
    """
    shift = (numbers[:, :2].sigmoid() - 0.5) * strides
    half = (references[:, 2:] - references[:, :2]) * numbers[:, 2:].exp() / 2
    return torch.cat([half - shift, half + shift], dim=1)


def compute_score(objectness: Tensor, logit: Tensor) -> Tensor:
    """Objectness times class probability; by way of logarithms, so that a saturated sigmoid keeps a derivative."""
    return torch.exp(logsigmoid(objectness) + logsigmoid(logit))


@dataclass(frozen=True, eq=False)
class YOLOTrace(CellTrace):
    """A forward pass of YOLOv3-tiny.

    Attributes:
        outputs: ``Tensor[P, 5 + C]``, what the heads say.
        references, strides: of all predictions, see :func:`measure_distances`.
    """

    detector: "YOLODetector"
    outputs: Tensor
    references: Tensor
    strides: Tensor

    @cached_property
    def windows(self) -> Windowed | None:
        heads = [(head,) for head in self.detector.model.heads.values()]
        return make_chain_windows(self, heads) if self.layer == FPN else None

    def head_outputs(self, detections: Detections) -> Tensor:
        """What the heads say about each detection, ``Tensor[N, 5 + C]``."""
        return self.outputs[self.listed(detections)]

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        if attribute in EDGES:
            row = self.listed(detections)
            each = measure_distances(outputs[:, :BOX], self.references[row], self.strides[row])
            return each[:, EDGES.index(attribute)]
        logit = outputs.gather(1, CLASSES + self.detector.column[detections.labels][:, None])[:, 0]
        return logit if attribute == "logit" else compute_score(outputs[:, OBJECTNESS], logit)


class YOLODetector(Detector):
    """A YOLOv3-tiny that can be explained.

    Each cell lies in the middle of the pixels that its pools of 2x2 cells were made of; so does one of the coarser
    level, where it predicts, although its pool of stride 1 reads one cell further to the right and below.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background; those called ``N/A`` are never predicted.
    """

    def __init__(self, name: str, model: YOLOv3Tiny, categories: tuple[str, ...]) -> None:
        self.name = name
        self.model = model
        self.categories = categories
        self._layers = {
            FPN: Layer("pyramid", STRIDES),
            "stride32": Layer("pyramid.stride32", STRIDES[1:]),
            "stride16": Layer("pyramid.stride16", STRIDES[:1]),
        }
        self.layers = tuple(self._layers)
        self.towers = (model,)
        self._labels = [label for label, category in enumerate(categories) if category not in NOT_PREDICTED]

    @property
    def column(self) -> Tensor:
        """``Tensor[C]``, int64, which class of the network each label is; 0 for labels that it never predicts."""
        columns = torch.zeros(len(self.categories), dtype=torch.int64, device=self.device)
        columns[self._labels] = torch.arange(len(self._labels), device=self.device)
        return columns

    def make_trace(self, image: Tensor, layer: str) -> YOLOTrace:
        image_size = (image.shape[-2], image.shape[-1])
        batch, input_size = self._prepare(image[None])
        with detach_output(self.model.get_submodule(self._layers[layer].module)) as features:
            levels = self.model.pyramid(batch)
        outputs = self._flatten(self.model.read(levels))[0]
        pyramid = list(levels.values())
        anchors = self._anchors(pyramid, image_size, input_size)
        with torch.no_grad():
            predictions = self._read(outputs, *anchors)
        counts = [level.shape[-2] * level.shape[-1] * len(ANCHORS[0]) for level in pyramid]
        level, index, first = number_predictions(counts, self.device)
        return YOLOTrace(
            detector=self,
            image=image,
            layer=layer,
            features=tuple(features),
            grids=tuple(Grid(stride / 2, stride / 2, stride, stride) for stride in self._layers[layer].strides),
            input_size=input_size,
            candidates=self.candidates(image, predictions, level, index),
            nms=iou_nms(NMS_IOU),
            limits=LIMITS,
            first=first,
            anchors_a_cell=(len(ANCHORS[0]),) * len(pyramid),
            outputs=outputs,
            references=anchors[0],
            strides=anchors[1],
        )

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        batch, input_size = self._prepare(images)
        said = self.model(batch)
        anchors = self._anchors(said, (images.shape[-2], images.shape[-1]), input_size)
        return [self._read(outputs, *anchors) for outputs in self._flatten(said)]

    def _prepare(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Resized and padded pictures ``[B, 3, H, W]``, and their size before the padding."""
        height, width = images.shape[-2:]
        check_elongation((height, width), LONG_SIDE, LONG_SIDE)
        scale = LONG_SIDE / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        resized = interpolate(images.to(self.device, self.dtype), size, mode="bilinear")
        below, right = (-side % STRIDES[-1] for side in size)
        padded = pad(resized, (0, right, 0, below), value=GREY)
        return padded.contiguous(memory_format=torch.channels_last), size  # three times as fast on a CPU

    @staticmethod
    def _flatten(said: Sequence[Tensor]) -> Tensor:
        """What the heads say ``[B, A (5 + C), h, w]`` as a list of predictions: ``Tensor[B, P, 5 + C]``."""
        a_cell = len(ANCHORS[0])
        levels = [level.permute(0, 2, 3, 1).reshape(len(level), -1, level.shape[1] // a_cell) for level in said]
        return torch.cat(levels, dim=1)

    def _anchors(
        self, levels: Sequence[Tensor], image_size: tuple[int, int], input_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """References and strides of all predictions, see :func:`measure_distances`; of levels the sizes count."""
        scale = levels[0].new_tensor([image_size[1] / input_size[1], image_size[0] / input_size[0]])
        references, strides = [], []
        for level, stride, sides in zip(levels, STRIDES, ANCHORS):
            centres = list_centres((level.shape[-2], level.shape[-1]), stride, scale).repeat(1, 2)[:, None]
            halves = scale.new_tensor(sides).repeat(1, 2) / 2 * scale.new_tensor([-1, -1, 1, 1])
            references.append((centres + halves).flatten(0, 1) * scale.repeat(2))
            strides.append((stride * scale).expand(len(references[-1]), 2))
        return torch.cat(references), torch.cat(strides)

    def _read(self, outputs: Tensor, references: Tensor, strides: Tensor) -> Predictions:
        boxes = place_boxes(references, measure_distances(outputs[:, :BOX], references, strides))
        probs = outputs.new_zeros((len(outputs), len(self.categories)))
        scores = compute_score(outputs[:, OBJECTNESS, None], outputs[:, CLASSES:])
        return Predictions(boxes, probs.index_copy(1, torch.tensor(self._labels, device=self.device), scores))


def build_yolov3_tiny(name: str, categories: tuple[str, ...]) -> YOLODetector:
    """An untrained YOLOv3-tiny, 8.8 M parameters: strides 16 and 32."""
    classes = sum(category not in NOT_PREDICTED for category in categories)
    return YOLODetector(name, YOLOv3Tiny(classes), categories)
