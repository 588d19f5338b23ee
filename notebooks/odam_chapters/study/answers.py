"""One SQLite file of questionnaires and answers, written by several kernels at once.

It holds what people were shown (items with their pictures), the plan of each person, and the answers. Nothing is
personal: a person is a number drawn at random. An answer is on the disk before the next question is asked.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odam_chapters.study.database import (
    APPLICATION,
    SCHEMA,
    VERSION,
    check_ours,
    check_whole,
    is_new,
    open_database,
    read_column,
    read_items,
    read_plan,
    say_missing,
)
from odam_chapters.study.given import check_given
from odam_chapters.study.items import Item, Question, Study, list_conditions, make_plan
from odam_lib.files import output_file


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
            check_whole(self.path, database)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block, or nothing."""
        with open_database(self.path, "rwc") as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                if is_new(database):
                    for statement in SCHEMA.split(";"):
                        database.execute(statement)
                    database.execute(f"PRAGMA application_id = {APPLICATION}")
                    database.execute(f"PRAGMA user_version = {VERSION}")
                check_ours(self.path, database)
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
                from odam_chapters.study.plots import draw_still  # which imports PyTorch, as whoever made items did

                made = (study.name, seed, json.dumps(conditions), draw_still(study, items))
                database.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", made)
                for place, item in enumerate(items):
                    about = json.dumps(item.describe())
                    row = (study.name, item.name, place, item.hash, about)
                    database.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?)", row)
                    for condition, png in (("", item.picture), *item.maps.items()):
                        row = (study.name, item.name, condition, png)
                        database.execute("INSERT INTO pictures VALUES (?, ?, ?, ?)", row)
        kept, kept_seed = read_items(self.path, study.name)
        for ours, theirs in zip(items, kept):
            if (ours.name, ours.origin) != (theirs.name, theirs.origin):
                raise ValueError(
                    f"{self.path} holds the questionnaire {study.name!r} with other items: {theirs.name!r} was made of "
                    f"another picture, detector or method than {ours.name!r} is now. Give another file for these."
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
        return read_items(self.path, study.name)[0]

    def read_still(self, study: Study) -> bytes:
        """A PNG of one question, for places where no kernel runs.

        Raises:
            ValueError: there is no such questionnaire.
        """
        with open_database(self.path, "rw") as database:
            found = database.execute("SELECT still FROM studies WHERE study = ?", (study.name,)).fetchone()
        if found is None:
            raise ValueError(say_missing(self.path, study.name))
        return bytes(found[0])

    def begin(self, study: Study) -> Sitting:
        """Somebody new, who was given a number and a plan."""
        with self._write() as database:
            found = database.execute("SELECT seed, conditions FROM studies WHERE study = ?", (study.name,)).fetchone()
            if found is None:
                raise ValueError(say_missing(self.path, study.name))
            names = read_column(database, "SELECT item FROM items WHERE study = ? ORDER BY place", study.name)
            taken = set(read_column(database, "SELECT turn FROM people WHERE study = ?", study.name))
            turn = next(turn for turn in range(len(taken) + 1) if turn not in taken)  # deleted people leave gaps
            people = set(read_column(database, "SELECT person FROM people WHERE study = ?", study.name))
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
        with open_database(self.path, "rw") as database:
            found = database.execute(
                "SELECT plan FROM people WHERE study = ? AND person = ?", (study.name, person)
            ).fetchone()
            if found is None:
                raise ValueError(f"Nobody with the number {person} began this questionnaire: check it, or begin anew.")
            query = "SELECT place FROM answers WHERE study = ? AND person = ?"
            answered = [place for (place,) in database.execute(query, (study.name, person))]
        return Sitting(study.name, person, read_plan(self.path, found[0]), frozenset(answered))

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
