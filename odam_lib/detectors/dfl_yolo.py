"""YOLO as Ultralytics implements it (YOLOv8, 11 and their kin), behind the contract; the package is not needed.

Each cell of the maps that the head reads says a logit for every class and, for each edge, a distribution over distances
from the middle of the cell, in strides (the distribution focal loss of Li et al., NeurIPS 2020). There are no anchors
and there is no objectness.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid, pad

from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.base import Detector, iou_nms
from odam_lib.detectors.boxes import place_boxes
from odam_lib.detectors.cells import CellTrace, list_centres, number_predictions
from odam_lib.detectors.chains import make_chain_windows
from odam_lib.detectors.hooks import is_named
from odam_lib.detectors.trace import Limits, Predictions
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import keep_all

NECK = "neck"
"""The maps that the head reads, the default layer."""
IOU_THRESHOLD, MOST = 0.7, 300
"""``iou`` and ``max_det`` in the package's cfg/default.yaml, which its predict takes whatever a model was trained with:
the threshold of suppression, and the number of detections of a picture."""
GREY = 114 / 255
"""What the rest of the input is filled with, since the first of Ultralytics."""


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies on the input of a network.

    Attributes:
        image_size: (height, width) of the picture.
        inner: (height, width) of the picture after its resize.
        input_size: (height, width) of the network's input.
        top, left: pixels filled above and to the left of the picture.
    """

    image_size: tuple[int, int]
    inner: tuple[int, int]
    input_size: tuple[int, int]
    top: int
    left: int

    @classmethod
    def of(cls, image_size: tuple[int, int], wanted: tuple[int, int], stride: int) -> "Letterbox":
        """The smallest input of whole strides that holds the picture, centred, as large as fits into ``wanted``.

        Args:
            image_size: (height, width) of the picture.
            wanted: (height, width), multiples of the stride.
            stride: in pixels.
        """
        scale = min(wanted[0] / image_size[0], wanted[1] / image_size[1])
        inner = tuple(max(round(side * scale), 1) for side in image_size)
        rest = [(full - side) % stride for full, side in zip(wanted, inner)]
        size = (inner[0] + rest[0], inner[1] + rest[1])
        # Of an odd rest the larger half is at the bottom and on the right.
        return cls(image_size, (inner[0], inner[1]), size, rest[0] // 2, rest[1] // 2)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture for each of the input, across and down."""
        return self.image_size[1] / self.inner[1], self.image_size[0] / self.inner[0]

    def place(self, images: Tensor) -> Tensor:
        """Pictures ``Tensor[B, 3, H, W]`` in [0, 1] as the network sees them, differentiable."""
        if self.inner != self.image_size:
            images = interpolate(images, self.inner, mode="bilinear", align_corners=False)
        below, right = (self.input_size[axis] - self.inner[axis] - (self.top, self.left)[axis] for axis in (0, 1))
        return pad(images, (self.left, right, self.top, below), value=GREY)

    def to_image(self, points: Tensor) -> Tensor:
        """Points ``Tensor[..., 2]``, (x, y) on the input, in pixels of the picture."""
        return (points - points.new_tensor([self.left, self.top])) * points.new_tensor(self.scale)


@dataclass(frozen=True, eq=False)
class DflTrace(CellTrace):
    """A forward pass of a YOLO.

    Attributes:
        outputs: ``Tensor[L, C + 4 R]``, what the head says: a logit for each class, and for each edge the logits of the
            distances 0, ..., R - 1, or the distance itself where R is 1.
        units: of its distances, see :func:`measure_distances`.
    """

    detector: "DflDetector"
    outputs: Tensor
    units: Tensor

    clips_first = False

    @cached_property
    def windows(self) -> Windowed | None:
        if self.layer != NECK:
            return None
        branches = self.detector.branches()
        return make_chain_windows(self, branches, lambda module: is_named(module, "ultralytics", "Conv"))

    def above(self, score_threshold: float) -> Detections:
        """Each prediction as its best class alone, as the package reads a head whose duplicates are suppressed."""
        if self.nms is keep_all:
            return super().above(score_threshold)
        check_threshold(score_threshold)
        scores, order = self.candidates.scores.sort(descending=True, stable=True)
        return self.candidates[order[scores > score_threshold]]

    def head_outputs(self, detections: Detections) -> Tensor:
        """What the head says about each detection, ``Tensor[N, C + 4 R]``."""
        return self.outputs[self.listed(detections)]

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        choices = self.detector.choices
        logits, regression = outputs.tensor_split([-4 * len(choices)], dim=1)
        if attribute in EDGES:
            each = measure_distances(regression, choices, self.units[self.listed(detections)])
            return each[:, EDGES.index(attribute)]
        logit = logits.gather(1, detections.labels[:, None] - 1)[:, 0]
        # By way of the logarithm, so that a saturated sigmoid keeps a derivative.
        return logit if attribute == "logit" else torch.exp(logsigmoid(logit))


class DflDetector(Detector):
    """A YOLO of Ultralytics that can be explained; its head is never called, only the head's branches are.

    Args:
        name: of the detector.
        model: the network, a ``DetectionModel`` of the package or the like.
        categories: class names, index 0 is the background.
        strides: of the maps that the head reads, pixels of the network's input.
        wanted: (height, width) into which pictures are fitted, multiples of the strides.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        categories: tuple[str, ...],
        strides: tuple[int, ...],
        wanted: tuple[int, int],
    ) -> None:
        self.name = name
        self.model = model
        self.categories = categories
        self.towers = ()
        self.strides = strides
        self.wanted = wanted
        self._stages = _find_stages(model)
        self.layers = (NECK, *self._stages)

    @property
    def one_to_one(self) -> bool:
        """Whether the network reads the branches that were trained to say each object once (YOLOv10, 26)."""
        return bool(getattr(self.model.model[-1], "end2end", False))

    def letterbox(self, image_size: tuple[int, int]) -> Letterbox:
        """Where a picture of (height, width) lies on the network's input."""
        return Letterbox.of(image_size, self.wanted, max(self.strides))

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        box = self.letterbox((images.shape[-2], images.shape[-1]))
        maps, _ = self._maps(box.place(images.to(self.device, self.dtype)))
        points, units = self._places(box, maps)
        return [self._read(outputs, points, units) for outputs in self._outputs(maps)]

    def make_trace(self, image: Tensor, layer: str) -> DflTrace:
        box = self.letterbox((image.shape[-2], image.shape[-1]))
        maps, features = self._maps(box.place(image[None].to(self.device, self.dtype)), layer)
        (outputs,) = self._outputs(maps)
        points, units = self._places(box, maps)
        with torch.no_grad():
            predictions = self._read(outputs, points, units)
        counts = [sheet.shape[-2] * sheet.shape[-1] for sheet in maps]
        level, index, first = number_predictions(counts, self.device)
        return DflTrace(
            detector=self,
            image=image,
            layer=layer,
            features=features,
            grids=tuple(_lay_grid(box, sheet) for sheet in features),
            input_size=box.inner,
            candidates=self.candidates(image, predictions, level, index),
            nms=keep_all if self.one_to_one else iou_nms(IOU_THRESHOLD),
            limits=Limits(after=MOST),
            first=first,
            anchors_a_cell=(1,) * len(maps),
            outputs=outputs,
            units=units,
        )

    def _maps(self, batch: Tensor, layer: str | None = None) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """What the head reads, and the features of a layer as leaves from which those were made.

        Every module of the network says by its ``f`` whose outputs it reads.
        """
        *body, head = self.model.model
        cut = self._stages.get(layer) if layer is not None else None
        made: list[Tensor | None] = []
        features: tuple[Tensor, ...] = ()
        for number, module in enumerate(body):
            output = module(_gather_inputs(module, number, made, batch))
            if number == cut:
                output = output.detach().requires_grad_()
                features = (output,)
            made.append(output)
            if number and number - 1 not in self.model.save:
                made[number - 1] = None  # nothing else will read it
        maps = _gather_inputs(head, len(body), made, batch)
        if layer == NECK:
            maps = [sheet.detach().requires_grad_() for sheet in maps]
            features = tuple(maps)
        return maps, features

    def branches(self) -> list[tuple[nn.Module, nn.Module]]:
        """Of each level what says the class and what says the box."""
        head = self.model.model[-1]
        classes, boxes = (head.one2one_cv3, head.one2one_cv2) if self.one_to_one else (head.cv3, head.cv2)
        return list(zip(classes, boxes))

    def _outputs(self, maps: Sequence[Tensor]) -> Tensor:
        """What the head says, all levels in order, each row after row: ``Tensor[B, L, C + 4 R]``."""
        both = [torch.cat([branch(sheet) for branch in pair], dim=1) for pair, sheet in zip(self.branches(), maps)]
        return torch.cat([level.flatten(2) for level in both], dim=2).transpose(1, 2)

    def _places(self, box: Letterbox, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """From where each of L predictions measures and in which unit, in pixels of the picture: ``[L, 2]`` each."""
        points = [
            list_centres((sheet.shape[-2], sheet.shape[-1]), stride, sheet) for sheet, stride in zip(maps, self.strides)
        ]
        units = [one.new_tensor(box.scale).mul(stride).expand(len(one), 2) for one, stride in zip(points, self.strides)]
        return box.to_image(torch.cat(points)), torch.cat(units)

    @property
    def choices(self) -> Tensor:
        """The distances among which the head chooses, in strides: the frozen kernel that takes their expectation."""
        head = self.model.model[-1]
        return head.dfl.conv.weight.detach().flatten() if head.reg_max > 1 else torch.ones(1, device=self.device)

    def _read(self, outputs: Tensor, points: Tensor, units: Tensor) -> Predictions:
        choices = self.choices
        logits, regression = outputs.tensor_split([-4 * len(choices)], dim=1)
        edges = place_boxes(points.repeat(1, 2), measure_distances(regression, choices, units))
        # A head that says distances themselves may say negative ones: a box that ends before it begins is empty there.
        middle = (edges[:, :2] + edges[:, 2:]) / 2
        boxes = torch.cat([edges[:, :2].minimum(middle), edges[:, 2:].maximum(middle)], dim=1)
        return Predictions(boxes, pad(logits.sigmoid(), (1, 0)))  # no prediction is of the background


def measure_distances(regression: Tensor, choices: Tensor, units: Tensor) -> Tensor:
    """Distances ``[..., 4]`` in pixels of the picture to the left, top, right and bottom edge.

    Args:
        regression: ``Tensor[..., 4 R]``, see :class:`DflTrace`.
        choices: ``Tensor[R]``, the distances among which the head chooses; ignored if it says the distance itself.
        units: ``Tensor[..., 2]``, pixels of the picture that a distance of 1 is, across and down.
    """
    each = regression.unflatten(-1, (4, len(choices)))
    expected = each.softmax(dim=-1) @ choices if len(choices) > 1 else each[..., 0]
    return expected * units.repeat(1, 2)


def _list_sources(module: Any, number: int) -> list[int]:
    """The numbers of the modules whose outputs the module of some number reads."""
    given = [module.f] if isinstance(module.f, int) else module.f
    return [one if one >= 0 else number + one for one in given]


def _gather_inputs(module: Any, number: int, made: Sequence[Any], batch: Tensor) -> Any:
    """What a module reads: the batch of pictures, the output of one module, or those of several as a list."""
    read = [batch if source < 0 else made[source] for source in _list_sources(module, number)]
    return read[0] if isinstance(module.f, int) else read


def _find_stages(model: Any) -> dict[str, int]:
    """The modules of the backbone whose outputs the neck reads, by name, shallowest first."""
    settings = getattr(model, "yaml", None)
    size = len(settings["backbone"]) if isinstance(settings, dict) and "backbone" in settings else 0
    read = {one for number, module in enumerate(model.model) if number >= size for one in _list_sources(module, number)}
    return {f"stage{place}": number for place, number in enumerate(sorted(one for one in read if 0 <= one < size), 1)}


def _lay_grid(box: Letterbox, sheet: Tensor) -> Grid:
    """Where the cells of a map lie in pixels of the resized picture, which begins within the input."""
    height, width = sheet.shape[-2:]
    return Grid(0.5 - box.left, 0.5 - box.top, box.input_size[1] / width, box.input_size[0] / height)
