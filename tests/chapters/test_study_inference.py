"""Statistics of answers: scipy's on tables made by hand, worked examples from a textbook, and what is refused."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from odam_chapters.study.given import Pointing, Ranking
from odam_chapters.study.inference import (
    Table,
    adjust_by_holm,
    compare,
    estimate_by_odi,
    estimate_means,
    estimate_places,
    is_certain,
    is_right,
    keep_finished,
    tabulate_pointings,
    tabulate_ranks,
    warn_of_few,
)
from odam_chapters.study.power import (
    estimate_power,
    find_best,
    find_enough,
    simulate_certainty,
    simulate_ranks,
)
from odam_chapters.study.published import MOST_CERTAIN, TRUST_PLACES
from odam_chapters.study.telling import describe_pointings, describe_rankings
from scipy.stats import friedmanchisquare, wilcoxon

from odam_lib.metrics.intervals import Estimate

# fmt: off
FIRST_BASE = np.array([
    5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70, 5.45, 5.55, 5.60,
    5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70, 5.25, 5.20, 5.10, 5.65, 5.55, 5.45,
    5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40, 5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55,
    5.50, 5.45, 5.25, 5.65, 5.60, 5.40, 5.70, 5.65, 5.55, 6.30, 6.30, 6.25,
]).reshape(22, 3)
"""Hollander and Wolfe, Nonparametric Statistical Methods, 1973, p. 140: seconds of 22 players who round first base in
three ways; Friedman's statistic is 11.1429 with 2 degrees of freedom, p = 0.003805 (also R's ``?friedman.test``)."""
DEPRESSION = np.array([
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
]).T
"""The same, p. 29: a scale of depression of nine patients at a first and a second visit; V = 40, one-sided p = 0.01953
(also R's ``?wilcox.test``), two-sided twice that."""
# fmt: on


def table(values: Sequence[Sequence[float]] | np.ndarray) -> Table:
    found = np.asarray(values, dtype=float)
    return Table(tuple(range(len(found))), tuple("ABCDEF"[: found.shape[1]]), found)


def rank(person: int, item: str, order: str) -> Ranking:
    """A ranking of conditions named by letters, the best first."""
    return Ranking(person, item, {name: place for place, name in enumerate(order, start=1)}, tuple(order))


def point(
    person: int, item: str, condition: str, right: bool = True, confidence: int = 5, odi: float = 0.1
) -> Pointing:
    return Pointing(person, item, condition, 0, right, confidence, odi, 3)


def test_the_worked_example_of_friedmans_test() -> None:
    found = compare(table(FIRST_BASE))
    assert found.statistic == pytest.approx(11.1429, abs=5e-5) and found.p == pytest.approx(0.003805, abs=5e-7)


def test_the_worked_example_of_wilcoxons_test() -> None:
    found = compare(table(DEPRESSION))
    assert math.isnan(found.statistic) and found.pairs[0].p == pytest.approx(2 * 0.01953, abs=1e-5)
    assert found.pairs[0].adjusted == found.pairs[0].p
    assert found.pairs[0].difference.value == pytest.approx((DEPRESSION[:, 0] - DEPRESSION[:, 1]).mean())


def test_a_table_made_by_hand_gives_scipys_numbers() -> None:
    first = [[1.0, 2.5, 3.0, 3.5], [1.5, 2.0, 2.5, 4.0], [1.2, 2.4, 3.6, 2.8], [2.0, 1.9, 3.1, 3.0]]
    values = np.array([*first, [1.1, 3.0, 2.9, 3.0], [1.4, 2.2, 3.2, 3.2], [1.3, 2.1, 3.4, 3.2], [2.5, 2.4, 2.3, 2.8]])
    found = compare(table(values))
    assert (found.statistic, found.p) == pytest.approx(tuple(friedmanchisquare(*values.T)))
    names = "ABCD"
    assert [pair.first + pair.second for pair in found.pairs] == ["AB", "AC", "AD", "BC", "BD", "CD"]
    for pair in found.pairs:
        difference = np.round(values[:, names.index(pair.first)] - values[:, names.index(pair.second)], 12)
        assert pair.p == pytest.approx(wilcoxon(difference).pvalue)
    assert [pair.adjusted for pair in found.pairs] == adjust_by_holm([pair.p for pair in found.pairs])
    assert len(found.pairs) == 6 and found.pairs[0].difference.low < found.pairs[0].difference.value < 0


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.04, 0.011, 0.6, 0.012], [0.08, 0.044, 0.6, 0.044]),
        ([0.9, 0.5], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holms_correction_by_hand(p: list[float], adjusted: list[float]) -> None:
    assert adjust_by_holm(p) == pytest.approx(adjusted)


def test_where_nobody_makes_a_difference_p_is_one() -> None:
    found = compare(table(np.full((8, 3), 2.0)))
    assert found.p == 1 and {pair.p for pair in found.pairs} == {1.0}


def test_few_people_are_told_which_tests_mean_nothing() -> None:
    assert wilcoxon(np.arange(1, 6)).pvalue == pytest.approx(2 / 2**5) and wilcoxon(np.arange(1, 7)).pvalue < 0.05
    said = " ".join(warn_of_few(5, 6))
    assert "With 5 people Wilcoxon's p cannot be below 0.062" in said and "from 8 people on" in said
    assert "cannot be below" not in " ".join(warn_of_few(6, 1)) and warn_of_few(11, 6) == []
    assert len(warn_of_few(4, 1)) == 1  # neither Friedman's nor Holm's
    assert compare(table([[1, 2, 3], [1, 3, 2]])).warnings == tuple(warn_of_few(2, 3))
    for values in ([[1.0, 2.0]], [[1.0], [2.0]]):
        with pytest.raises(ValueError, match="a comparison takes two of each or more"):
            compare(table(values))


def test_ranks_are_averaged_by_person_and_places_counted_over_all() -> None:
    rankings = [rank(1, "x", "ABC"), rank(1, "y", "BAC"), rank(2, "x", "ACB"), rank(2, "y", "ABC")]
    found = tabulate_ranks(rankings)
    assert found.people == (1, 2) and found.conditions == ("A", "B", "C")
    assert found.values.tolist() == [[1.5, 1.5, 3.0], [1.0, 2.5, 2.5]]
    assert {name: one.value for name, one in estimate_means(found).items()} == {"A": 1.25, "B": 2.0, "C": 2.75}
    assert {name: one.value for name, one in estimate_places(rankings).items()} == {"A": 0.75, "B": 0.25, "C": 0.0}
    assert estimate_places(rankings, 3)["C"].value == 0.75 and estimate_places([]) == {}


def test_intervals_are_over_people_and_not_over_answers() -> None:
    """Two people who always answer alike say as little as two answers."""
    rankings = [rank(1, f"{item}", "AB") for item in range(50)] + [rank(2, f"{item}", "BA") for item in range(50)]
    assert tuple(estimate_places(rankings)["A"]) == (0.5, 0.0, 1.0)


def test_incomplete_and_doubled_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="Person 2 ranked A, B of item 'x', not all of A, B, C"):
        tabulate_ranks([rank(1, "x", "ABC"), rank(2, "x", "AB")])
    with pytest.raises(ValueError, match="Person 1 answered item 'x' twice: two people may have one number"):
        tabulate_ranks([rank(1, "x", "ABC"), rank(1, "x", "ACB")])
    with pytest.raises(ValueError, match="no answer to tabulate"):
        tabulate_ranks([])
    with pytest.raises(ValueError, match="no answer to tabulate"):
        tabulate_pointings([], is_right)


def test_what_is_told_of_one_person_and_of_two_conditions_claims_nothing_more() -> None:
    alone = describe_rankings([rank(1, "x", "AB"), rank(1, "y", "AB")], 2)
    assert "A  chosen 1.00\n" in alone and "nan" not in alone and "takes two people" in alone
    six = describe_rankings([rank(person, "x", "AB") for person in range(6)], 1)
    assert "A - B  +1.00 (+1.00 to +1.00), Wilcoxon: p 0.031" in six
    assert "Holm" not in six and "Friedman" not in six
    three = describe_rankings([rank(person, "x", "ABC") for person in range(6)], 1)
    assert (
        "A  mean rank 1.00 (1.00 to 1.00)" in three
        and "Friedman: chi-square 12.0" in three
        and "p by Holm 0.094" in three
    )
    part = describe_pointings([point(1, "x", "A"), point(2, "x", "A"), point(2, "y", "B")], 2)
    assert part.startswith("1 people, 1 more have not finished")


def test_a_mixed_design_is_refused() -> None:
    answers = [point(1, "x", "A"), point(1, "y", "B", False), point(2, "x", "B"), point(2, "y", "B")]
    with pytest.raises(ValueError, match="Person 2 has no answer under A: a mixed design"):
        tabulate_pointings(answers, is_right)
    answers = [*answers[:2], point(2, "x", "B"), point(2, "y", "A", True, 2), point(3, "x", "A")]
    finished, left_out = keep_finished(answers, 2)
    assert left_out == 1 and tabulate_pointings(finished, is_right).values.tolist() == [[1, 0], [1, 1]]
    assert tabulate_pointings(finished, is_certain).values.tolist() == [[1, 1], [0, 1]]


def test_answers_stand_by_the_odi_of_their_map() -> None:
    answers = [
        *(point(person, f"{item}", "A", True, 5, 0.1) for person in (1, 2) for item in range(3)),
        *(point(person, f"b{item}", "A", item == 0, 2, 0.9) for person in (1, 2) for item in range(4)),
        point(1, "end", "A", False, 1, 1.0),
        point(1, "unknown", "A", False, 1, math.nan),
    ]
    found = estimate_by_odi(answers, is_right)
    assert list(found) == [0.1, 0.9] and [count for _, count in found.values()] == [6, 9]
    assert found[0.1][0].value == 1 and found[0.9][0].value == pytest.approx(2 / 9)


def test_simulated_people_answer_as_the_papers() -> None:
    random = np.random.default_rng(0)
    ranks = simulate_ranks(4000, 30, random)
    rest = (1 - sum(TRUST_PLACES.values())) / 2
    expected = 1 * TRUST_PLACES[1] + 2 * TRUST_PLACES[2] + 7 * rest
    assert ranks.mean(axis=0) == pytest.approx([expected, *[(10 - expected) / 3] * 3], abs=0.02)
    assert np.allclose(ranks.sum(axis=1), 10)
    certain = simulate_certainty(4000, 15, random).mean(axis=0)
    assert certain == pytest.approx([MOST_CERTAIN["ODAM, Odam-Train"], MOST_CERTAIN["ODAM"]], abs=0.02)


def test_power_is_the_level_without_an_effect_and_grows_with_it() -> None:
    def nothing(people: int, questions: int, random: np.random.Generator) -> np.ndarray:
        return random.random((people, 2))

    found = estimate_power(nothing, (20,), 1, 1000)[20]
    assert found.low <= 0.05 <= found.high + 0.01
    power = estimate_power(simulate_ranks, (4, 8, 16), 10, 60)
    assert power[4].value == 0 and power[4].value < power[8].value < power[16].value
    assert find_enough(power) == 16 and find_enough({4: Estimate(0.9, 0, 1), 8: Estimate(0.7, 0, 1)}) is None
    alike, apart = (partial(simulate_ranks, concentration=number) for number in (50.0, 1.0))
    assert estimate_power(alike, (10,), 10, 60)[10].low > estimate_power(apart, (10,), 10, 60)[10].high
    with pytest.raises(ValueError, match="people is 1: give a whole number of at least 2"):
        estimate_power(simulate_ranks, (1,), 10)


def test_a_study_finds_the_best_only_if_it_beats_all() -> None:
    all_agree = np.tile([1.0, 3.0, 3.0, 3.0], (12, 1)) + np.linspace(0, 0.1, 12)[:, None] * [0, 1, 2, 3]
    one_alike = all_agree.copy()
    one_alike[:, 3] = one_alike[:, 0]
    assert find_best(np.stack([all_agree, one_alike])).tolist() == [True, False]
    assert find_best(np.stack([all_agree[:7]])).tolist() == [False]  # six pairs: 7 people are never enough
