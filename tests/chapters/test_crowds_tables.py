"""Tables of suppression rules: what is compared with what, and when a goal is met."""

import math

import pytest
import torch
from odam_chapters.crowds.results import CrowdResults, Sifted, load_results
from odam_chapters.crowds.rules import CLASSICAL, FEATURE_NMS, ODAM_NMS, SOFT
from odam_chapters.crowds.tables import (
    BEST_AT,
    Comparison,
    compare_rules,
    list_intervals,
    match_all,
    rate_goals,
    score_all,
    tabulate_comparisons,
    tabulate_scores,
)

from odam_lib.metrics.crowds import CrowdPicture, match_crowds
from odam_lib.metrics.intervals import Estimate

PEOPLE = torch.tensor([[0.0, 0.0, 10.0, 20.0], [2.0, 0.0, 12.0, 20.0], [40.0, 0.0, 50.0, 20.0]])


def finding(*people: int) -> list[CrowdPicture]:
    """Six pictures on which the same of three people are found."""
    scores = torch.linspace(0.9, 0.8, len(people))
    one = CrowdPicture(PEOPLE[list(people)], scores, PEOPLE, torch.zeros(0, 4))
    return [one] * 6


def found(ours: tuple[int, ...], theirs: tuple[int, ...]) -> dict:
    rivals = {("fcos-crowd", FEATURE_NMS): finding(*theirs)}
    for detector in ("fcos-crowd", "fcos-crowd-odam"):
        rivals |= {(detector, rule): finding(*theirs) for rule in (CLASSICAL, *SOFT)}
        rivals[detector, ODAM_NMS] = finding(*ours)
    return {key: match_crowds(each) for key, each in rivals.items()}


def test_every_rival_on_both_detectors_is_compared() -> None:
    def compare(ours: tuple[int, ...], theirs: tuple[int, ...]) -> list[Comparison]:
        every = compare_rules(found(ours, theirs), "fcos", repeats=20)
        return [one for one in every if one.metric in ("JI", "MR")]

    compared = compare((0, 1, 2), (0, 2))
    assert {(one.detector, one.rule) for one in compared} == {
        *(("fcos-crowd", rule) for rule in (CLASSICAL, *SOFT, FEATURE_NMS)),
        *(("fcos-crowd-odam", rule) for rule in (CLASSICAL, *SOFT)),
    }
    for one in compared:
        assert one.better and (one.difference.value > 0) == (one.metric == "JI")
    assert not any(one.better for one in compare((0, 2), (0, 2)))
    assert not any(one.better for one in compare((0,), (0, 2)))


def test_better_means_the_whole_interval() -> None:
    assert Comparison("a", CLASSICAL, "JI", Estimate(0.2, 0.1, 0.3)).better
    assert not Comparison("a", CLASSICAL, "JI", Estimate(0.2, -0.1, 0.3)).better
    assert not Comparison("a", CLASSICAL, "MR", Estimate(0.2, 0.1, 0.3)).better
    assert Comparison("a", CLASSICAL, "MR", Estimate(-0.2, -0.3, -0.1)).better
    assert not Comparison("a", CLASSICAL, "MR", Estimate(-0.2, math.nan, math.nan)).better


def test_goals_are_met_or_missed() -> None:
    def told(family: str, ours: tuple[int, ...], theirs: tuple[int, ...]) -> list[str]:
        renamed = {(key[0].replace("fcos", family), key[1]): one for key, one in found(ours, theirs).items()}
        lines = rate_goals(family, compare_rules(renamed, family, 20)).splitlines()
        return [line.split()[0] for line in lines]

    assert told("fcos", (0, 1, 2), (0, 2)) == ["met"] * 5
    assert told("faster-rcnn", (0, 1, 2), (0, 2)) == ["met"] * 6
    assert told("fcos", (0, 2), (0, 2)) == ["MISSED"] * 5
    assert told("faster-rcnn", (0,), (0, 1, 2)) == ["MISSED"] * 6


def test_tables_hold_percentages_and_their_intervals() -> None:
    scores = {("fcos-crowd", CLASSICAL): {"AP50": Estimate(0.5, 0.45, 0.57), "MR": Estimate(0.25, 0.25, 0.25)}}
    head, detector, row = tabulate_scores(scores).splitlines()
    assert head.split() == ["rule", "AP50", "MR"] and detector.strip() == "fcos-crowd"
    assert row.split() == ["NMS", "50.0", "±6.0", "25.0", "±0.0"]
    assert list_intervals(scores, ("fcos-crowd",))[0] == {
        "method": "NMS, fcos-crowd", "metric": "AP50", "mean": 0.5, "low": 0.45, "high": 0.57,
    }  # fmt: skip
    assert list_intervals(scores, ("other",)) == []
    text = tabulate_comparisons([Comparison("fcos-crowd", CLASSICAL, "JI", Estimate(0.02, 0.01, 0.03))], ["JI"])
    assert "+2.0 (+1.0 to +3.0)*" in text
    text = tabulate_comparisons([Comparison("fcos-crowd", CLASSICAL, "MR", Estimate(0.02, 0.01, 0.03))], ["MR"])
    assert "+2.0 (+1.0 to +3.0)!" in text
    text = tabulate_comparisons([Comparison("fcos-crowd", CLASSICAL, "JI", Estimate(0.02, -0.01, 0.03))], ["JI"])
    assert "(-1.0 to +3.0) " in text


def test_what_a_file_holds_is_matched_and_scored() -> None:
    sure = torch.tensor([0.9, 0.85, 0.8])
    results = CrowdResults((PEOPLE,) * 6).joined(
        "fcos-crowd", [Sifted(PEOPLE, sure, {CLASSICAL: sure})] * 6, {"rules": [CLASSICAL]}
    )
    scores = score_all(match_all(results), repeats=5)
    assert list(scores) == [("fcos-crowd", CLASSICAL)]
    row = scores["fcos-crowd", CLASSICAL]
    assert row["AP50"].value == pytest.approx(1) and row[BEST_AT].value == 0
    assert tabulate_scores(scores).endswith("0.00")


def test_the_bundled_results_are_of_every_detector() -> None:
    results = load_results()
    assert len(results.truth) >= 500 and sorted(results.detectors) == [
        *("faster-rcnn-crowd", "faster-rcnn-crowd-odam"),
        *("fcos-crowd", "fcos-crowd-odam"),
    ]
