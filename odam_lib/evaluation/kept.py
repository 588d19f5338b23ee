"""Rows as they are bundled: a CSV, and beside it a JSON of what they are of. A run keeps its rows in SQLite instead."""

import csv
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odam_lib.files import open_rows, owned, write_rows, write_whole

KEYS = ("image_id", "object", "label", "iou", "score", "method", "seconds")
"""Columns of a row that are no metric."""
WHOLE = ("image_id", "object", "label")

Row = dict[str, str | int | float]
About = dict[str, Any]
"""What rows are of: ``settings``, ``methods`` by name, and ``images`` by item: ``image_id``, how many ``objects`` it
has, how many of them were ``explained``, and by which ``methods``."""


def settings_path(path: Path) -> Path:
    """Where the settings of rows lie: ``a.json`` beside ``a.csv`` or ``a.csv.gz``.

    Raises:
        ValueError: a path of another kind, whose settings could lie where the rows or those of other rows do.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith(".csv"):
        raise ValueError(
            f"{path} is no place for rows: give a path that ends in .sqlite, or, of rows that are complete, in .csv or "
            ".csv.gz."
        )
    return path.with_name(f"{name.removesuffix('.csv')}.json")


def read_csv(path: Path) -> tuple[About, list[Row]]:
    """What :func:`write_csv` wrote.

    Raises:
        ValueError: one of the files is missing, damaged, or from another run or program than the other.
    """
    beside = settings_path(path)
    try:
        about = json.loads(beside.read_text(encoding="utf-8"))
        due = {
            (image["image_id"], method): image["explained"]
            for image in about["images"].values()
            for method in image["methods"]
        }
        with open_rows(path, "rt") as file:
            rows = [_typed(row) for row in csv.DictReader(file)]
        whole = Counter((row["image_id"], row["method"]) for row in rows) == Counter(due)
        readable = whole and about["settings"].keys() and about["methods"].keys()
    except (OSError, EOFError, zlib.error, csv.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        readable = False
    if readable:
        return about, rows
    raise ValueError(
        f"{path} cannot be used, since it and {beside.name} beside it are not what one run of evaluate left: "
        "give another path or delete both."
    )


def write_csv(about: About, rows: Sequence[Row], path: Path) -> None:
    """Write rows as a CSV, compressed if its name ends in ``.gz``, and what they are of as a JSON beside it.

    Raises:
        ValueError: the path has another suffix, or another file is where the JSON would be.
        OSError: one of the files cannot be written.
    """
    beside = settings_path(path)
    if beside.exists() and not path.exists():
        raise ValueError(
            f"{beside} is in the way, since the settings of {path.name} would be written there and it may hold "
            "something else: give another path."
        )
    with owned(path), owned(beside):
        write_rows(path, rows, list(rows[0]) if rows else KEYS)
        with write_whole(beside) as aside:  # last, since it alone would be in the way of another try
            aside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _typed(row: dict[str, str]) -> Row:
    kinds = dict.fromkeys(WHOLE, int) | {"method": str}
    return {name: kinds.get(name, float)(value) for name, value in row.items()}
