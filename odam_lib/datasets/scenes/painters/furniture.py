"""Furniture and boards of the scene generator. Bench and bed share slats and legs on purpose."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import (
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
    turned,
)


def slat(s: Sketch, part: str, a: Point, b: Point, half: float, wood: Colour, rng: np.random.Generator) -> None:
    """A plank with a lit upper edge, slightly different in colour from its neighbours."""
    wood = tone(wood, float(rng.uniform(0.9, 1.06)))
    s.bar(part, a, b, half, tone(wood, 0.86))
    s.bar(part, (a[0], a[1] + half * 0.35), (b[0], b[1] + half * 0.35), half * 0.55, wood)


def post(s: Sketch, part: str, x: float, y1: float, y2: float, half: float, wood: Colour) -> None:
    """An upright: the leg of a bench or of a bed."""
    s.slab(part, x - half, y1, x + half, y2, tone(wood, 0.78))
    s.slab(
        part,
        x - half * (0.2 if s.light < 0 else 0.7) - half * 0.3,
        y1,
        x + half * (0.2 if s.light > 0 else 0.7) * 0.6,
        y2,
        wood,
    )


def bench(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a slatted bench, seen from the front with a little of its top; with or without a backrest."""
    s = sketch
    wood = pick(rng, WOODS)
    iron = pick(rng, (METALS[0], METALS[1], tone(wood, 0.7)))
    s.scale = float(rng.uniform(1.0, 1.2))
    length = float(rng.uniform(1.3, 1.8))
    half = length / 2
    skew = float(rng.uniform(-0.06, 0.1))
    backrest, arms = bool(rng.random() < 0.8), bool(rng.random() < 0.6)
    at = half * 0.8
    for x in (-at, at):
        post(s, "legs", x + skew, 0.08, 0.5, 0.028, tone(iron, 0.75))
        if backrest:
            s.bar("backrest", (x + skew, 0.5), (x + skew * 1.5, 0.94), 0.03, iron)
    if backrest:
        for y in np.linspace(0.62, 0.9, int(rng.integers(2, 4))):
            shift = skew * (1 + (y - 0.5))
            slat(s, "backrest", (-half + shift, y), (half + shift, y), 0.052, wood, rng)
    for x in (-at, at):
        post(s, "legs", x, 0.0, 0.42, 0.038, iron)
        s.bar("legs", (x - 0.06, 0.018), (x + 0.06, 0.018), 0.02, iron)
        s.bar("legs", (x, 0.4), (x + skew, 0.48), 0.03, iron)
    for k, y in enumerate((0.52, 0.475, 0.425)):
        shift = skew * (2 - k) / 2
        slat(s, "seat", (-half + shift, y), (half + shift, y), 0.034, tone(wood, 1.08), rng)
    s.bar("seat", (-half, 0.385), (half, 0.385), 0.022, tone(wood, 0.66))
    if arms:
        for x in (-half * 0.97, half * 0.97):
            s.bar("armrests", (x, 0.42), (x, 0.64), 0.025, iron)
            s.bar("armrests", (x, 0.65), (x + skew, 0.7), 0.036, iron)


def bed(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a bed from the side with a little of its top: headboard at -x, slatted like the bench."""
    s = sketch
    wood = pick(rng, WOODS)
    cover, accent = pick(rng, CLOTHES), pick(rng, CLOTHES)
    length, deep = float(rng.uniform(1.65, 1.95)), float(rng.uniform(0.34, 0.5))
    lift = (deep * 0.55, deep * 0.75)
    head, foot = float(rng.uniform(0.9, 1.15)), float(rng.uniform(0.5, 0.66))
    top = 0.52
    slats = bool(rng.random() < 0.6)

    def back(x: float, y: float) -> Point:
        return (x + lift[0], y + lift[1])

    def board(part: str, x: float, height: float) -> None:
        post(s, part, x + lift[0], lift[1], height + lift[1], 0.04, tone(wood, 0.8))
        if slats:
            s.bar(part, (x, height - 0.03), back(x, height - 0.03), 0.05, wood)
            s.bar(part, (x, 0.4), back(x, 0.4), 0.045, wood)
            for k in np.linspace(0.15, 0.85, 4):
                a = (x + lift[0] * k, 0.4 + lift[1] * k)
                s.bar(part, a, (a[0], height - 0.03 + lift[1] * k), 0.026, tone(wood, 0.88))
        else:
            panel = [
                (x, 0.25),
                back(x, 0.25),
                back(x, height),
                (x + lift[0] * 0.5, height + lift[1] * 0.5 + 0.07),
                (x, height),
            ]
            s.poly(part, panel, tone(wood, 0.9))
            s.bar(part, (x, height), back(x, height), 0.035, tone(wood, 1.1))
        post(s, part, x, 0.0, height, 0.048, wood)

    post(s, "legs", length + lift[0], lift[1] * 0.9, 0.4 + lift[1], 0.04, tone(wood, 0.62))
    board("headboard", 0.0, head)
    s.poly("frame", [(0.0, 0.2), (length, 0.2), (length, 0.36), (0.0, 0.36)], tone(wood, 0.85))
    s.bar("frame", (0.02, 0.33), (length, 0.33), 0.035, wood)
    sheet = (246, 240, 228)
    s.poly("mattress", [(0.03, 0.35), (length - 0.02, 0.35), (length - 0.02, top), (0.03, top)], tone(sheet, 0.88))
    s.poly("mattress", [(0.03, top), (length - 0.02, top), back(length - 0.02, top), back(0.03, top)], sheet)
    px = 0.26
    for k in (0.7, 0.24):
        x, y = px + lift[0] * k, top + lift[1] * k + 0.07
        s.blob(
            "pillow",
            [
                (x - 0.18, y - 0.06),
                (x - 0.17, y + 0.12),
                (x + 0.02, y + 0.1),
                (x + 0.2, y + 0.08),
                (x + 0.2, y - 0.08),
                (x, y - 0.1),
            ],
            mix(sheet, accent, 0.35),
            4,
        )
        s.blob(
            "pillow",
            [(x - 0.13, y - 0.0), (x - 0.12, y + 0.09), (x + 0.13, y + 0.06), (x + 0.12, y - 0.01)],
            mix(sheet, accent, 0.15),
            4,
        )
    start = 0.62
    side = (
        [(start, top)]
        + [(x, 0.27 + 0.02 * (k % 2)) for k, x in enumerate(np.linspace(start - 0.03, length, 9))]
        + [(length, top)]
    )
    s.poly("blanket", side, tone(cover, 0.84))
    s.poly("blanket", [(start, top), (length, top), back(length, top), back(start, top)], cover)
    fold = [
        (start - 0.02, top - 0.16),
        (start + 0.16, top - 0.16),
        (start + 0.16, top),
        back(start + 0.16, top),
        back(start, top),
        (start - 0.02, top),
    ]
    s.poly("blanket", fold, mix(cover, (255, 252, 240), 0.7))
    for k in (0.35, 0.68):
        x = start + (length - start) * k
        s.bar("blanket", (x, 0.3), (x, top), 0.022, mix(cover, accent, 0.5))
        s.bar("blanket", (x, top), back(x, top), 0.022, mix(cover, accent, 0.65))
    board("footboard", length, foot)


def surfboard(rng: np.random.Generator, sketch: Sketch, facing: int, stance: str) -> None:
    """Draw a surfboard. `stance` is standing (stuck in the sand), leaning or lying (seen flat, from low)."""
    s = sketch
    paint, accent = pick(rng, PAINTS), pick(rng, PAINTS)
    deck: Colour = mix((250, 244, 230), paint, float(rng.choice([0.0, 0.15, 0.9])))
    long = float(rng.uniform(1.6, 2.3))
    wide = float(rng.uniform(0.24, 0.31)) * (1.0 if long > 1.9 else 1.08)
    along_y = np.linspace(0, 1, 25)
    pointed = float(rng.uniform(0.55, 0.9))
    half = wide * np.sin(np.pi * along_y**pointed) ** 0.62 + 0.012
    angle = {"standing": float(rng.uniform(-5, 5)), "leaning": float(rng.uniform(11, 24)), "lying": -90.0}[stance]
    flat = np.array([1.0, 0.36]) if stance == "lying" else np.ones(2)

    def place(points: np.ndarray) -> np.ndarray:
        return turned(points, angle) * flat

    def strip(y1: float, y2: float, share1: float, share2: float) -> np.ndarray:
        ys = np.linspace(y1, y2, 14)
        widths = np.interp(ys, along_y, half)
        left, right = np.stack([widths * share1, ys * long], 1), np.stack([widths * share2, ys * long], 1)
        return place(np.concatenate([left, right[::-1]]))

    sections = (("tail", 0.0, 0.22, accent), ("deck", 0.22, 0.74, deck), ("nose", 0.74, 1.0, paint))
    fin = np.array([(wide * 0.3, 0.12 * long), (wide * 1.15, 0.05 * long), (wide * 0.62, 0.19 * long)])
    s.blob("fin", place(fin), METALS[1], 4)
    for part, y1, y2, colour in sections:
        s.poly(part, strip(y1, y2, -1.0, 1.0), tone(colour, 0.84))
        s.poly(part, strip(y1, y2, -0.9 + 0.1 * s.light, 0.9 + 0.1 * s.light - 0.1), colour)
        s.poly(part, strip(y1, y2, -0.07, 0.07), tone(colour, 0.72))
    if rng.random() < 0.6:
        for y in (0.6, 0.66):
            s.poly("deck", strip(y, y + 0.035, -0.96, 0.96), paint)
    else:
        at = place(np.array([(0.0, 0.48 * long)]))[0]
        s.ellipse(
            "deck",
            tuple(at),
            wide * 0.5 * (1.6 if stance == "lying" else 1),
            wide * 0.5 * (0.6 if stance == "lying" else 1),
            accent,
        )
