"""Comparisons on hand-made rows."""

import pytest
from odam_chapters.judging.tables import count_wins, is_better, rank_methods, summarize_wins, tabulate_means

from odam_lib.evaluation.rows import Evaluation


def evaluation(**means: tuple[float, float]) -> Evaluation:
    """Four pictures of one object each; values of a method lie 0.1 around its mean of deletion and of VEA."""
    rows = [
        {"image_id": image, "object": 0, "label": 1, "iou": 0.9, "score": 0.9, "method": name, "seconds": 1.0}
        | {"deletion": deletion + shift, "VEA": vea + shift}
        for name, (deletion, vea) in means.items()
        for image, shift in enumerate((-0.1, 0.1, -0.1, 0.1))
    ]
    return Evaluation(tuple(rows), 4, 0)


FOUND = evaluation(ours=(0.2, 0.9), theirs=(0.5, 0.5), near=(0.25, 0.85))


def test_smaller_deletion_and_larger_vea_are_better() -> None:
    assert is_better(FOUND, "deletion", "ours", "theirs") is True
    assert is_better(FOUND, "deletion", "theirs", "ours") is False
    assert is_better(FOUND, "VEA", "ours", "theirs") is True
    assert is_better(FOUND, "VEA", "theirs", "ours") is False


def test_overlapping_intervals_leave_it_open() -> None:
    assert is_better(FOUND, "VEA", "ours", "near") is None
    assert is_better(FOUND, "deletion", "ours", "near") is None and is_better(FOUND, "VEA", "near", "ours") is None


def test_one_picture_leaves_it_open() -> None:
    one = Evaluation(tuple(row for row in FOUND.rows if row["image_id"] == 0), 1, 0)
    assert is_better(one, "VEA", "ours", "theirs") is None


def test_ranking_scoreboard_and_count() -> None:
    assert rank_methods(FOUND, "deletion", ["theirs", "ours", "near"]) == ["ours", "near", "theirs"]
    assert rank_methods(FOUND, "VEA", ["theirs", "near", "ours"]) == ["ours", "near", "theirs"]
    (line,) = summarize_wins(FOUND, "ours", ["theirs", "near"], ["VEA"]).splitlines()
    assert "better than theirs" in line and "indistinguishable from near" in line
    assert count_wins(FOUND, "ours", ["theirs"], ["VEA", "deletion"]) == 2
    assert count_wins(FOUND, "ours", ["theirs", "near"], ["VEA", "deletion"]) == 0


def test_tables_hold_the_means() -> None:
    assert "0.20 [0.10, 0.30]" in tabulate_means(FOUND, ["deletion"])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'nobody'"):
        is_better(FOUND, "VEA", "nobody", "ours")
