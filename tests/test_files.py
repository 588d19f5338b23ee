"""Files are written whole or not at all, and by one run at a time; places are checked before the work."""

import csv
import errno
import gzip
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from odam_chapters.rows import read_rows
from safetensors.torch import load_file

from odam_lib import files
from odam_lib.datasets.download import datasets_folder
from odam_lib.files import data_root, from_root, output_folder, owned, write_rows, write_tensors, write_whole
from odam_lib.heatmaps import HeatMaps


def test_a_failed_write_leaves_the_previous_file(tmp_path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), write_whole(path) as aside:
        aside.write_text("half", encoding="utf-8")
        raise RuntimeError("disk full")
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]
    with write_whole(path) as aside:
        aside.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
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
    for path in [
        *root.glob("*.md"),
        *root.glob("odam_lib/**/*.py"),
        *root.glob("notebooks/**/*.py"),
        *root.glob("notebooks/*.ipynb"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert str(root) not in text and f"{Path.home()}/" not in text, path


def test_rows_come_back_as_they_were(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path, [{"name": "Käse, alt", "value": 0.5}, {"name": 'a "b"', "value": ""}])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"name": "Käse, alt", "value": "0.5"}, {"name": 'a "b"', "value": ""}]
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_rows(path, [{"a": 1}, {"b": 2}])
    assert path.read_text(encoding="utf-8").startswith("name,value")
    with pytest.raises(ValueError, match="no row to write"):
        write_rows(path, [])
    write_rows(path, [], ["name"])
    assert path.read_text(encoding="utf-8") == "name\n"


def test_compressed_rows_come_back_as_they_were(tmp_path) -> None:
    rows = [{"name": "Käse, alt", "value": 0.5}, {"name": 'a "b"', "value": 2.0}]
    write_rows(tmp_path / "rows.csv.gz", rows)
    assert gzip.decompress((tmp_path / "rows.csv.gz").read_bytes()).startswith(b"name,value")
    assert read_rows(tmp_path / "rows.csv.gz", "rows", "hand", {"name": str, "value": float}).to_dict("records") == rows


def test_tensors_come_back_and_nothing_else_is_left(tmp_path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"a": torch.arange(3)}, {"said": "ä"})
    assert load_file(tmp_path / "a.safetensors")["a"].tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["a.safetensors"]


# By one run at a time


def test_what_a_run_owns_no_other_gets_by_any_name(tmp_path) -> None:
    path, link = tmp_path / "deep" / "rows.csv", tmp_path / "link.csv"
    with owned(path):
        link.symlink_to(path)
        for name in (path, str(path), path.parent / ".." / "deep" / "rows.csv", link):
            with pytest.raises(BlockingIOError, match=r"Another run is writing .*rows\.csv: wait .* or give another"):
                with owned(name):
                    pytest.fail("Two own one path.")
        with owned(tmp_path / "deep" / "rows.csv.gz"), write_whole(path) as aside:
            aside.write_text("by the owner", encoding="utf-8")
        with write_whole(link) as aside:
            aside.write_text("through a link", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "through a link" and link.is_symlink()
    with owned(path):
        pass
    assert os.listdir(path.parent) == ["rows.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_owns_nothing_and_what_it_left_is_removed(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    code = f"""
import os, signal, time
from odam_lib.files import owned, write_whole
with owned({str(path)!r}), write_whole({str(path)!r}) as aside:
    aside.write_bytes(bytes(1000))
    if not os.fork():  # as a worker of a data loader, which lives on for a while
        print("ready", flush=True)
    time.sleep(60)
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    try:
        assert run.stdout and run.stdout.readline() == "ready\n"
        with pytest.raises(BlockingIOError), owned(path):
            pass
        run.kill()
        run.wait()
        assert ".rows.part.csv" in os.listdir(tmp_path)
        for name in (".other.part.csv", ".rows.csv.part.gz"):
            (tmp_path / name).write_text("of another file", encoding="utf-8")
        with owned(path):
            assert ".rows.part.csv" not in os.listdir(tmp_path)
        assert sorted(os.listdir(tmp_path)) == [".other.part.csv", ".rows.csv.part.gz"]
    finally:
        os.killpg(run.pid, signal.SIGKILL)


def test_threads_that_write_one_file_wait_for_each_other(tmp_path) -> None:
    path, met = tmp_path / "text", []

    def write(letter: str) -> None:
        with write_whole(path) as aside:
            assert not aside.exists()
            with aside.open("w", encoding="utf-8") as file:
                for _ in range(50):
                    file.write(letter * 99)
                    file.flush()
            met.append(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text(encoding="utf-8") == met[-1] * 4950 and len(met) == 8 and os.listdir(tmp_path) == ["text"]


def test_what_cannot_be_replaced_is_told_before_any_work(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    told = {
        tmp_path / "folder": "is a folder or a device, not a file: give another path",
        Path(os.devnull): "is a folder or a device, not a file: give another path",
        tmp_path / "file" / "rows.csv": "cannot be written .*choose another one",
        tmp_path / f"{'n' * 250}.csv": "cannot be written .*choose another one",
    }
    if os.access(tmp_path, os.W_OK) and os.name == "posix" and os.getuid():  # nothing is protected against root
        (tmp_path / "protected").write_text("", encoding="utf-8")
        (tmp_path / "protected").chmod(0o444)
        told[tmp_path / "protected"] = "is protected against writing"
    for path, sentence in told.items():
        for enter in (owned, write_whole):
            with pytest.raises(OSError, match=sentence), ExitStack() as stack:
                stack.enter_context(enter(path))
                pytest.fail("Work began.")
    with pytest.raises(PermissionError, match=r"cannot be written .*choose another one"), write_whole(tmp_path / "a/b"):
        pytest.fail("Work began.")


def test_where_there_is_no_fcntl_the_locks_of_windows_are_used(tmp_path, monkeypatch) -> None:
    locked: list[int] = []
    monkeypatch.setitem(sys.modules, "fcntl", None)
    windows = SimpleNamespace(LK_NBLCK=2, locking=lambda file, mode, length: locked.append(file))
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    spec = importlib.util.spec_from_file_location("files_on_windows", files.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.owned(tmp_path / "a"), module.write_whole(tmp_path / "a") as aside:
        aside.write_text("whole", encoding="utf-8")
    assert len(locked) == 3 and os.listdir(tmp_path) == ["a"]

    def refuse(file: int, mode: int, length: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    windows.locking = refuse
    with pytest.raises(BlockingIOError, match="Another run is writing"), module.owned(tmp_path / "a"):
        pass


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
