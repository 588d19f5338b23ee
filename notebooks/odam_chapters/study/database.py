"""The SQLite file of questionnaires and answers: its tables, how it is opened, and what is said if that goes wrong.

The journal is SQLite's default one and not WAL, which fails on the network drives where a class often works; writers
wait for each other.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from odam_chapters.study.items import STUDIES, Item, Question
from odam_lib.row_store import connected, told

APPLICATION, VERSION = 0x4F444153, 1  # "ODAS"

SCHEMA = """
CREATE TABLE studies (study TEXT PRIMARY KEY, seed INTEGER NOT NULL, conditions TEXT NOT NULL,
    still BLOB NOT NULL);
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


DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)
"""What SQLite says if the tables are not those that were made."""


@contextmanager
def open_database(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A connection for one piece of work; what goes wrong is damage, or told by :func:`odam_lib.row_store.told`."""
    with told(path):
        try:
            with connected(path, mode) as database:
                for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = EXTRA"):
                    database.execute(f"PRAGMA {pragma}")
                yield database
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
                raise ValueError(say_damaged(path)) from error
            raise


def is_new(database: sqlite3.Connection) -> bool:
    """Whether nobody wrote to it before."""
    (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    return not tables and not database.execute("PRAGMA application_id").fetchone()[0]


def check_ours(path: Path, database: sqlite3.Connection) -> None:
    """Raise ``ValueError`` for another program's file, or another version's."""
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise ValueError(f"{path} is another program's database, it holds no answers: give another path.")
    if (version := database.execute("PRAGMA user_version").fetchone()[0]) != VERSION:
        raise ValueError(
            f"{path} is of version {version}, this is version {VERSION}: read it with the program it is of."
        )


def check_whole(path: Path, database: sqlite3.Connection) -> None:
    """Raise ``ValueError`` if SQLite finds damage."""
    if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise ValueError(say_damaged(path))


def say_missing(path: Path, study: str) -> str:
    """What is told of a questionnaire that the file does not hold."""
    return f"{path} holds no questionnaire {study!r}: keep its items there first; there can be {', '.join(STUDIES)}."


def say_damaged(path: Path) -> str:
    """What is told of a file that cannot be what this program wrote."""
    return f"{path} holds no answers or is damaged: restore it from a copy, or give another path."


def read_items(path: Path, study: str) -> tuple[list[Item], int]:
    """The items of a questionnaire, each compared with its hash, and the seed."""
    with open_database(path, "rw") as database:
        found = database.execute("SELECT seed, conditions FROM studies WHERE study = ?", (study,)).fetchone()
        if found is None:
            raise ValueError(say_missing(path, study))
        rows = database.execute(
            "SELECT item, hash, about FROM items WHERE study = ? ORDER BY place", (study,)
        ).fetchall()
        pictures = database.execute("SELECT item, condition, png FROM pictures WHERE study = ?", (study,)).fetchall()
    items = []
    for name, known, about in rows:
        try:
            maps = {condition: png for item, condition, png in pictures if item == name}
            ordered = {condition: maps[condition] for condition in json.loads(found[1])}
            item = Item(**_as_tuples(json.loads(about)), picture=maps[""], maps=ordered)
            same = item.hash == known
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(say_damaged(path)) from error
        if not same:
            raise ValueError(
                f"{path}: the pictures of item {name!r} changed since they were kept, and the answers are of the old "
                "ones. Restore the file, or begin another one."
            )
        items.append(item)
    return items, found[0]


def read_plan(path: Path, text: str) -> tuple[Question, ...]:
    """Somebody's questions."""
    try:
        return tuple(Question(item, tuple(shown)) for item, shown in json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(say_damaged(path)) from error


def _as_tuples(about: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    about["size"] = tuple(about["size"])
    about["box"] = about["box"] and tuple(about["box"])
    about["objects"] = tuple(map(tuple, about["objects"]))
    about["shares"] = {condition: tuple(shares) for condition, shares in about["shares"].items()}
    return about


def read_column(database: sqlite3.Connection, query: str, study: str) -> list[Any]:
    """One value of each row of a questionnaire."""
    return [value for (value,) in database.execute(query, (study,))]
