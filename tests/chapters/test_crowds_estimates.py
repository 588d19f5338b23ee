"""Numbers of suppression rules with their intervals, and differences on the same pictures."""

import math
from dataclasses import replace

import pytest
import torch
from handmade_crowds import numbers, rows, scene, scenes
from odam_chapters.crowds.estimates import estimate_differences, estimate_scores

from odam_lib.metrics.crowd_scores import (
    average_precision,
    crowd_recall,
)
from odam_lib.metrics.crowds import match_crowds


def test_scores_are_the_numbers_with_the_interval_of_resampled_lists() -> None:
    pictures = scenes(6)
    estimates = estimate_scores(match_crowds(pictures), repeats=40, seed=3)
    assert list(estimates) == ["AP50", "MR", "JI", "recall crowd", "recall sparse"]
    assert [value for value, _, _ in estimates.values()] == numbers(match_crowds(pictures))
    draws = torch.randint(6, (40, 6), generator=torch.Generator().manual_seed(3)).tolist()
    resampled = torch.tensor([numbers(match_crowds([pictures[number] for number in draw])) for draw in draws]).double()
    ends = resampled.quantile(torch.tensor([0.025, 0.975]).double(), dim=0).T.tolist()
    assert [[low, high] for _, low, high in estimates.values()] == [pytest.approx(pair, abs=1e-6) for pair in ends]


def test_a_recall_may_be_asked_at_one_threshold_for_all() -> None:
    found = match_crowds(scenes(6))
    fixed = estimate_scores(found, score_threshold=0.9, repeats=20)
    assert fixed["recall crowd"].value == crowd_recall(found, score_threshold=0.9) < crowd_recall(found)
    assert fixed["AP50"] == estimate_scores(found, repeats=20)["AP50"]


def test_one_picture_tells_nothing_of_how_pictures_differ() -> None:
    value, low, high = estimate_scores(match_crowds([scene(0)]))["AP50"]
    assert 0 < value < 1 and math.isnan(low) and math.isnan(high)


def test_a_method_does_not_differ_from_itself() -> None:
    found = match_crowds(scenes(6))
    assert set(estimate_differences(found, found, repeats=20).values()) == {(0.0, 0.0, 0.0)}


def test_differences_are_of_the_same_draws() -> None:
    """A method that loses the best box of every picture is surely worse, though neither is known that well."""
    pictures = scenes(30)
    worse = []
    for one in pictures:
        kept = one.scores < one.scores.max()
        worse.append(replace(one, boxes=one.boxes[kept], scores=one.scores[kept]))
    found, other = match_crowds(pictures), match_crowds(worse)
    alone, difference = estimate_scores(found, 0.0, 200), estimate_differences(found, other, 0.0, 200)
    back = estimate_differences(other, found, 0.0, 200)
    for name, (value, low, high) in difference.items():
        assert value == pytest.approx(alone[name].value - estimate_scores(other, 0.0, 2)[name].value)
        assert back[name] == pytest.approx((-value, -high, -low))
    assert difference["recall sparse"].low > 0
    assert difference["recall sparse"].high - difference["recall sparse"].low < 0.8 * (
        alone["recall sparse"].high - alone["recall sparse"].low
    )


def test_bad_questions_are_refused() -> None:
    found = match_crowds(scenes(2))
    with pytest.raises(ValueError, match="There is no picture"):
        match_crowds([])
    with pytest.raises(ValueError, match=r"2 pictures have weights of shape \[3\]"):
        average_precision(found, torch.ones(3))
    with pytest.raises(ValueError, match=r"score threshold is 0\.33"):
        crowd_recall(found, score_threshold=0.33)
    with pytest.raises(ValueError, match=r"score threshold is 0\.33"):
        estimate_scores(found, score_threshold=0.33)
    with pytest.raises(ValueError, match="have 2 and 3 pictures"):
        estimate_differences(found, match_crowds(scenes(3)))
    with pytest.raises(ValueError, match="picture 0 differ"):
        estimate_differences(found, match_crowds(scenes(2)[::-1]))
    elsewhere = [replace(one, ignored=rows([])) for one in scenes(2)]
    with pytest.raises(ValueError, match="picture 0 differ"):
        estimate_differences(found, match_crowds(elsewhere))
