"""Rendering of the scene generator: one colour canvas and one id canvas, painted with the very same polygons."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from odam_lib.datasets.scenes.settings import backdrop
from odam_lib.datasets.scenes.values import Box, Instance, Rendered, Scene, SceneObject

INK = 0.7


def render(scene: Scene) -> Rendered:
    """Paint a scene. The image is uint8 [H, W, 3]; objects without a visible pixel give no instance."""
    factor = 3 if max(scene.height, scene.width) <= 384 else 2
    ground = backdrop(scene, factor) * _texture(scene)
    ground *= 1 - _shadow(scene, scene.objects)[..., None] * np.array([0.46, 0.44, 0.36], np.float32)
    canvas = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    canvas = canvas.resize((scene.width * factor, scene.height * factor), Image.Resampling.NEAREST)
    ids, keys = _paint(scene, canvas, factor)
    pixels = np.asarray(Image.fromarray(_ink(np.asarray(canvas), ids)).reduce(factor), np.float32)
    small = ids[factor // 2 :: factor, factor // 2 :: factor]
    visible, shade = _read(scene, small, keys)
    instances = tuple(one for one in visible if one.lures is None)
    distractors = tuple(one for one in visible if one.lures is not None)
    return Rendered(_camera(scene, pixels * shade[..., None]), instances, distractors)


def shadow_mask(scene: Scene, index: int) -> np.ndarray:
    """Where one object may darken the ground, bool [H, W]; objects may hide a part of it."""
    silhouette = _silhouettes(scene, (scene.get(index),))
    reach = sum(int(np.ceil(radius)) for radius in _blur(scene)) + 1
    return np.asarray(silhouette.filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0


def _paint(scene: Scene, canvas: Image.Image, factor: int) -> tuple[np.ndarray, list[tuple[SceneObject, str]]]:
    """Paint all objects; returns the ids int32 [H * factor, W * factor] and what id k + 1 stands for."""
    id_canvas = Image.new("I", canvas.size)
    colour, marker = ImageDraw.Draw(canvas), ImageDraw.Draw(id_canvas)
    keys: list[tuple[SceneObject, str]] = []
    for item in scene.objects:
        shapes = item.shapes
        start = len(keys)
        names = list(dict.fromkeys(shape.part for shape in shapes))
        keys += [(item, name) for name in names]
        for shape, points in zip(shapes, item.points(shapes, scene.height * factor), strict=True):
            flat = points.ravel().tolist()
            colour.polygon(flat, fill=shape.colour)
            marker.polygon(flat, fill=start + 1 + names.index(shape.part))
    return np.asarray(id_canvas), keys


def _ink(pixels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Darken the rim of every part. Only the part in front is inked, so a rim never leaves its part."""
    reach = max(1, round(ids.shape[0] / 420))
    rim = np.zeros(ids.shape, bool)
    rim[reach:] |= ids[reach:] > ids[:-reach]
    rim[:-reach] |= ids[:-reach] > ids[reach:]
    rim[:, reach:] |= ids[:, reach:] > ids[:, :-reach]
    rim[:, :-reach] |= ids[:, :-reach] > ids[:, reach:]
    inked = pixels.copy()
    inked[rim] = (inked[rim] * INK).astype(np.uint8)
    return inked


def _shadow(scene: Scene, objects: tuple[SceneObject, ...]) -> np.ndarray:
    """Ground shadows, float32 [H, W] in 0..1, with soft edges."""
    soft = _silhouettes(scene, objects)
    for radius in _blur(scene):
        soft = soft.filter(ImageFilter.BoxBlur(radius))
    return np.asarray(soft, np.float32) / 255


def _blur(scene: Scene) -> tuple[float, float]:
    """Radii in pixels of the two passes that soften a shadow's edge."""
    return max(0.6, scene.height / 150), max(0.6, scene.height / 200)


def _silhouettes(scene: Scene, objects: tuple[SceneObject, ...]) -> Image.Image:
    """Silhouettes thrown away from the light, and a dark contact under each object."""
    mask = Image.new("L", (scene.width, scene.height))
    draw = ImageDraw.Draw(mask)
    size, inside = scene.height, scene.setting == "room"
    throw = np.array([[1.0, 0.0], [-scene.light * (0.25 if inside else 0.5), 0.07 if inside else 0.12]])
    for item in objects:
        origin = np.array([item.x, item.y]) * size
        for shape in item.figure.shapes:
            cast = shape.points @ throw * item.scale * size + origin
            draw.polygon(cast.ravel().tolist(), fill=150)
    for item in objects:
        half = item.figure.box[2] * item.scale * size
        x, y, flat = item.x * size, item.y * size, min(half * 0.2, 0.16 * item.scale * size)
        draw.ellipse((x - half * 0.95, y - flat, x + half * 0.95, y + flat), fill=215)
    return mask


def _read(
    scene: Scene, ids: np.ndarray, keys: list[tuple[SceneObject, str]]
) -> tuple[tuple[Instance, ...], np.ndarray]:
    """Instances and distractors from the ids [H, W], and the light that falls on them, float32 [H, W] around 1."""
    shade = np.ones(ids.shape, np.float32)
    instances = []
    for item in scene.objects:
        numbers = {name: k + 1 for k, (owner, name) in enumerate(keys) if owner is item}
        if not numbers:
            continue
        first, last = min(numbers.values()), max(numbers.values())
        mask = (ids >= first) & (ids <= last)
        if not mask.any():
            continue
        _light(scene, item, mask, shade)
        parts = {name: ids == number for name, number in numbers.items()}
        instances.append(_instance(scene, item, mask, {name: part for name, part in parts.items() if part.any()}))
    return tuple(instances), shade


def _light(scene: Scene, item: SceneObject, mask: np.ndarray, shade: np.ndarray) -> None:
    """Lit on the side of the light, darker towards the ground; anchored to the whole object, not to what is left."""
    size, box = scene.height, item.figure.box
    ys, xs = np.nonzero(mask)
    across = (xs + 0.5 - item.x * size) / max(box[2] * item.scale * size, 1e-6)
    up = (item.y * size - ys - 0.5) / max(box[3] * item.scale * size, 1e-6)
    shade[ys, xs] = 0.985 + 0.075 * scene.light * across + 0.11 * (up - 0.5)


def _instance(scene: Scene, item: SceneObject, mask: np.ndarray, parts: dict[str, np.ndarray]) -> Instance:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    full = item.box(scene.height)
    return Instance(
        index=item.index,
        label=item.label,
        name=item.name,
        box_full=full,
        box_visible=box,
        mask=mask,
        parts=parts,
        visible_fraction=min(1.0, float(mask.sum()) / max(_area(scene, item, full), 1.0)),
        depth=scene.camera / max(item.y - scene.horizon, 1e-6),
        box_head=item.part_box(scene.height, "head") if item.name == "person" else None,
        lures=item.lures,
    )


def _area(scene: Scene, item: SceneObject, box: Box) -> float:
    """Area in pixels of the whole silhouette, outside the image too, with nothing in front of it."""
    wide, high = int(np.ceil(box[2] - box[0])) + 2, int(np.ceil(box[3] - box[1])) + 2
    canvas = Image.new("L", (wide, high))
    draw = ImageDraw.Draw(canvas)
    corner = np.floor(np.array(box[:2]))
    for points in item.points(item.shapes, scene.height):
        draw.polygon((points - corner - 0.5).ravel().tolist(), fill=1)
    return float(np.asarray(canvas).sum())


def _texture(scene: Scene) -> np.ndarray:
    """Mottled ground and walls, float32 [H, W, 1] around 1: two octaves of smooth noise, stretched on the ground."""
    rng = np.random.default_rng([scene.seed, 3])
    coarse = rng.standard_normal((24, 8)).astype(np.float32)
    fine = rng.standard_normal((96, 48)).astype(np.float32)
    size = (scene.width, scene.height)
    layers = [np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)) for x in (coarse, fine)]
    rows = (np.arange(scene.height) + 0.5) / scene.height
    strength = np.where(rows > scene.floor, 1.0, 0.45).astype(np.float32)[:, None]
    return (1 + strength * (0.014 * layers[0] + 0.016 * layers[1]))[..., None]


def _camera(scene: Scene, pixels: np.ndarray) -> np.ndarray:
    """Warm or cool light, vignette, paper grain and sensor noise: all fixed by the seed and the pixel's place."""
    rng = np.random.default_rng([scene.seed, 4])
    tint = 1 + rng.uniform(-0.035, 0.035, 3).astype(np.float32)
    exposure = float(rng.uniform(0.97, 1.09))
    noise = float(rng.uniform(1.0, 3.5))
    grain = rng.standard_normal((scene.height, scene.width, 1), dtype=np.float32)
    colour_noise = rng.standard_normal((scene.height, scene.width, 3), dtype=np.float32)
    y, x = np.linspace(-1, 1, scene.height)[:, None], np.linspace(-1, 1, scene.width)[None]
    vignette = (1 - 0.05 * (x**2 + y**2)).astype(np.float32)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    out = (grey + 1.12 * (pixels - grey)) * (tint * exposure) * vignette * (1 + 0.012 * grain) + noise * colour_noise
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)
