"""Scenes with a planted distractor: exactly one, visible, removable without a trace, and it does mislead a detector."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from odam_lib import load_detector
from odam_lib.datasets.scenes import CATEGORIES, DISTRACTORS, SPLITS, Scenes, make_distracted, render
from odam_lib.datasets.scenes.planting import LURES
from odam_lib.datasets.scenes.render import shadow_mask
from odam_lib.metrics.errors import MODES, classify_errors


def test_every_scene_has_one_distractor_beside_an_object_that_it_fits() -> None:
    kinds = Counter()
    for seed in range(150):
        scene = make_distracted(seed)
        planted = [item for item in scene.objects if item.lures is not None]
        assert len(planted) == 1
        lure, victim = LURES[planted[0].name], scene.get(planted[0].lures)
        assert victim.name == lure.victim and scene.setting in lure.settings and victim.lures is None
        assert planted[0].y < victim.y
        kinds[planted[0].name] += 1
    assert set(kinds) == set(DISTRACTORS) and min(kinds.values()) >= 5


@pytest.mark.parametrize("setting", [None, "street", "beach", "room"])
def test_targets_say_where_the_distractor_is_and_whom_it_lures(setting: str | None) -> None:
    scenes = Scenes("distractors", 6, setting)
    for item in range(len(scenes)):
        _, target = scenes[item]
        mask, kind, victim = (target[f"distractor_{name}"][0] for name in ("masks", "kinds", "victims"))
        assert mask.any() and not (mask & target["masks"]).any()
        assert CATEGORIES[target["labels"][victim]] == LURES[DISTRACTORS[kind]].victim
        assert (target["labels"] > 0).all()


def test_without_its_distractor_the_scene_is_the_same_but_for_it_and_its_shadow() -> None:
    scenes = Scenes("distractors", 8)
    for item in range(len(scenes)):
        scene = scenes.scene(item)
        with_it, without = scenes[item], scenes.without_distractors(item)
        planted = next(one for one in scene.objects if one.lures is not None)
        changed = (with_it[0] != without[0]).any(dim=0).numpy()
        near = np.pad(render(replace(scene, objects=(planted,))).distractors[0].mask, 2)
        shifts = [np.roll(near, (dy, dx), (0, 1)) for dy in range(-2, 3) for dx in range(-2, 3)]
        allowed = np.logical_or.reduce(shifts)[2:-2, 2:-2] | shadow_mask(scene, planted.index)
        assert changed.any() and not (changed & ~allowed).any()
        # What it hides of what stands behind it is seen without it; its victim stands in front.
        victim = with_it[1]["distractor_victims"][0]
        assert torch.equal(with_it[1]["boxes"][victim], without[1]["boxes"][victim])
        assert torch.equal(with_it[1]["labels"], without[1]["labels"])
        assert not (with_it[1]["masks"] & ~without[1]["masks"]).any()
        assert len(without[1]["distractor_masks"]) == len(without[1]["distractor_kinds"]) == 0


def test_the_split_shares_no_seed_with_another_and_repeats() -> None:
    firsts = {split: Scenes(split, 10**6, seed=999).first for split in SPLITS}
    starts = sorted(SPLITS.values())
    assert all(later - earlier >= 10**9 for earlier, later in pairwise(starts))
    assert all(SPLITS[split] <= first < SPLITS[split] + 10**9 for split, first in firsts.items())
    scene = Scenes("distractors", 3).scene(2)
    assert (render(scene).image == render(make_distracted(scene.seed)).image).all()


def test_other_splits_have_no_distractor() -> None:
    assert set(Scenes("val", 1, size=64)[0][1]) == {"boxes", "labels", "masks", "image_id"}
    assert not render(Scenes("val", 1, size=64).scene(0)).distractors


def test_distractors_mislead_a_detector() -> None:
    detector, scenes = load_detector("fcos-scenes", "cpu"), Scenes("distractors", 24)
    more = 0
    for item in range(len(scenes)):
        wrong = []
        for image, target in (scenes[item], scenes.without_distractors(item)):
            counts = classify_errors(detector.detect(image), target["boxes"], target["labels"]).counts()
            wrong.append(sum(counts[mode] for mode in MODES))
        more += wrong[0] > wrong[1]
    assert more >= 12


@pytest.mark.parametrize("setting", ["crowd", "forest"])
def test_settings_without_distractors_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        Scenes("distractors", 3, setting)
    with pytest.raises(ValueError, match=setting):
        make_distracted(3, setting)
