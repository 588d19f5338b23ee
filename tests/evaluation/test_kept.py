"""Rows as CSV and JSON: written whole from a run, read as that run's, refused if the two do not fit."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade_pictures import FOUR, QUICK, Mean, Watched, without_times
from planted import PlantedDetector

from odam_lib.detectors.weights import read_card
from odam_lib.evaluation.kept import write_csv
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate
from odam_lib.evaluation.store import begin_with, read_rows
from odam_lib.evaluation.tables import main
from odam_lib.explainers.controls import BoxFill, RandomMap


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The rows of a run of two methods, the second added later."""
    path, noise = tmp_path / "run.sqlite", RandomMap()
    evaluate(PlantedDetector(), FOUR, {"noise": noise}, (Mean(undefined=2),), 2, path=path)
    evaluate(PlantedDetector(), FOUR, {"noise": noise, "fill": BoxFill()}, (Mean(undefined=2),), 99, path=path)
    return path


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_a_csv_holds_what_the_run_kept_and_a_run_goes_on_from_it(tmp_path: Path, run: Path, name: str) -> None:
    main([str(run), "--csv", str(tmp_path / name)])
    assert str(Evaluation.load(tmp_path / name)) == str(Evaluation.load(run))
    assert str(read_rows(tmp_path / name)) == str(read_rows(run))
    content = (tmp_path / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith("gz") else content).decode()
    assert text.startswith("image_id,object,label,iou,score,method,seconds,mean,one\n") and text.count("\n") == 11
    begin_with(tmp_path / name, tmp_path / "copy.sqlite")
    detector, method = PlantedDetector(), Watched()
    methods = {"fill": BoxFill(), "more": method}
    found = evaluate(detector, FOUR, methods, (Mean(undefined=2),), 99, path=tmp_path / "copy.sqlite")
    assert len(method.calls) == 3 and len(found.rows) == 10
    kept = Evaluation.load(tmp_path / "copy.sqlite")
    assert kept.methods == ["noise", "fill", "more"] and len(kept.rows) == 15


def test_the_settings_beside_the_rows_say_what_was_asked(tmp_path: Path, run: Path) -> None:
    write_csv(*read_rows(run), tmp_path / "rows.csv")
    about = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert about["settings"]["judges"] == ["Mean(undefined=2)"] and about["settings"]["detector"] == "planted"
    assert about["methods"] == {"noise": "RandomMap(cells=16, seed=0)", "fill": "BoxFill()"}
    assert [image["explained"] for image in about["images"].values()] == [2, 1, 0, 2]
    assert [image["methods"] for image in about["images"].values()] == [["noise", "fill"]] * 4


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"settings": {}, "methods": {}, "images": [1]}', "3"])
def test_rows_without_their_settings_are_refused_in_one_sentence(tmp_path: Path, run: Path, text: str | None) -> None:
    path, beside = tmp_path / "rows.csv", tmp_path / "rows.json"
    write_csv(*read_rows(run), path)
    beside.unlink() if text is None else beside.write_text(text, encoding="utf-8")
    for use in (Evaluation.load, lambda path: begin_with(path, tmp_path / "new.sqlite")):
        with pytest.raises(ValueError, match=r"rows\.csv cannot be used, .* rows\.json .*delete both\.$"):
            use(path)
    assert not (tmp_path / "new.sqlite").exists()


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: "a,b\n1,2\n", lambda text: "",
                                    lambda text: "\n".join(text.splitlines()[:-1]) + "\n"])  # fmt: skip
def test_damaged_rows_do_not_shrink_the_table_in_silence(
    tmp_path: Path, run: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "rows.csv"
    write_csv(*read_rows(run), path)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be used"):
        Evaluation.load(path)


@pytest.mark.parametrize("name", ["out.json", "out.json.gz", "rows", "rows.csv.zip", "rows.txt", "csv"])
def test_a_place_whose_settings_could_lie_on_other_files_is_refused(tmp_path: Path, run: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"is no place for rows: give a path that ends in \.sqlite, or, of rows"):
        write_csv(*read_rows(run), tmp_path / name)
    assert os.listdir(tmp_path) == ["run.sqlite"]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows", "rows.db"])
def test_a_run_keeps_its_rows_in_sqlite_alone(tmp_path: Path, name: str) -> None:
    detector = PlantedDetector()
    with pytest.raises(ValueError, match=r"no place for the rows of a run, which SQLite keeps: .* ends in \.sqlite"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / name)
    assert detector.passes == 0 and not os.listdir(tmp_path)


def test_another_file_where_the_settings_would_be_stays_as_it_is(tmp_path: Path, run: Path) -> None:
    """As the annotations of a data set: ``photos.json`` beside ``photos.csv``."""
    beside = tmp_path / "photos.json"
    beside.write_text('{"images": [], "annotations": []}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"photos\.json is in the way, since the settings of photos\.csv .* another"):
        write_csv(*read_rows(run), tmp_path / "photos.csv")
    assert beside.read_text(encoding="utf-8") == '{"images": [], "annotations": []}'


@pytest.mark.parametrize("in_the_way", ["rows.csv", "rows.json"])
def test_a_folder_in_place_of_a_file_is_told_and_nothing_written(tmp_path: Path, run: Path, in_the_way: str) -> None:
    write_csv(*read_rows(run), tmp_path / "rows.csv")
    (tmp_path / in_the_way).unlink()
    (tmp_path / in_the_way).mkdir()
    with pytest.raises(FileExistsError, match="is a folder or a device, not a file: give another path"):
        write_csv(*read_rows(run), tmp_path / "rows.csv")


def test_rows_of_other_weights_are_refused_and_those_of_unknown_ones_taken(tmp_path: Path, run: Path) -> None:
    about, rows = read_rows(run)
    about["settings"] |= {"detector": "fcos-scenes", "weights": read_card("fcos-scenes")["sha256"]}
    write_csv(about, rows, tmp_path / "rows.csv")
    assert without_times(Evaluation.load(tmp_path / "rows.csv"))
    about["settings"]["weights"] = "01234567"
    write_csv(about, rows, tmp_path / "rows.csv")
    with pytest.raises(ValueError, match=r"holds rows of other weights of fcos-scenes \(01234567\) than those bundled"):
        Evaluation.load(tmp_path / "rows.csv")
    del about["settings"]["weights"]  # as rows that were made before they were named
    write_csv(about, rows, tmp_path / "rows.csv")
    assert len(Evaluation.load(tmp_path / "rows.csv").rows) == 10
    begin_with(tmp_path / "rows.csv", tmp_path / "new.sqlite")
    assert "weights" not in read_rows(tmp_path / "new.sqlite")[0]["settings"]
