"""Backdrops of the scene generator: street, beach, room and square."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from odam_lib.datasets.scenes.painters.shapes import Colour, Point, arc, mix, pick, spline, tone
from odam_lib.datasets.scenes.values import Scene

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((142, 196, 226), (224, 238, 236)), ((176, 206, 232), (250, 232, 210)), ((120, 178, 208), (248, 220, 190)),
    ((188, 206, 216), (238, 236, 224)), ((154, 186, 222), (246, 214, 206)),
)  # fmt: skip
FACADES: tuple[Colour, ...] = (
    (226, 190, 160), (206, 150, 128), (228, 212, 178), (178, 192, 178), (164, 182, 198),
    (214, 176, 176), (196, 168, 142),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (214, 222, 206), (232, 216, 196), (198, 214, 220), (228, 204, 196), (220, 212, 224), (236, 226, 200),
)  # fmt: skip
LEAVES: tuple[Colour, ...] = ((118, 156, 110), (94, 140, 108), (146, 170, 108), (86, 124, 100))


class Stage:
    """A supersampled canvas addressed in image heights, x to the right and y down."""

    def __init__(self, scene: Scene, factor: int) -> None:
        self.scene, self.unit = scene, scene.height * factor
        self.wide = scene.width / scene.height
        self.image = Image.new("RGB", (scene.width * factor, scene.height * factor))
        self.draw = ImageDraw.Draw(self.image)

    def poly(self, points: list[Point] | np.ndarray, colour: Colour) -> None:
        self.draw.polygon((np.asarray(points, float) * self.unit).ravel().tolist(), fill=colour)

    def rect(self, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        self.poly([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.poly(arc((x, y), rx, ry, 0, 355, 36), colour)

    def gradient(self, y1: float, y2: float, top: Colour, bottom: Colour) -> None:
        """Fill rows from y1 to y2 with a vertical blend."""
        first, last = int(y1 * self.unit), int(np.ceil(y2 * self.unit))
        rows = np.linspace(0, 1, max(last - first, 1))[:, None, None]
        strip = (np.array(top) * (1 - rows) + np.array(bottom) * rows).astype(np.uint8)
        self.image.paste(Image.fromarray(strip).resize((self.image.width, strip.shape[0])), (0, first))

    def metres(self, y: float) -> float:
        """Image heights per metre for something that stands on the ground at y."""
        return (y - self.scene.horizon) / self.scene.camera

    def tree(self, rng: np.random.Generator, x: float, y: float, size: float, colour: Colour) -> None:
        self.rect(x - size * 0.045, y - size * 0.5, x + size * 0.045, y, (128, 98, 78))
        for dx, dy, r in ((-0.2, 0.55, 0.24), (0.2, 0.58, 0.23), (0.0, 0.78, 0.28), (0.02, 0.52, 0.26)):
            self.oval(x + dx * size, y - dy * size, r * size, r * size, tone(colour, float(rng.uniform(0.93, 1.04))))
        lit = self.scene.light * 0.1 * size
        self.oval(x + lit, y - 0.78 * size, 0.17 * size, 0.15 * size, tone(colour, 1.14))

    def clouds(self, rng: np.random.Generator, bottom: float, colour: Colour) -> None:
        for _ in range(int(rng.integers(1, 4))):
            x, y, r = rng.uniform(0, self.wide), rng.uniform(0.04, max(bottom - 0.14, 0.05)), rng.uniform(0.02, 0.045)
            for dx, dy, k in ((-1.6, 0.2, 0.7), (-0.6, -0.25, 1.0), (0.6, -0.05, 0.9), (1.6, 0.25, 0.6)):
                self.oval(x + dx * r, y + dy * r, k * r * 1.2, k * r * 0.85, colour)
            self.rect(x - 2.1 * r, y + 0.3 * r, x + 2.0 * r, y + 0.8 * r, colour)

    def sky(self, rng: np.random.Generator, sun: float = 0.6) -> tuple[Colour, Colour]:
        top, low = pick(rng, SKIES)
        self.gradient(0, self.scene.horizon + 0.02, top, low)
        if rng.random() < sun:
            x = self.wide * (0.5 + self.scene.light * float(rng.uniform(0.2, 0.42)))
            y = float(rng.uniform(0.08, 0.16))
            self.oval(x, y, 0.062, 0.062, mix(low, (255, 244, 204), 0.5))
            self.oval(x, y, 0.045, 0.045, (255, 238, 186))
        self.clouds(rng, self.scene.horizon, mix(low, (255, 255, 255), 0.6))
        return top, low


def _house(stage: Stage, rng: np.random.Generator, x: float, wide: float, base: float, tall: float) -> None:
    colour = mix(pick(rng, FACADES), (240, 228, 210), 0.15)
    stage.rect(x, base - tall, x + wide, base, colour)
    shade = x if stage.scene.light > 0 else x + wide * 0.94
    stage.rect(shade, base - tall, shade + wide * 0.06, base, tone(colour, 0.88))
    stage.rect(x - 0.006, base - tall, x + wide + 0.006, base - tall + 0.018, tone(colour, 0.78))
    if rng.random() < 0.4:
        roof = tone(mix(pick(rng, FACADES), (150, 90, 80), 0.6), 0.95)
        stage.poly(
            [(x - 0.01, base - tall), (x + wide * 0.5, base - tall - 0.08), (x + wide + 0.01, base - tall)], roof
        )
    columns, shop = max(2, int(wide / 0.075)), min(0.13, tall * 0.4)
    glass = mix((112, 140, 156), colour, 0.2)
    for row in np.arange(base - tall + 0.04, base - shop - 0.05, 0.085):
        for k in range(columns):
            left = x + wide * (k + 0.26) / columns
            right = x + wide * (k + 0.74) / columns
            stage.rect(left - 0.004, row - 0.004, right + 0.004, row + 0.052, tone(colour, 1.35))
            stage.rect(left, row, right, row + 0.046, glass if rng.random() < 0.8 else (238, 214, 160))
            stage.rect(left - 0.007, row + 0.05, right + 0.007, row + 0.057, tone(colour, 0.8))
    awning, cut = pick(rng, FACADES), base - shop
    stage.rect(x + wide * 0.08, cut + 0.01, x + wide * 0.62, base - 0.02, tone(glass, 0.9))
    stage.rect(x + wide * 0.72, cut + 0.012, x + wide * 0.92, base, mix(tone(awning, 0.55), (90, 80, 80), 0.3))
    stripes = 7
    for k in range(stripes):
        a, b = x + wide * (0.05 + 0.6 * k / stripes), x + wide * (0.05 + 0.6 * (k + 1) / stripes)
        stage.rect(a, cut, b, cut + 0.032, mix(awning, (206, 84, 74), 0.5) if k % 2 else (246, 238, 224))


def _row_of_houses(stage: Stage, rng: np.random.Generator, base: float, low: float, high: float) -> None:
    x = -float(rng.uniform(0, 0.15))
    while x < stage.wide:
        wide = float(rng.uniform(0.22, 0.4))
        if rng.random() < 0.16:
            stage.tree(rng, x + wide * 0.4, base, float(rng.uniform(low, high)) * 0.75, pick(rng, LEAVES))
            wide *= 0.8
        else:
            _house(stage, rng, x, wide - 0.004, base, float(rng.uniform(low, high)))
        x += wide


def _hills(stage: Stage, rng: np.random.Generator, base: float, tall: float, colour: Colour) -> None:
    xs = np.linspace(-0.1, stage.wide + 0.1, 24)
    phase = rng.uniform(0, 6, 2)
    ys = base - tall * (0.6 + 0.25 * np.sin(xs * 5 + phase[0]) + 0.15 * np.sin(xs * 11 + phase[1]))
    stage.poly(
        [*zip(xs, ys, strict=True), (stage.wide + 0.1, stage.scene.floor + 0.01), (-0.1, stage.scene.floor + 0.01)],
        colour,
    )


def _street(stage: Stage, rng: np.random.Generator) -> None:
    scene, floor = stage.scene, stage.scene.floor
    _, low = stage.sky(rng)
    _hills(stage, rng, scene.horizon + 0.02, 0.14, mix(low, (112, 152, 138), 0.5))
    _row_of_houses(stage, rng, floor, 0.28, 0.5)
    deep = 1 - floor
    kerb, edge = floor + 0.18 * deep, floor + 0.72 * deep
    paving = pick(rng, ((204, 196, 184), (196, 194, 192), (212, 196, 172)))
    asphalt = pick(rng, ((118, 120, 126), (128, 122, 122), (108, 116, 122)))
    stage.gradient(floor, kerb, tone(paving, 0.94), paving)
    stage.gradient(kerb, edge, tone(asphalt, 1.06), asphalt)
    stage.gradient(edge, 1.0, paving, tone(paving, 1.12))
    stage.rect(0, kerb, stage.wide, kerb + 0.012, tone(paving, 0.72))
    stage.rect(0, edge - 0.012, stage.wide, edge, tone(paving, 1.25))
    stage.rect(0, edge, stage.wide, edge + 0.006, tone(paving, 0.8))
    centre = stage.wide * float(rng.uniform(0.3, 0.7))
    middle = (kerb + edge) / 2
    for k in range(-8, 9):
        top, low_y = middle - 0.006, middle + 0.008
        x = centre + k * 0.2
        stage.poly([(x, top), (x + 0.1, top), (x + 0.1 + k * 0.004, low_y), (x + k * 0.004, low_y)], (236, 230, 212))
    _rays(stage, centre, edge + 0.006, 1.0, 0.9, tone(paving, 0.9))
    _rays(stage, centre, floor, kerb, 0.7, tone(paving, 0.86))


def _rays(stage: Stage, centre: float, top: float, bottom: float, step: float, colour: Colour) -> None:
    """Joints that run towards the vanishing point, `step` metres apart."""
    near, far = stage.metres(bottom), stage.metres(top)
    count = int(stage.wide / max(far * step, 0.02)) + 2
    for k in range(-count, count + 1):
        a, b = centre + k * step * far, centre + k * step * near
        stage.poly([(a, top), (a + 0.002, top), (b + 0.004, bottom), (b, bottom)], colour)


def _beach(stage: Stage, rng: np.random.Generator) -> None:
    scene, floor = stage.scene, stage.scene.floor
    _, low = stage.sky(rng, 0.85)
    if rng.random() < 0.6:
        _hills(stage, rng, scene.horizon, float(rng.uniform(0.04, 0.1)), mix(low, (110, 146, 150), 0.5))
    sea = pick(rng, ((70, 150, 172), (86, 164, 176), (72, 134, 168), (104, 170, 168)))
    stage.gradient(scene.horizon, floor + 0.01, mix(sea, low, 0.25), tone(sea, 1.25))
    for y in np.linspace(scene.horizon + 0.015, floor - 0.03, 6):
        for _ in range(4):
            x, half = rng.uniform(0, stage.wide), rng.uniform(0.02, 0.07)
            stage.oval(x, y, half, 0.0025, tone(sea, 1.4))
    if rng.random() < 0.55:
        x, y, k = rng.uniform(0.1, stage.wide - 0.1), scene.horizon + 0.012, rng.uniform(0.03, 0.05)
        stage.poly([(x, y - 2.6 * k), (x + 1.1 * k, y - 0.35 * k), (x, y - 0.35 * k)], (250, 244, 232))
        stage.poly(
            [(x - 0.1 * k, y - 2.2 * k), (x - 0.8 * k, y - 0.35 * k), (x - 0.1 * k, y - 0.35 * k)], (226, 120, 96)
        )
        stage.poly(
            [(x - k, y - 0.2 * k), (x + 1.1 * k, y - 0.2 * k), (x + 0.7 * k, y + 0.2 * k), (x - 0.7 * k, y + 0.2 * k)],
            (150, 96, 74),
        )
    sand = pick(rng, ((234, 210, 168), (238, 218, 182), (226, 200, 160)))
    phase = rng.uniform(0, 6)
    xs = np.linspace(-0.05, stage.wide + 0.05, 60)
    for lift, colour in ((-0.016, (248, 248, 242)), (0.0, tone(sand, 0.8)), (0.025, tone(sand, 0.92)), (0.05, sand)):
        ys = floor + lift + 0.012 * np.sin(xs * 7 + phase) + 0.006 * np.sin(xs * 17 + phase * 2)
        stage.poly([*zip(xs, ys, strict=True), (stage.wide + 0.05, 1.01), (-0.05, 1.01)], colour)
    for _ in range(26):
        y = float(rng.uniform(floor + 0.09, 1))
        size = stage.metres(y) * float(rng.uniform(0.1, 0.4))
        stage.oval(float(rng.uniform(0, stage.wide)), y, size, size * 0.14, tone(sand, float(rng.choice([0.94, 1.2]))))
    if rng.random() < 0.5:
        _parasol(stage, rng, floor + 0.1)


def _parasol(stage: Stage, rng: np.random.Generator, y: float) -> None:
    k = stage.metres(y)
    x = stage.wide * (0.12 if rng.random() < 0.5 else 0.86)
    stage.rect(x - 0.025 * k, y - 2.1 * k, x + 0.025 * k, y, (240, 232, 216))
    first, second = pick(rng, FACADES), (250, 244, 232)
    first = mix(first, (214, 84, 72), 0.5)
    for j in range(5):
        edge = arc((x, y - 1.7 * k), 1.2 * k, 0.62 * k, 36 * j, 36 * (j + 1), 6)
        edge[:, 1] = 2 * (y - 1.7 * k) - edge[:, 1]
        stage.poly([*edge, (x, y - 1.7 * k)], first if j % 2 == 0 else second)


def _room(stage: Stage, rng: np.random.Generator) -> None:
    floor = stage.scene.floor
    wall = pick(rng, WALLS)
    stage.gradient(0, floor + 0.01, tone(wall, 0.97), tone(wall, 1.05))
    style = int(rng.integers(3))
    for x in np.arange(0.03, stage.wide, 0.09):
        if style == 0:
            stage.rect(x, 0, x + 0.03, floor, tone(wall, 0.955))
        elif style == 1:
            for y in np.arange(0.04, floor - 0.03, 0.075):
                stage.oval(x + (0.045 if int(y / 0.075) % 2 else 0), y, 0.007, 0.007, tone(wall, 0.9))
    if style == 2:
        stage.rect(0, floor - 0.16, stage.wide, floor, tone(wall, 0.88))
        stage.rect(0, floor - 0.168, stage.wide, floor - 0.155, tone(wall, 1.3))
    left = bool(rng.random() < 0.5)
    _window(stage, rng, stage.wide * (0.24 if left else 0.74), floor)
    _pictures(stage, rng, stage.wide * (0.72 if left else 0.25), floor)
    wood = pick(rng, ((190, 144, 104), (172, 126, 92), (208, 170, 128), (160, 130, 110)))
    stage.gradient(floor, 1.0, tone(wood, 0.92), tone(wood, 1.06))
    centre = stage.wide * float(rng.uniform(0.35, 0.65))
    _rays(stage, centre, floor, 1.0, 0.32, tone(wood, 0.84))
    stage.rect(0, floor - 0.022, stage.wide, floor, tone(wall, 1.4))
    stage.rect(0, floor - 0.003, stage.wide, floor + 0.005, tone(wood, 0.7))
    if rng.random() < 0.75:
        rug, trim = pick(rng, FACADES), pick(rng, WALLS)
        rug = mix(rug, pick(rng, ((176, 88, 80), (84, 124, 136), (206, 160, 92))), 0.55)
        x, y = centre + float(rng.uniform(-0.15, 0.15)), floor + (1 - floor) * float(rng.uniform(0.5, 0.68))
        rx, ry = 0.36, (1 - floor) * 0.3
        for k, colour in ((1.0, rug), (0.88, trim), (0.8, rug), (0.45, mix(rug, trim, 0.6)), (0.38, rug)):
            stage.oval(x, y, rx * k, ry * k, colour)


def _window(stage: Stage, rng: np.random.Generator, x: float, floor: float) -> None:
    half, top, sill = 0.13, 0.07, min(floor - 0.15, 0.38)
    top_sky, low_sky = pick(rng, SKIES)
    stage.rect(x - half - 0.018, top - 0.018, x + half + 0.018, sill + 0.018, (250, 246, 238))
    for k in range(12):
        y1, y2 = top + (sill - top) * k / 12, top + (sill - top) * (k + 1) / 12
        stage.rect(x - half, y1, x + half, y2, mix(top_sky, low_sky, k / 11))
    leaf = pick(rng, LEAVES)
    for dx in (-0.08, 0.0, 0.07):
        stage.poly(arc((x + dx, sill), 0.05, 0.06 + 0.02 * (dx == 0), 180, 360, 14), leaf)
    stage.rect(x - 0.006, top, x + 0.006, sill, (250, 246, 238))
    stage.rect(x - half, (top + sill) / 2 - 0.005, x + half, (top + sill) / 2 + 0.005, (250, 246, 238))
    stage.rect(x - half - 0.03, sill + 0.012, x + half + 0.03, sill + 0.03, (240, 232, 220))
    cloth = mix(pick(rng, FACADES), (240, 210, 190), 0.2)
    stage.rect(x - half - 0.09, top - 0.035, x + half + 0.09, top - 0.025, (120, 92, 74))
    for side in (-1, 1):
        outer, inner = x + side * (half + 0.07), x + side * (half - 0.035)
        knot = x + side * (half + 0.02)
        drop = min(sill + 0.12, floor - 0.03)
        stage.poly(
            spline(
                [
                    (outer, top - 0.03),
                    (inner, top - 0.03),
                    (knot, (top + sill) / 2 + 0.05),
                    (inner + side * 0.02, drop),
                    (outer, drop),
                ],
                5,
            ),
            cloth,
        )
        stage.rect(outer - side * 0.028, top - 0.01, outer - side * 0.018, drop - 0.01, tone(cloth, 0.88))


def _pictures(stage: Stage, rng: np.random.Generator, x: float, floor: float) -> None:
    for k in range(int(rng.integers(1, 3))):
        cx, cy = x + (k - 0.5) * 0.17, 0.16 + 0.05 * k
        w, h = float(rng.uniform(0.05, 0.075)), float(rng.uniform(0.055, 0.085))
        stage.rect(cx - w, cy - h, cx + w, cy + h, pick(rng, ((122, 88, 66), (74, 72, 78), (214, 184, 134))))
        stage.rect(cx - w + 0.01, cy - h + 0.01, cx + w - 0.01, cy + h - 0.01, (246, 240, 228))
        land, sky = pick(rng, LEAVES), pick(rng, SKIES)[0]
        stage.rect(cx - w + 0.02, cy - h + 0.02, cx + w - 0.02, cy + h - 0.02, sky)
        stage.poly(
            [
                (cx - w + 0.02, cy + h - 0.02),
                (cx - w * 0.2, cy - h * 0.2),
                (cx + w * 0.3, cy + h * 0.3),
                (cx + w - 0.02, cy + h - 0.02),
            ],
            land,
        )
        stage.oval(cx + w * 0.3, cy - h * 0.35, 0.011, 0.011, (250, 222, 150))


def _square(stage: Stage, rng: np.random.Generator) -> None:
    scene, floor = stage.scene, stage.scene.floor
    _, low = stage.sky(rng)
    _hills(stage, rng, scene.horizon + 0.02, 0.1, mix(low, (112, 152, 138), 0.5))
    _row_of_houses(stage, rng, floor, 0.2, 0.34)
    paving = pick(rng, ((212, 200, 182), (200, 198, 196), (216, 190, 168)))
    stage.gradient(floor, 1.0, tone(paving, 0.93), tone(paving, 1.06))
    centre = stage.wide / 2
    _rays(stage, centre, floor, 1.0, 1.4, tone(paving, 0.88))
    distance, step = scene.camera / (1 - scene.horizon), scene.camera * 0.24
    while (y := scene.horizon + scene.camera / (distance + step)) > floor + 0.01:
        stage.rect(0, y, stage.wide, y + 0.003, tone(paving, 0.88))
        step += scene.camera * 0.24
    for x, size in ((0.06, 0.3), (stage.wide - 0.08, 0.34)):
        stage.tree(rng, x, floor + 0.02, size, pick(rng, LEAVES))


BACKDROPS: dict[str, Callable[[Stage, np.random.Generator], None]] = {
    "street": _street,
    "beach": _beach,
    "room": _room,
    "crowd": _square,
}
FOOT = {"street": 0.0, "beach": 0.105, "room": 0.006, "crowd": 0.021}
"""How far below the floor's far edge a backdrop still reaches, in image heights: waves, a parasol, skirting, trees."""


def ground_row(scene: Scene) -> int:
    """The first row of pixels in which, from side to side, there is ground and nothing of the backdrop."""
    return int(np.ceil((scene.floor + FOOT[scene.setting]) * scene.height)) + 1


def backdrop(scene: Scene, factor: int) -> np.ndarray:
    """The empty setting, float32 [H, W, 3] in 0..255, drawn `factor` times larger and averaged down."""
    stage = Stage(scene, factor)
    BACKDROPS[scene.setting](stage, np.random.default_rng([scene.seed, 2]))
    pixels = np.array(stage.image.reduce(factor), np.float32)
    if scene.bare:
        row = ground_row(scene)
        pixels[:row] = np.median(pixels[row], axis=0)
    return pixels
