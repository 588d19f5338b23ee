"""Numbers of the map of the paper: what an estimate says of a claim, how it is written, and the rows it comes from."""

import csv
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.verdicts import LEAST_OBJECTS
from odam_lib.files import data_root, open_rows
from odam_lib.metrics.intervals import Estimate

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path(__file__).with_name("paper_map.toml")

REPRODUCED, CONTRADICTED, OPEN, MISSING = "reproduced", "contradicted", "cannot tell", "not measured yet"
MARKS = {REPRODUCED: "✓", CONTRADICTED: "✗", OPEN: "?"}


class UnmeasuredError(LookupError):
    """The rows that would answer are not there."""


class Number(NamedTuple):
    """One measured answer to a claim: of which detector, against what, of how many; and what it says of the claim."""

    of: str
    text: str
    n: int = 0
    verdict: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.text, MARKS.get(self.verdict, ""))))


def judge(found: Estimate, expect: str, n: int = LEAST_OBJECTS, margin: float = 0.0) -> str:
    """What an estimate says of a claim.

    It is expected to be ``more`` or ``less`` than 0, or ``alike``, within ``margin`` of it. Of fewer than
    ``LEAST_OBJECTS`` nothing can be told.

    Raises:
        ValueError: another expectation.
    """
    if expect not in ("more", "less", "alike"):
        raise ValueError(f"Nothing is known of the expectation {expect!r}: give more, less or alike.")
    if n < LEAST_OBJECTS:
        return OPEN
    if expect == "alike":
        apart = found.low > margin or found.high < -margin
        return CONTRADICTED if apart else REPRODUCED if max(-found.low, found.high) <= margin else OPEN
    low, high = (found.low, found.high) if expect == "more" else (-found.high, -found.low)
    return REPRODUCED if low > 0 else CONTRADICTED if high < 0 else OPEN


def spell(found: Estimate, percent: bool = False, sign: str = "+") -> str:
    """A number with its interval; three digits where two would hide how sure it is."""
    value, low, high = (100 * one if percent else one for one in found)
    digits = 0 if percent and abs(value) >= 10 else 1 if percent else 2 if high - low >= 0.02 else 3
    unit = " %" if percent else ""
    return f"{value:{sign}.{digits}f}{unit} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


@cache
def settings() -> dict[str, Any]:
    """What ``paper_map.toml`` says."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def label(file: str) -> str:
    """How a file of rows, or a detector, is called in a cell."""
    return str(settings()["labels"].get(file, file))


def rows_at(file: str) -> Path:
    """The bundled rows of a name, or :class:`UnmeasuredError`."""
    for end in (".csv.gz", ".csv"):
        if (path := data_root() / "evaluation" / f"{file}{end}").is_file():
            return path
    raise UnmeasuredError(file)


@cache
def read_table(file: str) -> list[dict[str, str]]:
    """The rows of any CSV file under ``data/evaluation``."""
    with open_rows(rows_at(file), "rt") as opened:
        return list(csv.DictReader(opened))


@cache
def evaluation(file: str, least_iou: float = 0.0) -> Evaluation:
    """Rows of an evaluation, of the objects that were detected with at least an IoU."""
    found = Evaluation.load(rows_at(file))
    return found.well_detected(least_iou) if least_iou else found


def derive(found: Evaluation, metric: str) -> Evaluation:
    """Rows with a metric made of others: ``A - B``, or ``A > 0.6``, which is 1 or 0.

    Raises:
        UnmeasuredError: a metric of which it is made was not measured.
    """
    parts = re.split(r" (-|>) ", metric)
    names = parts[:1] if parts[1:2] == [">"] else parts[::2]
    if not found.rows or not all(name in found.rows[0] for name in names):
        raise UnmeasuredError(metric)
    if len(parts) == 1:
        return found

    def make(row: dict[str, Any]) -> float:
        left, right = float(row[parts[0]]), float(row.get(parts[2], "nan") if parts[1] == "-" else parts[2])
        return left - right if parts[1] == "-" else float(left > right) if left == left else left

    rows = tuple({**row, metric: make(row)} for row in found.rows)
    return Evaluation(rows, found.objects, found.undetected)


@cache
def find_notebook(number: str) -> Path:
    """The notebook of a number.

    Raises:
        ValueError: there is none, or several.
    """
    found = list((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        raise ValueError(f"There are {len(found)} notebooks {number}: give the number of one.")
    return found[0]


@cache
def printed(notebook: str) -> str:
    """Every text that a notebook has stored."""
    cells = json.loads(find_notebook(notebook).read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join("".join(one.get("text", one.get("data", {}).get("text/plain", ""))) for one in outputs)
