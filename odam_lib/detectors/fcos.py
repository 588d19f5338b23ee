"""FCOS (Tian et al., 2019) as torchvision implements it, behind the contract."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from odam_lib.detectors.backbones import STRIDES, SmallResNetFPN, start_narrow
from odam_lib.detectors.dense import DenseDetector


class FCOSDetector(DenseDetector):
    """A torchvision FCOS that can be explained, one prediction a cell; see :class:`DenseDetector`.

    Its references are squares of the level's stride.
    """

    averages_positives = True

    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """The head's numbers, positive parts, are distances in units of the stride."""
        return regression.relu() * (references[:, 2:] - references[:, :2]).repeat(1, 2)

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """FCOS's final score, sqrt(sigmoid(logit) sigmoid(centerness)).

        By way of logarithms, since the derivative of a sigmoid that rounded to 1 would be exactly 0.
        """
        return torch.exp(0.5 * (logsigmoid(logit) + logsigmoid(centerness[..., 0])))


def build_small_fcos(
    name: str,
    categories: tuple[str, ...],
    make_backbone: Callable[[], nn.Module] = SmallResNetFPN,
    group_norm: bool = False,
) -> FCOSDetector:
    """An untrained FCOS of about 1.3 M parameters for pictures of about 256 pixels: strides 8, 16 and 32.

    Args:
        name: name of the detector.
        categories: class names, index 0 is the background.
        make_backbone: what makes its feature extractor.
        group_norm: torchvision's head, whose GroupNorm makes every cell of a level depend on every other; else one of
            convolutions and ReLUs alone, where a prediction depends on its window only.
    """
    backbone: Any = make_backbone()
    model = FCOS(
        backbone,
        num_classes=len(categories),
        min_size=256,
        max_size=512,
        anchor_generator=AnchorGenerator(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)),
        head=FCOSHead(backbone.out_channels, num_anchors=1, num_classes=len(categories), num_convs=2),
    )
    if not group_norm:
        for part in (model.head.classification_head, model.head.regression_head):
            part.conv = nn.Sequential(*(module for module in part.conv if not isinstance(module, nn.GroupNorm)))
            start_narrow(part.conv)
    return FCOSDetector(name, model, categories)
