"""RetinaNet (Lin et al., 2017) as torchvision implements it, behind the contract."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from odam_lib.detectors.backbones import SmallResNetFPN, start_narrow
from odam_lib.detectors.boxes import decode_distances
from odam_lib.detectors.dense import DenseDetector

ASPECT_RATIOS = (0.5, 1.0, 2.0)
SMALL_ANCHORS = ((24, 36), (52, 76), (110, 170))
"""Sides of the anchors of each level, for pictures of about 256 pixels."""


class RetinaNetDetector(DenseDetector):
    """A torchvision RetinaNet that can be explained, several anchors a cell; see :class:`DenseDetector`."""

    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """The head's numbers move the anchor's centre and, as logarithms, scale its sides."""
        return decode_distances(self.model.box_coder, regression, references)

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """The class probability; by way of its logarithm, so that a saturated sigmoid keeps a derivative."""
        return torch.exp(logsigmoid(logit))


def build_small_retinanet(
    name: str, categories: tuple[str, ...], make_backbone: Callable[[], nn.Module] = SmallResNetFPN
) -> RetinaNetDetector:
    """An untrained RetinaNet of about 1.4 M parameters for pictures of about 256 pixels: strides 8, 16 and 32."""
    model = RetinaNet(
        make_backbone(),
        num_classes=len(categories),
        min_size=256,
        max_size=512,
        anchor_generator=AnchorGenerator(SMALL_ANCHORS, (ASPECT_RATIOS,) * len(SMALL_ANCHORS)),
    )
    for tower in (model.head.classification_head.conv, model.head.regression_head.conv):
        start_narrow(tower)
    return RetinaNetDetector(name, model, categories)
