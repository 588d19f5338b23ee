"""How sure a mean is: intervals by pictures."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from odam_lib.metrics.intervals import bootstrap, mean_interval


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 5)), min_size=1, max_size=20), st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_the_interval_of_a_mean_is_that_of_the_bootstrap(pairs: list[tuple[float, int]], seed: int) -> None:
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
    groups = torch.tensor([group for _, group in pairs])
    low, high = mean_interval(values, groups, 100, seed)
    if len(groups.unique()) < 2:  # one picture tells nothing of how pictures differ
        assert math.isnan(low) and math.isnan(high)
        return
    assert (low, high) == pytest.approx(bootstrap(lambda rows: float(rows.mean()), values, groups, 100, seed), abs=1e-9)
    assert float(values.min()) - 1e-9 <= low <= high <= float(values.max()) + 1e-9


@given(st.floats(-1e3, 1e3), st.lists(st.integers(0, 4), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_interval_of_a_constant_is_that_constant(value: float, groups: list[int]) -> None:
    numbers = torch.tensor([*groups, 5])
    values = torch.full((len(numbers),), value, dtype=torch.float64)
    assert mean_interval(values, numbers) == pytest.approx((value, value))


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(5)
    covered = 0
    for _ in range(200):
        offsets = torch.randn(40, generator=generator)
        groups = torch.arange(40).repeat_interleave(3)
        values = offsets[groups] + 0.3 * torch.randn(120, generator=generator)
        low, high = mean_interval(values, groups, 300)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_of_no_value_there_is_no_interval_of_a_mean() -> None:
    assert all(map(math.isnan, mean_interval(torch.zeros(0), torch.zeros(0, dtype=torch.int64))))
