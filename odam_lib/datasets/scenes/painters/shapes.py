"""Drawing primitives of the scene generator: polygons in metres, y up, origin at the ground contact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]

SKINS: tuple[Colour, ...] = (
    (255, 219, 190), (241, 194, 155), (224, 168, 122), (190, 130, 88), (146, 95, 62), (104, 68, 48),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (45, 36, 38), (84, 56, 42), (124, 78, 48), (196, 142, 74), (226, 184, 112), (172, 78, 44), (176, 172, 170),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (214, 84, 72), (233, 150, 78), (240, 196, 92), (112, 164, 116), (62, 130, 136), (72, 112, 168),
    (122, 104, 164), (206, 122, 148), (238, 232, 218), (74, 80, 98), (148, 196, 204), (160, 70, 84),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (58, 74, 110), (86, 104, 136), (70, 66, 72), (128, 104, 82), (176, 156, 124), (76, 96, 84), (124, 62, 66),
)  # fmt: skip
PAINTS: tuple[Colour, ...] = (
    (206, 66, 60), (228, 128, 58), (238, 188, 72), (96, 152, 108), (52, 124, 140), (64, 100, 164),
    (236, 228, 212), (92, 98, 112), (152, 196, 196), (172, 92, 124),
)  # fmt: skip
WOODS: tuple[Colour, ...] = (
    (166, 112, 70), (190, 140, 92), (126, 82, 56), (214, 176, 130), (104, 128, 112), (92, 116, 146),
)  # fmt: skip
METALS: tuple[Colour, ...] = ((70, 74, 82), (52, 54, 60), (128, 134, 142))
TYRE: Colour = (48, 48, 54)
CHROME: Colour = (190, 196, 202)


class Shape(NamedTuple):
    """One filled polygon: `points` is [N, 2] in metres, x right, y up."""

    part: str
    colour: Colour
    points: np.ndarray


@dataclass(frozen=True, eq=False)
class Figure:
    """An object ready to be placed: polygons in painting order and their tight box (x1, y1, x2, y2), metres."""

    shapes: tuple[Shape, ...]
    box: tuple[float, float, float, float]

    @property
    def parts(self) -> tuple[str, ...]:
        """Part names in the order in which they are first painted."""
        return tuple(dict.fromkeys(shape.part for shape in self.shapes))


def tone(colour: Colour, factor: float) -> Colour:
    """Lighten (factor > 1, towards white) or darken (factor < 1) a colour."""
    red, green, blue = (c * factor if factor <= 1 else c + (255 - c) * min(factor - 1, 1) for c in colour)
    return int(red), int(green), int(blue)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`share` of colour b in colour a."""
    red, green, blue = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return int(red), int(green), int(blue)


def pick(rng: np.random.Generator, options: tuple) -> Any:
    """One of `options`, each equally likely."""
    return options[int(rng.integers(len(options)))]


def arc(centre: Point, rx: float, ry: float, start: float, stop: float, count: int) -> np.ndarray:
    """Points [count, 2] on an ellipse between two angles in degrees (counter-clockwise from +x)."""
    angle = np.radians(start + np.arange(count) * ((stop - start) / (count - 1)))
    points = np.empty((count, 2))
    points[:, 0], points[:, 1] = centre[0] + rx * np.cos(angle), centre[1] + ry * np.sin(angle)
    return points


def turned(points: Sequence[Point] | np.ndarray, degrees: float, about: Point = (0.0, 0.0)) -> np.ndarray:
    """Rotate points counter-clockwise about a point."""
    a = np.radians(degrees)
    matrix = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return (np.asarray(points, float) - about) @ matrix + about


def along(start: Point, degrees: float, length: float) -> Point:
    """The point `length` away from `start`, the angle measured from straight down towards +x."""
    a = np.radians(degrees)
    return (start[0] + length * float(np.sin(a)), start[1] - length * float(np.cos(a)))


def spline(points: Sequence[Point] | np.ndarray, samples: int = 6) -> np.ndarray:
    """Closed Catmull-Rom curve through control points [N, 2] -> [N * samples, 2]."""
    p = np.asarray(points, float)
    t = np.linspace(0, 1, samples, endpoint=False)[None, :, None]
    closed, count = np.concatenate([p[-1:], p, p[:2]])[:, None], len(p)
    p0, p1, p2, p3 = (closed[first : first + count] for first in range(4))
    curve = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return (curve / 2).reshape(-1, 2)


@lru_cache
def _half_circle(count: int) -> np.ndarray:
    """The right half of the unit circle, [count, 2]."""
    return arc((0.0, 0.0), 1.0, 1.0, -90.0, 90.0, count)


def capsule_points(a: Point, b: Point, ra: float, rb: float, count: int = 7) -> np.ndarray:
    """A limb: two round ends of radius ra and rb joined by straight sides."""
    heading = math.atan2(b[1] - a[1], b[0] - a[0])
    cosine, sine = math.cos(heading), math.sin(heading)
    end = _half_circle(count) @ np.array([[cosine, sine], [-sine, cosine]])
    return np.concatenate([end * rb + b, a - end * ra])


class Sketch:
    """Collects the shapes of one object. `light` is -1 or +1: the side of local x from which light comes."""

    def __init__(self, light: int) -> None:
        self.light = light
        self.scale = 1.0
        self.shapes: list[Shape] = []

    def poly(self, part: str, points: list[Point] | np.ndarray, colour: Colour) -> None:
        self.shapes.append(Shape(part, colour, np.asarray(points, float)))

    def blob(self, part: str, points: list[Point] | np.ndarray, colour: Colour, samples: int = 6) -> None:
        self.poly(part, spline(points, samples), colour)

    def ellipse(self, part: str, centre: Point, rx: float, ry: float, colour: Colour, count: int = 22) -> None:
        self.poly(part, arc(centre, rx, ry, 0, 360 - 360 / count, count), colour)

    def bar(self, part: str, a: Point, b: Point, ra: float, colour: Colour, rb: float | None = None) -> None:
        self.poly(part, capsule_points(a, b, ra, ra if rb is None else rb), colour)

    def limb(self, part: str, a: Point, b: Point, ra: float, rb: float, colour: Colour) -> None:
        """A bar with a lit side, so that it reads as round."""
        self.bar(part, a, b, ra, tone(colour, 0.84), rb)
        shift = (self.light * 0.28, 0.06)
        lit_a = (a[0] + shift[0] * ra, a[1] + shift[1] * ra)
        lit_b = (b[0] + shift[0] * rb, b[1] + shift[1] * rb)
        self.bar(part, lit_a, lit_b, ra * 0.7, colour, rb * 0.7)

    def ring(self, part: str, centre: Point, outer: float, inner: float, colour: Colour, count: int = 30) -> None:
        """A hoop one can see through: the inner circle runs backwards and cuts the hole (even-odd fill)."""
        points = [arc(centre, outer, outer, 0, 360, count), arc(centre, inner, inner, 360, 0, count)]
        self.poly(part, np.concatenate(points), colour)

    def slab(self, part: str, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        """An axis-aligned rectangle with slightly rounded corners."""
        r = 0.2 * min(abs(x2 - x1), abs(y2 - y1))
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        corners = [(x2 - r, y2 - r, 0), (x1 + r, y2 - r, 90), (x1 + r, y1 + r, 180), (x2 - r, y1 + r, 270)]
        self.poly(part, np.concatenate([arc((x, y), r, r, a, a + 90, 3) for x, y, a in corners]), colour)

    def figure(self, facing: int) -> Figure:
        """Ground the sketch (lowest point at y = 0), centre it and mirror it if it faces left (-1)."""
        everything = np.concatenate([shape.points for shape in self.shapes])
        low, high = everything.min(axis=0), everything.max(axis=0)
        origin = np.array([(low[0] + high[0]) / 2, low[1]])
        low, high = low * self.scale, high * self.scale
        mirror = np.array([float(facing), 1.0])
        shapes = tuple(Shape(s.part, s.colour, (s.points - origin) * mirror * self.scale) for s in self.shapes)
        half = float(high[0] - low[0]) / 2
        return Figure(shapes, (-half, 0.0, half, float(high[1] - low[1])))
