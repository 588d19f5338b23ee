"""People of the scene generator."""

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
