"""Mistakes compared edge by edge, and with those of another picture."""

import torch
from handmade_mistakes import TRUE_BOXES, TRUE_LABELS, found
from odam_chapters.errors.compared import find_mended, find_worst_and_best_edge, measure_deviations

from odam_lib.metrics.errors import classify_errors


def test_the_stretched_edge_is_the_wrong_one_and_outwards_is_positive() -> None:
    true = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    said = torch.tensor([[8.0, 22.0, 42.0, 60.0]])
    torch.testing.assert_close(measure_deviations(said, true), torch.tensor([[0.1, -0.05, 0.6, 0.0]]))
    worst, best = find_worst_and_best_edge(said, true)
    assert (worst.item(), best.item()) == (2, 3)


def test_deviations_are_relative_to_the_side_that_the_edge_limits() -> None:
    true = torch.tensor([[0.0, 0.0, 10.0, 100.0]])
    said = torch.tensor([[0.0, 0.0, 13.0, 120.0]])
    assert find_worst_and_best_edge(said, true)[0].item() == 2


def test_a_mistake_is_mended_if_it_is_gone_or_has_become_right() -> None:
    before = found([[50, 0, 60, 50], [80, 80, 90, 90], [0, 0, 10, 10]], [2, 3, 1])
    errors = classify_errors(before, TRUE_BOXES, TRUE_LABELS)
    assert errors.names() == ["mislocalised", "background", "correct"]
    after = found([[50, 0, 60, 22], [80, 80, 90, 91]], [2, 3])
    gone = find_mended(before, errors, after, classify_errors(after, TRUE_BOXES, TRUE_LABELS))
    assert gone.tolist() == [True, False, False]
    renamed = found([[80, 80, 90, 90]], [1])
    gone = find_mended(before, errors, renamed, classify_errors(renamed, TRUE_BOXES, TRUE_LABELS))
    assert gone.tolist() == [True, True, False]
