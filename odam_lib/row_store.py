"""Rows of a run that goes on, in one SQLite file.

SQLite, since it is in the standard library, a run is one file, and what belongs together is written in one transaction:
a process that is killed at any moment loses at most the picture in work. Adding a picture costs the same however many
are kept. A colleague reads it without this package: ``pandas.read_sql("SELECT * FROM rows", sqlite3.connect(path))``.
Every file has a table ``settings`` of names and JSON values, which say what made it; undefined numbers (NaN) are NULL.
"""

import errno
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from odam_lib.files import PATIENCE, naming, owned, user_path

SUFFIX = ".sqlite"
KIND = "made by"
"""Name of the setting that says which program a file is of."""
_APPLICATION = 0x4F44414D
"""Marks files of this package for programs that look at what SQLite files are."""
_TYPES = {bool: "INTEGER", int: "INTEGER", float: "REAL", str: "TEXT"}


class RowStore:
    """Tables of rows in one file, or in memory; :func:`open_store` makes one."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self._types: dict[str, dict[str, str]] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything of the block, or nothing; a block within another is part of that one.

        Raises:
            OSError: the disk is full, for instance; names the file.
        """
        if self._connection.in_transaction:
            yield
            return
        with _told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._commit()
            except BaseException:
                self._types.clear()
                if self._connection.in_transaction:  # which SQLite ends by itself on a full disk
                    self._connection.execute("ROLLBACK")
                raise

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    @property
    def settings(self) -> dict[str, Any]:
        """What made the rows."""
        return {str(one["name"]): json.loads(one["value"]) for one in self.select("settings") if one["name"] != KIND}

    def check_settings(self, asked: Mapping[str, Any]) -> None:
        """Refuse rows that were made with other settings; in a new store keep these.

        Raises:
            ValueError: they differ; names the first one that does.
        """
        kept = self.settings
        self.check_same(kept, asked)
        if not kept:
            with self.transaction():
                self.insert("settings", [{"name": name, "value": json.dumps(one)} for name, one in asked.items()])

    def check_same(self, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for the first thing that is kept and is asked to be another."""
        for name, value in kept.items():
            if asked.get(name) != value:
                raise ValueError(
                    f"{self.path} was made with {name} = {value}, not {asked.get(name)}: "
                    "give another path or delete it."
                )

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table with SQLite's types; none if there is no such table."""
        if table not in self._types:
            with _told(self.path):
                found = self._connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
            self._types[table] = {name: kind for _, name, kind, *_ in found}
        return self._types[table]

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]], key: Sequence[str] = ()) -> None:
        """Add rows, within a :meth:`transaction`; the first ones make the table.

        Args:
            table: its name.
            rows: all with the same columns; values are ``str``, ``int``, ``float`` or ``bool``.
            key: columns whose values no two rows share.

        Raises:
            ValueError: the table has other columns, or a row of that key.
        """
        rows = list(rows)
        if not rows:
            return
        names = list(rows[0])
        if not self.columns(table):
            parts = [f"{_quoted(name)} {_TYPES[type(value)]}" for name, value in rows[0].items()]
            parts += [f"PRIMARY KEY ({', '.join(map(_quoted, key))})"] if key else []
            self._connection.execute(f"CREATE TABLE {_quoted(table)} ({', '.join(parts)})")
            del self._types[table]
        if changed := self.columns(table).keys() ^ names:
            raise ValueError(
                f"{self.path} was made by another version, which differs in the columns {', '.join(sorted(changed))}: "
                "give another path or delete it."
            )
        places = ", ".join("?" * len(names))
        self._connection.executemany(
            f"INSERT INTO {_quoted(table)} ({', '.join(map(_quoted, names))}) VALUES ({places})",
            ([row[name] for name in names] for row in rows),  # NaN becomes NULL
        )

    def select(
        self, table: str, condition: str = "", values: Sequence[str | int | float] = ()
    ) -> Iterator[dict[str, Any]]:
        """The rows of a table, one after another; none if there is no such table.

        Args:
            table: its name.
            condition: the rest of the statement in SQL, such as ``WHERE item < ? ORDER BY item``.
            values: of its question marks.
        """
        columns = self.columns(table)
        if not columns:
            return
        names, undefined = list(columns), [math.nan if kind == "REAL" else None for kind in columns.values()]
        with _told(self.path):
            chosen = f"SELECT {', '.join(map(_quoted, names))} FROM {_quoted(table)} {condition}"
            for row in self._connection.execute(chosen, values):
                yield {name: none if one is None else one for name, one, none in zip(names, row, undefined)}


@contextmanager
def open_store(path: str | Path | None, made_by: str) -> Iterator[RowStore]:
    """A store for one run to add to; it is made if there is none.

    Args:
        path: of the file; ``None`` keeps the rows in memory.
        made_by: the program, which the file must be of.

    Raises:
        ValueError: the path has another suffix, or holds something else, or is damaged.
        BlockingIOError: another run owns it.
        OSError: it cannot be written, see :func:`~odam_lib.files.owned`.
    """
    if path is None:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            yield _checked(None, connection, made_by)
        return
    path = _named(path)
    with owned(path):
        with _connected(path, "rwc") as connection:
            yield _checked(path, connection, made_by)


def _named(path: str | Path) -> Path:
    path = user_path(path)
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path} is no place for the rows of a run, which SQLite keeps: give a path that ends in {SUFFIX}."
        )
    return path


def store_file(path: str | Path) -> Path:
    """The path, once it is known that a run could keep its rows there, before anything is loaded for it.

    Raises:
        ValueError: it has another suffix.
        OSError: another run owns it, or it cannot be written, see :func:`~odam_lib.files.owned`.
    """
    with owned(path):
        return _named(path)


@contextmanager
def read_store(path: Path, made_by: str) -> Iterator[RowStore]:
    """A store to read from, while a run may add to it.

    Raises:
        ValueError: the file holds something else, or is damaged.
        OSError: it cannot be read.
    """
    with _connected(path, "rw") as connection:  # a run that was killed may have left a transaction to take back
        yield _checked(path, connection, made_by)


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with _told(path):
        opened = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", PATIENCE, isolation_level=None, uri=True)
    with closing(opened) as connection:
        yield connection


def _checked(path: Path | None, connection: sqlite3.Connection, made_by: str) -> RowStore:
    """The store, which a new file becomes; raises ``ValueError`` for what is no whole store of this program."""
    store = RowStore(path, connection)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        known = connection.execute("SELECT name FROM sqlite_master").fetchone()
        if known is None:
            with store.transaction():
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                store.insert("settings", [{"name": KIND, "value": json.dumps(made_by)}], ["name"])
            return store
        marked = connection.execute("PRAGMA application_id").fetchone() == (_APPLICATION,)
        whole = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        kinds = [json.loads(one["value"]) for one in store.select("settings", "WHERE name = ?", [KIND])]
        fits = marked and whole and kinds == [made_by]
    except (ValueError, LookupError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.OperationalError):
            with _told(path):
                raise
        fits = False
    if not fits:
        raise ValueError(f"{path} cannot be used, since it is not what {made_by} left: give another path or delete it.")
    return store


@contextmanager
def _told(path: Path | None) -> Iterator[None]:
    """What SQLite says as exceptions of the system, in a sentence that names the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says where it happened
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BlockingIOError(
                f"Another program is using {path}: wait until it has ended, or give another path."
            ) from error
        if path is None or code not in _NUMBERS:
            raise
        with naming(path):
            raise OSError(_NUMBERS[code], str(error)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise ValueError(f"{path} holds these rows already ({error}): each is added once.") from error
        raise ValueError(f"{path} is damaged ({error}): give another path or delete it.") from error


_NUMBERS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
"""What the system would have said."""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
