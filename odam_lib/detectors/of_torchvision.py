"""torchvision's detectors: what :func:`odam_lib.detectors.wrap.wrap` reads from them."""

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models import detection, get_model, get_model_weights, list_models
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign

from odam_lib.detectors.backbones import without_epsilon
from odam_lib.detectors.base import Detector
from odam_lib.detectors.family import BACKGROUND, Family, Told, check_strides, choose_categories, is_named
from odam_lib.detectors.faster_rcnn import FasterRCNNDetector
from odam_lib.detectors.fcos import FCOSDetector
from odam_lib.detectors.passes import make_twin
from odam_lib.detectors.published import published_state
from odam_lib.detectors.retinanet import RetinaNetDetector
from odam_lib.detectors.ssd import SSDDetector

WITHOUT_EPSILON = (
    detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.RetinaNet_ResNet50_FPN_Weights.COCO_V1,
    detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_V1,
    detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_LEGACY,
)
"""Published weights whose norms divide by the standard deviation alone."""


def load_published(name: str) -> Detector:
    """A detector that torchvision publishes, with the categories that its weights were trained on.

    Args:
        name: of torchvision's builder, such as ``ssd300_vgg16``.

    Raises:
        ValueError: torchvision has no such detector, or publishes no weights of it; or the weights are damaged.
        FileNotFoundError: the weights are neither here nor to be had; says which file to put where.
    """
    known = list_models(module=detection)
    if name not in known:
        raise ValueError(f"torchvision has no detector {name!r}: choose among {', '.join(known)}.")
    weights = get_model_weights(name).DEFAULT
    state = published_state(weights.url)
    sizes = {"num_classes": len(weights.meta["categories"])}
    model = get_model(name, weights=None, weights_backbone=None, **sizes).eval().requires_grad_(False)
    if weights in WITHOUT_EPSILON:
        without_epsilon(model)
    model.load_state_dict(state)
    family = next(family for family in FAMILIES if family.recognises(model))
    return family.build(model, Told(f"torchvision:{name}", (BACKGROUND, *weights.meta["categories"][1:])))


def _fcos(model: FCOS, told: Told) -> Detector:
    if not model.box_coder.normalize_by_size:
        raise ValueError("This FCOS measures boxes in pixels, not in strides: only its default box coder is known.")
    return _checked(FCOSDetector, model, told, model.head.classification_head.num_classes)


def _retinanet(model: RetinaNet, told: Told) -> Detector:
    return _checked(RetinaNetDetector, model, told, model.head.classification_head.num_classes)


def _ssd(model: SSD, told: Told) -> Detector:
    return _checked(SSDDetector, model, told, model.head.classification_head.num_columns)


def _faster_rcnn(model: FasterRCNN, told: Told) -> Detector:
    heads = model.roi_heads
    if not isinstance(heads.box_roi_pool, MultiScaleRoIAlign):
        raise ValueError(
            f"The model pools its proposals by {type(heads.box_roi_pool).__name__}: only MultiScaleRoIAlign is known."
        )
    parameter = next(heads.parameters())
    pooled = parameter.new_zeros((1, model.backbone.out_channels, *heads.box_roi_pool.output_size))
    asked = make_twin(heads)
    logits: Tensor = asked.box_predictor(asked.box_head(pooled))[0]
    return _checked(FasterRCNNDetector, model, told, logits.shape[1])


def _checked(make: Callable[..., Detector], model: nn.Module, told: Told, outputs: int) -> Detector:
    """The detector of a model whose classes, of which torchvision counts the background as the first, are so many."""
    detector = make(told.name, model, choose_categories(told.categories, outputs - 1))
    check_strides(told.strides, detector.strides)
    return detector


FAMILIES: tuple[Family, ...] = (
    Family("torchvision's FCOS", lambda model: is_named(model, "torchvision", "FCOS"), _fcos),
    Family("RetinaNet", lambda model: is_named(model, "torchvision", "RetinaNet"), _retinanet),
    Family("SSD and SSDlite", lambda model: is_named(model, "torchvision", "SSD"), _ssd),
    Family(
        "Faster, Mask and Keypoint R-CNN",
        lambda model: is_named(model, "torchvision", "FasterRCNN"),
        _faster_rcnn,
    ),
)
