"""The numbers of rules of suppression on the bundled crowds, kept once estimated: the bootstrap takes a minute."""

import csv
from functools import cache

from odam_chapters.crowds.estimates import estimate_differences
from odam_chapters.crowds.results import load_results, locate_bundled
from odam_chapters.crowds.tables import score_all

from odam_lib.files import data_root, sha256, write_rows
from odam_lib.metrics.crowds import CrowdMatches
from odam_lib.metrics.intervals import Estimate

CROWDS = data_root() / "evaluation" / "crowd-estimates.csv"
REPEATS = 200
"""Draws of pictures for an interval."""


@cache
def match_kept(detector: str, rule: str) -> CrowdMatches:
    """What a rule keeps of a detector's candidates, matched with the people."""
    return load_results().match_crowds(detector, rule)


def estimate_crowds(*sides: str) -> dict[str, Estimate]:
    """The numbers of a detector and rule on the held-out crowds, or by how much they exceed those of another pair.

    They take long, so what was estimated from the same results before is kept in ``CROWDS``.

    Raises:
        KeyError: there are no results of a detector and rule.
    """
    if sides not in kept_crowds():
        found = [match_kept(*pair) for pair in zip(sides[::2], sides[1::2])]
        alone = len(found) == 1
        made = score_all({sides: found[0]}, REPEATS)[sides] if alone else estimate_differences(*found, repeats=REPEATS)
        kept_crowds()[sides] = {name: Estimate(*(round(one, 5) for one in each)) for name, each in made.items()}
    used_crowds().add(sides)
    return kept_crowds()[sides]


@cache
def used_crowds() -> set[tuple[str, ...]]:
    """What :func:`estimate_crowds` was asked for."""
    return set()


@cache
def kept_crowds() -> dict[tuple[str, ...], dict[str, Estimate]]:
    """The estimates of ``CROWDS``; none if they are of other results than those here."""
    kept: dict[tuple[str, ...], dict[str, Estimate]] = {}
    for row in csv.DictReader(CROWDS.read_text(encoding="utf-8").splitlines()) if CROWDS.is_file() else ():
        if row["results"] == sha256(locate_bundled())[:8]:
            numbers = Estimate(*(float(row[name]) for name in Estimate._fields))
            kept.setdefault(tuple(row["of"].split("; ")), {})[row["metric"]] = numbers
    return kept


def write_crowds() -> None:
    """Keep the estimates that were used."""
    made_from = {"results": sha256(locate_bundled())[:8]}
    rows = [
        made_from | {"of": "; ".join(sides), "metric": metric} | one._asdict()
        for sides in sorted(used_crowds())
        for metric, one in kept_crowds()[sides].items()
    ]
    write_rows(CROWDS, rows)
