"""Checks for the exercises of notebook 04."""

import math
from collections.abc import Callable, Mapping, Sequence

CLEAR = 0.1
"""A score has clearly changed if it has by this much."""


def check_culprit(answer: str | None, mends: Mapping[str, bool]) -> str:
    """Check which thing misled a detector, by what its removal does: it is to blame if the mistake is gone without it.

    Args:
        answer: one of the names.
        mends: for each thing in the scene, whether the mistake is gone without it.
    """
    if not mends:
        return "open: there is no mistake to look at; take more scenes or another SEED."
    if answer not in mends:
        return f"open: what misled it? Answer with one of {', '.join(map(repr, mends))}."
    guilty = [name for name, gone in mends.items() if gone]
    if mends[answer]:
        others = [name for name in guilty if name != answer]
        return f"right: without {answer} the mistake is gone" + (
            f"; so it is without {', '.join(others)}." if others else ", and without no other thing."
        )
    if not guilty:
        return f"not quite: without {answer} the mistake stays, and so it does without any other single thing."
    return f"not quite: without {answer} the mistake stays; it goes without {', '.join(guilty)}."


def check_cover(
    answer: Sequence[int] | None,
    scores: Callable[[Sequence[int]], Sequence[float]],
    names: Sequence[str],
    before: Sequence[float],
) -> str:
    """Check which ninths of a box to cover so that a detector says what is true instead of what it said.

    Args:
        answer: numbers of the ninths, 0 to 8.
        scores: from covered ninths to the scores of the class that was said and of the true one.
        names: names of both classes; empty where there is no such mistake.
        before: both scores with nothing covered.
    """
    if not names:
        return "open: no class was confused in these pictures; take another PHOTO_DETECTOR or PHOTO_THRESHOLD."
    if not answer or any(number not in range(9) for number in answer):
        return (
            f"open: what would you cover so that the {names[0]} becomes a {names[1]}? Answer with numbers from 0 to 8."
        )
    (said, true), start = scores(answer), tuple(before)
    told = f"{names[0]} {start[0]:.2f} to {said:.2f}, {names[1]} {start[1]:.2f} to {true:.2f}"
    if true > said and true >= start[1] + CLEAR:
        return f"right: the {names[1]} wins, and gains by it ({told})."
    if len(set(answer)) > 5:
        return f"not quite: with {len(set(answer))} of 9 parts hidden hardly anything is left to name ({told})."
    if true > said:
        return f"not quite: the {names[1]} is ahead only since the {names[0]} fell; it gained nothing itself ({told})."
    if said > start[0] - CLEAR:
        return f"not quite: the {names[0]} hardly needs what you covered ({told})."
    if true < start[1] + CLEAR:
        return f"not quite: both names need what you covered, none gains ({told})."
    return f"not quite: the {names[1]} gains but does not win ({told}); what else speaks for the {names[0]}?"


def check_share(answer: float | None, share: float, interval: tuple[float, float], what: str) -> str:
    """Check a guess of a share; inside the interval of what was measured, or within 0.1 of it, it is right.

    Args:
        answer: in [0, 1].
        share: what was measured.
        interval: its 95 % interval.
        what: what it is a share of, for the sentence.
    """
    if math.isnan(share):
        return "open: nothing was measured; take more scenes or a lower SCORE_THRESHOLD."
    if answer is None or not 0 <= answer <= 1:
        return f"open: what is the share of {what}? Answer with a number from 0 to 1."
    near = abs(answer - share) <= 0.1 or interval[0] <= answer <= interval[1]
    grade = "right" if near else f"not quite, you said {answer:g}"
    return f"{grade}: the share of {what} is {share:.2f}, 95 % interval {interval[0]:.2f} to {interval[1]:.2f}."
