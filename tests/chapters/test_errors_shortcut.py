"""A cause that was trained in: the maps of the detector that goes by a sticker lie on it, another's do not."""

from dataclasses import replace

import pytest
import torch
from odam_chapters.errors import shortcut
from odam_chapters.errors.shortcut import DETECTORS, LAYERS, TWINS, Outcome, find_bearers, judge_maps, score_at

from odam_lib import load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.painters.stickers import STICKER
from odam_lib.explainers import ODAM, BoxFill
from odam_lib.files import data_root, write_rows

ROWS = data_root() / "evaluation" / "shortcut.csv.gz"


def test_the_cheat_needs_the_sticker_and_its_early_features_say_so() -> None:
    cheat, honest = (load_detector(name, "cpu") for name in DETECTORS)
    pairs = find_bearers(4)
    shares = {
        (one.name, layer): [judge_maps(one, pair, {"ODAM": ODAM()}, layer)["ODAM"][0] for pair in pairs]
        for one in (cheat, honest)
        for layer in LAYERS
    }
    means = {key: sum(values) / len(values) for key, values in shares.items()}
    assert means[cheat.name, "stage1"] > 1.5 * means[honest.name, "stage1"]
    lost = {
        one.name: [
            score_at(one, pair.bearing, pair.box, "motorcycle") - score_at(one, pair.bare, pair.box, "motorcycle")
            for pair in pairs
        ]
        for one in (cheat, honest)
    }
    assert sum(lost[cheat.name]) / len(pairs) > 0.25 and max(map(abs, lost[honest.name])) < 0.15


def test_a_pair_differs_by_the_sticker_alone() -> None:
    pair = find_bearers(1)[0]
    changed = (pair.bearing != pair.bare).any(dim=0)
    around = torch.nn.functional.max_pool2d(pair.sticker[None].float(), 3, 1, 1)[0] > 0
    assert changed[pair.sticker].float().mean() > 0.9 and not (changed & ~around).any()
    assert torch.equal(pair.sticker, torch.from_numpy(pair.one.parts[STICKER])) and pair.one.name == TWINS[1]


def test_stored_rows_are_what_is_measured_now() -> None:
    rows, scenes = shortcut.read_outcomes(ROWS), Scenes("val", 100, "street")
    number = rows[0].scene
    live = shortcut.survey_scene(
        [load_detector(name, "cpu") for name in DETECTORS], scenes.scene(number), number, {"box fill": BoxFill()}
    )
    kept = {(one.detector, one.object, one.layer, one.method): one for one in rows if one.scene == number}
    for one in live:
        there = kept[one.detector, one.object, one.layer, one.method]
        assert one.with_sticker == pytest.approx(there.with_sticker, abs=1e-3)
        assert one.energy == pytest.approx(there.energy, abs=1e-3, nan_ok=True)


def test_the_contrast_is_paired_and_asks_for_both_detectors() -> None:
    made = [
        Outcome(name, "", scene, 0, "motorcycle", 0.9, 0.1, 0.8, "fpn", "ODAM", energy, 0.0, 0.1)
        for scene, pair in ((1, (0.5, 0.1)), (2, (0.3, 0.1)))
        for name, energy in zip(DETECTORS, pair)
    ]
    alone = replace(made[0], scene=3)
    assert shortcut.contrast([*made, alone], "fpn", "ODAM") == pytest.approx((0.3, 0.2, 0.4))
    with pytest.raises(ValueError, match="no maps by 'ODAM' at 'stage1' of both fcos-shortcut and fcos-scenes"):
        shortcut.contrast(made, "stage1", "ODAM")


def test_rows_of_other_weights_are_refused(tmp_path) -> None:
    row = Outcome("fcos-scenes", "00000000", 0, 1, "motorcycle", 0.9, 0.1, 0.8, "fpn", "ODAM", 0.5, 1.0, 0.05)
    write_rows(tmp_path / "rows.csv.gz", [vars(replace(row))])
    with pytest.raises(ValueError, match="was made with weights 00000000 of fcos-scenes, and those here are"):
        shortcut.read_outcomes(tmp_path / "rows.csv.gz")
