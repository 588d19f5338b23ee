"""Pictures and widgets."""

from typing import TYPE_CHECKING

from odam_lib.lazy import load_lazily

if TYPE_CHECKING:
    from odam_lib.viz.plots import (
        TITLES as TITLES,
        close_up as close_up,
        draw_box as draw_box,
        save_png as save_png,
        show_average_maps as show_average_maps,
        show_columns as show_columns,
        show_detections as show_detections,
        show_detectors as show_detectors,
        show_map as show_map,
        show_maps as show_maps,
        show_methods as show_methods,
    )
    from odam_lib.viz.widgets import InstancePicker as InstancePicker

_HOMES = {
    "InstancePicker": "widgets",
    "TITLES": "plots",
    "close_up": "plots",
    "draw_box": "plots",
    "save_png": "plots",
    "show_average_maps": "plots",
    "show_columns": "plots",
    "show_detections": "plots",
    "show_detectors": "plots",
    "show_map": "plots",
    "show_maps": "plots",
    "show_methods": "plots",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = load_lazily(__name__, _HOMES)
