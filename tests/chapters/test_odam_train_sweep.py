"""The sweep of Odam-Train's settings: rows that can be read again, controls of the same length, nothing done twice."""

import math
from dataclasses import replace

import pytest
from odam_chapters.odam_train.sweep import (
    CONTROL,
    VARIANTS,
    Outcome,
    make_base_settings,
    read_outcomes,
    sweep,
    tabulate_outcomes,
)

from odam_lib.datasets.scenes import Scenes
from odam_lib.training.runs import CHECKPOINT


@pytest.fixture(scope="module")
def pictures() -> list:
    crowds = Scenes("val", 2, "crowd", 128)
    return [crowds[item] for item in range(2)]


def test_rows_are_kept_and_not_made_twice(tmp_path, pictures) -> None:
    base = replace(make_base_settings("fcos", 16, 0), number=4, size=128, batch_size=2)
    path = tmp_path / "rows.csv"
    sweep(base, [CONTROL, "weight 5"], tmp_path, pictures, path, "cpu")
    first = {one.variant: one for one in read_outcomes(path)}
    assert list(first) == [CONTROL, "weight 5"]
    assert (first[CONTROL].odi_change, first[CONTROL].correlation_change) == (0, 0)
    assert first["weight 5"].odi_change == pytest.approx(first["weight 5"].odi / first[CONTROL].odi - 1, abs=0.05)
    checkpoint = tmp_path / "weight-5" / CHECKPOINT
    made = checkpoint.stat().st_mtime_ns
    sweep(base, [CONTROL, "weight 5", "raster 16"], tmp_path, pictures, path, "cpu")
    assert checkpoint.stat().st_mtime_ns == made
    again = sweep(base, [CONTROL], tmp_path, pictures, path, "cpu")
    assert again == read_outcomes(path) and [one.variant for one in again] == [CONTROL, "weight 5", "raster 16"]
    assert {one.variant: one for one in read_outcomes(path)} | {} == first | {
        one.variant: one for one in read_outcomes(path) if one.variant == "raster 16"
    }


def test_every_variant_is_a_training_of_its_own() -> None:
    base = make_base_settings("faster-rcnn", 4000, 0)
    made = [replace(base, **changed) for changed in VARIANTS.values()]
    assert all(one.start == "faster-rcnn-crowd" for one in made)
    assert len(set(made)) >= len(made) - 1  # the default has the weight of one of the others


def test_the_table_shows_changes_and_controls_as_they_are() -> None:
    same, missed = (0.7, 0.6, 0.8), (0.42, 0, 0, 0)
    control = Outcome(CONTROL, 10, 5, 0.4, 0, 0, 0, 0.3, 0, 0, 0, 0.8, *same, *missed)
    other = replace(control, variant="weight 5", odi_change=-0.2, odi_low=-0.3, odi_high=-0.1, missed_change=0.012)
    unknown = replace(other, same=math.nan, missed_change=math.nan)
    lines = tabulate_outcomes([control, other, unknown]).splitlines()
    assert "0.40" in lines[1] and "0.30" in lines[1] and "%" not in lines[1] and lines[1].endswith("42.0")
    assert "-20% (-30% to -10%)" in lines[2] and "0.70" in lines[2] and lines[2].endswith("+1.2 (+0.0 to +0.0)")
    assert "-20% (-30% to -10%)" in lines[3] and lines[3].rstrip().endswith("0.800") and "nan" not in lines[3]


def test_an_output_that_cannot_be_written_is_told_before_any_work(tmp_path, pictures) -> None:
    base = replace(make_base_settings("fcos", 16, 0), number=4, size=128, batch_size=2)
    with pytest.raises(FileExistsError, match="is a folder or a device"):
        sweep(base, [CONTROL], tmp_path / "runs", pictures, tmp_path, "cpu")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.csv holds no outcomes"):
        sweep(base, [CONTROL], tmp_path / "runs", pictures, tmp_path / "other.csv", "cpu")
    assert not (tmp_path / "runs").exists()
