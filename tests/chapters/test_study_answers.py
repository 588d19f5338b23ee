"""The file of answers: what is told is on the disk, nothing is lost or mixed up, and nobody is kept who asked to go."""

import csv
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from odam_chapters.study.answers import AnswerFile, Sitting
from odam_chapters.study.collecting import export_answers, read_pointings, read_rankings
from odam_chapters.study.items import DISCRIMINATION, EDGES, TRUST
from study_items import METHODS, OBJECTS, make_pointed, make_ranked, paint

from odam_lib import row_store

ORDER = {"order": [2, 0, 1, 3]}


def answer(file: AnswerFile, sitting: Sitting, count: int = 99) -> Sitting:
    """Answer the next questions of a ranking, the same way each."""
    items = {item.name: item for item in file.items(TRUST)}
    while sitting.place < len(sitting.plan) and count:
        item = items[sitting.plan[sitting.place].item]
        sitting, count = file.record(TRUST, sitting, item, ORDER, 1.5), count - 1
    return sitting


@pytest.fixture
def file(tmp_path: Path) -> AnswerFile:
    made = AnswerFile(tmp_path / "some answers?.sqlite")
    made.keep(TRUST, make_ranked(6), seed=3)
    return made


def test_answers_come_back_as_they_were_given_and_nothing_lies_beside_the_file(file: AnswerFile) -> None:
    sitting = answer(file, file.begin(TRUST))
    kept = read_rankings([file.path], TRUST)
    assert [one.item for one in kept] == [question.item for question in sitting.plan]
    for one, question in zip(kept, sitting.plan):
        assert [one.ranks[question.shown[place]] for place in ORDER["order"]] == [1, 2, 3, 4]
        assert (one.person, one.shown, one.seconds) == (sitting.person, question.shown, 1.5)
    assert os.listdir(file.path.parent) == [file.path.name]


def test_somebody_goes_on_where_they_stopped(file: AnswerFile) -> None:
    first = answer(file, file.begin(TRUST), 2)
    again = AnswerFile(file.path).resume(TRUST, first.person)
    assert again == first and again.place == 2
    with pytest.raises(ValueError, match="Nobody with the number 5 began"):
        file.resume(TRUST, 5)


BY_ANOTHER = f"""
import os, sys
sys.path[:0] = sys.argv[2:]
from odam_chapters.study.answers import AnswerFile
from odam_chapters.study.items import TRUST
file = AnswerFile(sys.argv[1])
items = {{item.name: item for item in file.items(TRUST)}}
def answer(sitting):
    return file.record(TRUST, sitting, items[sitting.plan[sitting.place].item], {ORDER}, 1.0)
"""
"""What another process does first; a few imports only, since those of PyTorch take seconds."""


def start(file: AnswerFile, code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", BY_ANOTHER + code, str(file.path), *sys.path])


def test_an_answer_survives_a_process_that_is_killed_right_after(file: AnswerFile) -> None:
    killed = start(file, "answer(file.begin(TRUST)); os.kill(os.getpid(), 9)")
    assert killed.wait(60) == -9 and len(read_rankings([file.path], TRUST)) == 1


def test_what_a_killed_process_had_written_by_half_is_taken_back(file: AnswerFile) -> None:
    answer(file, file.begin(TRUST), 2)
    code = """
import sqlite3
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("DELETE FROM answers")
database.execute("UPDATE pictures SET png = zeroblob(50000)")
os.kill(os.getpid(), 9)
"""
    assert start(file, code).wait(60) == -9 and len(os.listdir(file.path.parent)) == 2  # the journal
    assert len(read_rankings([file.path], TRUST)) == 2


def test_two_processes_write_at_once(file: AnswerFile) -> None:
    code = "for _ in range(5):\n    sitting = file.begin(TRUST)\n    for _ in range(6): sitting = answer(sitting)"
    others = [start(file, code) for _ in range(2)]
    assert [one.wait(60) for one in others] == [0, 0]
    kept = read_rankings([file.path], TRUST)
    assert len(kept) == 60 and len({one.person for one in kept}) == 10
    with sqlite3.connect(file.path) as opened:
        turns = [turn for (turn,) in opened.execute("SELECT turn FROM people")]
    opened.close()
    assert sorted(turns) == list(range(10))  # so that the design stays balanced


def test_a_writer_that_never_ends_is_told_of(file: AnswerFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "PATIENCE", 0.1)
    busy = sqlite3.connect(file.path, isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    with pytest.raises(BlockingIOError, match="Another program is using"):
        file.begin(TRUST)
    busy.close()


def test_the_same_question_is_answered_once(file: AnswerFile) -> None:
    sitting = file.begin(TRUST)
    answer(file, sitting, 1)
    with pytest.raises(ValueError, match=r"Question 1 was answered by number .* in another window"):
        answer(file, sitting, 1)
    file.forget(TRUST, sitting.person)
    with pytest.raises(ValueError, match="were deleted"):
        answer(file, sitting, 1)


def test_who_is_deleted_is_gone_from_the_file_and_leaves_the_turn(file: AnswerFile) -> None:
    stays, goes = (answer(file, file.begin(TRUST)) for _ in range(2))
    file.forget(TRUST, goes.person)
    assert {one.person for one in read_rankings([file.path], TRUST)} == {stays.person}
    assert str(goes.person).encode() not in file.path.read_bytes()
    assert goes.person.to_bytes(4, "big") not in file.path.read_bytes()
    assert file.begin(TRUST).plan == goes.plan


def test_an_incomplete_or_impossible_answer_is_not_kept(file: AnswerFile, tmp_path: Path) -> None:
    sitting, item = file.begin(TRUST), file.items(TRUST)[0]
    for given, said in (
        ({"order": [1, 0, 2]}, "1 of 4 maps have no place yet"),
        ({"order": [0, 0, 1, 2]}, "has a map twice"),
        ({"order": [0, 1, 2, 4]}, "that is not there"),
        ({"order": ["0", 1, 2, 3]}, "have no place yet"),
        (None, "4 of 4 maps have no place yet"),
    ):
        with pytest.raises(ValueError, match=said):
            file.record(TRUST, sitting, item, given, 1.0)
    file.keep(DISCRIMINATION, make_pointed(4))
    pointing, item = file.begin(DISCRIMINATION), file.items(DISCRIMINATION)[0]
    for given, said in (
        ({"confidence": 3}, "No object is chosen yet"),
        ({"chosen": 1}, "Say how sure you are"),
        ({"chosen": 3, "confidence": 3}, "There is no object 3: choose one from 0 to 2"),
        ({"chosen": True, "confidence": 3}, "There is no object True"),
        ({"chosen": 1, "confidence": 6}, "The confidence is 6"),
        ({"drawn": [5, 5, 5, 9], "confidence": 3}, "has no area"),
        ({"drawn": [0, 0, float("nan"), 9], "confidence": 3}, "has no area"),
    ):
        with pytest.raises(ValueError, match=said):
            file.record(DISCRIMINATION, pointing, item, given, 1.0)
    assert read_rankings([file.path], TRUST) == [] and read_pointings([file.path], DISCRIMINATION) == []


def test_an_item_whose_picture_changed_is_refused(file: AnswerFile) -> None:
    items = make_ranked(6)
    assert [item.hash for item in file.keep(TRUST, items, seed=3)] == [item.hash for item in items]
    changed = [*items[:2], replace(items[2], origin="another picture"), *items[3:]]
    for wrong, seed, said in (
        (changed, 3, "'item 2' was made of another picture"),
        (items[:5], 3, "with 6 items and the seed 3, not 5 and 3"),
        (items, 4, "with 6 items and the seed 3, not 6 and 4"),
        (items[::-1], 3, "other items"),
    ):
        with pytest.raises(ValueError, match=said):
            file.keep(TRUST, wrong, seed=seed)
    with sqlite3.connect(file.path) as opened:
        opened.execute("UPDATE pictures SET png = ? WHERE item = 'item 4' AND condition = 'ODAM'", (paint(0.9),))
    opened.close()
    with pytest.raises(ValueError, match="the pictures of item 'item 4' changed since they were kept"):
        file.items(TRUST)
    with pytest.raises(ValueError, match="'item 4' changed"):
        read_rankings([file.path], TRUST)


def test_a_map_that_differs_in_the_last_digit_is_the_same_item(file: AnswerFile) -> None:
    items = make_ranked(6)
    elsewhere = [replace(item, maps=dict(item.maps) | {"ODAM": paint(0.7)}) for item in items]
    assert [item.hash for item in file.keep(TRUST, elsewhere, seed=3)] == [item.hash for item in items]


def test_files_are_read_together_unless_two_people_have_one_number(file: AnswerFile, tmp_path: Path) -> None:
    other = AnswerFile(tmp_path / "other.sqlite")
    other.keep(TRUST, make_ranked(6), seed=3)
    people = {answer(each, each.begin(TRUST)).person for each in (file, other)}
    assert {one.person for one in read_rankings([file.path, other.path], TRUST)} == people
    with sqlite3.connect(other.path) as opened:
        known = next(iter(people & {one.person for one in read_rankings([file.path], TRUST)}))
        opened.execute("INSERT INTO people SELECT study, ?, 7, plan FROM people", (known,))
    opened.close()
    with pytest.raises(ValueError, match=rf"Number {known} is in .*some answers.* and in .*other"):
        read_rankings([file.path, other.path], TRUST)
    third = AnswerFile(tmp_path / "third.sqlite")
    third.keep(TRUST, make_ranked(5), seed=3)
    with pytest.raises(ValueError, match="hold other items"):
        read_rankings([file.path, third.path], TRUST)


def test_a_damaged_or_foreign_file_is_told_and_left_as_it_is(file: AnswerFile, tmp_path: Path) -> None:
    answer(file, file.begin(TRUST))
    whole = file.path.read_bytes()
    foreign, later = tmp_path / "foreign.sqlite", tmp_path / "later.sqlite"
    with sqlite3.connect(foreign) as opened:
        opened.execute("CREATE TABLE mine (x)")
    opened.close()
    later.write_bytes(whole)
    with sqlite3.connect(later) as opened:
        opened.execute("PRAGMA user_version = 2")
    opened.close()
    cases = {"text": b"not a database, " * 300, "cut": whole[: len(whole) // 2], "spoilt": _spoil(whole)}
    for name, content in cases.items():
        (tmp_path / f"{name}.sqlite").write_bytes(content)
    for path, said in (
        (foreign, "another program's database"),
        (later, "is of version 2, this is version 1"),
        *((tmp_path / f"{name}.sqlite", "holds no answers or is damaged") for name in cases),
    ):
        before = path.read_bytes()
        for act in (AnswerFile, lambda at: read_rankings([at], TRUST)):
            with pytest.raises(ValueError, match=said):
                act(path)
        assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError, match="There is no file of answers"):
        read_rankings([tmp_path / "absent.sqlite"], TRUST)
    with pytest.raises(ValueError, match="holds no questionnaire 'edges'"):
        read_rankings([file.path], EDGES)


def _spoil(whole: bytes) -> bytes:
    """The file with its pages but the first overwritten."""
    return whole[:4096] + bytes(range(256)) * ((len(whole) - 4096) // 256)


def test_rows_that_no_program_of_ours_wrote_are_damage(file: AnswerFile) -> None:
    answer(file, file.begin(TRUST))
    for spoil in ("UPDATE answers SET given = '{\"order\": 5'", "UPDATE people SET plan = '[[1]]'"):
        with sqlite3.connect(file.path) as opened:
            opened.execute(spoil)
        opened.close()
        with pytest.raises(ValueError, match="is damaged"):
            read_rankings([file.path], TRUST)


def test_a_place_that_cannot_be_written_is_told_before_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(PermissionError, match="cannot be written"):
        AnswerFile(tmp_path / "file" / "answers.sqlite")
    with pytest.raises(FileExistsError, match="is a folder or a device"):
        AnswerFile(tmp_path)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no such users on this system")
@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_folder_is_told_before_the_first_question(file: AnswerFile, tmp_path: Path, existing: bool) -> None:
    """As a user who is not root, for whom nothing is read-only."""
    folder = tmp_path / "kept"
    folder.mkdir()
    path = folder / "answers.sqlite"
    if existing:
        path.write_bytes(file.path.read_bytes())
        path.chmod(0o666)
    folder.chmod(0o555)
    code = (
        "import os, sys, pathlib; sys.path[:0] = sys.argv[2:]\n"
        "from odam_chapters.study.answers import AnswerFile\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: AnswerFile(sys.argv[1])\n"
        "except PermissionError as error: print(error)"
    )
    for parent in path.parents:
        if parent != folder and str(parent).startswith(str(tmp_path.parents[1])):
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), *sys.path], capture_output=True, text=True, encoding="utf-8"
    )
    assert "cannot be written" in done.stdout, done.stdout + done.stderr[-500:]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_rankings_are_exported_with_a_row_for_each_map(file: AnswerFile, tmp_path: Path) -> None:
    answer(file, file.begin(TRUST))
    kept = read_rankings([file.path], TRUST)
    export_answers(kept, tmp_path / "trust.csv")
    table = read_csv(tmp_path / "trust.csv")
    assert list(table[0]) == ["person", "item", "condition", "rank", "place", "seconds"] and len(table) == 24
    for row in table:
        one = next(each for each in kept if each.item == row["item"])
        assert one.ranks[row["condition"]] == int(row["rank"])
        assert one.shown[int(row["place"]) - 1] == row["condition"] and int(row["person"]) == one.person
    with pytest.raises(ValueError, match="There is no answer to write"):
        export_answers([], tmp_path / "none.csv")


def test_pointing_is_marked_and_exported(file: AnswerFile, tmp_path: Path) -> None:
    file.keep(DISCRIMINATION, make_pointed(4))
    items = {item.name: item for item in file.items(DISCRIMINATION)}
    sitting, inside, nowhere = file.begin(DISCRIMINATION), [31, 4, 52, 56], [0, 0, 4, 4]
    given = (
        {"chosen": 1, "confidence": 5},
        {"chosen": 0, "confidence": 1},
        {"drawn": inside, "confidence": 4},
        {"drawn": nowhere, "confidence": 2},
    )
    for one in given:
        item = items[sitting.plan[sitting.place].item]
        sitting = file.record(DISCRIMINATION, sitting, item, one, 2.0)
    kept = read_pointings([file.path], DISCRIMINATION)
    assert [(one.chosen, one.right, one.confidence) for one in kept] == [
        (1, True, 5), (0, False, 1), (1, True, 4), (-1, False, 2)
    ]  # fmt: skip
    assert {one.condition for one in kept} == set(METHODS)
    assert all(one.odi == (0.0 if one.condition == "ODAM" else 0.8) and one.objects == len(OBJECTS) for one in kept)
    export_answers(kept, tmp_path / "pointing.csv")
    table = read_csv(tmp_path / "pointing.csv")
    assert [row["right"] for row in table] == ["1", "0", "1", "0"]
    assert [row["x2"] for row in table] == ["", "", "52.0", "4.0"] and table[0]["confidence"] == "5"
