"""Checks for the exercises of notebook 08."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from odam_chapters.study.inference import LEVEL, adjust_by_holm
from odam_chapters.study.power import ENOUGH, find_enough
from odam_chapters.study.published import TRUST_PEOPLE
from odam_lib.kernels import checks
from odam_lib.metrics.intervals import Estimate


def check_reader(function: Callable[[Tensor, Tensor], int] | None) -> str:
    """Check a reader that chooses the object with most energy.

    Args:
        function: (map ``[H, W]``, bool masks ``[M, H, W]``) -> the object's number.
    """
    if function is None:
        return "open: write a function (heat [H, W], masks [M, H, W]) -> the number of the object with most energy."
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[0, :4], masks[1, 4:, :2], masks[2, 6:, 6:], masks[3, 4:6, 4:] = True, True, True, True
    heat = torch.zeros(8, 8)
    heat[:4], heat[4:, :2], heat[6:, 6:], heat[4:6, 4:] = 0.3, 0.8, 1.2, 0.9  # sums 9.6, 6.4, 4.8, 7.2
    heat[4, 0] = 3.0  # sum 8.6
    found = function(heat.clone(), masks.clone())
    single = (isinstance(found, Tensor) and found.numel() == 1) or isinstance(found, int)
    chosen = int(found) if single and not isinstance(found, bool) else -1
    if chosen == 0:
        return "right: that is the whole reader: no eye, no idea of what a person is."
    reasons = {
        1: "that object has the highest single point, as in the pointing game. A glow of one cell is tempting, but the "
        "energy is the sum over all pixels of the object.",
        2: "that object has the highest mean. It looks fair to divide by the size; but then a small object wins with a "
        "corner of the glow. Add up, do not average.",
        3: "another object has more energy: multiply the map by each mask and add up.",
    }
    return f"not quite: {reasons.get(chosen, f'{checks.told(found)} is no number of an object, from 0 to 3.')}"


def check_holm(function: Callable[[Sequence[float]], Sequence[float]] | None) -> str:
    """Check Holm's correction of the p-values of several tests.

    Args:
        function: p-values -> corrected ones, in the same order.
    """
    if function is None:
        return "open: write a function (list of p) -> list of corrected p, in the same order."
    p = [0.04, 0.011, 0.6, 0.012]
    answer = function(list(p))
    found = [float(one) for one in answer] if isinstance(answer, (Sequence, Tensor, np.ndarray)) else []
    if len(found) != len(p):
        given = f"{len(found)} numbers" if found else "one number, or none,"
        return f"not quite: {given} for {len(p)} tests; give one for each."

    def same(values: Sequence[float]) -> bool:
        return all(math.isclose(one, other, abs_tol=1e-9) for one, other in zip(found, values))

    right, order = adjust_by_holm(p), sorted(range(len(p)), key=p.__getitem__)
    factors = {test: len(p) - place for place, test in enumerate(order)}
    if same(right):
        return "right: the smallest p pays for all tests, the largest for itself alone, and none overtakes another."
    mistakes = [
        (
            p,
            "these are the p-values as they were. Of six pairs one is below 0.05 by chance in every fourth study.",
        ),
        (
            [min(1.0, len(p) * one) for one in p],
            "this is Bonferroni's: every p times the number of tests. Tempting, since it is right for the smallest; "
            "the next one only has to pay for the tests that are left.",
        ),
        (
            [min(1.0, factors[test] * one) for test, one in enumerate(p)],
            "the factors are right, but a larger p got a smaller corrected one (0.036 after 0.044): carry the "
            "largest so far along.",
        ),
        (sorted(right), "the numbers are right, but in another order than the tests: put each back in its place."),
    ]
    reason = next((why for values, why in mistakes if same(values)), f"{found}; right is {right} for {p}.")
    return f"not quite: {reason}"


def check_people(answer: int | None, power: Mapping[int, Estimate]) -> str:
    """Check a prediction of how many people it takes to find the paper's effect.

    Args:
        answer: one of the numbers that were simulated.
        power: by the number of people.
    """
    listed = ", ".join(map(str, power))
    enough = find_enough(power)
    if answer is None or enough is None:
        return f"open: how many people are enough? Answer with one of {listed}."
    if answer not in power:
        return f"not quite: {answer} was not simulated; answer with one of {listed}."
    said = f"with {answer} people {power[answer].value:.0%} of the studies find it"
    if answer == enough:
        return f"right: {said}, with fewer less than {ENOUGH:.0%}."
    if answer >= TRUST_PEOPLE:
        return (
            f"not quite: {said}, but {enough} do. As many as in the paper is tempting; but for this test a quarter is "
            "enough, and the rest makes intervals narrow."
        )
    if answer > enough:
        return f"not quite: {said}, but {enough} are enough."
    least = 6 * 2 / 2**answer
    hurdle = f"; even if all agree, p by Holm is not below {least:.2g}" if least > LEVEL else ""
    return f"not quite: {said}{hurdle}. Many answers of few people are tempting, but the unit is a person."
