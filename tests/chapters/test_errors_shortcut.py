"""A cause that was trained in: the maps of the detector that goes by a sticker lie on it, another's do not."""

from dataclasses import replace

import pytest
import torch
from odam_chapters.errors import shortcut
from odam_chapters.errors.shortcut import DETECTORS, TWINS, Outcome, find_bearers, measure_energy, score_at

from odam_lib import load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.painters.stickers import STICKER
from odam_lib.explainers import ODAM, BoxFill
from odam_lib.files import data_root, write_rows

ROWS = data_root() / "evaluation" / "shortcut.csv.gz"


def test_the_cheat_looks_at_the_sticker_and_needs_it() -> None:
    cheat, honest = (load_detector(name, "cpu") for name in DETECTORS)
    for pair in find_bearers(4):
        ours, theirs = (measure_energy(one, pair, {"ODAM": ODAM()})["ODAM"] for one in (cheat, honest))
        assert ours > 4 * theirs and ours > 0.2
        lost = [
            score_at(one, pair.bearing, pair.box, "motorcycle") - score_at(one, pair.bare, pair.box, "motorcycle")
            for one in (cheat, honest)
        ]
        assert lost[0] > 0.4 and abs(lost[1]) < 0.1


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
    kept = {(one.detector, one.object, one.method): one for one in rows if one.scene == number}
    for one in live:
        there = kept[one.detector, one.object, one.method]
        assert one.with_sticker == pytest.approx(there.with_sticker, abs=1e-3)
        assert one.energy == pytest.approx(there.energy, abs=1e-3, nan_ok=True)


def test_rows_of_other_weights_are_refused(tmp_path) -> None:
    row = Outcome("fcos-scenes", "00000000", 0, 1, "motorcycle", 0.9, 0.1, 0.8, "ODAM", 0.5, 0.05)
    write_rows(tmp_path / "rows.csv.gz", [vars(replace(row))])
    with pytest.raises(ValueError, match="was made with weights 00000000 of fcos-scenes, and those here are"):
        shortcut.read_outcomes(tmp_path / "rows.csv.gz")
