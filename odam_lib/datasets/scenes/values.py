"""The values of the scene generator: a scene, its objects, and what rendering returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from odam_lib.categories import SCENES
from odam_lib.datasets.scenes.painters import distractors, dogs, furniture, people, stickers, vehicles
from odam_lib.datasets.scenes.painters.shapes import Figure, Shape, Sketch

CATEGORIES = SCENES
SETTINGS = ("street", "beach", "room", "crowd")
MINIMUM_SIZE = 32

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""

PAINTERS: dict[str, Callable[[np.random.Generator, Sketch, int], None]] = {
    "dog": dogs.dog,
    "bicycle": vehicles.bicycle,
    "motorcycle": vehicles.motorcycle,
    "car": vehicles.car,
    "bench": furniture.bench,
    "bed": furniture.bed,
}
DISTRACTORS = tuple(distractors.DISTRACTOR_PAINTERS)
"""Kinds of things that belong to no class and look a little like one that does."""


@lru_cache(maxsize=512)
def build_figure(name: str, seed: int, facing: int, light: int, stance: str) -> Figure:
    """The polygons of one object; everything about its looks follows from these five values."""
    # The painter works in a frame that is mirrored afterwards, so the light is mirrored beforehand.
    sketch = Sketch(light * facing)
    rng = np.random.default_rng([seed, 11])
    if name == "surfboard":
        furniture.surfboard(rng, sketch, facing, stance or "standing")
    elif name == "person":
        people.person(rng, sketch, facing, crowd=stance == "crowd")
    elif name in DISTRACTORS:
        distractors.DISTRACTOR_PAINTERS[name](rng, sketch)
    else:
        PAINTERS[name](rng, sketch, facing)
    return sketch.figure(facing)


@dataclass(frozen=True)
class SceneObject:
    """One object: `x` and `y` place its ground contact, in image heights; `scale` is image heights per metre.

    A distractor is one too: its `name` is one of DISTRACTORS, and `lures` is the index of the object it stands beside.
    A `marked` one carries a sticker, which is a part of it and throws no shadow.
    """

    index: int
    name: str
    seed: int
    x: float
    y: float
    scale: float
    facing: int
    light: int
    stance: str = ""
    removed: frozenset[str] = frozenset()
    lures: int | None = None
    marked: bool = False

    @property
    def label(self) -> int:
        """The index into CATEGORIES; 0, the background, for a distractor."""
        return 0 if self.lures is not None else CATEGORIES.index(self.name)

    @property
    def figure(self) -> Figure:
        """All polygons of the object itself, those of removed parts included."""
        return build_figure(self.name, self.seed, self.facing, self.light, self.stance)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The polygons that are there: what is left of the object itself, and what it carries."""
        carried = stickers.sticker(np.random.default_rng([self.seed, 12]), self.figure) if self.marked else ()
        return tuple(shape for shape in (*self.figure.shapes, *carried) if shape.part not in self.removed)

    def points(self, shapes: tuple[Shape, ...], height: int) -> list[np.ndarray]:
        """Polygons in pixels [N, 2] of an image `height` pixels high (y down)."""
        factor = np.array([self.scale, -self.scale]) * height
        origin = np.array([self.x, self.y]) * height
        return [shape.points * factor + origin for shape in shapes]

    def box(self, height: int) -> Box:
        """Tight xyxy box in pixels, not clipped to the image, of what is left of the object."""
        return self._enclose(self.shapes, height)

    def part_box(self, height: int, part: str) -> Box | None:
        """The same of one part, if that is there."""
        shapes = tuple(shape for shape in self.shapes if shape.part == part)
        return self._enclose(shapes, height) if shapes else None

    def _enclose(self, shapes: tuple[Shape, ...], height: int) -> Box:
        every = np.concatenate(self.points(shapes, height))
        (x1, y1), (x2, y2) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
        return x1, y1, x2, y2


@dataclass(frozen=True)
class Scene:
    """Everything needed to render a picture. `objects` are in painting order, far to near.

    `horizon` and `floor` (the far edge of the ground) are in image heights from the top; `camera` is the camera's
    height in metres, which fixes the perspective; `light` is -1 or +1, the side from which light comes.
    """

    seed: int
    setting: str
    height: int
    width: int
    horizon: float
    floor: float
    camera: float
    light: int
    objects: tuple[SceneObject, ...]
    bare: bool = False

    def get(self, index: int) -> SceneObject:
        """The object with this stable index; IndexError if it is not in the scene."""
        for item in self.objects:
            if item.index == index:
                return item
        raise IndexError(f"no object {index} in this scene; there are {sorted(o.index for o in self.objects)}")

    def without(self, index: int, part: str | None = None) -> Scene:
        """The same scene without one object and its shadow, or without one named part (shadows stay).

        Raises IndexError for an object and ValueError for a part that is not there.
        """
        chosen = self.get(index)
        if part is None:
            return replace(self, objects=tuple(o for o in self.objects if o.index != index))
        present = list(dict.fromkeys(shape.part for shape in chosen.shapes))
        if part not in present:
            raise ValueError(f"object {index} ({chosen.name}) has no part {part!r}; its parts are {present}")
        changed = replace(chosen, removed=chosen.removed | {part})
        return replace(self, objects=tuple(changed if o.index == index else o for o in self.objects))

    def with_sticker(self, index: int) -> Scene:
        """The same scene with a sticker on one object, everything else pixel-identical; IndexError as for `without`."""
        marked = replace(self.get(index), marked=True)
        return replace(self, objects=tuple(marked if o.index == index else o for o in self.objects))

    def without_distractors(self) -> Scene:
        """The same scene without its distractors and their shadows, everything else pixel-identical."""
        return replace(self, objects=tuple(o for o in self.objects if o.lures is None))

    def without_backdrop(self) -> Scene:
        """The same scene with the ground's colour instead of its horizon and all behind; objects pixel-identical."""
        return replace(self, bare=True)


@dataclass(frozen=True, eq=False)
class Instance:
    """One visible object. Boxes are xyxy in pixels; `mask` and `parts` are visible pixels, bool [H, W].

    `box_full` (amodal) and `box_head` (persons) are not clipped to the image; the right and lower edge of
    `box_visible` are exclusive. `depth` is the distance from the camera in metres. A distractor has label 0,
    and in `lures` the index of the object that it stands beside.
    """

    index: int
    label: int
    name: str
    box_full: Box
    box_visible: Box
    mask: np.ndarray
    parts: dict[str, np.ndarray]
    visible_fraction: float
    depth: float
    box_head: Box | None = None
    lures: int | None = None


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture, uint8 [H, W, 3], and its visible instances and distractors in painting order (far to near)."""

    image: np.ndarray
    instances: tuple[Instance, ...] = field(default=())
    distractors: tuple[Instance, ...] = field(default=())
