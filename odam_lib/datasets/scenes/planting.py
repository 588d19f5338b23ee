"""Composition of scenes with a planted distractor: which thing, beside which object, where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from odam_lib.datasets.scenes.compose import Layout, candidate, check_request, draw_wishes, empty_scene, plausible
from odam_lib.datasets.scenes.values import DISTRACTORS, Scene, SceneObject

SEEN = 0.5
"""Least visible share of each thing, so that there is a victim to be misled and a distractor to mislead it."""
BEHIND = 0.002
"""How much higher in the picture than its victim a distractor stands, in image heights: it hides nothing of it."""


@dataclass(frozen=True)
class Lure:
    """Where a distractor stands. `side` is +1 in front of the victim as it faces, -1 behind it, 0 on either side, and
    None in the middle of it, partly hidden; `overlap` is how far the outlines reach into each other, in metres.
    """

    victim: str
    settings: tuple[str, ...]
    side: int | None = 0
    overlap: float = 0.0
    stance: str = ""


LURES: dict[str, Lure] = {
    "ottoman": Lure("bed", ("room",), 1, 0.22),
    "caravan": Lure("car", ("street", "beach"), -1, 0.12),
    "planter": Lure("bench", ("street", "beach"), 0, 0.02),
    "wheels": Lure("person", ("street", "beach"), None),
    "puddle": Lure("surfboard", ("beach",), 0, 0.15, "lying"),
    "wetsuit": Lure("surfboard", ("beach",), 0, 0.12, "standing"),
    "coats": Lure("person", ("room",), 0, -0.05),
}


def make_distracted(seed: int, setting: str | None = None, size: int | tuple[int, int] = 256) -> Scene:
    """Compose a scene with exactly one distractor, anew until it and its victim have found a place.

    Arguments as for `make_scene`; there are no distractors in a crowd. Raises ValueError for what is not possible.
    """
    height, width = check_request(setting, size)
    places = sorted({place for lure in LURES.values() for place in lure.settings})
    if seed < 0 or setting not in (None, *places):
        raise ValueError(f"No distractor for seed {seed}, setting {setting!r}: seed 0 or more, {', '.join(places)}.")
    rng = np.random.default_rng([seed, 5])
    chosen = setting or str(rng.choice(places))
    kinds = [kind for kind in DISTRACTORS if chosen in LURES[kind].settings]
    kind = kinds[int(rng.integers(len(kinds)))]
    empty = empty_scene(rng, seed, chosen, height, width)
    attempts = (_planted(np.random.default_rng([seed, 6, attempt]), empty, kind) for attempt in count())
    return next(scene for scene in attempts if scene is not None)


def _planted(rng: np.random.Generator, empty: Scene, kind: str) -> Scene | None:
    """The victim, the distractor beside it, and company; None if one of the first two found no place."""
    lure, layout = LURES[kind], Layout(empty, SEEN)
    victim = candidate(rng, layout, lure.victim)
    if lure.stance and victim.stance != lure.stance:
        return None
    if not plausible(layout, victim) or not layout.add(victim):
        return None
    thing = _beside(rng, victim, kind)
    if not _inside(thing, layout.wide) or not layout.add(thing):
        return None
    for wish in draw_wishes(rng, empty.setting, layout.wide)[1:]:
        for _ in range(8):
            if plausible(layout, item := candidate(rng, layout, wish)) and layout.add(item):
                break
    scene = layout.finished()
    index = next(item.index for item in scene.objects if item.seed == victim.seed and item.lures is None)
    return replace(scene, objects=tuple(o if o.lures is None else replace(o, lures=index) for o in scene.objects))


def _beside(rng: np.random.Generator, victim: SceneObject, kind: str) -> SceneObject:
    """A distractor with the victim's seed, from which it takes its looks."""
    lure = LURES[kind]
    facing = victim.facing
    thing = replace(victim, name=kind, stance="", lures=-1, y=victim.y - BEHIND)
    if lure.side is None:
        return thing
    side = lure.side or int(rng.choice([-1, 1]))
    apart = (victim.figure.box[2] + thing.figure.box[2] - lure.overlap) * victim.scale
    return replace(thing, x=victim.x + side * facing * apart)


def _inside(thing: SceneObject, wide: float) -> bool:
    x1, y1, x2, _ = thing.box(1)
    return x1 >= -0.02 and x2 <= wide + 0.02 and y1 >= 0.01
