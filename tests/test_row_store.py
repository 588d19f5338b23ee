"""Rows in SQLite: whole or not at all, of one kind, refused by name where they cannot be used."""

import errno
import math
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from odam_lib.row_store import open_store, read_store

MADE_BY = "a test"


def fill(path: Path, numbers: range = range(3)) -> None:
    with open_store(path, MADE_BY) as store:
        for number in numbers:
            with store.transaction():
                row = {"number": number, "name": f"Käse {number}", "share": math.nan if number % 2 else 0.1 * number}
                store.insert("rows", [row], ["number"])


def numbers(path: Path) -> list[int]:
    with read_store(path, MADE_BY) as store:
        return [row["number"] for row in store.select("rows", "ORDER BY number")]


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite")
    with read_store(tmp_path / "a.sqlite", MADE_BY) as store:
        rows = list(store.select("rows", "WHERE number < ? ORDER BY number DESC", [2]))
        assert list(store.select("nothing")) == [] and store.settings == {}
    assert rows[1] == {"number": 0, "name": "Käse 0", "share": 0.0} and math.isnan(rows[0]["share"])
    assert all(type(row["share"]) is float and type(row["number"]) is int for row in rows)


@pytest.mark.parametrize("path", [None, "a.sqlite"])
def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path, path: str | None) -> None:
    with open_store(path and tmp_path / path, MADE_BY) as store:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), store.transaction():
                store.insert("rows", [{"number": 1}])
                with store.transaction():
                    store.insert("others", [{"number": 1}])
                raise KeyboardInterrupt
            assert list(store.select("rows")) == list(store.select("others")) == []
        with store.transaction():
            store.insert("rows", [{"name": "one"}])
        assert list(store.select("rows")) == [{"name": "one"}]


def test_a_row_is_added_once_and_with_the_columns_of_the_others(tmp_path: Path) -> None:
    fill(tmp_path / "a.sqlite")
    with open_store(tmp_path / "a.sqlite", MADE_BY) as store:
        row = {"number": 7, "name": "x", "share": 0.5}
        with pytest.raises(ValueError, match=r"a\.sqlite holds these rows already"), store.transaction():
            store.insert("rows", [row, row | {"number": 2}])
        with pytest.raises(ValueError, match="differs in the columns part, share: give another"), store.transaction():
            store.insert("rows", [{"number": 7, "name": "x", "part": 0.5}])
    assert numbers(tmp_path / "a.sqlite") == [0, 1, 2]


def test_settings_are_kept_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    for _ in range(2):
        with open_store(path, MADE_BY) as store:
            store.check_settings({"seed": 0, "names": ["ä"]})
            assert store.settings == {"seed": 0, "names": ["ä"]}
    with (
        open_store(path, MADE_BY) as store,
        pytest.raises(ValueError, match="was made with seed = 0, not 1:"),
    ):
        store.check_settings({"seed": 1, "names": ["ä"]})


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE settings (name TEXT, value TEXT)")


def other_kind(path: Path) -> None:
    with open_store(path, "another test"):
        pass


def damaged(path: Path) -> None:
    fill(path, range(500))
    content = bytearray(path.read_bytes())
    content[5000:9000] = bytes(4000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        other_program,
        other_kind,
        damaged,
        lambda path: fill(path) or path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_text("no file of ours", encoding="utf-8"),
        lambda path: path.write_bytes(bytes(9000)),
    ],
)
def test_what_is_no_whole_store_of_the_program_is_refused_and_stays(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.sqlite"
    make(path)
    before = path.read_bytes()
    for open_it in (open_store, read_store):
        with pytest.raises(ValueError, match=r"a\.sqlite cannot be used, since it is not what a test left"):
            with open_it(path, MADE_BY):
                pass
    assert path.read_bytes() == before


def test_a_file_that_a_killed_run_left_empty_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch()
    fill(tmp_path / "a.sqlite")
    assert numbers(tmp_path / "a.sqlite") == [0, 1, 2]


def test_somebody_reads_while_a_run_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with open_store(path, MADE_BY) as store:
        for number in range(3):
            with store.transaction():
                store.insert("rows", [{"number": number}])
            assert numbers(path) == list(range(number + 1))


def test_a_full_disk_stops_the_run_and_leaves_its_rows_whole(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    path, done = folder / "a.sqlite", 0
    try:
        with pytest.raises(OSError, match=r"a\.sqlite cannot be written \(No space left on device\): free") as caught:
            with open_store(path, MADE_BY) as store:
                for number in range(10_000):
                    with store.transaction():
                        store.insert("rows", [{"picture": number, "text": "x" * 500} for _ in range(5)])
                    done += 1
        assert caught.value.errno == errno.ENOSPC and done > 5
        with read_store(path, MADE_BY) as store:
            pictures = [row["picture"] for row in store.select("rows")]
        assert pictures == [number for number in range(done) for _ in range(5)]
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("suffix", ["", ".csv", ".db"])
def test_the_name_says_what_a_file_is(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ValueError, match=r"no place for the rows of a run, .* ends in \.sqlite"):
        with open_store(tmp_path / f"a{suffix}", MADE_BY):
            pass
    assert not list(tmp_path.iterdir())
