"""Vehicles of the scene generator. They share one wheel, so that detectors confuse them for a visible reason."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import (
    CHROME,
    METALS,
    PAINTS,
    TYRE,
    Colour,
    Point,
    Sketch,
    arc,
    mix,
    pick,
    tone,
)

GLASS: Colour = (172, 212, 222)
LEATHER: tuple[Colour, ...] = ((58, 48, 48), (122, 78, 52), (84, 58, 48), (198, 170, 128))


def wheel(
    s: Sketch, part: str, centre: Point, radius: float, tyre: float, spokes: int, start: float, disc: float
) -> None:
    """A tyre, a rim, spokes and a hub; `tyre` and `disc` are shares of the radius (a disc of 0 is see-through)."""
    if disc:
        s.ellipse(part, centre, radius * (1 - tyre * 0.5), radius * (1 - tyre * 0.5), tone(CHROME, 0.72))
    for angle in np.radians(start + np.arange(spokes) * 360 / spokes):
        reach = radius * (1 - tyre)
        tip = (centre[0] + reach * float(np.cos(angle)), centre[1] + reach * float(np.sin(angle)))
        s.bar(part, centre, tip, radius * (0.1 if disc else 0.022), CHROME, radius * (0.06 if disc else 0.022))
    s.ring(part, centre, radius * (1 - tyre * 0.85), radius * (1 - tyre - 0.06), CHROME)
    s.ring(part, centre, radius, radius * (1 - tyre), TYRE)
    s.ellipse(part, centre, radius * max(0.13, disc * 0.3), radius * max(0.13, disc * 0.3), METALS[2], 14)


def saddle(s: Sketch, at: Point, length: float, thick: float, colour: Colour) -> None:
    """The seat shared by bicycle and motorcycle."""
    x, y = at
    shape = [(-0.5, 0.6), (-0.2, 0.45), (0.45, 0.3), (0.55, 0.0), (0.1, -0.4), (-0.45, -0.5), (-0.58, 0.1)]
    s.blob("seat", np.array(shape) * (length, thick) + (x, y), colour, 4)


def bicycle(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a bicycle from the side: diamond, step-through or small-wheeled frame."""
    s = sketch
    paint, leather = pick(rng, PAINTS), pick(rng, LEATHER)
    s.scale = float(rng.uniform(1.02, 1.22))
    r = float(rng.choice([0.34, 0.34, 0.3]))
    base = float(rng.uniform(1.02, 1.12))
    step_through = bool(rng.random() < 0.4)
    spin = float(rng.uniform(0, 60))
    rear, front = (0.0, r), (base, r)
    crank: Point = (0.43, r - 0.04)
    seat_at: Point = (0.27, r + 0.5)
    head: Point = (base - 0.22, r + 0.5)
    wheel(s, "rear wheel", rear, r, 0.13, 12, spin, 0.0)
    wheel(s, "front wheel", front, r, 0.13, 12, spin * 0.7, 0.0)
    tube, dark = 0.027, tone(paint, 0.78)
    crank_end = (crank[0] - 0.1, crank[1] + 0.12)
    s.bar("frame", crank, crank_end, 0.016, METALS[0])
    s.bar("frame", (crank_end[0] - 0.06, crank_end[1]), (crank_end[0] + 0.06, crank_end[1]), 0.022, METALS[1])
    for a, b, colour in (
        (rear, crank, dark), (rear, (0.31, r + 0.36), dark), (crank, (0.28, r + 0.46), paint),
        (crank, (head[0] + 0.02, head[1] - 0.07), paint),
        ((0.36, r + 0.12) if step_through else (0.31, r + 0.36), head, paint),
        ((head[0] - 0.01, head[1] + 0.06), front, paint),
    ):  # fmt: skip
        s.bar("frame", a, b, tube, colour)
    s.ring("frame", crank, 0.085, 0.055, METALS[0], 18)
    s.bar("frame", crank, (crank[0] + 0.09, crank[1] - 0.12), 0.018, METALS[2])
    s.bar("frame", (crank[0] + 0.03, crank[1] - 0.13), (crank[0] + 0.15, crank[1] - 0.13), 0.024, METALS[1])
    if rng.random() < 0.5:
        for wheel_at, name in ((rear, "frame"), (front, "frame")):
            outer, inner = (
                arc(wheel_at, r * 1.12, r * 1.12, 25, 155, 12),
                arc(wheel_at, r * 1.04, r * 1.04, 155, 25, 12),
            )
            s.poly(name, np.concatenate([outer, inner]), tone(paint, 0.85))
    s.bar("seat", (0.28, r + 0.44), seat_at, 0.02, METALS[2])
    saddle(s, (seat_at[0], seat_at[1] + 0.03), 0.3, 0.09, leather)
    grip = (head[0] + (0.02 if step_through else 0.16), head[1] + 0.2)
    s.bar("handlebar", (head[0] - 0.01, head[1] + 0.04), (head[0] - 0.03, head[1] + 0.18), 0.022, METALS[2])
    s.bar("handlebar", (head[0] - 0.03, head[1] + 0.18), grip, 0.022, METALS[2])
    s.bar("handlebar", grip, (grip[0] - 0.13, grip[1] + 0.01), 0.033, leather)
    if rng.random() < 0.4:
        basket = np.array([(0.02, 0.14), (0.32, 0.16), (0.27, -0.06), (0.05, -0.06)]) + head
        s.poly("handlebar", basket, (206, 164, 104))
        for k in (0.3, 0.65):
            a, b = basket[0] + (basket[3] - basket[0]) * k, basket[1] + (basket[2] - basket[1]) * k
            s.bar("handlebar", tuple(a), tuple(b), 0.012, (160, 118, 72))


def motorcycle(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a motorcycle from the side: roadster, cruiser or scooter."""
    s = sketch
    paint, leather = pick(rng, PAINTS), pick(rng, LEATHER[:3])
    kind = str(rng.choice(["roadster", "cruiser", "scooter"], p=[0.4, 0.3, 0.3]))
    s.scale = float(rng.uniform(1.05, 1.2))
    r = 0.25 if kind == "scooter" else 0.33
    base = {"roadster": 1.34, "cruiser": 1.5, "scooter": 1.2}[kind]
    rear, front = (0.0, r), (base, r)
    head: Point = (base - (0.42 if kind == "cruiser" else 0.27), r + 0.48)
    wheel(s, "rear wheel", rear, r, 0.32, 7, float(rng.uniform(0, 50)), 0.4)
    wheel(s, "front wheel", front, r, 0.32, 7, float(rng.uniform(0, 50)), 0.4)
    s.bar("frame", front, head, 0.045, CHROME, 0.038)
    s.bar("frame", (rear[0], rear[1]), (0.5, r + 0.02), 0.045, METALS[0])
    if kind == "scooter":
        _scooter(s, paint, leather, r, base, head)
    else:
        _roadster(s, paint, leather, r, base, head, kind == "cruiser")
    fender = np.concatenate([arc(front, r * 1.15, r * 1.15, 35, 150, 12), arc(front, r * 1.02, r * 1.02, 150, 35, 12)])
    s.poly("body", fender, tone(paint, 0.9))
    grip = (head[0] - (0.2 if kind == "cruiser" else 0.1), head[1] + (0.3 if kind == "cruiser" else 0.22))
    s.bar("handlebar", head, (head[0] - 0.02, grip[1] - 0.03), 0.035, METALS[0])
    s.bar("handlebar", (head[0] - 0.01, grip[1] - 0.03), grip, 0.026, METALS[2])
    s.bar("handlebar", grip, (grip[0] - 0.13, grip[1] - 0.01), 0.04, METALS[1])
    s.ellipse("handlebar", (head[0] + 0.08, head[1] + 0.03), 0.085, 0.095, METALS[1])
    s.ellipse("handlebar", (head[0] + 0.11, head[1] + 0.03), 0.06, 0.075, (250, 236, 184), 16)


def _roadster(s: Sketch, paint: Colour, leather: Colour, r: float, base: float, head: Point, cruiser: bool) -> None:
    s.bar("frame", (0.45, r - 0.08), (base * 0.62, r - 0.08), 0.05, METALS[0])
    s.blob(
        "engine",
        [(0.42, r - 0.1), (0.4, r + 0.22), (0.62, r + 0.32), (0.88, r + 0.28), (0.9, r - 0.02), (0.78, r - 0.14)],
        METALS[0],
        4,
    )
    for y in np.arange(0.08, 0.28, 0.06):
        s.bar("engine", (0.55, r + y), (0.84, r + y + 0.01), 0.014, METALS[2])
    s.ellipse("engine", (0.55, r + 0.02), 0.11, 0.11, CHROME, 18)
    s.bar("engine", (0.72, r - 0.1), (0.05, r - 0.12), 0.045, tone(CHROME, 0.9))
    s.bar("engine", (0.3, r - 0.11), (-0.2, r - 0.07), 0.06, CHROME)
    tail = [
        (-0.36, r + 0.24),
        (-0.3, r + 0.38),
        (0.0, r + 0.4),
        (0.4, r + 0.34),
        (0.5, r + 0.24),
        (0.2, r + 0.2),
        (-0.05, r + 0.27),
    ]
    s.blob("body", tail, tone(paint, 0.82), 4)
    top = r + (0.52 if cruiser else 0.58)
    tank = [
        (0.4, r + 0.32),
        (0.48, top - 0.08),
        (0.66, top),
        (head[0] - 0.04, top - 0.02),
        (head[0] + 0.03, r + 0.42),
        (0.7, r + 0.28),
    ]
    s.blob("body", tank, paint, 5)
    s.blob(
        "body",
        [(0.54, top - 0.12), (0.68, top - 0.045), (head[0] - 0.06, top - 0.07), (0.7, top - 0.12)],
        tone(paint, 1.35),
        4,
    )
    saddle(s, (0.13, r + 0.43), 0.78, 0.13, leather)


def _scooter(s: Sketch, paint: Colour, leather: Colour, r: float, base: float, head: Point) -> None:
    s.bar("body", (0.4, r - 0.06), (base * 0.68, r - 0.06), 0.055, tone(paint, 0.75))
    shell = [
        (-0.3, r + 0.12),
        (-0.24, r + 0.42),
        (0.1, r + 0.52),
        (0.42, r + 0.46),
        (0.5, r + 0.1),
        (0.38, r - 0.08),
        (0.2, r + 0.02),
        (0.0, r + 0.2),
    ]
    s.blob("body", shell, paint, 5)
    s.blob(
        "engine", [(-0.02, r + 0.02), (0.1, r + 0.16), (0.34, r + 0.1), (0.32, r - 0.06), (0.1, r - 0.08)], METALS[2], 4
    )
    shield = [
        (base * 0.62, r - 0.1),
        (base * 0.68, r + 0.12),
        (head[0] - 0.08, head[1] + 0.06),
        (head[0] + 0.07, head[1] + 0.1),
        (base - 0.2, r + 0.14),
        (base * 0.74, r - 0.11),
    ]
    s.blob("body", shield, mix(paint, (255, 255, 255), 0.12), 5)
    saddle(s, (0.1, r + 0.55), 0.7, 0.12, leather)


CAR_BODIES: dict[str, tuple[float, list[Point], list[Point]]] = {
    # length, roof line from rear to front (x as a share of the length, y in metres), the same for the glass
    "hatchback": (
        2.9,
        [(0.02, 0.86), (0.1, 1.32), (0.35, 1.42), (0.58, 1.38), (0.74, 0.92)],
        [(0.1, 0.9), (0.155, 1.24), (0.36, 1.32), (0.56, 1.28), (0.69, 0.9)],
    ),
    "sedan": (
        3.4,
        [(0.12, 0.86), (0.26, 1.26), (0.42, 1.34), (0.58, 1.28), (0.74, 0.88)],
        [(0.2, 0.87), (0.285, 1.18), (0.42, 1.25), (0.56, 1.2), (0.69, 0.87)],
    ),
    "van": (
        3.2,
        [(0.0, 1.1), (0.03, 1.68), (0.4, 1.74), (0.78, 1.68), (0.9, 1.02)],
        [(0.1, 1.05), (0.12, 1.52), (0.4, 1.56), (0.75, 1.52), (0.85, 1.02)],
    ),
    "pickup": (
        3.4,
        [(0.36, 0.86), (0.4, 1.36), (0.52, 1.44), (0.64, 1.4), (0.76, 0.9)],
        [(0.42, 0.9), (0.45, 1.28), (0.53, 1.34), (0.62, 1.3), (0.71, 0.9)],
    ),
}  # fmt: skip


def car(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a car from the side: hatchback, sedan, van or pickup, in picture-book proportions."""
    s = sketch
    paint = pick(rng, PAINTS)
    length, roof, glass = CAR_BODIES[str(rng.choice(list(CAR_BODIES)))]
    r = float(rng.uniform(0.31, 0.36))
    rear, front = (length * 0.2, r), (length * 0.8, r)
    roof_points = [(x * length, y) for x, y in roof]
    s.slab("body", length * 0.06, 0.2, length * 0.94, 0.5, tone(paint, 0.4))
    s.blob(
        "body", [*roof_points, (roof_points[-1][0] - 0.1, 0.7), (roof_points[0][0] + 0.1, 0.7)], tone(paint, 0.92), 4
    )
    panes = np.array([(x * length, y) for x, y in glass])
    s.blob("windows", panes, mix(GLASS, (90, 110, 130), 0.35), 3)
    middle = panes[:, 0].mean()
    for pillar in (middle,) if length < 3.3 else (middle - 0.02 * length,):
        shine = np.array([(-0.34, 0.92), (-0.2, 0.92), (-0.02, 1.22), (-0.16, 1.22)]) * (
            1.0,
            panes[:, 1].max() / 1.32,
        ) + (pillar, 0.0)
        s.poly("windows", shine, tone(GLASS, 1.3))
        s.bar("body", (pillar, 0.86), (pillar, panes[:, 1].max() + 0.02), 0.035, tone(paint, 0.92))
    belt = max(0.86, roof[0][1] * 0.86)
    nose = 0.82 if roof[-1][1] < 1.0 else 0.96
    hull = [
        (0.0, 0.36), (-0.01, 0.62), (0.02 * length, belt), (0.35 * length, 0.95), (0.76 * length, 0.93),
        (0.93 * length, nose),
        (0.995 * length, nose - 0.16), (length, 0.36), (0.95 * length, 0.26), (0.05 * length, 0.26),
    ]  # fmt: skip
    s.blob("body", hull, paint, 5)
    s.bar("body", (0.05 * length, 0.79), (0.92 * length, 0.77), 0.018, tone(paint, 1.4))
    s.bar("body", (0.07 * length, 0.33), (0.93 * length, 0.33), 0.05, tone(paint, 0.72))
    for x in (0.36, 0.6):
        s.bar("body", (x * length, 0.86), (x * length, 0.4), 0.008, tone(paint, 0.66))
        s.bar("body", ((x - 0.09) * length, 0.7), ((x - 0.05) * length, 0.7), 0.022, tone(paint, 0.6))
    s.bar("body", (0.0, 0.38), (0.1 * length, 0.36), 0.05, CHROME)
    s.bar("body", (0.91 * length, 0.36), (length * 0.995, 0.38), 0.05, CHROME)
    s.ellipse("lights", (0.955 * length, nose - 0.19), 0.085, 0.08, (252, 238, 186), 16)
    s.ellipse("lights", (0.02 * length, 0.64), 0.05, 0.09, (224, 74, 62), 14)
    for centre, part in ((rear, "rear wheel"), (front, "front wheel")):
        s.ellipse("body", (centre[0], r + 0.02), r * 1.18, r * 1.14, tone(paint, 0.42))
        wheel(s, part, centre, r, 0.34, 6, float(rng.uniform(0, 60)), 0.8)
