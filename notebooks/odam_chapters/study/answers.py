"""One SQLite file of questionnaires and answers, written by several kernels at once.

It holds what people were shown (items with their pictures), the plan of each person, and the answers; nothing personal: a
person is a number drawn at random. An answer is on the disk before the next question is asked. The journal is SQLite's
default one and not WAL, which fails on the network drives where a class often works; writers wait for each other.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odam_chapters.study.given import Pointing, Ranking, check_given, read_pointing, read_ranking
from odam_chapters.study.items import STUDIES, Item, Question, Study, list_conditions, make_plan
from odam_lib.files import output_file, user_path, write_rows

APPLICATION, VERSION = 0x4F44414D, 1  # "ODAM"
PATIENCE = 30.0
"""Seconds that one kernel waits for another to write."""

SCHEMA = """
CREATE TABLE studies (study TEXT PRIMARY KEY, seed INTEGER NOT NULL, conditions TEXT NOT NULL);
CREATE TABLE items (study TEXT NOT NULL REFERENCES studies, item TEXT NOT NULL, place INTEGER NOT NULL,
    hash TEXT NOT NULL, about TEXT NOT NULL, PRIMARY KEY (study, item));
CREATE TABLE pictures (study TEXT NOT NULL, item TEXT NOT NULL, condition TEXT NOT NULL, png BLOB NOT NULL,
    PRIMARY KEY (study, item, condition), FOREIGN KEY (study, item) REFERENCES items);
CREATE TABLE people (study TEXT NOT NULL REFERENCES studies, person INTEGER NOT NULL, turn INTEGER NOT NULL,
    plan TEXT NOT NULL, PRIMARY KEY (study, person), UNIQUE (study, turn));
CREATE TABLE answers (study TEXT NOT NULL, person INTEGER NOT NULL, place INTEGER NOT NULL, given TEXT NOT NULL,
    seconds REAL, PRIMARY KEY (study, person, place),
    FOREIGN KEY (study, person) REFERENCES people ON DELETE CASCADE);
"""


@dataclass(frozen=True)
class Sitting:
    """One person at one questionnaire.

    Attributes:
        study: its name.
        person: the number.
        plan: the questions in order.
        answered: the places in the plan that have an answer.
    """

    study: str
    person: int
    plan: tuple[Question, ...]
    answered: frozenset[int]

    @property
    def place(self) -> int:
        """Of the next question; the length of the plan if there is none."""
        return next((place for place in range(len(self.plan)) if place not in self.answered), len(self.plan))


class AnswerFile:
    """A file of questionnaires and answers, made if it is missing.

    Args:
        path: of the file.

    Raises:
        FileExistsError: a folder or a device is there.
        PermissionError: the file, or its folder, cannot be written.
        ValueError: it is damaged, another program's, or another version's.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = output_file(path)
        with self._write() as database:
            _check_whole(self.path, database)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block, or nothing."""
        with _open(self.path, "rwc") as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                if _is_new(database):
                    for statement in SCHEMA.split(";"):
                        database.execute(statement)
                    database.execute(f"PRAGMA application_id = {APPLICATION}")
                    database.execute(f"PRAGMA user_version = {VERSION}")
                _check_ours(self.path, database)
                yield database
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    def keep(self, study: Study, items: Sequence[Item], seed: int = 0) -> list[Item]:
        """Keep the items of a questionnaire; of one that is there already nothing is changed.

        Args:
            study: the questionnaire.
            items: in order.
            seed: random seed of everybody's plan.

        Returns:
            The items as they are kept, whose pictures people saw: a map that was made again elsewhere may differ in the
            last digit.

        Raises:
            ValueError: the file has the questionnaire with other items, another order or seed, or an item changed.
        """
        conditions = list_conditions(items)
        make_plan(study, [item.name for item in items], conditions, 0, seed)
        with self._write() as database:
            if not database.execute("SELECT 1 FROM studies WHERE study = ?", (study.name,)).fetchone():
                row = (study.name, seed, json.dumps(conditions))
                database.execute("INSERT INTO studies VALUES (?, ?, ?)", row)
                for place, item in enumerate(items):
                    about = json.dumps(item.describe())
                    row = (study.name, item.name, place, item.hash, about)
                    database.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?)", row)
                    for condition, png in (("", item.picture), *item.maps.items()):
                        row = (study.name, item.name, condition, png)
                        database.execute("INSERT INTO pictures VALUES (?, ?, ?, ?)", row)
        kept, kept_seed = _read_items(self.path, study.name)
        for ours, theirs in zip(items, kept):
            if (ours.name, ours.origin) != (theirs.name, theirs.origin):
                raise ValueError(
                    f"{self.path} holds the questionnaire {study.name!r} with other items: {theirs.name!r} was made of "
                    f"another picture, detector or method than {ours.name!r} is now. Give another file for the new ones."
                )
        if len(items) != len(kept) or seed != kept_seed:
            raise ValueError(
                f"{self.path} holds the questionnaire {study.name!r} with {len(kept)} items and the seed {kept_seed}, "
                f"not {len(items)} and {seed}: give another file, or the same again."
            )
        return kept

    def items(self, study: Study) -> list[Item]:
        """The items of a questionnaire.

        Raises:
            ValueError: there is no such questionnaire, or an item is not as it was kept.
        """
        return _read_items(self.path, study.name)[0]

    def begin(self, study: Study) -> Sitting:
        """Somebody new, who was given a number and a plan."""
        with self._write() as database:
            found = database.execute("SELECT seed, conditions FROM studies WHERE study = ?", (study.name,)).fetchone()
            if found is None:
                raise ValueError(_missing(self.path, study.name))
            names = _column(database, "SELECT item FROM items WHERE study = ? ORDER BY place", study.name)
            taken = set(_column(database, "SELECT turn FROM people WHERE study = ?", study.name))
            turn = next(turn for turn in range(len(taken) + 1) if turn not in taken)  # deleted people leave gaps
            people = set(_column(database, "SELECT person FROM people WHERE study = ?", study.name))
            person = draw_number()
            while person in people:
                person = draw_number()
            plan = make_plan(study, names, json.loads(found[1]), turn, found[0])
            kept = json.dumps([[question.item, question.shown] for question in plan])
            database.execute("INSERT INTO people VALUES (?, ?, ?, ?)", (study.name, person, turn, kept))
        return Sitting(study.name, person, tuple(plan), frozenset())

    def resume(self, study: Study, person: int) -> Sitting:
        """Somebody who began before, as far as the answers go.

        Raises:
            ValueError: nobody has this number.
        """
        with _open(self.path, "ro") as database:
            found = database.execute(
                "SELECT plan FROM people WHERE study = ? AND person = ?", (study.name, person)
            ).fetchone()
            if found is None:
                raise ValueError(f"Nobody with the number {person} began this questionnaire: check it, or begin anew.")
            query = "SELECT place FROM answers WHERE study = ? AND person = ?"
            answered = [place for (place,) in database.execute(query, (study.name, person))]
        return Sitting(study.name, person, _read_plan(self.path, found[0]), frozenset(answered))

    def record(self, study: Study, sitting: Sitting, item: Item, given: Any, seconds: float | None) -> Sitting:
        """Check an answer to the sitting's next question, and keep it.

        Args:
            study: the questionnaire.
            sitting: who answers; not done.
            item: that is asked about.
            given: see :func:`odam_chapters.study.given.check_given`.
            seconds: that it took.

        Returns:
            The sitting with one answer more, once that is on the disk.

        Raises:
            ValueError: an incomplete answer; or the question has one, or the person was deleted, by another window.
        """
        place = sitting.place
        kept = json.dumps(check_given(study, item, sitting.plan[place], given))
        key = (study.name, sitting.person)
        with self._write() as database:
            if not database.execute("SELECT 1 FROM people WHERE study = ? AND person = ?", key).fetchone():
                raise ValueError(f"The answers of number {sitting.person} were deleted: begin anew.")
            query = "SELECT 1 FROM answers WHERE study = ? AND person = ? AND place = ?"
            if database.execute(query, (*key, place)).fetchone():
                raise ValueError(
                    f"Question {place + 1} was answered by number {sitting.person} in another window: this answer is "
                    "not kept. Go on with one window only, and with your own number."
                )
            database.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (*key, place, kept, seconds))
        return Sitting(study.name, sitting.person, sitting.plan, sitting.answered | {place})

    def forget(self, study: Study, person: int) -> None:
        """Delete a person's number, plan and answers; the place in the file is overwritten."""
        with self._write() as database:
            database.execute("DELETE FROM people WHERE study = ? AND person = ?", (study.name, person))


def draw_number() -> int:
    """A participant's number, of eight digits: too many to meet another's by a slip."""
    return 10**7 + secrets.randbelow(9 * 10**7)


def read_rankings(paths: Sequence[str | Path], study: Study) -> list[Ranking]:
    """All rankings of a questionnaire, from one file or several; people who have not finished are among them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as of :class:`AnswerFile`; or two files have different items, or a person of the same number.
    """
    return [
        read_ranking(person, question, kept, seconds)
        for person, _, question, kept, seconds in _read_answers(paths, study)
    ]


def read_pointings(paths: Sequence[str | Path], study: Study) -> list[Pointing]:
    """All answers to a questionnaire of pointing; see :func:`read_rankings`."""
    return [read_pointing(*answer) for answer in _read_answers(paths, study)]


RANKING_COLUMNS = ("person", "item", "condition", "rank", "place", "seconds")
POINTING_COLUMNS = (
    "person", "item", "condition", "chosen", "right", "confidence", "odi", "objects", "x1", "y1", "x2", "y2", "seconds"
)  # fmt: skip


def export_answers(answers: Sequence[Ranking] | Sequence[Pointing], path: str | Path) -> None:
    """Write answers as CSV: of rankings a row for each map, of pointing one for each answer.

    Raises:
        ValueError: there is no answer.
        OSError: it cannot be written.
    """
    if not answers:
        raise ValueError(f"There is no answer to write to {path}: let somebody answer first.")
    rows: list[dict[str, object]] = []
    for one in answers:
        if isinstance(one, Ranking):
            for place, condition in enumerate(one.shown or one.ranks, start=1):
                values = (one.person, one.item, condition, one.ranks[condition], place, one.seconds)
                rows.append(dict(zip(RANKING_COLUMNS, values)))
        else:
            box = one.drawn or ("",) * 4
            known = (one.person, one.item, one.condition, one.chosen, int(one.right), one.confidence, one.odi)
            rows.append(dict(zip(POINTING_COLUMNS, (*known, one.objects, *box, one.seconds))))
    write_rows(path, rows)


def _read_answers(paths: Sequence[str | Path], study: Study) -> Iterator[tuple[int, Item, Question, Any, float]]:
    hashes: dict[str, str] = {}
    owner: dict[int, Path] = {}
    for path in map(user_path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"There is no file of answers at {path}: check the path.")
        with _open(path, "ro") as database:
            _check_ours(path, database)
            _check_whole(path, database)
        items = {item.name: item for item in _read_items(path, study.name)[0]}
        found = {name: item.hash for name, item in items.items()}
        hashes = hashes or found
        if hashes != found:
            raise ValueError(
                f"{path} and {paths[0]} hold other items of the questionnaire {study.name!r}: analyse each by itself."
            )
        with _open(path, "ro") as database:
            people = database.execute("SELECT person, plan FROM people WHERE study = ?", (study.name,)).fetchall()
            query = "SELECT person, place, given, seconds FROM answers WHERE study = ? ORDER BY person, place"
            answers = database.execute(query, (study.name,)).fetchall()
        for person, _ in people:
            if person in owner:
                raise ValueError(
                    f"Number {person} is in {owner[person]} and in {path}: two people would count as one, or one as "
                    "two. Leave one of the files out."
                )
            owner[person] = path
        plans = {person: _read_plan(path, plan) for person, plan in people}
        for person, place, given, seconds in answers:
            try:
                question = plans[person][place]
                yield person, items[question.item], question, json.loads(given), seconds
            except (LookupError, ValueError) as error:
                raise ValueError(_damaged(path)) from error


def _read_items(path: Path, study: str) -> tuple[list[Item], int]:
    with _open(path, "ro") as database:
        found = database.execute("SELECT seed, conditions FROM studies WHERE study = ?", (study,)).fetchone()
        if found is None:
            raise ValueError(_missing(path, study))
        rows = database.execute("SELECT item, hash, about FROM items WHERE study = ? ORDER BY place", (study,)).fetchall()
        pictures = database.execute("SELECT item, condition, png FROM pictures WHERE study = ?", (study,)).fetchall()
    items = []
    for name, known, about in rows:
        try:
            maps = {condition: png for item, condition, png in pictures if item == name}
            ordered = {condition: maps[condition] for condition in json.loads(found[1])}
            item = Item(**_as_tuples(json.loads(about)), picture=maps[""], maps=ordered)
            same = item.hash == known
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(_damaged(path)) from error
        if not same:
            raise ValueError(
                f"{path}: the pictures of item {name!r} changed since they were kept, and the answers are of the old "
                "ones. Restore the file, or begin another one."
            )
        items.append(item)
    return items, found[0]


def _read_plan(path: Path, text: str) -> tuple[Question, ...]:
    try:
        return tuple(Question(item, tuple(shown)) for item, shown in json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(_damaged(path)) from error


def _as_tuples(about: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    about["size"] = tuple(about["size"])
    about["box"] = about["box"] and tuple(about["box"])
    about["objects"] = tuple(map(tuple, about["objects"]))
    about["shares"] = {condition: tuple(shares) for condition, shares in about["shares"].items()}
    return about


def _column(database: sqlite3.Connection, query: str, study: str) -> list[Any]:
    return [value for (value,) in database.execute(query, (study,))]


@contextmanager
def _open(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A connection for one piece of work; what goes wrong is told in a sentence."""
    try:
        database = sqlite3.connect(
            f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}", uri=True, timeout=PATIENCE, isolation_level=None
        )
        try:
            for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL"):
                database.execute(f"PRAGMA {pragma}")
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise _tell(path, error) from error


def _tell(path: Path, error: sqlite3.Error) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BlockingIOError(f"{path} was being written by others for {PATIENCE:.0f} seconds: try again.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return PermissionError(f"{path} or its folder cannot be written: give another place, or allow it.")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return OSError(f"{path} cannot be written ({error}): free some space there, or choose another place.")
    return ValueError(_damaged(path))


def _is_new(database: sqlite3.Connection) -> bool:
    (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    return not tables and not database.execute("PRAGMA application_id").fetchone()[0]


def _check_ours(path: Path, database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise ValueError(f"{path} is another program's database, it holds no answers: give another path.")
    if (version := database.execute("PRAGMA user_version").fetchone()[0]) != VERSION:
        raise ValueError(f"{path} is of version {version}, this is version {VERSION}: read it with the program it is of.")


def _check_whole(path: Path, database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise ValueError(_damaged(path))


def _missing(path: Path, study: str) -> str:
    return f"{path} holds no questionnaire {study!r}: keep its items there first; there can be {', '.join(STUDIES)}."


def _damaged(path: Path) -> str:
    return f"{path} holds no answers or is damaged: restore it from a copy, or give another path."
