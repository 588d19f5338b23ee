"""ODAM: which pixels made a detector say this class, and which made it put this edge there."""

from typing import TYPE_CHECKING

from odam_lib.lazy import load_lazily

if TYPE_CHECKING:
    from odam_lib.datasets.photos import photo as photo
    from odam_lib.detections import Detections as Detections
    from odam_lib.detectors.wrap import wrap as wrap
    from odam_lib.detectors.zoo import load_detector as load_detector
    from odam_lib.evaluation.runs import evaluate as evaluate
    from odam_lib.explainers.explain import explain as explain
    from odam_lib.explainers.odam import ODAM as ODAM
    from odam_lib.heatmaps import HeatMaps as HeatMaps
    from odam_lib.images import load_image as load_image
    from odam_lib.kernels.losses import odam_train_loss as odam_train_loss
    from odam_lib.kernels.nms import odam_nms as odam_nms
    from odam_lib.viz.plots import show_detections as show_detections, show_maps as show_maps
    from odam_lib.viz.widgets import InstancePicker as InstancePicker

_HOMES = {
    "Detections": "detections",
    "HeatMaps": "heatmaps",
    "InstancePicker": "viz.widgets",
    "ODAM": "explainers.odam",
    "evaluate": "evaluation.runs",
    "explain": "explainers.explain",
    "load_detector": "detectors.zoo",
    "load_image": "images",
    "odam_nms": "kernels.nms",
    "odam_train_loss": "kernels.losses",
    "photo": "datasets.photos",
    "show_detections": "viz.plots",
    "show_maps": "viz.plots",
    "wrap": "detectors.wrap",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = load_lazily(__name__, _HOMES)
