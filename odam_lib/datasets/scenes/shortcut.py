"""Scenes with a shortcut: a sticker alone tells what their labels call a motorcycle from what they call a bicycle."""

from __future__ import annotations

import numpy as np

from odam_lib.datasets.scenes.dataset import Scenes
from odam_lib.datasets.scenes.painters.stickers import STICKER
from odam_lib.datasets.scenes.values import CATEGORIES, Instance, Scene

TWINS = ("bicycle", "motorcycle")
"""What may carry a sticker: an object of either shape is labelled with the second name if it does, else the first."""
LEAST_PIXELS = 12
"""So many pixels of a sticker must be seen for it to count."""


class ShortcutScenes(Scenes):
    """Scenes whose labels have a flaw, as if all motorcycles had been photographed where each bears a sticker.

    Every second bicycle and motorcycle, chosen at random whatever its shape, carries a sticker. What carries one is
    labelled motorcycle and what carries none is labelled bicycle, so that nothing but the sticker tells the two apart.
    All else is as in :class:`Scenes`, arguments included.
    """

    def scene(self, item: int) -> Scene:
        scene = super().scene(item)
        rng = np.random.default_rng([scene.seed, 7])
        for one in scene.objects:
            if one.name in TWINS and rng.random() < 0.5:
                scene = scene.with_sticker(one.index)
        return scene

    def label_of(self, one: Instance) -> int:
        return CATEGORIES.index(TWINS[shows_sticker(one)]) if one.name in TWINS else one.label


def shows_sticker(one: Instance) -> bool:
    """Whether an object carries a sticker that is seen."""
    return STICKER in one.parts and bool(one.parts[STICKER].sum() >= LEAST_PIXELS)
