"""The numbers of rules of suppression on the bundled crowds, kept once estimated: the bootstrap takes a minute."""

import csv
from functools import cache

from odam_chapters.crowds.estimates import estimate_differences
from odam_chapters.crowds.results import load_results, locate_bundled
from odam_chapters.crowds.tables import score_all

from odam_lib.files import data_root, sha256, write_rows
from odam_lib.metrics.intervals import Estimate

CROWDS = data_root() / "evaluation" / "crowd-estimates.csv"
REPEATS = 500
"""Draws of pictures for an interval."""


def estimate_crowds(*sides: str) -> dict[str, Estimate]:
    """The numbers of a detector and rule on the held-out crowds, or by how much they exceed those of another pair.

    Raises:
        KeyError: they were not estimated of the results that lie here: :func:`estimate_asked` will do it.
    """
    asked().add(sides)
    return kept()[sides]


@cache
def asked() -> set[tuple[str, ...]]:
    """What :func:`estimate_crowds` was asked for."""
    return set()


@cache
def kept() -> dict[tuple[str, ...], dict[str, Estimate]]:
    """The estimates of ``CROWDS``; none if they are of other results than those here."""
    found: dict[tuple[str, ...], dict[str, Estimate]] = {}
    today = sha256(locate_bundled())[:8]
    for row in csv.DictReader(CROWDS.read_text(encoding="utf-8").splitlines()) if CROWDS.is_file() else ():
        if row["results"] == today:
            numbers = Estimate(*(float(row[name]) for name in Estimate._fields))
            found.setdefault(tuple(row["of"].split("; ")), {})[row["metric"]] = numbers
    return found


def estimate_asked() -> None:
    """Estimate what was asked for and is not kept, and keep all that was asked for and that there are results of."""
    results = load_results()
    known = {(name, rule) for name in results.detectors for rule in results.rules(name)}
    wanted = [sides for sides in sorted(asked()) if {*zip(sides[::2], sides[1::2])} <= known]
    matched = cache(results.match_crowds)
    for sides in wanted:
        if sides not in kept():
            found = [matched(*pair) for pair in zip(sides[::2], sides[1::2])]
            alone = score_all({sides: found[0]}, REPEATS)[sides] if len(found) == 1 else None
            kept()[sides] = alone or estimate_differences(*found, repeats=REPEATS)
    made_from = {"results": sha256(locate_bundled())[:8]}
    rows = [
        made_from | {"of": "; ".join(sides), "metric": metric} | {name: f"{one:.5f}" for name, one in numbers.items()}
        for sides in wanted
        for metric, numbers in ((metric, each._asdict()) for metric, each in kept()[sides].items())
    ]
    write_rows(CROWDS, rows)
    kept.cache_clear()
