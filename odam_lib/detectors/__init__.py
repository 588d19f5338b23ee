"""Detectors that can be explained, behind one contract (``base``), by name (``zoo``)."""

from typing import TYPE_CHECKING

from odam_lib.lazy import load_lazily

if TYPE_CHECKING:
    from odam_lib.detectors.base import Detector as Detector, iou_nms as iou_nms, resolve_device as resolve_device
    from odam_lib.detectors.trace import Trace as Trace, check_attributes as check_attributes
    from odam_lib.detectors.weights import read_card as read_card
    from odam_lib.detectors.zoo import ZOO as ZOO

_HOMES = {
    "Detector": "base",
    "Trace": "trace",
    "ZOO": "zoo",
    "check_attributes": "trace",
    "iou_nms": "base",
    "read_card": "weights",
    "resolve_device": "base",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = load_lazily(__name__, _HOMES)
