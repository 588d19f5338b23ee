"""Checks for the notebooks' exercises: each returns a sentence that says whether an answer is right, and why."""

from collections.abc import Mapping

from torch import Tensor

from odam_chapters.in_boxes import locate_centre
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels.regions import box_regions
from odam_lib.viz.drawing import TITLES

SIDES = ("left", "right", "top", "bottom", "centre")


CENTRAL = 0.1
"""A centre of mass within this share of the box's half side is in the centre."""


def find_side(heat: Tensor, box: Tensor) -> str:
    """On which side of a box the centre of mass of a map's energy in that box lies.

    Args:
        heat: ``Tensor[H, W]``, non-negative, at image size, with energy in the box.
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.

    Returns:
        One of ``SIDES``.
    """
    across, down = locate_centre(heat, box).tolist()
    if max(abs(across), abs(down)) < CENTRAL:
        return "centre"
    if abs(across) >= abs(down):
        return "left" if across < 0 else "right"
    return "top" if down < 0 else "bottom"


def check_side(answer: str | None, heat_maps: HeatMaps, attribute: str) -> str:
    """Check a prediction of where the first detection's map of an attribute has its centre of mass."""
    if answer is None or not len(heat_maps):
        return f"open: where will the map of the {TITLES[attribute]} be? Answer with one of {', '.join(SIDES)}."
    if answer not in SIDES:
        return f"open: {answer!r} is no answer; choose one of {', '.join(SIDES)}."
    chosen = heat_maps[0].select(attribute)
    heat = chosen.to_image()[0, 0]
    if not heat.any():
        return f"open: that map is zero ({chosen.reasons[0][0]}); take another object."
    box = chosen.detections.boxes[0]
    if not (heat * box_regions(box[None], (heat.shape[0], heat.shape[1]))[0]).any():
        return "open: that map lies outside the box; take another object."
    found = find_side(heat, box)
    grade = "right" if answer == found else f"not quite, you said {answer}"
    return f"{grade}: the map's centre of mass lies {'in the ' if found == 'centre' else 'at the '}{found} of the box."


def check_most(answer: str | None, values: Mapping[str, float], what: str) -> str:
    """Check a prediction of which of several things has the most of something.

    Args:
        answer: one of the names.
        values: by name; NaN where nothing was measured.
        what: name of the number, for the sentence.
    """
    if not values or any(value != value for value in values.values()):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if answer not in values:
        return f"open: where is the {what} largest? Answer with one of {', '.join(map(repr, values))}."
    found = max(values, key=values.__getitem__)
    grade = "right" if answer == found else f"not quite, you said {answer}"
    listed = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return f"{grade}: the {what} is largest with {found} ({listed})."
