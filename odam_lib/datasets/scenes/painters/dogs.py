"""Dogs of the scene generator."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import (
    CLOTHES,
    Colour,
    Point,
    Sketch,
    along,
    arc,
    mix,
    pick,
    tone,
    turned,
)

COATS: tuple[tuple[Colour, Colour], ...] = (
    ((190, 134, 82), (236, 208, 164)), ((72, 62, 62), (188, 136, 86)), ((238, 226, 206), (196, 152, 104)),
    ((132, 88, 60), (222, 190, 150)), ((104, 102, 110), (222, 220, 216)), ((222, 166, 96), (250, 234, 208)),
    ((246, 242, 234), (72, 68, 72)),
)  # fmt: skip


def dog(rng: np.random.Generator, sketch: Sketch, facing: int) -> None:
    """Draw a dog from the side: five builds from dachshund to greyhound, walking, standing or sitting."""
    s = sketch
    length, leg, thick, fluffy = pick(
        rng,
        (
            (0.62, 0.4, 0.15, 0.0),
            (0.66, 0.17, 0.12, 0.0),
            (0.7, 0.5, 0.13, 0.0),
            (0.5, 0.28, 0.16, 1.0),
            (0.58, 0.36, 0.17, 0.5),
        ),
    )
    s.scale = float(rng.uniform(1.1, 1.45)) * (1.0 if leg < 0.38 else 0.84)
    coat, second = pick(rng, COATS)
    near, far = ("right", "left") if facing > 0 else ("left", "right")
    sitting = bool(rng.random() < 0.25)
    pitch = 46.0 if sitting else 0.0
    walk = 0.0 if sitting else float(rng.uniform(0, 24))
    hip: Point = (-length / 2 + 0.06, thick * 1.05 if sitting else leg)
    chest = tuple(turned([(length / 2 - 0.06, hip[1] + 0.02)], pitch, hip)[0])
    ear, tail_up = str(rng.choice(["floppy", "pointed"])), float(rng.uniform(95, 165))
    collar = pick(rng, CLOTHES)
    tail_tip = along((hip[0] - thick * 0.7, hip[1] + thick * 0.45), -tail_up + pitch, 0.24)

    def paw(part: str, top: Point, angle: float, shade: float, r: float) -> None:
        reach = top[1] - 0.0
        knee = along(top, angle, reach * 0.52)
        foot = (knee[0] - reach * 0.48 * np.sin(np.radians(angle)) * 0.4, 0.025)
        s.limb(part, knee, foot, r * 0.62, r * 0.5, tone(coat, shade))
        s.limb(part, top, knee, r, r * 0.64, tone(coat, shade))
        s.ellipse(part, (foot[0] + 0.018, 0.022), 0.042, 0.024, tone(second, shade), 12)

    r = 0.05 + thick * 0.16
    s.limb(
        "tail",
        (hip[0] - thick * 0.7, hip[1] + thick * 0.4),
        tail_tip,
        0.036 + 0.02 * fluffy,
        0.022 + 0.03 * fluffy,
        coat,
    )
    paw(f"{far} front leg", (chest[0] - 0.02, chest[1] - thick * 0.2), walk, 0.74, r)
    if not sitting:
        paw(f"{far} hind leg", (hip[0] + 0.02, hip[1] - thick * 0.1), -walk * 0.8, 0.74, r * 1.15)
    body = [
        (-0.5, 0.2),
        (-0.35, 0.95),
        (0.2, 0.85),
        (0.8, 1.0),
        (1.12, 0.5),
        (1.02, -0.55),
        (0.6, -0.9),
        (0.1, -0.55),
        (-0.4, -0.5),
    ]
    span = float(np.hypot(chest[0] - hip[0], chest[1] - hip[1]))
    outline = np.array([(x * span - (thick * 0.55 if x < 0 else -thick * 0.1), y * thick) for x, y in body])
    outline = turned(np.array([(max(x, -thick * 1.05), y) for x, y in outline]), pitch) + hip
    s.blob("body", outline, coat)
    if fluffy:
        for t in np.linspace(0.0, 1.0, 6):
            at = turned([(t * span, -thick * 0.62)], pitch)[0] + hip
            s.ellipse("body", tuple(at), thick * 0.42, thick * 0.36, tone(coat, 0.94), 12)
    patch = (
        turned(arc((span * float(rng.uniform(0.2, 0.7)), thick * 0.3), span * 0.2, thick * 0.5, 0, 340, 10), pitch)
        + hip
    )
    if rng.random() < 0.5:
        s.blob("body", patch, second, 3)
    s.blob(
        "body",
        turned(
            [(span * 0.95, -thick * 0.5), (span * 1.06, 0.02), (span * 1.0, thick * 0.4), (span * 0.86, -thick * 0.1)],
            pitch,
        )
        + hip,
        mix(coat, second, 0.6),
        4,
    )
    if sitting:
        s.limb(
            f"{near} hind leg", (hip[0] + 0.05, thick * 1.0), (hip[0] + 0.2, 0.05), thick * 0.95, 0.05, tone(coat, 0.95)
        )
        s.ellipse(f"{near} hind leg", (hip[0] + 0.24, 0.03), 0.06, 0.03, second, 12)
    else:
        paw(f"{near} hind leg", (hip[0] - 0.01, hip[1] - thick * 0.05), walk, 0.96, r * 1.25)
    paw(f"{near} front leg", (chest[0] + 0.01, chest[1] - thick * 0.2), -walk * 0.7, 0.98, r)
    _dog_head(s, (chest[0] + 0.1, chest[1] + thick * 0.6 + 0.13), chest, coat, second, collar, ear)


def _dog_head(s: Sketch, at: Point, chest: Point, coat: Colour, second: Colour, collar: Colour, ear: str) -> None:
    x, y = at
    s.limb("head", (chest[0] + 0.02, chest[1] + 0.05), (x - 0.02, y - 0.02), 0.095, 0.075, coat)
    s.bar("head", (x - 0.125, y - 0.065), (x + 0.0, y - 0.12), 0.018, collar)
    if ear == "pointed":
        s.poly("head", [(x - 0.08, y + 0.06), (x - 0.03, y + 0.2), (x + 0.03, y + 0.08)], tone(coat, 0.72))
    s.blob(
        "head",
        [
            (x - 0.1, y + 0.02),
            (x - 0.02, y + 0.11),
            (x + 0.07, y + 0.075),
            (x + 0.11, y + 0.02),
            (x + 0.225, y - 0.005),
            (x + 0.23, y - 0.055),
            (x + 0.12, y - 0.085),
            (x - 0.03, y - 0.095),
        ],
        coat,
        5,
    )
    s.blob(
        "head", [(x + 0.11, y - 0.0), (x + 0.222, y - 0.015), (x + 0.222, y - 0.052), (x + 0.11, y - 0.07)], second, 4
    )
    s.ellipse("head", (x + 0.225, y - 0.005), 0.024, 0.02, (42, 36, 40), 10)
    s.ellipse("head", (x + 0.065, y + 0.035), 0.015, 0.018, (42, 36, 40), 8)
    if ear == "pointed":
        s.poly("head", [(x - 0.1, y + 0.04), (x - 0.085, y + 0.19), (x - 0.0, y + 0.09)], tone(coat, 0.86))
    else:
        s.blob(
            "head",
            [
                (x - 0.075, y + 0.075),
                (x - 0.0, y + 0.06),
                (x - 0.015, y - 0.09),
                (x - 0.075, y - 0.11),
                (x - 0.115, y - 0.03),
            ],
            tone(coat, 0.74),
            5,
        )
