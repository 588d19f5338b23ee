"""Pictures and widgets."""

from typing import TYPE_CHECKING

from odam_lib.lazy import load_lazily

if TYPE_CHECKING:
    from odam_lib.viz.drawing import TITLES as TITLES, draw_box as draw_box, save_png as save_png
    from odam_lib.viz.plots import show_detections as show_detections, show_map as show_map, show_maps as show_maps
    from odam_lib.viz.standalone import write_figure as write_figure
    from odam_lib.viz.widgets import InstancePicker as InstancePicker

_HOMES = {
    "InstancePicker": "widgets",
    "TITLES": "drawing",
    "draw_box": "drawing",
    "save_png": "drawing",
    "show_detections": "plots",
    "show_map": "plots",
    "show_maps": "plots",
    "write_figure": "standalone",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = load_lazily(__name__, _HOMES)
