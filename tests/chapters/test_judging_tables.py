"""Comparisons on hand-made rows."""

from odam_chapters.judging.tables import count_wins, name_winners, rank_methods, tabulate_means, tabulate_verdicts

from odam_lib.evaluation.rows import Evaluation


def evaluation(pictures: int = 32, **means: tuple[float, float]) -> Evaluation:
    """Pictures of one object each; values of a method lie 0.1 around its mean of deletion and of VEA."""
    rows = [
        {"image_id": image, "object": 0, "label": 1, "iou": 0.9, "score": 0.9, "method": name, "seconds": 1.0}
        | {"deletion": deletion + shift, "VEA": vea + shift}
        for name, (deletion, vea) in means.items()
        for image, shift in enumerate((-0.1, 0.1) * (pictures // 2))
    ]
    return Evaluation(tuple(rows), pictures, 0)


FOUND = evaluation(ours=(0.2, 0.9), theirs=(0.5, 0.5), near=(0.25, 0.85), same=(0.2, 0.9))


def test_ranking_scoreboard_and_count() -> None:
    assert rank_methods(FOUND, "deletion", ["theirs", "ours", "near"]) == ["ours", "near", "theirs"]
    assert rank_methods(FOUND, "VEA", ["theirs", "near", "ours"]) == ["ours", "near", "theirs"]
    head, line, other, last = tabulate_verdicts(FOUND, "near", ["theirs", "ours"], ["VEA"]).splitlines()
    assert (head.split()[-1], line.split(), other.split()) == ("VEA", ["theirs", "better"], ["ours", "worse"])
    assert last == "2 paired comparisons, each by an interval of 97.50%"
    assert "open" in tabulate_verdicts(FOUND, "ours", ["same"], ["VEA"])
    few = evaluation(28, ours=(0.2, 0.9), near=(0.25, 0.85))
    assert "too few" in tabulate_verdicts(few, "ours", ["near"], ["VEA"])
    assert "\n0 paired comparisons, each by an interval of 95.00%" in tabulate_verdicts(FOUND, "ours", [], ["VEA"])
    assert count_wins(FOUND, "ours", ["theirs", "near"], ["VEA", "deletion"]) == 2
    assert count_wins(FOUND, "ours", ["theirs", "same"], ["VEA", "deletion"]) == 0


def test_only_those_that_are_better_are_named() -> None:
    assert name_winners(FOUND, "near") == [f"{name} is better than near by deletion, VEA" for name in ("ours", "same")]
    assert name_winners(FOUND, "ours") == []


def test_tables_hold_the_means() -> None:
    assert "0.20 ± 0.04" in tabulate_means(FOUND, ["deletion"])
