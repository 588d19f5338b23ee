"""FCOS (Tian et al., 2019) as torchvision implements it, behind the contract."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torchvision.models.detection import FCOS, fcos_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList

from odam_lib.detections import Detections
from odam_lib.detectors.backbones import STRIDES, SmallResNetFPN
from odam_lib.detectors.base import Detector, Trace, check_elongation, iou_nms, leaves
from odam_lib.heatmaps import EDGES, Grid


@dataclass(frozen=True)
class Layer:
    """A place at which a detector can be explained: the module that computes it and the stride of each level."""

    module: nn.Module
    strides: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FCOSTrace(Trace):
    """A forward pass of FCOS.

    Attributes:
        logits: ``Tensor[L, C]``, class logits of all locations, level after level.
        centerness: ``Tensor[L]``, centerness logits.
        distances: ``Tensor[L, 4]``, from the location to the left, top, right and bottom edge in image pixels.
        first: ``Tensor[levels]``, index of each level's first location.
    """

    logits: Tensor
    centerness: Tensor
    distances: Tensor
    first: Tensor

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        self.check(detections, [attribute])
        location = self.first[detections.level] + detections.index
        if attribute in EDGES:
            return self.distances[location, EDGES.index(attribute)]
        logit = self.logits[location, detections.labels]
        return logit if attribute == "logit" else score(logit, self.centerness[location])


def score(logit: Tensor, centerness: Tensor) -> Tensor:
    """FCOS's final score, sqrt(sigmoid(logit) sigmoid(centerness)), of any shape.

    By way of logarithms, since the derivative of a sigmoid that rounded to 1 would be exactly 0.
    """
    return torch.exp(0.5 * (logsigmoid(logit) + logsigmoid(centerness)))


class FCOSDetector(Detector):
    """A torchvision FCOS that can be explained.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background.
        layers: where it can be explained, the default first.
    """

    def __init__(self, name: str, model: FCOS, categories: tuple[str, ...], layers: Mapping[str, Layer]) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.categories = categories
        self.layers = tuple(layers)
        self.towers = (model.backbone, model.head.classification_head.conv, model.head.regression_head.conv)
        self._layers = dict(layers)

    def trace(self, image: Tensor, layer: str | None = None) -> FCOSTrace:
        layer = self.check_trace(image, layer)
        model, image_size = self.model, (image.shape[-2], image.shape[-1])
        check_elongation(image_size, model.transform.min_size[-1], model.transform.max_size)
        images, _ = model.transform([image.to(self.device, torch.float32)])
        with leaves(self._layers[layer].module) as features:
            pyramid = list(model.backbone(images.tensors).values())
        outputs = model.head(pyramid)
        input_size = images.image_sizes[0]
        locations, sizes = self._locations(images, pyramid)
        to_image = outputs["bbox_regression"].new_tensor([image_size[1] / input_size[1], image_size[0] / input_size[0]])
        distances = outputs["bbox_regression"][0] * sizes * to_image.repeat(2)
        logits, centerness = outputs["cls_logits"][0], outputs["bbox_ctrness"][0, :, 0]
        cells = [level.shape[-2] * level.shape[-1] for level in pyramid]
        return FCOSTrace(
            layer=layer,
            features=tuple(features),
            grids=tuple(Grid.of_stride(stride) for stride in self._layers[layer].strides),
            input_size=input_size,
            candidates=self._candidates(image, locations * to_image, distances, logits, centerness, cells),
            nms=iou_nms(model.nms_thresh),
            logits=logits,
            centerness=centerness,
            distances=distances,
            first=torch.tensor([sum(cells[:level]) for level in range(len(cells))], device=self.device),
        )

    def _locations(self, images: ImageList, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Reference points ``[L, 2]`` and the unit of their distances ``[L, 1]``, both in input pixels."""
        anchors = self.model.anchor_generator(images, pyramid)[0]
        return (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:3] - anchors[:, :1]

    @torch.no_grad()
    def _candidates(
        self, image: Tensor, points: Tensor, distances: Tensor, logits: Tensor, centerness: Tensor, cells: list[int]
    ) -> Detections:
        class_probs = score(logits, centerness[:, None])
        scores, labels = class_probs.max(dim=1)
        return Detections(
            boxes=torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1),
            scores=scores,
            labels=labels,
            class_probs=class_probs,
            level=torch.cat([torch.full((count,), level) for level, count in enumerate(cells)]).to(self.device),
            index=torch.cat([torch.arange(count) for count in cells]).to(self.device),
            image_size=(image.shape[-2], image.shape[-1]),
            categories=self.categories,
            source=self.source(image),
        )


def small_fcos(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """An untrained FCOS of about 1 M parameters for pictures of about 256 pixels: strides 8, 16 and 32."""
    backbone = SmallResNetFPN()
    model = FCOS(
        backbone,
        num_classes=len(categories),
        min_size=256,
        max_size=512,
        anchor_generator=AnchorGenerator(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)),
        head=FCOSHead(backbone.out_channels, num_anchors=1, num_classes=len(categories), num_convs=2),
    )
    stages = {stage: Layer(module, (stride,)) for (stage, module), stride in zip(backbone.stages.items(), STRIDES)}
    return FCOSDetector(name, model, categories, {"fpn": Layer(backbone, STRIDES)} | stages)


def full_fcos(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """torchvision's FCOS ResNet-50 FPN without weights: strides 8 to 128."""
    model = fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=len(categories))
    stages = {f"layer{n}": Layer(model.backbone.body[f"layer{n}"], (2 ** (n + 1),)) for n in (1, 2, 3, 4)}
    return FCOSDetector(name, model, categories, {"fpn": Layer(model.backbone, (8, 16, 32, 64, 128))} | stages)
