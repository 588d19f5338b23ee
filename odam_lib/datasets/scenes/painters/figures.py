"""Articulated living things of the scene generator: people and dogs."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.painters.shapes import (
    CLOTHES,
    HAIRS,
    SKINS,
    TROUSERS,
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

SHOES: tuple[Colour, ...] = ((62, 52, 54), (238, 234, 226), (160, 84, 62), (90, 100, 128), (206, 90, 84))
COATS: tuple[tuple[Colour, Colour], ...] = (
    ((190, 134, 82), (236, 208, 164)), ((72, 62, 62), (188, 136, 86)), ((238, 226, 206), (196, 152, 104)),
    ((132, 88, 60), (222, 190, 150)), ((104, 102, 110), (222, 220, 216)), ((222, 166, 96), (250, 234, 208)),
    ((246, 242, 234), (72, 68, 72)),
)  # fmt: skip


class Person:
    """Proportions and wardrobe of one person; the drawing methods add to a sketch."""

    def __init__(self, rng: np.random.Generator, sketch: Sketch, facing: int, crowd: bool) -> None:
        self.rng, self.sketch = rng, sketch
        self.child = bool(rng.random() < (0.08 if crowd else 0.2))
        self.height = float(rng.uniform(1.05, 1.3) if self.child else rng.uniform(1.55, 1.86))
        self.girth = float(rng.uniform(0.88, 1.22))
        self.head_size = 1.32 if self.child else 1.12
        self.skin: Colour = pick(rng, SKINS)
        self.hair: Colour = pick(rng, HAIRS)
        self.shirt: Colour = pick(rng, CLOTHES)
        self.trousers: Colour = pick(rng, TROUSERS)
        self.shoes: Colour = pick(rng, SHOES)
        self.short_sleeves = bool(rng.random() < 0.5)
        self.legwear = str(rng.choice(["trousers", "shorts", "skirt", "dress"], p=[0.5, 0.2, 0.14, 0.16]))
        self.style = str(rng.choice(["short", "long", "bun", "curly", "hat"], p=[0.32, 0.25, 0.13, 0.12, 0.18]))
        self.pattern = str(rng.choice(["plain", "stripes", "jacket"], p=[0.45, 0.3, 0.25]))
        self.accent: Colour = pick(rng, CLOTHES)
        self.near, self.far = ("right", "left") if facing > 0 else ("left", "right")

    def leg(self, part: str, hip: Point, thigh: float, knee: float, shade: float, toe: float) -> None:
        """Thigh and shin at angles in degrees from straight down; `toe` is how far the shoe points to +x."""
        h, s = self.height, self.sketch
        knee_at = along(hip, thigh, 0.245 * h)
        ankle = along(knee_at, thigh - knee, 0.215 * h)
        bare = self.legwear != "trousers"
        upper = self.trousers if self.legwear in ("trousers", "shorts") else self.skin
        lower = tone(self.skin if bare else self.trousers, shade)
        g = self.girth**0.5
        s.limb(part, knee_at, ankle, (0.036 if bare else 0.043) * h * g, (0.024 if bare else 0.033) * h, lower)
        s.limb(part, hip, knee_at, 0.06 * h * g, 0.044 * h * g, tone(upper, shade))
        sole = turned(
            [(-0.035, -0.035), (0.05 + 0.07 * toe, -0.035), (0.045 + 0.06 * toe, -0.006), (0.03, 0.03), (-0.03, 0.03)],
            (thigh - knee) * 0.6,
        )
        s.blob(part, sole * h * np.array([1.0 if abs(toe) > 0.6 else 0.9, 1.0]) + ankle, tone(self.shoes, shade), 4)

    def arm(self, part: str, shoulder: Point, upper: float, elbow: float, shade: float) -> Point:
        """Upper arm and forearm at angles in degrees from straight down; returns the hand's place."""
        h, s, g = self.height, self.sketch, self.girth**0.5
        elbow_at = along(shoulder, upper, 0.165 * h)
        hand = along(elbow_at, upper + elbow, 0.15 * h)
        sleeve, skin = tone(self.shirt, shade), tone(self.skin, shade)
        s.ellipse(part, hand, 0.026 * h, 0.028 * h, skin, 12)
        s.limb(part, elbow_at, hand, 0.029 * h * g, 0.021 * h, skin if self.short_sleeves else sleeve)
        s.limb(part, shoulder, elbow_at, 0.04 * h * g, 0.031 * h * g, sleeve)
        return hand

    def torso(self, half: float, tilt: float) -> None:
        """`half` is half the shoulder width in units of the height; `tilt` moves the shoulders along x."""
        h, s, rng = self.height, self.sketch, self.rng
        g = self.girth
        waist, hip = half * (0.62 + 0.26 * g), half * (0.72 + 0.2 * g)
        hem = 0.455
        if self.legwear in ("skirt", "dress"):
            colour = self.shirt if self.legwear == "dress" else self.trousers
            flare = max(hip * 1.35, 0.115)
            s.blob(
                "torso",
                np.array([(-hip, 0.52), (hip, 0.52), (flare, 0.31), (0, 0.295), (-flare, 0.31)]) * h,
                tone(colour, 0.9),
            )
            s.blob(
                "torso",
                np.array([(-hip * 0.3, 0.52), (hip * 0.3, 0.52), (flare * 0.2, 0.32), (-flare * 0.45, 0.32)]) * h,
                tone(colour, 0.8),
            )
        outline = [
            (-half + tilt, 0.81), (-0.35 * half + tilt, 0.838), (0.35 * half + tilt, 0.838), (half + tilt, 0.81),
            (waist + tilt * 0.5, 0.62), (hip, 0.5), (hip * 0.85, hem),
            (-hip * 0.85, hem), (-hip, 0.5), (-waist + tilt * 0.5, 0.62),
        ]  # fmt: skip
        s.blob("torso", np.array(outline) * h, tone(self.shirt, 0.88), 4)
        lit = [(x * 0.74 + s.light * half * 0.16, 0.645 + (y - 0.645) * 0.9) for x, y in outline]
        s.blob("torso", np.array(lit) * h, self.shirt, 4)
        if self.pattern == "stripes":
            for y in np.arange(0.53, 0.78, 0.07):
                s.bar(
                    "torso",
                    (-waist * 0.86 * h, y * h),
                    (waist * 0.86 * h, y * h),
                    0.012 * h,
                    mix(self.shirt, self.accent, 0.75),
                )
        elif self.pattern == "jacket" and half > 0.09:
            s.poly("torso", np.array([(-0.05, 0.83), (0.05, 0.83), (0.03, 0.5), (-0.03, 0.5)]) * h, self.accent)
        if self.legwear in ("trousers", "shorts"):
            s.bar(
                "torso", (-hip * 0.84 * h, 0.472 * h), (hip * 0.84 * h, 0.472 * h), 0.02 * h, tone(self.trousers, 0.82)
            )
        elif rng.random() < 0.5:
            s.bar("torso", (-hip * 0.9 * h, 0.525 * h), (hip * 0.9 * h, 0.525 * h), 0.013 * h, self.accent)

    def back_hair(self, at: Point) -> None:
        """Long hair hangs behind neck and shoulders, so it is painted before the face."""
        r = 0.068 * self.height * self.head_size
        if self.style == "long":
            shape = [(-1.12, 0.5), (0, 1.2), (1.12, 0.5), (1.2, -0.9), (0.9, -1.75), (-0.9, -1.75), (-1.2, -0.9)]
            self.sketch.blob("head", np.array(shape) * r + at, tone(self.hair, 0.8))

    def head(self, at: Point, view: str) -> None:
        """Face, hair or hat around the head's centre; `view` is side (towards +x), front or back."""
        s, h = self.sketch, self.height
        rx, ry = 0.06 * h * self.head_size, 0.072 * h * self.head_size
        x, y = at
        s.bar("head", (x * 0.7, y - ry * 0.8), (x * 0.5, 0.822 * h), 0.03 * h, tone(self.skin, 0.82))
        if self.style == "curly":
            s.blob("head", arc((x, y + ry * 0.25), rx * 1.5, ry * 1.28, 0, 330, 12) * 1.0, tone(self.hair, 0.88))
        if self.style == "bun":
            bun = (x - rx * 0.9, y + ry * 0.75) if view == "side" else (x, y + ry * 1.15)
            s.ellipse("head", bun, rx * 0.5, rx * 0.5, tone(self.hair, 0.88), 14)
        if view == "side":
            s.blob(
                "head",
                [(x + rx * 0.85, y + ry * 0.1), (x + rx * 1.24, y - ry * 0.16), (x + rx * 0.85, y - ry * 0.3)],
                self.skin,
                4,
            )
        s.ellipse("head", at, rx, ry, self.skin)
        if view != "back":
            self._face(at, rx, ry, view)
        self._hair(at, rx, ry, view)

    def _face(self, at: Point, rx: float, ry: float, view: str) -> None:
        s, (x, y) = self.sketch, at
        dark = (52, 40, 44)
        eyes = (0.5,) if view == "side" else (-0.38, 0.38)
        for e in eyes:
            s.ellipse("head", (x + e * rx, y + ry * 0.02), rx * 0.11, ry * 0.13, dark, 8)
            s.ellipse(
                "head", (x + e * rx * 1.25, y - ry * 0.3), rx * 0.2, ry * 0.12, mix(self.skin, (226, 96, 88), 0.4), 10
            )
        mouth = 0.55 if view == "side" else 0.0
        s.bar(
            "head",
            (x + (mouth - 0.2) * rx, y - ry * 0.48),
            (x + (mouth + 0.2) * rx, y - ry * 0.46),
            ry * 0.06,
            mix(self.skin, (160, 50, 50), 0.6),
        )

    def _hair(self, at: Point, rx: float, ry: float, view: str) -> None:
        s, (x, y) = self.sketch, at
        if view == "back":
            s.ellipse("head", (x, y + ry * 0.12), rx * 1.07, ry * 1.02, self.hair)
        elif view == "side":
            cap = [
                (1.0, 0.42),
                (0.7, 0.98),
                (0, 1.16),
                (-0.8, 0.95),
                (-1.14, 0.2),
                (-0.95, -0.6),
                (-0.5, -0.5),
                (-0.28, 0.12),
                (0.35, 0.4),
            ]
            s.blob("head", np.array(cap) * (rx, ry) + at, self.hair, 4)
        else:
            cap = [
                (1.08, 0.0),
                (1.0, 0.7),
                (0.5, 1.1),
                (-0.3, 1.14),
                (-0.95, 0.75),
                (-1.08, 0.0),
                (-0.85, 0.3),
                (-0.2, 0.58),
                (0.45, 0.5),
                (0.88, 0.3),
            ]
            s.blob("head", np.array(cap) * (rx, ry) + at, self.hair, 4)
        if self.style == "hat":
            brim = 0.75 if view == "side" else 0.0
            s.poly("head", np.concatenate([arc((x, y + ry * 0.5), rx * 1.12, ry * 0.8, 0, 180, 14)]), self.accent)
            s.bar(
                "head",
                (x - rx * (1.0 - 0.1 * brim), y + ry * 0.5),
                (x + rx * (1.0 + brim), y + ry * 0.47),
                ry * 0.13,
                tone(self.accent, 0.8),
            )


def person(rng: np.random.Generator, sketch: Sketch, facing: int, crowd: bool = False) -> None:
    """Draw a person: walking or standing, seen from the side, the front or the back."""
    p = Person(rng, sketch, facing, crowd)
    h = p.height
    view = str(rng.choice(["side", "front", "back"], p=[0.46, 0.4, 0.14]))
    centre = (0.015 * h if view == "side" else 0.0, (0.915 if not p.child else 0.925) * h)
    if view == "side":
        _side_person(p, centre)
    else:
        _front_person(p, centre, view)


def _side_person(p: Person, centre: Point) -> None:
    rng, h = p.rng, p.height
    walking = rng.random() < 0.7
    stride = float(rng.uniform(14, 30)) if walking else float(rng.uniform(0, 5))
    front_first = bool(rng.random() < 0.5)
    swing = stride * 1.1 + float(rng.uniform(0, 8))
    raised = float(rng.uniform(60, 130)) if rng.random() < 0.2 else None
    near, far = (stride, -stride) if front_first else (-stride, stride)
    bend = {True: 4.0, False: stride * 1.2 + 2}
    p.arm(f"{p.far} arm", (0.0, 0.785 * h), -swing if far < 0 else swing, 22.0, 0.8)
    p.back_hair(centre)
    p.leg(f"{p.far} leg", (0.0, 0.475 * h), far, bend[far > 0], 0.78, 1.0)
    p.leg(f"{p.near} leg", (0.0, 0.475 * h), near, bend[near > 0], 1.0, 1.0)
    p.torso(0.085, 0.01)
    p.head(centre, "side")
    upper = raised if raised is not None else (-swing if near > 0 else swing) * 0.9
    p.arm(f"{p.near} arm", (0.0, 0.785 * h), upper, 40.0 if raised else 24.0, 1.0)


def _front_person(p: Person, centre: Point, view: str) -> None:
    rng, h = p.rng, p.height
    splay, weight = float(rng.uniform(1, 6)), float(rng.uniform(-2, 2))
    # Seen from the front a person's left side is at the viewer's right; seen from the back it is not.
    right_x, left_x = ("left", "right") if (view == "front") == (p.near == "right") else ("right", "left")
    half = 0.122 if not p.child else 0.115
    poses = ((8, 6), (12, 14), (38, -78), (120, 28), (150, 12), (20, 60))
    chances = [0.3, 0.25, 0.18, 0.07, 0.07, 0.13]
    chosen = [poses[int(rng.choice(len(poses), p=chances))] for _ in range(2)]
    p.back_hair(centre)
    for side, name in ((-1, left_x), (1, right_x)):
        p.leg(f"{name} leg", (side * 0.052 * h, 0.475 * h), side * splay + weight, side * -1.0, 1.0, side * 0.35)
    behind = [i for i in (0, 1) if chosen[i][0] < 60]
    for i, side, name in ((0, -1, left_x), (1, 1, right_x)):
        if i in behind:
            p.arm(f"{name} arm", (side * half * 0.93 * h, 0.782 * h), side * chosen[i][0], side * chosen[i][1], 0.94)
    p.torso(half, 0.0)
    p.head(centre, view)
    for i, side, name in ((0, -1, left_x), (1, 1, right_x)):
        if i not in behind:
            p.arm(f"{name} arm", (side * half * 0.93 * h, 0.782 * h), side * chosen[i][0], side * chosen[i][1], 1.0)


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
