"""A sticker that any object of the scene generator may carry."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import Colour, Figure, Shape, arc

STICKER = "sticker"
"""The name of the part."""
SHARE = 0.12
"""Radius of a sticker as a share of the geometric mean of its object's width and height."""
REACH = 0.2
"""How far from the middle of its object's box the middle of a sticker may lie, as a share of width and height."""
PAPER: Colour = (250, 248, 252)
PRINT: Colour = (214, 30, 170)
"""A magenta that nothing else in a scene has."""


def sticker(rng: np.random.Generator, figure: Figure) -> tuple[Shape, ...]:
    """A round sticker at a random place near the middle of an object, within its box."""
    x1, y1, x2, y2 = figure.box
    wide, high = x2 - x1, y2 - y1
    across, up = 0.5 + rng.uniform(-REACH, REACH, 2)
    at = float(x1 + across * wide), float(y1 + up * high)
    radius = min(SHARE * float(np.sqrt(wide * high)), (0.5 - REACH) * min(wide, high))
    rings = ((radius, PAPER), (0.78 * radius, PRINT))
    return tuple(Shape(STICKER, colour, arc(at, size, size, 0, 345, 24)) for size, colour in rings)
