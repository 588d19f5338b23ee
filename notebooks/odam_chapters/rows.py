"""Rows of measurements as they are kept: CSV, compressed where the name ends in ``.gz``."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pandas as pd

from odam_lib.detectors.weights import read_version
from odam_lib.files import open_rows

Kind = Callable[[str], Any]
T = TypeVar("T")


def read_rows(path: Path, what: str, made_by: str, kinds: Mapping[str, Kind] | Kind) -> pd.DataFrame:
    """The rows of a CSV file.

    Args:
        path: path of the file.
        what: what the rows are, as a user calls them.
        made_by: what writes such files.
        kinds: what turns the text of each column into its value, by column; or one for whatever columns there are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has other columns, is no text in UTF-8, or a value that cannot be.
    """
    if not path.exists():
        raise FileNotFoundError(f"There are no {what} at {path}: check the path, or make them by {made_by}.")
    try:
        with open_rows(path, "rt") as file:  # pandas would read a row that is too short
            columns, *rows = csv.reader(file, strict=True)
        of = dict.fromkeys(columns, kinds) if callable(kinds) else kinds
        if columns == list(of):
            values = [[kind(cell) for kind, cell in zip(of.values(), row, strict=True)] for row in rows if row]
            return pd.DataFrame(values, columns=columns)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, KeyError, csv.Error):
        pass
    raise ValueError(f"{path} holds no {what}, or is damaged: delete it and make it again by {made_by}.")


def read_records(path: Path, what: str, made_by: str, record: type[T]) -> list[T]:
    """The same as instances of a dataclass that has a field for each column."""
    truth = {"True": True, "False": False}.__getitem__
    kinds = {name: truth if kind is bool else kind for name, kind in get_type_hints(record).items()}
    return [record(**row) for row in read_rows(path, what, made_by, kinds).to_dict("records")]


def hash_of(detector: str) -> str:
    """The beginning of the hash of a bundled detector's weights."""
    return read_version(detector)["sha256"][:8]


def refuse_other_weights(path: Path, made_by: str, used: Iterable[tuple[str, str]]) -> None:
    """Refuse rows that were made with other weights than those here.

    Args:
        path: of the rows.
        made_by: what writes such files.
        used: each detector of the rows with the beginning of its weights' hash, as of :func:`hash_of`.

    Raises:
        ValueError: the weights here are others.
    """
    for name, weights in dict.fromkeys(used):
        if weights != hash_of(name):
            raise ValueError(
                f"{path} was made with weights {weights} of {name}, and those here are {hash_of(name)}: make it again "
                f"by {made_by}."
            )
