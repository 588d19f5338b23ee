"""The front door: an image in, one heat map for each detection and attribute out."""

from collections.abc import Callable, Sequence

from torch import Tensor

from odam_lib.detections import Detections, check_detections, check_threshold
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace, check_attributes
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels import checks

Explainer = Callable[[Trace, Detections, Sequence[str]], HeatMaps]


@record_gradients()
def explain(
    detector: Detector,
    image: Tensor,
    detections: Detections | None = None,
    attributes: Sequence[str] = ATTRIBUTES,
    method: Explainer = ODAM(),
    layer: str | None = None,
    score_threshold: float = 0.5,
) -> HeatMaps:
    """Explain what a detector found, with one forward pass.

    Args:
        detector: from ``load_detector``, or one of your own that fulfils the contract.
        image: ``Tensor[3, H, W]``, float in [0, 1].
        detections: what to explain, as ``detector.detect(image)`` returned them; default all that it finds.
        attributes: any of ``class``, ``logit``, ``x1``, ``y1``, ``x2``, ``y2``.
        method: the explainer.
        layer: one of ``detector.layers``; default the first.
        score_threshold: least score of what is found if ``detections`` is not given.

    Returns:
        Maps of all detections in their order.

    Raises:
        TypeError, ValueError: what was wrong with an argument, before any work is done.
    """
    check_detector(detector)
    check_attributes(attributes)
    check_explainer("method", method)
    score_threshold = check_threshold(score_threshold)
    if detections is not None:
        check_detections(detections)
    trace = detector.trace(image, layer)
    if detections is None:
        detections = trace.detections(score_threshold)
    return method(trace, detections, attributes)


def check_explainer(name: str, value: object) -> None:
    """Raise ``TypeError`` for what is no method of explanation, its class instead of an instance included."""
    if isinstance(value, type):
        raise TypeError(f"{name} is {checks.told(value)} itself: give an instance of it, {value.__name__}().")
    if not callable(value):
        raise TypeError(
            f"{name} is {checks.told(value)}: give an explainer of odam_lib.explainers, such as ODAM() or GradCAM()."
        )
