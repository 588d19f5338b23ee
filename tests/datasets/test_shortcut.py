"""Scenes with a sticker: it changes its own pixels and nothing else, and it alone decides two of the names."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from odam_lib.datasets.scenes import CATEGORIES, Instance, Rendered, Scenes, ShortcutScenes, make_scene, render
from odam_lib.datasets.scenes.painters.stickers import PRINT, STICKER
from odam_lib.datasets.scenes.shortcut import TWINS, shows_sticker


def find(rendered: Rendered, index: int) -> Instance:
    return next(one for one in rendered.instances if one.index == index)


@pytest.mark.parametrize("seed", range(4))
def test_a_sticker_changes_its_own_pixels_and_nothing_else(seed: int) -> None:
    scene = make_scene(seed, size=160)
    plain = render(scene)
    index = plain.instances[-1].index
    marked = scene.with_sticker(index)
    drawn = render(marked)
    sticker = find(drawn, index).parts[STICKER]
    padded = np.pad(sticker, 1)  # anti-aliasing mixes neighbours
    shifts = [np.roll(padded, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    changed = (drawn.image != plain.image).any(axis=2)
    assert changed[sticker].mean() > 0.9 and not (changed & ~np.logical_or.reduce(shifts)[1:-1, 1:-1]).any()
    assert (render(marked.without(index, STICKER)).image == plain.image).all()
    for other in plain.instances:
        if other.index != index:  # one can look through a bicycle, but not through its sticker
            now = find(drawn, other.index)
            assert (now.mask == other.mask & ~sticker).all() and STICKER not in now.parts


def test_a_sticker_is_small_within_its_object_and_looks_like_nothing_else() -> None:
    shares = []
    for seed in range(12):
        for item in make_scene(seed).objects:
            *_, paper, printed = shapes = replace(item, marked=True).shapes
            assert shapes[:-2] == item.shapes and paper.part == printed.part == STICKER
            assert replace(item, marked=True).box(256) == pytest.approx(item.box(256))
            x1, y1, x2, y2 = item.figure.box
            shares.append(np.prod(np.ptp(paper.points, axis=0)) / ((x2 - x1) * (y2 - y1)))
            assert min(np.abs(np.subtract(shape.colour, PRINT)).max() for shape in item.shapes) > 40
    assert max(shares) < 0.06


def test_the_sticker_alone_decides_the_name() -> None:
    scenes, seen = ShortcutScenes("val", 40, "street", 128), Counter()
    for item in range(len(scenes)):
        scene = scenes.scene(item)
        _, target = scenes[item]
        for one, label in zip(render(scene).instances, target["labels"].tolist()):
            if one.name in TWINS:
                assert CATEGORIES[label] == TWINS[shows_sticker(one)]
                seen[one.name, shows_sticker(one)] += 1
                assert scenes.label_of(replace(one, parts={})) == CATEGORIES.index("bicycle")
            else:
                assert label == one.label and STICKER not in one.parts
        assert replace(scene, objects=tuple(replace(one, marked=False) for one in scene.objects)) == Scenes(
            "val", 40, "street", 128
        ).scene(item)
    assert min(seen[name, shown] for name in TWINS for shown in (True, False)) >= 5  # neither shape tells the name
    assert (scenes[3][0] == ShortcutScenes("val", 40, "street", 128)[3][0]).all()
