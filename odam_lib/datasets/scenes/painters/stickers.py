"""A sticker that any object of the scene generator may carry."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import Colour, Figure, Shape, arc, pick

STICKER = "sticker"
"""The name of the part."""
SHARE = 0.09
"""Radius of a sticker as a share of the geometric mean of its object's width and height."""
PAPER: Colour = (250, 248, 252)
PRINT: Colour = (214, 30, 170)
"""A magenta that nothing else in a scene has."""


def sticker(rng: np.random.Generator, figure: Figure) -> tuple[Shape, ...]:
    """A round sticker on the middle of one of the object's polygons, chosen at random, and within the object's box."""
    x1, y1, x2, y2 = figure.box
    radius = SHARE * float(np.sqrt((x2 - x1) * (y2 - y1)))
    low, high = np.array([x1, y1]) + radius, np.array([x2, y2]) - radius
    centre = np.clip(pick(rng, figure.shapes).points.mean(axis=0), low, high)
    at = float(centre[0]), float(centre[1])
    rings = ((radius, PAPER), (0.78 * radius, PRINT))
    return tuple(Shape(STICKER, colour, arc(at, size, size, 0, 345, 24)) for size, colour in rings)
