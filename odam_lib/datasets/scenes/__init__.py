"""Scenes with known causes: a seeded generator of pictures in which every part of every object is known.

A scene is a value. The same scene can be rendered again without one object or one part of it, everything else
pixel-identical, so that a part's influence on a detector can be measured instead of guessed.

``python -m odam_lib.datasets.scenes --help`` writes scenes as PNG with COCO (and CrowdHuman) annotations.
"""

from odam_lib.datasets.scenes.compose import make_scene
from odam_lib.datasets.scenes.dataset import SPLITS, Scenes
from odam_lib.datasets.scenes.planting import make_distracted
from odam_lib.datasets.scenes.render import render
from odam_lib.datasets.scenes.shortcut import ShortcutScenes
from odam_lib.datasets.scenes.values import CATEGORIES, DISTRACTORS, SETTINGS, Instance, Rendered, Scene

__all__ = [
    "CATEGORIES",
    "DISTRACTORS",
    "SETTINGS",
    "SPLITS",
    "Instance",
    "Rendered",
    "Scene",
    "Scenes",
    "ShortcutScenes",
    "make_distracted",
    "make_scene",
    "render",
]
