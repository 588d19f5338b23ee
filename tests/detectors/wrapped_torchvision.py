"""torchvision's families, as small configurations with random weights."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.detection import (
    FCOS,
    FasterRCNN,
    KeypointRCNN,
    MaskRCNN,
    RetinaNet,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    ssdlite320_mobilenet_v3_large,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.ssd import SSD, SSDFeatureExtractorVGG
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.vgg import make_layers
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7
from wrapped import PICTURE, Case, livened

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


CHANNELS, SIZES, FEW = 32, {"num_classes": 4, "min_size": 128, "max_size": 192}, {"rpn_post_nms_top_n_test": 60}


def pyramid(first: int, extra: ExtraFPNBlock) -> nn.Module:
    """A residual network of one block a stage and its pyramid from a stage on, as torchvision builds them."""
    body, stages = ResNet(BasicBlock, [1, 1, 1, 1]), range(first, 5)
    names = {f"layer{stage}": str(number) for number, stage in enumerate(stages)}
    return BackboneWithFPN(body, names, [32 * 2**stage for stage in stages], CHANNELS, extra)


def fcos() -> nn.Module:
    return FCOS(pyramid(2, LastLevelP6P7(CHANNELS, CHANNELS)), **SIZES)


def retinanet() -> nn.Module:
    return RetinaNet(pyramid(2, LastLevelP6P7(CHANNELS, CHANNELS)), **SIZES)


def retinanet_v2() -> nn.Module:
    """With GroupNorm in the head and a pyramid that goes on from the backbone, as torchvision's second version."""
    backbone = pyramid(2, LastLevelP6P7(512, CHANNELS))
    head = RetinaNetHead(CHANNELS, 9, 4, norm_layer=partial(nn.GroupNorm, 8))
    return RetinaNet(backbone, head=head, **SIZES)


def faster(kind: type[FasterRCNN] = FasterRCNN, **settings: object) -> nn.Module:
    backbone = pyramid(1, LastLevelMaxPool())
    box_head = TwoMLPHead(CHANNELS * 7**2, 64)
    settings = {"box_head": box_head, "box_predictor": FastRCNNPredictor(64, 4)} | SIZES | FEW | settings
    return kind(backbone, **settings | {"num_classes": None})


def faster_v2(kind: type[FasterRCNN] = FasterRCNN, **settings: object) -> nn.Module:
    head = FastRCNNConvFCHead((CHANNELS, 7, 7), [CHANNELS] * 2, [64], norm_layer=nn.BatchNorm2d)
    return faster(kind, rpn_head=RPNHead(CHANNELS, 3, conv_depth=2), box_head=head, **settings)


def mask() -> nn.Module:
    heads = {"mask_head": MaskRCNNHeads(CHANNELS, [CHANNELS], 1), "mask_predictor": MaskRCNNPredictor(CHANNELS, 32, 4)}
    return faster(MaskRCNN, **heads)


def keypoints() -> nn.Module:
    heads = {
        "keypoint_head": KeypointRCNNHeads(CHANNELS, (CHANNELS,)),
        "keypoint_predictor": KeypointRCNNPredictor(CHANNELS, 17),
    }
    return faster(KeypointRCNN, **heads)


def mobile() -> nn.Module:
    return fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, **SIZES, **FEW)


def ssd() -> nn.Module:
    """As torchvision's SSD300, with a narrower VGG of fewer convolutions."""
    layers = make_layers([8, "M", 16, "M", 32, "M", 512, "M", 512, "M"])
    ratios, steps = [[2], [2, 3], [2, 3], [2, 3], [2], [2]], [8, 16, 32, 64, 100, 300]
    boxes = DefaultBoxGenerator(ratios, scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], steps=steps)
    return SSD(SSDFeatureExtractorVGG(layers, highres=False), boxes, (300, 300), num_classes=4)


def ssdlite() -> nn.Module:
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)


def built(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return told_apart(livened(make()))

    return build


SPREAD = {"cls_logits": 1.5, "cls_score": 1.5, "bbox_ctrness": 1.0, "bbox_reg": 0.5, "bbox_pred": 0.5}


OF_A_LIST = {"cls_logits": "classification_head.module_list", "bbox_reg": "regression_head.module_list"}
"""SSD has one for each level."""


def told_apart(model: nn.Module) -> nn.Module:
    """Scale last layers by what they say about ``PICTURE``, so that boxes are sane and scores differ."""

    def scale(layer: nn.Conv2d | nn.Linear, _: object, output: Tensor) -> Tensor:
        if layer not in scaled:
            scaled[layer] = SPREAD[layers[layer]] / output.std()
            layer.weight.data *= scaled[layer]
            return output * scaled[layer]
        return output

    layers = {
        module: name
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None
        for name in SPREAD
        if name in path or OF_A_LIST.get(name, "?") in path
    }
    scaled: dict[nn.Module, Tensor] = {}
    handles = [layer.register_forward_hook(scale) for layer in layers]
    for layer in layers:
        nn.init.zeros_(layer.bias)
    own(model, PICTURE)
    for handle in handles:
        handle.remove()
    return model


def one_tensor() -> nn.Module:
    """torchvision's own tutorial: a backbone that returns one tensor."""
    backbone = mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((32, 64, 128),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(1280 * 7**2, 64),
        box_predictor=FastRCNNPredictor(64, 3),
        min_size=128,
        max_size=192,
        **FEW,
    )


PYRAMID, POOLED = (8, 16, 32, 64, 128), (4, 8, 16, 32)

CASES = [
    Case("fcos", built(fcos), own, loss, PYRAMID, NAMES, 0.2),
    Case("retinanet", built(retinanet), own, loss, PYRAMID, NAMES),
    Case("retinanet_v2", built(retinanet_v2), own, loss, PYRAMID, NAMES),
    Case("fasterrcnn", built(faster), own, loss, POOLED, NAMES),
    Case("fasterrcnn_v2", built(faster_v2), own, loss, POOLED, NAMES),
    Case("fasterrcnn_mobile", built(mobile), own, loss, (32, 32), NAMES),
    Case("fasterrcnn_one_tensor", built(one_tensor), own, loss, (32,), NAMES[:2]),
    Case("maskrcnn", built(mask), own, loss, POOLED, NAMES),
    Case("keypointrcnn", built(keypoints), own, loss, POOLED, NAMES),
    Case("ssd", built(ssd), own, loss, (8, 16, 32, 64, 64, 64), NAMES, 0.01),
    Case("ssdlite", built(ssdlite), own, loss, (16, 32, 64, 128, 256, 512), NAMES, 0.001),
]
