"""How many people a study needs: it is simulated many times with an effect of the size that the paper reports.

People differ. A simulated person has shares of their own, drawn around the paper's (a Dirichlet or a Beta distribution)
whose concentration says how alike people are. The paper does not say how alike its people were: that is assumed.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import beta, wilcoxon

from odam_chapters.statistics import wilson
from odam_chapters.study.inference import LEVEL, adjust_by_holm
from odam_chapters.study.published import MOST_CERTAIN, TRUST_PLACES
from odam_lib.kernels import checks
from odam_lib.metrics.intervals import Estimate

CONCENTRATION = 5.0
"""Of the distribution over people: as if each had taken their shares from five answers; the larger, the more alike."""
ENOUGH = 0.8
"""The power that a study should have."""

Simulation = Callable[[int, int, np.random.Generator], np.ndarray]
"""People, questions and a source of randomness -> numbers of each person under each condition ``[P, K]``."""


def simulate_ranks(
    people: int, questions: int, random: np.random.Generator, concentration: float = CONCENTRATION
) -> np.ndarray:
    """Mean ranks ``[P, 4]`` of people of whom the first method is put first, second, ... as often as the paper's ODAM.

    The paper gives two of the four places; the rest is shared between the other two, and the three rivals are alike.
    """
    rest = (1 - sum(TRUST_PLACES.values())) / 2
    shares = random.dirichlet(concentration * np.array([*TRUST_PLACES.values(), rest, rest]), people)
    drawn = random.random((people, questions, 1)) > shares.cumsum(axis=1)[:, None, :3]
    first = 1 + drawn.sum(axis=2)
    others = 1 + random.random((people, questions, 3)).argsort(axis=2).argsort(axis=2)
    others = others + (others >= first[..., None])
    return np.concatenate([first[..., None], others], axis=2).mean(axis=1)


def simulate_certainty(
    people: int, questions: int, random: np.random.Generator, concentration: float = CONCENTRATION
) -> np.ndarray:
    """Shares ``[P, 2]`` of most certain answers, as often as the paper's with Odam-Train and without.

    Who is often certain under one condition is so under the other.
    """
    person = random.random((people, 1))
    means = np.array([MOST_CERTAIN["ODAM, Odam-Train"], MOST_CERTAIN["ODAM"]])
    shares = beta.ppf(person, concentration * means, concentration * (1 - means))
    return random.binomial(questions, shares) / questions


def find_best(studies: np.ndarray) -> np.ndarray:
    """In which studies the first condition differs from every other one: Wilcoxon's tests, by Holm over all pairs.

    Where differences are of equal size, scipy's exact p is a little too large, and the power told too small: no other
    is quick enough.

    Args:
        studies: ``[R, P, K]``, a number of each person under each condition.

    Returns:
        bool ``[R]``.
    """
    pairs = list(combinations(range(studies.shape[2]), 2))
    differences = np.stack([studies[:, :, one] - studies[:, :, other] for one, other in pairs], axis=1).round(12)
    p = np.ones(differences.shape[:2])
    told = differences.any(axis=2)
    p[told] = wilcoxon(differences[told], method="exact", axis=1).pvalue if told.any() else 1.0
    first = [place for place, (one, _) in enumerate(pairs) if one == 0]
    return np.array([max(adjust_by_holm(each)[place] for place in first) < LEVEL for each in p.tolist()])


def estimate_power(
    simulation: Simulation, people: Sequence[int], questions: int, repeats: int = 200, seed: int = 0
) -> Mapping[int, Estimate]:
    """In what share of simulated studies the effect is found, with Wilson's 95 % interval, by the number of people.

    Args:
        simulation: such as :func:`simulate_ranks`.
        people: numbers of people to try, each 2 or more.
        questions: that each of them answers, under each condition.
        repeats: simulated studies for each number.
        seed: of the simulations.

    Raises:
        TypeError, ValueError: no such numbers.
    """
    questions, repeats = checks.count("questions", questions), checks.count("repeats", repeats)
    found = {}
    for number in people:
        random = np.random.default_rng([seed, checks.count("people", number, least=2)])
        studies = np.stack([simulation(number, questions, random) for _ in range(repeats)])
        times = int(find_best(studies).sum())
        found[number] = Estimate(times / repeats, *wilson(times, repeats))
    return found


def find_enough(power: Mapping[int, Estimate], enough: float = ENOUGH) -> int | None:
    """The smallest number of people from which on the power is enough; ``None`` if it never is."""
    fewest = None
    for number in sorted(power, reverse=True):
        if power[number].value < enough:
            break
        fewest = number
    return fewest
