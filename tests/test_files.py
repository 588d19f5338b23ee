"""Files are written whole or not at all; folders are checked before the work."""

import csv
from pathlib import Path

import pytest

from odam_lib.datasets.download import datasets_folder
from odam_lib.files import data_root, from_root, output_folder, write_rows, write_whole
from odam_lib.heatmaps import HeatMaps


def test_a_failed_write_leaves_the_previous_file(tmp_path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), write_whole(path) as aside:
        aside.write_text("half")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with write_whole(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionError, match=r"cannot be written .*choose another one"):
        output_folder(tmp_path / "file" / "runs")
    assert output_folder(tmp_path / "deep" / "runs").is_dir()


def test_relative_paths_start_at_the_checkout(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_root("data/README.md").is_file()
    assert from_root(tmp_path / "x") == tmp_path / "x"
    monkeypatch.setenv("ODAM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="set ODAM_DATA"):
        data_root()


def test_no_path_of_this_machine_is_in_the_repository() -> None:
    root = data_root().parent
    for path in [*root.glob("*.md"), *root.glob("odam_lib/**/*.py"), *root.glob("notebooks/*.ipynb")]:
        text = path.read_text()
        assert str(root) not in text and f"{Path.home()}/" not in text, path


def test_rows_come_back_as_they_were(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path, [{"name": "Käse, alt", "value": 0.5}, {"name": 'a "b"', "value": ""}])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"name": "Käse, alt", "value": "0.5"}, {"name": 'a "b"', "value": ""}]
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_rows(path, [{"a": 1}, {"b": 2}])
    assert path.read_text(encoding="utf-8").startswith("name,value")


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ODAM_DATASETS", "~/sets")
    assert datasets_folder() == tmp_path / "sets"
    write_rows("~/rows.csv", [{"a": 1}])
    assert (tmp_path / "rows.csv").is_file() and output_folder("~/out") == tmp_path / "out"
    with pytest.raises(ValueError, match="holds no heat maps"):
        HeatMaps.load("~/rows.csv")
    monkeypatch.setenv("ODAM_DATA", "~/sets")
    with pytest.raises(FileNotFoundError, match=f"bundled data folder {tmp_path}/sets does not exist"):
        data_root()
