"""Composition of the scene generator: what stands where, so that it is plausible and enough of it is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from odam_lib.datasets.scenes.values import MINIMUM_SIZE, SETTINGS, Scene, SceneObject

# The share of each class in the draws for a setting; what is harder to place is drawn more often.
MIXES: dict[str, dict[str, float]] = {
    "street": {"person": 0.24, "dog": 0.1, "bicycle": 0.16, "motorcycle": 0.22, "car": 0.24, "bench": 0.12},
    "beach": {
        "person": 0.26, "dog": 0.12, "bicycle": 0.07, "motorcycle": 0.08, "car": 0.1, "bench": 0.09, "surfboard": 0.28,
    },
    "room": {"person": 0.2, "dog": 0.14, "bicycle": 0.08, "bench": 0.08, "bed": 0.42, "surfboard": 0.1},
}  # fmt: skip
# Where the ground contact may be, as a share of the ground's depth in the picture (0 far, 1 near).
ZONES: dict[str, dict[str, tuple[float, float]]] = {
    "street": {"car": (0.26, 0.66), "motorcycle": (0.2, 0.94), "bench": (0.06, 0.15), "any": (0.1, 0.97)},
    "beach": {"car": (0.16, 0.6), "any": (0.14, 0.97)},
    "room": {"bed": (0.1, 0.75), "surfboard": (0.01, 0.05), "any": (0.1, 0.96)},
    "crowd": {"any": (0.12, 1.03)},
}
# How deep a thing is, in metres, seen from the side: what stands closer would stand inside it.
THICKNESS = {
    "person": 0.25, "dog": 0.25, "bicycle": 0.35, "motorcycle": 0.45, "car": 1.0,
    "bench": 0.5, "bed": 0.9, "surfboard": 0.08,
}  # fmt: skip
THIN = 0.2
"""The same for a distractor."""
# How often a newcomer in a crowd joins somebody; set so that boxes overlap as often as in CrowdHuman.
COMPANY = 0.335
ATTEMPTS = 8
ROWS = 96
MARGIN = 32
SEEN = 0.31
FACTS = {"street": (0.36, 0.44, 0.06, 0.1), "beach": (0.3, 0.38, 0.1, 0.15), "room": (0.26, 0.34, 0.2, 0.27)}


class Layout:
    """Objects placed so far with their coarse silhouettes, which tell how much of each stays visible."""

    def __init__(self, scene: Scene, seen: float = SEEN) -> None:
        self.scene, self.seen = scene, seen
        self.wide = scene.width / scene.height
        self.columns = max(1, round(self.wide * ROWS))
        self.items: list[SceneObject] = []
        self.masks: list[np.ndarray] = []
        self.areas: list[int] = []

    def silhouette(self, item: SceneObject) -> np.ndarray:
        """Coarse mask with a margin of MARGIN cells around the image, so that area outside it counts too."""
        canvas = Image.new("1", (self.columns + 2 * MARGIN, ROWS + 2 * MARGIN))
        draw = ImageDraw.Draw(canvas)
        for points in item.points(item.figure.shapes, ROWS):
            draw.polygon((points + MARGIN).ravel().tolist(), fill=1)
        return np.asarray(canvas)

    def fits(self, item: SceneObject, mask: np.ndarray) -> bool:
        """Whether every object, the new one included, stays visible enough."""
        known = zip(self.items, self.masks, self.areas, strict=True)
        order = sorted([*known, (item, mask, int(np.count_nonzero(mask)))], key=lambda entry: -entry[0].y)
        covered = np.ones(mask.shape, bool)
        covered[MARGIN : MARGIN + ROWS, MARGIN : MARGIN + self.columns] = False
        for _, shape, area in order:
            if np.count_nonzero(shape & ~covered) < self.seen * max(area, 1):
                return False
            covered |= shape
        return True

    def add(self, item: SceneObject) -> bool:
        mask = self.silhouette(item)
        if not self.fits(item, mask):
            return False
        self.items.append(item)
        self.masks.append(mask)
        self.areas.append(int(np.count_nonzero(mask)))
        return True

    def finished(self) -> Scene:
        """The scene with its objects in painting order; the index follows that order."""
        ordered = sorted(self.items, key=lambda item: item.y)
        return replace(self.scene, objects=tuple(replace(item, index=k) for k, item in enumerate(ordered)))


def make_scene(seed: int, setting: str | None = None, size: int | tuple[int, int] = 256) -> Scene:
    """Compose a scene. `size` is (height, width) or the side of a square, in pixels, at least 32.

    Without a `setting` the seed chooses street, beach or room; "crowd" must be asked for. Raises ValueError for an
    unknown setting, a negative seed or a size that is too small.
    """
    height, width = check_request(setting, size)
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    rng = np.random.default_rng([seed, 0])
    chosen = setting or str(rng.choice(SETTINGS[:3]))
    empty = empty_scene(rng, seed, chosen, height, width)
    return _crowd(empty) if chosen == "crowd" else _mixed(empty)


def check_request(setting: str | None, size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a valid request; ValueError that says what is wrong with another."""
    if setting is not None and setting not in SETTINGS:
        raise ValueError(f"unknown setting {setting!r}: choose one of {', '.join(SETTINGS)}")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < MINIMUM_SIZE:
        raise ValueError(f"size must be at least {MINIMUM_SIZE} pixels, not {height} x {width}")
    return int(height), int(width)


def empty_scene(rng: np.random.Generator, seed: int, setting: str, height: int, width: int) -> Scene:
    """The place and the camera, without objects."""
    # A portrait picture is narrow in metres unless the camera stands higher, so that things become smaller.
    rise = max(1.0, (height / width) ** 0.7)
    if setting == "crowd":
        horizon = float(rng.uniform(0.2, 0.27))
        floor, camera = horizon + 0.1, float(rng.uniform(2.3, 3.2))
    else:
        low, high, near, far = FACTS[setting]
        horizon = float(rng.uniform(low, high))
        floor = horizon + float(rng.uniform(near, far))
        camera = float(rng.uniform(1.4, 1.95))
    light = int(rng.choice([-1, 1]))
    return Scene(seed, setting, height, width, horizon, floor, camera * rise, light, ())


def draw_wishes(rng: np.random.Generator, setting: str, wide: float) -> list[str]:
    """Which classes to place: a theme that repeats in most scenes, and company for it."""
    names, shares = list(MIXES[setting]), np.array(list(MIXES[setting].values()))
    count = int(rng.choice([2, 3, 4, 5, 6, 7], p=[0.08, 0.18, 0.26, 0.24, 0.14, 0.1]))
    count = min(8, count + (1 if wide > 1.5 else 0))
    wishes = [str(x) for x in rng.choice(names, size=count, p=shares / shares.sum())]
    if rng.random() < 0.6:
        wishes[: min(len(wishes), int(rng.choice([2, 3], p=[0.7, 0.3])))] = [wishes[0]] * 2
    # Large things first: they find a place while there is room.
    rank = {"bed": 0, "car": 0, "motorcycle": 1, "bench": 1, "bicycle": 1}
    return sorted(wishes, key=lambda name: rank.get(name, 2))


def _mixed(empty: Scene, attempt: int = 0) -> Scene:
    """A few objects; composed anew while there is room for one only."""
    rng = np.random.default_rng([empty.seed, 1, attempt])
    layout = Layout(empty)
    for wish in draw_wishes(rng, empty.setting, layout.wide):
        for _ in range(14):
            if plausible(layout, item := candidate(rng, layout, wish)) and layout.add(item):
                break
    enough = len(layout.items) >= 2 or attempt + 1 == ATTEMPTS
    return layout.finished() if enough else _mixed(empty, attempt + 1)


def candidate(rng: np.random.Generator, layout: Layout, name: str) -> SceneObject:
    """An object of a class somewhere in its zone, often beside another one; it may not fit."""
    scene = layout.scene
    zones = ZONES[scene.setting]
    low, high = zones.get(name, zones["any"])
    stance = ""
    if name == "bench" and scene.setting == "street" and rng.random() < 0.4:
        low, high = 0.76, 0.97
    if name == "surfboard":
        stance = "leaning" if scene.setting == "room" else str(rng.choice(["standing", "lying"], p=[0.65, 0.35]))
    y = scene.floor + (1 - scene.floor) * float(rng.uniform(low, high))
    seed, facing = int(rng.integers(2**40)), int(rng.choice([-1, 1]))
    x = float(rng.uniform(0, layout.wide))
    alike = [item for item in layout.items if item.name == name]
    people = [item for item in layout.items if item.name == "person"]
    beside = rng.random()
    gap = float(rng.uniform(0.35, 0.6)) * int(rng.choice([-1, 1]))
    if stance == "standing" and people and beside < 0.6:
        owner = people[int(rng.integers(len(people)))]
        x, y = owner.x + gap * 0.85 * owner.scale, owner.y - 0.004
    elif alike and beside < 0.55:
        friend = alike[int(rng.integers(len(alike)))]
        x = friend.x + gap * 2 * friend.figure.box[2] * friend.scale * 1.6
        y = float(np.clip(friend.y + rng.uniform(-0.1, 0.1), scene.floor + (1 - scene.floor) * low, 0.98))
    scale = (y - scene.horizon) / scene.camera
    return SceneObject(0, name, seed, x, y, scale, facing, scene.light, stance)


def plausible(layout: Layout, item: SceneObject) -> bool:
    """Neither tiny nor filling the picture, and mostly inside it."""
    x1, y1, x2, y2 = item.box(1)
    tall, wide = y2 - y1, x2 - x1
    inside = min(x2, layout.wide) - max(x1, 0.0)
    small = max(tall, wide) < 0.16 if item.name in ("surfboard", "dog") else tall < 0.1
    too_large = tall > 0.74 or wide > 0.8 * layout.wide or y1 < 0.01
    return not small and not too_large and inside >= 0.78 * wide and not _collides(layout, item)


def _collides(layout: Layout, item: SceneObject) -> bool:
    """Whether the object would stand inside another one: side by side overlap at nearly the same distance."""
    x1, _, x2, _ = item.box(1)
    for other in layout.items:
        left, _, right, _ = other.box(1)
        overlap = min(x2, right) - max(x1, left)
        apart = abs(_distance(layout.scene, item) - _distance(layout.scene, other))
        room = (THICKNESS.get(item.name, THIN) + THICKNESS.get(other.name, THIN)) / 2
        if overlap > 0.22 * min(x2 - x1, right - left) and apart < room:
            return True
    return False


def _distance(scene: Scene, item: SceneObject) -> float:
    """Metres from the camera to the ground contact, for a focal length of one image height."""
    return scene.camera / (item.y - scene.horizon)


def _crowd(empty: Scene) -> Scene:
    """A square full of people; companions stand close together, which is where boxes overlap."""
    rng = np.random.default_rng([empty.seed, 1])
    layout = Layout(empty, seen=0.29)
    wanted = int(rng.integers(13, 31))
    low, high = ZONES["crowd"]["any"]
    for _ in range(wanted * 3):
        if len(layout.items) >= wanted:
            break
        y = empty.floor + (1 - empty.floor) * (low + (high - low) * float(rng.beta(1.0, 1.15)))
        x = float(rng.uniform(0.0, layout.wide))
        if layout.items and rng.random() < COMPANY:
            friend = layout.items[int(rng.integers(len(layout.items)))]
            reach = friend.scale * float(rng.uniform(0.1, 0.6)) * int(rng.choice([-1, 1]))
            x, y = friend.x + reach, friend.y + friend.scale * float(rng.uniform(-0.16, 0.16))
        y = float(np.clip(y, empty.floor + 0.02, 1.06))
        scale = (y - empty.horizon) / empty.camera
        seed, facing = int(rng.integers(2**40)), int(rng.choice([-1, 1]))
        layout.add(SceneObject(0, "person", seed, x, y, scale, facing, empty.light, "crowd"))
    return layout.finished()
