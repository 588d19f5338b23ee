"""How well two kinds are apart, how much more, what share: worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, strategies as st
from odam_chapters.statistics import area_under_roc


def test_area_under_roc_by_hand() -> None:
    scores = torch.tensor([0.9, 0.4, 0.4, 0.1])
    assert area_under_roc(scores, torch.tensor([True, True, False, False])) == pytest.approx(3.5 / 4)
    assert math.isnan(area_under_roc(scores, torch.ones(4, dtype=torch.bool)))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_area_under_roc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    high = [score for score, positive in pairs if positive]
    low = [score for score, positive in pairs if not positive]
    scores, positive = torch.tensor([float(s) for s, _ in pairs]), torch.tensor([p for _, p in pairs])
    measured = area_under_roc(scores, positive)
    if not high or not low:
        assert math.isnan(measured)
        return
    ordered = [1.0 if a > b else 0.5 if a == b else 0.0 for a in high for b in low]
    assert measured == pytest.approx(sum(ordered) / len(ordered))
