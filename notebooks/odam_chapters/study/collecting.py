"""All answers to a questionnaire, from one file or several, and as CSV."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from odam_chapters.study.database import check_ours, check_whole, open_database, read_items, read_plan, say_damaged
from odam_chapters.study.given import Pointing, Ranking, read_pointing, read_ranking
from odam_chapters.study.items import Item, Question, Study
from odam_lib.files import user_path, write_rows


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
        with open_database(path, "rw") as database:
            check_ours(path, database)
            check_whole(path, database)
        items = {item.name: item for item in read_items(path, study.name)[0]}
        found = {name: item.hash for name, item in items.items()}
        hashes = hashes or found
        if hashes != found:
            raise ValueError(
                f"{path} and {paths[0]} hold other items of the questionnaire {study.name!r}: analyse each by itself."
            )
        with open_database(path, "rw") as database:
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
        plans = {person: read_plan(path, plan) for person, plan in people}
        for person, place, given, seconds in answers:
            try:
                question = plans[person][place]
                yield person, items[question.item], question, json.loads(given), seconds
            except (LookupError, ValueError) as error:
                raise ValueError(say_damaged(path)) from error
