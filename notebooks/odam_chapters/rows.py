"""Rows of measurements as they are kept: CSV."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Kind = Callable[[str], Any]


def read_rows(path: Path, what: str, made_by: str, kinds: Mapping[str, Kind] | Kind) -> list[dict[str, Any]]:
    """The rows of a CSV file.

    Args:
        path: of the file.
        what: the rows are, as a user calls them.
        made_by: what writes such files.
        kinds: what turns the text of each column into its value, by column; or one for whatever columns there are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has other columns, is no text in UTF-8, or a value that cannot be.
    """
    if not path.exists():
        raise FileNotFoundError(f"There are no {what} at {path}: check the path, or make them by {made_by}.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            of = dict.fromkeys(columns, kinds) if callable(kinds) else kinds
            if columns == list(of) and columns:
                # A row that is too short has None as a value, one that is too long as a key.
                return [{name: of[name](text) for name, text in _complete(row).items()} for row in reader]
    except (ValueError, KeyError, TypeError, csv.Error):
        pass
    raise ValueError(f"{path} holds no {what}, or is damaged: delete it and make it again by {made_by}.")


def _complete(row: Mapping[Any, Any]) -> Mapping[str, str]:
    if None in row or None in row.values():
        raise ValueError("The row has another length than the heading.")
    return row


def truth_of(text: str) -> bool:
    """A truth value as CSV holds it; a ``KeyError`` for anything else."""
    return {"True": True, "False": False}[text]
