"""Costs: planted time and memory are seen, growth is fitted, extrapolated and told, and the exercises' checks."""

import math
import time

import pytest
import torch
from odam_chapters import timing
from odam_chapters.costs.exercises import check_break_even, check_factor, check_reach
from odam_chapters.timing import Cost, find_break_even, fit_exponent, measure, measure_growth, tabulate

MEGABYTES = 10**6


def linear(*numbers: int) -> dict[int, Cost]:
    return {number: Cost(0.01 * number, 5.0) for number in numbers}


def hold(megabytes: int) -> torch.Tensor:
    return torch.ones(megabytes * MEGABYTES // 4)


def test_a_planted_allocation_is_seen() -> None:
    assert 190 * MEGABYTES < measure(lambda: hold(200)).extra_bytes < 260 * MEGABYTES


def test_memory_that_is_freed_before_the_end_is_seen_and_freed_memory_is_seen_again() -> None:
    def briefly() -> None:
        held = hold(200)
        time.sleep(0.05)
        del held

    for _ in range(2):
        assert 190 * MEGABYTES < measure(briefly, repeats=2).extra_bytes < 260 * MEGABYTES


def test_what_was_held_before_does_not_count() -> None:
    held = hold(200)
    assert measure(lambda: float(held[0])).extra_bytes < 20 * MEGABYTES


def test_more_memory_costs_more() -> None:
    few, many = (measure(lambda size=size: hold(size)).extra_bytes for size in (40, 160))
    assert few < many / 2


def test_a_planted_sleep_is_seen_as_a_median_without_the_warm_up() -> None:
    naps = iter([0.3, 0.03, 0.2, 0.04])
    cost = measure(lambda: time.sleep(next(naps)), repeats=3, warm_up=1)
    assert 0.039 < cost.seconds < 0.1 and cost.measured


def test_patience_ends_the_repeats_but_not_before_the_first() -> None:
    calls = []
    measure(lambda: calls.append(time.sleep(0.02)), repeats=50, warm_up=2, patience=0.01)
    assert len(calls) == 3


def test_no_repeat_is_refused() -> None:
    with pytest.raises(ValueError, match="repeats is 0: give at least 1"):
        measure(lambda: None, repeats=0)


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(timing, "STATM", tmp_path / "absent")
    assert math.isnan(measure(lambda: None).extra_bytes)


def test_growth_is_measured_up_to_the_limit_and_extrapolated_beyond() -> None:
    calls = []

    def work(number: int) -> None:
        calls.append(number)
        time.sleep(0.01 * number)

    costs = measure_growth(work, [10, 1, 100], limit=4, repeats=1)
    assert calls == [1, 1, 4] and list(costs) == [1, 4, 10, 100]
    assert [cost.measured for cost in costs.values()] == [True, True, False, False]
    assert costs[100].seconds == pytest.approx(25 * costs[4].seconds) and math.isnan(costs[100].extra_bytes)
    assert all(cost.measured for cost in measure_growth(work, [1, 2], repeats=1).values())


def test_exponent_and_break_even_of_known_growth() -> None:
    assert fit_exponent(linear(1, 10, 100)) == pytest.approx(1)
    assert fit_exponent({number: Cost(3.0 * number**2, 0.0) for number in (1, 5)}) == pytest.approx(2)
    assert fit_exponent(linear(1) | {10: Cost(5.0, 0.0, measured=False)}) != fit_exponent(linear(1, 10))
    assert find_break_even(linear(1, 10, 100), 0.25) == pytest.approx(25)
    assert find_break_even(linear(1, 10), 1.0) == pytest.approx(100)
    assert find_break_even(linear(10, 100), 0.01) == pytest.approx(1)
    for too_little in (fit_exponent(linear(1)), find_break_even(linear(1), 1.0)):
        assert math.isnan(too_little)
    assert math.isnan(find_break_even({1: Cost(1.0, 0.0), 2: Cost(1.0, 0.0)}, 2.0))


def test_table_marks_what_was_not_measured() -> None:
    costs = {"loop": {1: Cost(0.5, 1.0), 10: Cost(5.0, math.nan, measured=False)}, "window": {1: Cost(0.0123, 2.0)}}
    lines = tabulate(costs, lambda cost: cost.seconds, "seconds").splitlines()
    assert [line.split() for line in lines] == [
        ["seconds", "1", "10"],
        ["loop", "0.50", "~5.0"],
        ["window", "0.012", "-"],
    ]
    assert tabulate(costs, lambda cost: cost.extra_bytes, "memory").splitlines()[1].split() == ["loop", "1.0", "-"]


def test_factor_is_right_wrong_or_open() -> None:
    assert check_factor(100, 180.0).startswith("right") and "180" in check_factor(100, 180.0)
    assert check_factor(10, 180.0).startswith("not quite, you said 10")
    assert check_factor(None, 180.0).startswith("open") and check_factor(-3, 180.0).startswith("open")
    assert check_factor(10, math.nan).startswith("open: nothing was measured")


def test_break_even_is_right_wrong_or_open() -> None:
    growth = linear(1, 10, 100)
    assert check_break_even(60, growth, 0.5).startswith("right")
    assert "too many" in check_break_even(500, growth, 0.5) and "too few" in check_break_even(5, growth, 0.5)
    assert check_break_even(None, growth, 0.5).startswith("open")
    assert check_break_even(5, linear(1), 0.5).startswith("open: nothing was measured")


def test_the_reach_of_a_prediction_is_told_with_what_was_forgotten() -> None:
    assert check_reach(lambda n, high, wide: min(3 + 2 * n, high) * min(3 + 2 * n, wide) / high / wide).startswith(
        "right"
    )
    assert "it has two" in check_reach(lambda n, high, wide: (3 + 2 * n) / high / wide)
    assert "the last one" in check_reach(lambda n, high, wide: (1 + 2 * n) ** 2 / high / wide)
    assert "ends where the level ends" in check_reach(lambda n, high, wide: (3 + 2 * n) ** 2 / high / wide)
    assert "divide by" in check_reach(lambda n, high, wide: (3 + 2 * n) ** 2)
    assert "0.5000, and 121 of 6400" in check_reach(lambda n, high, wide: 0.5)
    assert "TypeError" in check_reach(lambda n, high, wide: None)
    assert check_reach(None).startswith("open")
