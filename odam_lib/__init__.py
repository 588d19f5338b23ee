"""ODAM: which pixels made a detector say this class, and which made it put this edge there."""

from typing import TYPE_CHECKING, Any

from odam_lib.datasets.photos import photo
from odam_lib.detections import Detections
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.files import data_root
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.images import load_image
from odam_lib.viz.plots import show_detections, show_map, show_maps

if TYPE_CHECKING:
    from odam_lib.detectors.wrap import wrap
    from odam_lib.detectors.zoo import load_detector

__all__ = [
    "ATTRIBUTES",
    "ODAM",
    "Detections",
    "HeatMaps",
    "data_root",
    "explain",
    "load_detector",
    "load_image",
    "photo",
    "show_detections",
    "show_map",
    "show_maps",
    "wrap",
]


def __getattr__(name: str) -> Any:
    # On first use: `python -m odam_lib.detectors.zoo` would warn that the package had already imported that module.
    if name == "load_detector":
        from odam_lib.detectors.zoo import load_detector

        return load_detector
    if name == "wrap":
        from odam_lib.detectors.wrap import wrap

        return wrap
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
