"""What front ends are sent, by a widget or in a page: boxes, labels, maps and the colours to draw them in."""

import io
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from odam_lib.detections import Detections, check_detections
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, HeatMaps
from odam_lib.images import to_uint8
from odam_lib.kernels.grid import Grid
from odam_lib.viz.drawing import OBJECT_COLOURS, SEQUENTIAL, TITLES, add_combined, list_colours, write_label
from odam_lib.viz.scripts import STATIC as STATIC, read_front_end as read_front_end
from odam_lib.viz.sheets import MOST_BOXES, tell_count

SHOWN = (*ATTRIBUTES, COMBINED)
NOTHING_FOUND = "There is no object to explain: lower the score threshold or take another picture."


def limit_objects(detections: Detections, most: int = MOST_BOXES) -> tuple[Detections, str]:
    """As many detections as a picture can hold, and a sentence if these are not all.

    Raises:
        TypeError: no ``Detections``.
    """
    check_detections(detections)
    shown = detections[:most]
    return shown, tell_count("", len(shown), len(detections), "objects").strip()


def describe_objects(detections: Detections) -> list[dict[str, Any]]:
    """Box, label and colour of each detection, as front ends draw them."""
    return [
        {"box": box, "label": write_label(detections, row), "colour": OBJECT_COLOURS[row % len(OBJECT_COLOURS)]}
        for row, box in enumerate(detections.boxes.tolist())
    ]


def describe_picture(detections: Detections, sentence: str) -> dict[str, Any]:
    """What ``picker.js`` is told once: all objects and attributes, and the colours of maps."""
    return {
        "size": detections.image_size,
        "objects": describe_objects(detections),
        "attributes": [[name, TITLES[name]] for name in SHOWN],
        "sentence": sentence if len(detections) else NOTHING_FOUND,
        "palette": list_palette(),
    }


def describe_maps(one: HeatMaps) -> dict[str, Any]:
    """What ``picker.js`` is told of one detection: its maps of ``SHOWN``, where they lie, why one is zero."""
    shown = add_combined(one, SHOWN).normalized()
    (maps,), (reasons,), (grid,) = shown.maps, shown.reasons, shown.grids
    return {
        "_maps": encode_maps(maps),
        "_shown": {
            "grid": describe_grid(grid, shown.input_size),
            "reasons": [f"Zero everywhere: {reason}." if reason else "" for reason in reasons],
        },
    }


def describe_grid(grid: Grid, input_size: tuple[int, int]) -> dict[str, Any]:
    """Where the cells of a map lie, in shares of the picture.

    Args:
        grid: on the detector's input.
        input_size: (height, width) of that, without padding.
    """
    height, width = input_size
    first, step = (grid.x / width, grid.y / height), (grid.dx / width, grid.dy / height)
    return {"first": first, "step": step, "bounded": grid.bounded}


def encode_maps(maps: Tensor) -> bytes:
    """Maps ``[A, h, w]`` in [0, 1] as the bytes of one grey PNG ``[A * h, w]``, in steps of 1/255.

    Raises:
        ValueError: a map has negative values.
    """
    if (maps < 0).any():
        raise ValueError("A map has negative values, which the figure cannot show: explain with a rectified method.")
    values = (maps.detach().cpu().flatten(0, 1).clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    return _encode(values, "PNG", optimize=True)


def list_palette() -> list[int]:
    """The 256 colours of maps one after the other, of each red, green and blue, 0 to 255."""
    return (list_colours(SEQUENTIAL).T.flatten() * 255).round().int().tolist()


def encode_jpeg(image: Tensor) -> bytes:
    """A picture ``[3, H, W]`` in [0, 1] as the bytes of a JPEG, about a sixth of a PNG of a photograph."""
    return _encode(to_uint8(image), "JPEG", quality=88)


def _encode(values: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()
