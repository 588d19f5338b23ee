"""Distractors of the scene generator: things that belong to no class and share looks with one that does.

Each painter begins with the draws of the object it stands beside, in the same order, so that the same seed gives it the
same wood, paint or cloth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from odam_lib.datasets.scenes.painters.furniture import post, slat
from odam_lib.datasets.scenes.painters.shapes import (
    CHROME,
    CLOTHES,
    METALS,
    PAINTS,
    WOODS,
    Colour,
    Point,
    Sketch,
    mix,
    pick,
    tone,
)
from odam_lib.datasets.scenes.painters.vehicles import GLASS, wheel

GREENS: tuple[Colour, ...] = ((118, 156, 110), (94, 140, 108), (146, 170, 108))


def ottoman(rng: np.random.Generator, s: Sketch) -> None:
    """A padded bench at the foot of a bed: the bed's frame, cover and slats go on."""
    wood, cover, accent = pick(rng, WOODS), pick(rng, CLOTHES), pick(rng, CLOTHES)
    _, deep = rng.uniform(1.65, 1.95), float(rng.uniform(0.34, 0.5))
    lift, top, length = (deep * 0.55, deep * 0.75), 0.52, float(rng.uniform(0.9, 1.5))

    def back(x: float, y: float) -> Point:
        return (x + lift[0], y + lift[1])

    post(s, "legs", length + lift[0], lift[1] * 0.9, 0.4 + lift[1], 0.04, tone(wood, 0.62))
    s.poly("frame", [(0.0, 0.2), (length, 0.2), (length, 0.36), (0.0, 0.36)], tone(wood, 0.85))
    s.bar("frame", (0.0, 0.33), (length, 0.33), 0.035, wood)
    s.poly("cushion", [(0.0, 0.3), (length, 0.3), (length, top), (0.0, top)], tone(cover, 0.84))
    s.poly("cushion", [(0.0, top), (length, top), back(length, top), back(0.0, top)], cover)
    for k in (0.25, 0.7):
        x = length * k
        s.bar("cushion", (x, 0.3), (x, top), 0.022, mix(cover, accent, 0.5))
        s.bar("cushion", (x, top), back(x, top), 0.022, mix(cover, accent, 0.65))
    for x in (0.05, length):
        post(s, "legs", x, 0.0, 0.42, 0.045, wood)


def caravan(rng: np.random.Generator, s: Sketch) -> None:
    """A small caravan behind a car, in the car's paint and on the car's wheels."""
    paint, length = pick(rng, PAINTS), float(rng.uniform(1.5, 2.2))
    s.bar("drawbar", (length * 0.9, 0.36), (length + 0.3, 0.36), 0.03, METALS[0])
    hull = [
        (0.0, 0.34), (-0.02, 0.7), (0.1 * length, 1.06), (0.42 * length, 1.26),
        (0.8 * length, 1.1), (length, 0.7), (0.98 * length, 0.34), (0.5 * length, 0.26),
    ]  # fmt: skip
    s.blob("hull", hull, paint, 5)
    pane = np.array([(0.3, 0.86), (0.34, 1.08), (0.5, 1.12), (0.66, 1.06), (0.72, 0.86)]) * (length, 1.0)
    s.blob("hull", pane, mix(GLASS, (90, 110, 130), 0.35), 3)
    s.bar("hull", (0.03 * length, 0.74), (0.96 * length, 0.74), 0.02, tone(paint, 1.4))
    s.bar("hull", (0.04 * length, 0.36), (0.95 * length, 0.36), 0.045, tone(paint, 0.72))
    s.ellipse("hull", (0.02 * length, 0.6), 0.05, 0.08, (224, 74, 62), 14)
    s.ellipse("hull", (length * 0.45, 0.35), 0.4, 0.38, tone(paint, 0.42))
    wheel(s, "wheel", (length * 0.45, 0.33), 0.33, 0.34, 6, float(rng.uniform(0, 60)), 0.8)


def planter(rng: np.random.Generator, s: Sketch) -> None:
    """A slatted planter beside a bench, its slats of the bench's wood and at the bench's height."""
    wood, length = pick(rng, WOODS), float(rng.uniform(0.9, 1.5))
    for k in np.linspace(0.08, 0.92, 7):
        leaf = tone(pick(rng, GREENS), float(rng.uniform(0.92, 1.08)))
        s.ellipse("leaves", (length * k, 0.66 + 0.08 * float(rng.random())), 0.15, 0.17, leaf, 14)
    for y in (0.12, 0.22, 0.32, 0.42, 0.52, 0.62):
        slat(s, "slats", (0.0, y), (length, y), 0.05, wood, rng)
    for x in (0.05, length - 0.05):
        post(s, "posts", x, 0.0, 0.7, 0.035, tone(wood, 0.8))


def wheels(rng: np.random.Generator, s: Sketch) -> None:
    """Two wheels that stand as far apart as a bicycle's, with nothing between them but what they lean on."""
    base, heavy = float(rng.uniform(1.0, 1.3)), bool(rng.random() < 0.5)
    radius = 0.33
    for centre in ((0.0, radius), (base, radius)):
        spin = float(rng.uniform(0, 60))
        if heavy:
            wheel(s, "wheels", centre, radius, 0.32, 7, spin, 0.4)
        else:
            wheel(s, "wheels", centre, radius, 0.13, 12, spin, 0.0)
    s.bar("stand", (0.0, 0.7), (base, 0.7), 0.025, METALS[2])
    for x in (0.0, base):
        s.bar("stand", (x, 0.0), (x, 0.7), 0.02, CHROME)


def puddle(rng: np.random.Generator, s: Sketch) -> None:
    """What a wave left on the sand: a lens of light water, as long and as flat as a board that lies there."""
    paint, _ = pick(rng, PAINTS), pick(rng, PAINTS)
    long, flat = float(rng.uniform(1.3, 2.2)), float(rng.uniform(0.09, 0.12))
    water = mix((226, 240, 240), paint, 0.25)
    x = np.linspace(-1, 1, 25)
    rim = (1 - x**2) ** 0.62 * flat + 0.004
    for shrink, colour in ((1.0, tone(water, 0.84)), (0.9, water), (0.12, (250, 252, 250))):
        upper = np.stack([x * long / 2, rim * shrink], 1)
        lower = np.stack([x[::-1] * long / 2, -rim[::-1] * shrink], 1)
        s.poly("water", np.concatenate([upper, lower]), colour)


def wetsuit(rng: np.random.Generator, s: Sketch) -> None:
    """A wetsuit hung up to dry beside a surfboard: two legs, two arms, nobody inside."""
    stripe = pick(rng, PAINTS)
    cloth, height = pick(rng, ((58, 66, 84), (66, 70, 78), (44, 84, 102))), float(rng.uniform(1.5, 1.7))
    s.bar("pole", (0.0, 0.0), (0.0, height), 0.025, METALS[2])
    s.bar("pole", (-0.3, height * 0.93), (0.3, height * 0.93), 0.02, METALS[2])
    for side in (-1, 1):
        s.limb("suit", (side * 0.2, height * 0.9), (side * 0.27, height * 0.55), 0.07, 0.045, tone(cloth, 0.9))
        s.limb("suit", (side * 0.09, height * 0.5), (side * 0.1, height * 0.1), 0.1, 0.055, cloth)
    body = np.array([(-0.21, 0.9), (0.0, 0.95), (0.21, 0.9), (0.16, 0.68), (0.18, 0.46), (-0.18, 0.46), (-0.16, 0.68)])
    s.blob("suit", body * (1.0, height), cloth, 4)
    s.bar("suit", (-0.13, height * 0.74), (0.13, height * 0.74), 0.05, stripe)


def coats(rng: np.random.Generator, s: Sketch) -> None:
    """A coat stand with a coat and a hat, about as tall as a person."""
    cloth, accent = pick(rng, CLOTHES), pick(rng, CLOTHES)
    wood, height = pick(rng, WOODS), float(rng.uniform(1.5, 1.75))
    for foot in (-0.2, 0.2):
        s.bar("stand", (0.0, 0.25), (foot, 0.02), 0.025, tone(wood, 0.8))
    s.bar("stand", (0.0, 0.02), (0.0, height), 0.03, wood)
    flare = np.array([(-0.2, 0.8), (0.0, 0.86), (0.2, 0.8), (0.25, 0.5), (0.24, 0.28), (-0.24, 0.28), (-0.25, 0.5)])
    for side in (-1, 1):
        s.limb("coat", (side * 0.2, height * 0.8), (side * 0.28, height * 0.45), 0.07, 0.055, tone(cloth, 0.88))
    s.blob("coat", flare * (1.0, height), tone(cloth, 0.9), 4)
    s.blob("coat", flare * (0.7, height) + (0.03 * s.light, 0.0), cloth, 4)
    s.bar("coat", (0.0, height * 0.3), (0.0, height * 0.82), 0.012, tone(cloth, 0.6))
    s.ellipse("hat", (0.0, height * 0.97), 0.11, 0.13, accent)
    s.bar("hat", (-0.2, height * 0.93), (0.2, height * 0.93), 0.03, tone(accent, 0.8))


DISTRACTOR_PAINTERS: dict[str, Callable[[np.random.Generator, Sketch], None]] = {
    "ottoman": ottoman,
    "caravan": caravan,
    "planter": planter,
    "wheels": wheels,
    "puddle": puddle,
    "wetsuit": wetsuit,
    "coats": coats,
}
