"""Verdicts by paired differences: rows made by hand, and what is refused."""

from collections.abc import Sequence

import pytest
import torch

from odam_lib.evaluation.rows import Evaluation, Row
from odam_lib.evaluation.verdicts import (
    BETTER,
    FEW,
    OPEN,
    WORSE,
    best_threshold,
    compare_paired,
    judge_all,
    judge_paired,
)
from odam_lib.metrics.intervals import mean_interval


def evaluation(values: dict[str, Sequence[float]], metric: str = "VEA", **others: float) -> Evaluation:
    """One object in each picture."""
    known: Row = {"object": 0, "label": 1, "iou": 0.9, "score": 0.9, "seconds": 1.0}
    rows = [
        known | {"image_id": image, "method": name, metric: value, **others}
        for name, each in values.items()
        for image, value in enumerate(each)
    ]
    return Evaluation(tuple(rows), 100, 0)


def noise(number: int, seed: int) -> list[float]:
    """Of mean 0 and standard deviation 1."""
    drawn = torch.randn(number, generator=torch.Generator().manual_seed(seed))
    return ((drawn - drawn.mean()) / drawn.std()).tolist()


OBJECTS = noise(100, 0)
"""Values that differ far more between objects than any method from another."""


def shifted(by: float, spread: float = 0.1) -> list[float]:
    return [value + by + spread * own for value, own in zip(OBJECTS, noise(len(OBJECTS), 1))]


def test_overlapping_intervals_of_means_are_no_verdict_and_paired_differences_are() -> None:
    found = evaluation({"ours": shifted(0.05), "theirs": OBJECTS})
    ours, theirs = found.estimate("ours", "VEA"), found.estimate("theirs", "VEA")
    assert ours.low < theirs.high
    assert judge_paired(found, "VEA", "ours", "theirs") == BETTER
    assert judge_paired(found, "VEA", "theirs", "ours") == WORSE


@pytest.mark.parametrize("metric", ["deletion", "deletion signed", "compactness", "ODI box", "ODI mask"])
def test_less_is_better_where_it_is(metric: str) -> None:
    found = evaluation({"ours": shifted(-0.05), "theirs": OBJECTS}, metric)
    assert judge_paired(found, metric, "ours", "theirs") == BETTER


def test_many_comparisons_ask_for_more() -> None:
    """A difference that one comparison finds and a family of fifty does not, for chance may have made it."""
    found = evaluation({"ours": shifted(0.025), "theirs": OBJECTS})
    _, mean, low, _ = compare_paired(found, "VEA", "ours", "theirs")
    error = (mean - low) / 1.96
    assert 1.96 < mean / error < 3.29  # between the quantiles of 95 % and of 99.9 %
    assert judge_paired(found, "VEA", "ours", "theirs") == BETTER
    assert judge_paired(found, "VEA", "ours", "theirs", comparisons=50) == OPEN
    crowd = evaluation({"ours": shifted(0.025), **{f"{row}": OBJECTS for row in range(50)}})
    assert set(judge_all(crowd, "ours", [f"{row}" for row in range(50)], ["VEA"])["VEA"].values()) == {OPEN}


def test_an_interval_widens_with_its_level_as_a_normal_one_does() -> None:
    values, groups = torch.tensor(noise(400, 2)), torch.arange(400)
    widths = []
    for level, repeats in ((0.95, 4000), (0.999, 40_000)):
        low, high = mean_interval(values, groups, repeats, level=level)
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(3.29 / 1.96, rel=0.06)
    with pytest.raises(ValueError, match="level is 1"):
        mean_interval(values, groups, level=1)


def test_no_verdict_of_few_objects_however_clear() -> None:
    few = evaluation({"ours": [1.0] * 29, "theirs": [0.0] * 29})
    assert judge_paired(few, "VEA", "ours", "theirs") == FEW
    undefined = evaluation({"ours": [1.0] * 60, "theirs": [float("nan")] * 31 + [0.0] * 29})
    assert judge_paired(undefined, "VEA", "ours", "theirs") == FEW
    enough = evaluation({"ours": [1.0] * 30, "theirs": [0.0] * 30})
    assert judge_paired(enough, "VEA", "ours", "theirs") == BETTER


def test_one_picture_says_nothing_of_others() -> None:
    rows = [row | {"image_id": 0, "object": row["image_id"]} for row in evaluation({"a": [1] * 40, "b": [0] * 40}).rows]
    assert judge_paired(Evaluation(tuple(rows), 40, 0), "VEA", "a", "b") == OPEN


def test_methods_on_different_objects_and_unknown_ones_are_refused() -> None:
    found = evaluation({"ours": [1.0] * 40, "theirs": [0.0] * 39})
    with pytest.raises(ValueError, match=r"ours and theirs were measured on different objects \(40 and 39\)"):
        judge_paired(found, "VEA", "ours", "theirs")
    with pytest.raises(ValueError, match="Nothing was measured of method 'nobody' by metric 'VEA'"):
        judge_all(found, "ours", ["nobody"], ["VEA"])


def test_overall_is_insertion_minus_deletion_and_is_paired_like_any_other() -> None:
    found = evaluation({"ours": [0.9] * 40, "theirs": [0.5] * 40}, "insertion", deletion=0.2)
    assert found.estimate("ours", "overall").value == pytest.approx(0.7)
    assert judge_paired(found, "overall", "ours", "theirs") == BETTER


def test_the_best_threshold_is_that_of_the_mean_curve() -> None:
    """Two objects whose own best thresholds are 0.10 and 0.90, with a common one between."""
    curves = ({"VEA@0.10": 0.8, "VEA@0.50": 0.6, "VEA@0.90": 0.0}, {"VEA@0.10": 0.0, "VEA@0.50": 0.5, "VEA@0.90": 0.7})
    rows = [row | curve for row, curve in zip(evaluation({"ours": [0.5, 0.5]}).rows, curves)]
    assert best_threshold(Evaluation(tuple(rows), 2, 0), "ours") == 0.5
