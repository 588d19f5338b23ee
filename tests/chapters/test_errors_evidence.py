"""Numbers of rows of mistakes: what they average, over which rows, and how sure they are."""

import math
from dataclasses import replace

import pytest
from odam_chapters.errors.compared import BAD_BOX, PLANTED, WRONG_NAME
from odam_chapters.errors.evidence import compare_maps, estimate, mend_by_sort, share_energy, tell_mended
from odam_chapters.errors.survey import ROWS, Mistake, read_mistakes

NAN = math.nan


def row(scene: int, sort: str, shares: tuple[float, float], mended: bool, detector: str = "one") -> Mistake:
    """A mistake whose wrong and right map have these shares."""
    box, name = sort == BAD_BOX, sort == WRONG_NAME
    first = next(one for one in read_mistakes(ROWS))
    return replace(
        first,
        detector=detector,
        scene=scene,
        sort=sort,
        mended=mended,
        class_share=shares[0],
        wrong_edge_share=shares[0] if box else NAN,
        best_edge_share=shares[1] if box else NAN,
        true_class_share=shares[1] if name else NAN,
    )


MISTAKES = [
    row(0, BAD_BOX, (0.5, 0.1), True),
    row(0, BAD_BOX, (0.3, 0.1), False),
    row(1, BAD_BOX, (0.1, 0.2), False),
    row(1, WRONG_NAME, (0.4, 0.2), True),
    row(2, PLANTED, (0.9, 0.0), True),
    row(3, BAD_BOX, (0.2, 0.6), True, "two"),
]


def test_a_mean_leaves_out_what_was_not_measured_and_draws_whole_scenes() -> None:
    mean, low, high = estimate([1.0, 1.0, NAN, 0.0], MISTAKES[:4])
    assert mean == pytest.approx(2 / 3) and (low, high) == (0, 1)  # two scenes, of which one has ones only
    assert math.isnan(estimate([NAN], MISTAKES[:1]).value)


def test_what_is_mended_is_told_of_all_and_of_each_sort() -> None:
    shares = mend_by_sort(MISTAKES[:5])
    assert shares["all mistakes (n = 5)"].value == pytest.approx(3 / 5)
    assert shares[f"{BAD_BOX} (n = 3)"].value == pytest.approx(1 / 3) and shares[f"{PLANTED} (n = 1)"].value == 1


def test_two_maps_of_one_mistake_are_compared_within_their_sort_and_detector() -> None:
    energy = share_energy(MISTAKES[:5])
    assert energy["bad box: wrong edge's map"].value == pytest.approx(0.3)
    assert energy["wrong name: map of what is true"].value == pytest.approx(0.2)
    gaps = compare_maps(MISTAKES)
    assert {name: round(one.value, 6) for name, one in gaps.items() if one.value == one.value} == {
        "one, edge": pytest.approx(0.5 / 3, abs=1e-6),
        "one, class": 0.2,
        "two, edge": -0.4,
    }


def test_a_number_tells_what_is_mended_by_its_order() -> None:
    assert tell_mended(lambda one: one.mended, MISTAKES).value == 1
    assert tell_mended(lambda one: 1.0, MISTAKES).value == 0.5
    assert tell_mended(lambda one: one.class_share, MISTAKES[:3]).value == 1
