"""Intervals of numbers whose rows come in groups, and how well a score tells two kinds apart."""

import math

import pytest
import torch

from odam_lib.metrics.intervals import bootstrap


def mean(rows: torch.Tensor) -> float:
    return float(rows.mean())


def test_a_bootstrap_of_independent_rows_is_as_wide_as_theory_says() -> None:
    rows = torch.randn(400, generator=torch.Generator().manual_seed(1))
    low, high = bootstrap(mean, rows, torch.arange(400))
    assert high - low == pytest.approx(2 * 1.96 * float(rows.std()) / 20, rel=0.1)
    assert low < mean(rows) < high


def test_copies_within_a_group_add_no_certainty() -> None:
    rows = torch.randn(50, generator=torch.Generator().manual_seed(2))
    single = bootstrap(mean, rows, torch.arange(50))
    copied = bootstrap(mean, rows.repeat_interleave(8), torch.arange(50).repeat_interleave(8))
    assert copied == pytest.approx(single, abs=1e-6)


def test_of_nothing_there_is_no_interval() -> None:
    assert all(map(math.isnan, bootstrap(mean, torch.zeros(0), torch.zeros(0, dtype=torch.int64))))
    assert all(map(math.isnan, bootstrap(lambda _: math.nan, torch.zeros(3), torch.arange(3))))
