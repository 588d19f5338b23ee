"""torchvision's detectors: a user's own, untrained ones by the name of their builder, and published ones."""

from typing import Any

from torch import nn
from torchvision.models import detection, get_model, get_model_weights, list_models
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.ops import MultiScaleRoIAlign

from odam_lib.categories import BACKGROUND, choose_categories
from odam_lib.detectors.backbones import drop_epsilon, make_full_pvt
from odam_lib.detectors.base import Detector
from odam_lib.detectors.faster_rcnn import FasterRCNNDetector, fix_pooling
from odam_lib.detectors.fcos import FCOSDetector
from odam_lib.detectors.hooks import is_named
from odam_lib.detectors.passes import make_twin
from odam_lib.detectors.retinanet import RetinaNetDetector
from odam_lib.detectors.ssd import SSDDetector
from odam_lib.detectors.weights import fetch_published

NAMES = "torchvision's FCOS; RetinaNet; SSD and SSDlite; Faster, Mask and Keypoint R-CNN"
DETECTORS: dict[str, Any] = {
    "FCOS": FCOSDetector,
    "RetinaNet": RetinaNetDetector,
    "SSD": SSDDetector,
    "FasterRCNN": FasterRCNNDetector,
}
"""By the name of torchvision's class."""
WITHOUT_EPSILON = (
    detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_LEGACY,
)
"""Published weights whose norms divide by the standard deviation alone."""


def recognises(model: nn.Module) -> bool:
    """Whether it is one of torchvision's detectors."""
    return is_named(model, "torchvision", *DETECTORS)


def wrap_model(model: Any, name: str, categories: tuple[str, ...] | None, _: object = None) -> Detector:
    """The detector of one of torchvision's models; see :func:`odam_lib.detectors.wrap.wrap`."""
    kind = next(kind for kind in DETECTORS if is_named(model, "torchvision", kind))
    if kind == "FCOS" and not model.box_coder.normalize_by_size:
        raise ValueError("This FCOS measures boxes in pixels, not in strides: only its default box coder is known.")
    if kind == "FasterRCNN":
        columns = _count_columns(model)
    else:
        head = model.head.classification_head
        columns = head.num_columns if kind == "SSD" else head.num_classes
    return DETECTORS[kind](name, model, choose_categories(categories, columns - 1))  # the first is the background


def build_torchvision(architecture: str, name: str, categories: tuple[str, ...]) -> Detector:
    """What one of torchvision's builders makes, untrained.

    Args:
        architecture: name of the builder, such as ``ssd300_vgg16``.
        name: name of the detector.
        categories: class names, index 0 is the background.
    """
    model = get_model(architecture, weights=None, weights_backbone=None, num_classes=len(categories))
    if get_model_weights(architecture).DEFAULT in WITHOUT_EPSILON:
        drop_epsilon(model)
    detector = wrap_model(model, name, categories)
    if isinstance(detector, FasterRCNNDetector):
        fix_pooling(model.roi_heads.box_roi_pool, detector.strides)
    return detector


def build_on_pvt(family: type[FCOS] | type[RetinaNet], name: str, categories: tuple[str, ...]) -> Detector:
    """One of torchvision's one-stage detectors on PVT v2 B0, untrained: strides 8 to 128."""
    return wrap_model(family(make_full_pvt(), num_classes=len(categories)), name, categories)


def load_torchvision(name: str) -> Detector:
    """A detector that torchvision publishes, with the categories that its weights were trained on.

    Args:
        name: name of torchvision's builder, such as ``ssd300_vgg16``.

    Raises:
        ValueError: torchvision has no such detector, or publishes no weights of it; or the weights are damaged.
        FileNotFoundError: the weights are neither here nor to be had; says which file to put where.
    """
    known = list_models(module=detection)
    if name not in known:
        raise ValueError(f"torchvision has no detector {name!r}: choose among {', '.join(known)}.")
    weights = get_model_weights(name).DEFAULT
    state = fetch_published(weights.url)
    detector = build_torchvision(name, f"torchvision:{name}", (BACKGROUND, *weights.meta["categories"][1:]))
    detector.model.eval().requires_grad_(False).load_state_dict(state)
    return detector


def _count_columns(model: Any) -> int:
    """How many logits a Faster R-CNN says of each proposal."""
    heads = model.roi_heads
    if not isinstance(heads.box_roi_pool, MultiScaleRoIAlign):
        raise ValueError(
            f"The model pools its proposals by {type(heads.box_roi_pool).__name__}: only MultiScaleRoIAlign is known."
        )
    asked: Any = make_twin(heads)
    features = next(heads.parameters()).new_zeros((1, model.backbone.out_channels, *heads.box_roi_pool.output_size))
    return asked.box_predictor(asked.box_head(features))[0].shape[1]
