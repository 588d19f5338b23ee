"""torchvision's families, as small configurations with random weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import detection, mobilenet_v2
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from wrapped import Case, livened

NAMES = ("cat", "dog", "bird")


def own(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return model([image])[0]


def loss(model: nn.Module) -> Tensor:
    torch.manual_seed(5)
    pictures = [torch.rand(3, 96, 128), torch.rand(3, 110, 100)]
    boxes = torch.tensor([[10.0, 20.0, 60.0, 80.0], [30.0, 10.0, 90.0, 70.0]])
    targets = [
        {
            "boxes": boxes,
            "labels": torch.tensor([1, 1]),
            "masks": torch.ones(2, *picture.shape[-2:], dtype=torch.uint8),
            "keypoints": torch.cat([boxes[:, None, :2].expand(2, 17, 2) + 9, torch.ones(2, 17, 1)], dim=2),
        }
        for picture in pictures
    ]
    return sum(model(pictures, targets).values())


def built(make: Callable[..., nn.Module], **settings: object) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        model = make(
            weights=None, weights_backbone=None, **{"num_classes": 4, "min_size": 128, "max_size": 192} | settings
        )
        return told_apart(livened(model))

    return build


def told_apart(model: nn.Module) -> nn.Module:
    """Last layers whose numbers are of a size at which boxes are sane and scores differ."""
    for name, module in model.named_modules():
        last = name.rsplit(".", 1)[-1] in ("cls_logits", "bbox_reg", "bbox_ctrness", "cls_score", "bbox_pred")
        for layer in module.modules() if last else ():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                with torch.no_grad():
                    layer.weight *= 0.3
    return model


def from_one_tensor() -> nn.Module:
    """torchvision's own tutorial: a backbone that returns one tensor."""
    torch.manual_seed(0)
    backbone = mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    model = FasterRCNN(
        backbone,
        num_classes=2,
        rpn_anchor_generator=AnchorGenerator(((32, 64, 128),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        min_size=128,
        max_size=192,
    )
    return told_apart(livened(model))


PYRAMID, POOLED = (8, 16, 32, 64, 128), (4, 8, 16, 32)

CASES = [
    Case("fcos", built(detection.fcos_resnet50_fpn), own, loss, PYRAMID, NAMES, 0.2),
    Case("retinanet", built(detection.retinanet_resnet50_fpn), own, loss, PYRAMID, NAMES),
    Case("retinanet_v2", built(detection.retinanet_resnet50_fpn_v2), own, loss, PYRAMID, NAMES),
    Case("fasterrcnn", built(detection.fasterrcnn_resnet50_fpn), own, loss, POOLED, NAMES),
    Case("fasterrcnn_v2", built(detection.fasterrcnn_resnet50_fpn_v2), own, loss, POOLED, NAMES),
    Case("fasterrcnn_mobile", built(detection.fasterrcnn_mobilenet_v3_large_fpn), own, loss, (32, 32), NAMES),
    Case("fasterrcnn_mobile_320", built(detection.fasterrcnn_mobilenet_v3_large_320_fpn), own, loss, (32, 32), NAMES),
    Case("fasterrcnn_one_tensor", from_one_tensor, own, loss, (32,), ("cat",)),
    Case("maskrcnn", built(detection.maskrcnn_resnet50_fpn), own, loss, POOLED, NAMES),
    Case("maskrcnn_v2", built(detection.maskrcnn_resnet50_fpn_v2), own, loss, POOLED, NAMES),
    Case("keypointrcnn", built(detection.keypointrcnn_resnet50_fpn, num_classes=2), own, loss, POOLED, ("person",)),
]
