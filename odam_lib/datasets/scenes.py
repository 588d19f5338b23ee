"""Synthetic scenes."""
from odam_lib.datasets.scene_values import *
from odam_lib.datasets.scene_compose import make_scene
from odam_lib.datasets.scene_render import render
