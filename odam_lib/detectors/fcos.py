"""FCOS (Tian et al., 2019) as torchvision implements it, behind the contract."""

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torchvision.models.detection import FCOS, fcos_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from odam_lib.detectors.backbones import PVT_B0_WIDTHS, PVT_SMALL_WIDTHS, PVTFPN, STRIDES, SmallResNetFPN, start_narrow
from odam_lib.detectors.dense import DenseDetector, DensePositives, DenseTrace

FULL_STRIDES = (8, 16, 32, 64, 128)


class FCOSTrace(DenseTrace):
    """A forward pass of FCOS, one prediction a cell; its references are squares of the level's stride."""

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """FCOS's final score, sqrt(sigmoid(logit) sigmoid(centerness)).

        By way of logarithms, since the derivative of a sigmoid that rounded to 1 would be exactly 0.
        """
        return torch.exp(0.5 * (logsigmoid(logit) + logsigmoid(centerness[..., 0])))


class FCOSPositives(DensePositives):
    """The locations that were assigned to objects; FCOS divides its losses by their number."""

    @property
    def divisor(self) -> int:
        return max(1, len(self))


class FCOSDetector(DenseDetector):
    """A torchvision FCOS that can be explained; see :class:`DenseDetector`."""

    trace_type = FCOSTrace
    positives_type = FCOSPositives

    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """The head's numbers, positive parts, are distances in units of the stride."""
        return regression.relu() * (references[:, 2:] - references[:, :2]).repeat(1, 2)


def small_fcos(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """An untrained FCOS of about 1.3 M parameters for pictures of about 256 pixels: strides 8, 16 and 32."""
    return _small(name, categories, SmallResNetFPN())


def small_fcos_pvt(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """The same on a narrow pyramid vision transformer."""
    return _small(name, categories, PVTFPN(PVT_SMALL_WIDTHS, out_channels=64))


def small_fcos_plain(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """:func:`small_fcos` with a head of convolutions and ReLUs alone, where a prediction depends on its window only.

    torchvision's head has GroupNorm, whose statistics make every cell of a level depend on every other.
    """
    detector = small_fcos(name, categories)
    head = detector.model.head
    for part in (head.classification_head, head.regression_head):
        part.conv = nn.Sequential(*(module for module in part.conv if not isinstance(module, nn.GroupNorm)))
        start_narrow(part.conv)
    return detector


def full_fcos(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """torchvision's FCOS ResNet-50 FPN without weights: strides 8 to 128."""
    model = fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=len(categories))
    return FCOSDetector(name, model, categories)


def full_fcos_pvt(name: str, categories: tuple[str, ...]) -> FCOSDetector:
    """torchvision's FCOS on PVT v2 B0 without weights: strides 8 to 128."""
    backbone = PVTFPN(PVT_B0_WIDTHS, 256, LastLevelP6P7(256, 256))
    anchors = AnchorGenerator(tuple((stride,) for stride in FULL_STRIDES), ((1.0,),) * len(FULL_STRIDES))
    model = FCOS(backbone, num_classes=len(categories), anchor_generator=anchors)
    return FCOSDetector(name, model, categories)


def _small(name: str, categories: tuple[str, ...], backbone: nn.Module) -> FCOSDetector:
    model = FCOS(
        backbone,
        num_classes=len(categories),
        min_size=256,
        max_size=512,
        anchor_generator=AnchorGenerator(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)),
        head=FCOSHead(backbone.out_channels, num_anchors=1, num_classes=len(categories), num_convs=2),
    )
    return FCOSDetector(name, model, categories)
