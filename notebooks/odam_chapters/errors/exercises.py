"""Checks for the exercises of notebook 04."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.errors.cases import Place, look_without, try_removals
from odam_chapters.errors.compared import SAME_THING
from odam_chapters.errors.evidence import tell_mended
from odam_chapters.errors.photos import Confusion, select_ninths
from odam_chapters.errors.survey import Mistake
from odam_chapters.exercises import Unusable, as_number, call, reply
from odam_chapters.influence import measure_scores_without
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.metrics.errors import VERDICTS

CLEAR = 0.1
"""A score has clearly changed if it has by this much."""
RULES = (
    (0.8, 0.0, False, "correct", "it fits an object of its class, and no better box does"),
    (0.8, 0.0, True, "duplicate", "the box is good, but a better one has this object; else ten boxes are ten hits"),
    (0.6, 0.7, False, "correct", "it fits an object of its class, whatever else it touches"),
    (0.3, 0.7, False, "misclassified", "it fits an object of another class; the touch of 0.3 is a neighbour's"),
    (0.3, 0.4, False, "mislocalised", "it fits nothing, and the touch of its own class comes first"),
    (0.0, 0.3, False, "mislocalised and misclassified", "it touches nothing but an object of another class"),
    (0.3, 0.0, True, "mislocalised", "a duplicate has to fit: 0.3 is no second box of that object"),
    (0.05, 0.08, False, "background", "less than 0.1 with everything is a touch of nothing"),
    (0.5, 0.1, False, "correct", "an IoU of exactly 0.5 is enough"),
    (0.1, 0.0, False, "mislocalised", "an IoU of exactly 0.1 is a touch"),
)
"""IoU with an object of the class, with one of another, whether a better box has the former; the verdict, and why."""
VERDICT = "write a function (same, other, taken) that returns a verdict."
REMOVAL = "write a function (place, thing) that says whether the mistake is gone without the thing."
NUMBER = "write a function of a mistake that returns a number."
Verdict = Callable[[float, float, bool], str]
IsGone = Callable[[Place, int], Any]


@dataclass(frozen=True, eq=False)
class Removal:
    """What is seen without a thing, of M boxes.

    Attributes:
        about: which mistake, without which thing, for the reply.
        said: whether it is gone by a learner's function.
        overlaps: ``Tensor[M]``, IoU with the mistake.
        named: bool ``Tensor[M]``, whether a box bears the mistake's name.
        wrong: bool ``Tensor[M]``.
    """

    about: str
    said: bool
    overlaps: Tensor
    named: Tensor
    wrong: Tensor

    @property
    def near(self) -> Tensor:
        """Which boxes are where the mistake was, bool ``Tensor[M]``."""
        return self.overlaps >= SAME_THING


SLIPS: tuple[tuple[Callable[[Removal], bool], str], ...] = (
    (
        lambda one: not (one.near & one.named).any(),
        "a box of that name is still there, but now it is right; what has become right is no mistake, so count only "
        "boxes whose verdict is not 0.",
    ),
    (
        lambda one: not (one.near & one.wrong).any(),
        "a wrong box is still there, but under another name; that is another mistake, so compare the labels.",
    ),
    (
        lambda one: not one.near.any(),
        "a box is still there, but it may be right, or have another name; compare labels, and count only boxes whose "
        "verdict is not 0.",
    ),
    (
        lambda one: not (one.named & one.wrong).any(),
        "the wrong boxes of that name that are left lie elsewhere, and were not asked about: the IoU decides.",
    ),
    (
        lambda one: not one.wrong.any(),
        "the mistakes that are left lie elsewhere, or have another name, and were not asked about.",
    ),
    (
        lambda one: bool((one.near & one.named & one.wrong).any()),
        "this says whether the mistake stays; asked is whether it is gone, the opposite.",
    ),
)
"""What one may take for a mistake that is gone, and what is wrong with it."""


@reply
def check_verdict(rule: Verdict | None) -> str:
    """Check a function that says which of ``VERDICTS`` a box gets; the first case that it gets wrong is explained.

    Args:
        rule: (largest IoU with an object of its class, with one of another class, whether a better box has the former)
            -> one of ``VERDICTS``.
    """
    if rule is None:
        return f"open: {VERDICT}"
    for same, other, taken, verdict, reason in RULES:
        said = call(rule, same, other, taken, wanted=VERDICT)
        if said not in VERDICTS:
            return f"not quite: it returns {said!r}, which is none of {', '.join(VERDICTS)}."
        if said != verdict:
            asked = f"same {same:g}, other {other:g}, taken {taken}"
            return f"not quite: {asked} is {said!r} by your rule and should be {verdict!r}: {reason}."
    return f"right: all {len(RULES)} cases; every box gets one verdict, and the first rule that fits decides."


@reply
def check_removal(
    removal: IsGone | None, detector: Detector, scenes: Scenes, places: Sequence[Place], score_threshold: float
) -> str:
    """Check a function that says whether a mistake is gone without one thing of its scene.

    Args:
        removal: (place, the thing's index in the scene) -> whether it is gone.
        detector: what made the mistakes.
        scenes: where it made them.
        places: of mistakes to try it on, with every thing that can be removed.
        score_threshold: with which they were made.
    """
    if removal is None or not places:
        return f"open: {REMOVAL}"
    tried = [one for place in places for one in _try_removal(removal, detector, scenes, place, score_threshold)]
    said = [one.said for one in tried]
    if said == [_is_gone(one) for one in tried]:
        return f"right: the same answer as ours for {len(tried)} removals from {len(places)} scenes."
    first = next(one for one in tried if one.said != _is_gone(one))
    for slip, why in SLIPS:
        if said == [slip(one) for one in tried]:
            return f"not quite: {first.about}: {why}"
    if first.said:
        where = float(first.overlaps[first.named & first.wrong].max())
        return (
            f"not quite: {first.about}: a wrong box of that name is still there, with an IoU of {where:.2f}; a box "
            "that moved a little is the same mistake."
        )
    return f"not quite: {first.about}: no wrong box of that name has an IoU of {SAME_THING} or more with it any more."


def _is_gone(one: Removal) -> bool:
    return not (one.near & one.named & one.wrong).any()


def _try_removal(
    removal: IsGone, detector: Detector, scenes: Scenes, place: Place, score_threshold: float
) -> list[Removal]:
    """What a learner's function says of a mistake without each thing, beside what is seen."""
    (before, _), without = look_without(detector, scenes, place, score_threshold)
    row, tried = place[1], []
    for thing, (after, errors) in without.items():
        said = call(removal, place, thing, wanted=REMOVAL)
        if isinstance(said, Tensor) and said.numel() != 1:
            raise Unusable(f"not quite: the function is to return True or False, and returns {said.numel()} of them.")
        tried.append(
            Removal(
                about=f"the wrong {before.names()[row]} at {place} without thing {thing}",
                said=bool(said),
                overlaps=box_iou(before.boxes[[row]], after.boxes)[0].cpu(),
                named=(after.labels == before.labels[row]).cpu(),
                wrong=errors.verdicts != 0,
            )
        )
    return tried


@reply
def check_culprit(
    answer: int | None, detector: Detector, scenes: Scenes, places: Sequence[Place], score_threshold: float
) -> str:
    """Check which thing misled a detector, by what its removal does: it is to blame if the mistake is gone without it.

    Args:
        answer: index of the thing in the first place's scene.
        detector: what made the mistake.
        scenes: where it made it.
        places: of mistakes, the first of which is asked about.
        score_threshold: with which it was made.
    """
    if not places:
        return "open: there is no mistake to look at; take more PICTURES or another SEED."
    things = [thing.index for thing in scenes.scene(places[0][0]).objects]
    if answer not in things:
        return f"open: what misled it? Answer with one of {', '.join(map(str, things))}."
    mends = try_removals(detector, scenes, places[0], score_threshold)
    if answer not in mends:
        return (
            f"not quite: {answer} is the object that the box should fit; without it there is nothing to be wrong about."
        )
    guilty = [str(name) for name, gone in mends.items() if gone]
    others = [name for name in guilty if name != str(answer)]
    if mends[answer]:
        return f"right: without {answer} the mistake is gone" + (
            f"; so it is without {', '.join(others)}." if others else ", and without no other thing."
        )
    if not guilty:
        return f"not quite: without {answer} the mistake stays, and so it does without any other single thing."
    return f"not quite: without {answer} the mistake stays; it goes without {', '.join(guilty)}."


@reply
def check_number(number: Callable[[Mistake], float] | None, mistakes: Sequence[Mistake]) -> str:
    """Check a number of a mistake that needs no map and tells as well as its map which mistakes a removal mends.

    Args:
        number: of a row of the survey.
        mistakes: of one detector, some of them mended.
    """
    if number is None:
        return f"open: {NUMBER}"
    told = [call(number, one, wanted=NUMBER) for one in mistakes]
    values = torch.tensor(
        [as_number(int(one) if isinstance(one, bool) else one, "the function is to return one.") for one in told]
    )
    known = {
        "mended": "that is the answer itself, which nobody has before the removal",
        "evidence": "that is the map's energy, the number to beat",
        "class_share": "that is read off a map",
        "wrong_edge_share": "that is read off a map",
        "true_class_share": "that is read off a map",
    }
    for name, reason in known.items():
        those = torch.tensor([float(getattr(one, name)) for one in mistakes])
        if torch.equal(those.nan_to_num(), values.nan_to_num()):
            return f"not quite: {reason}."
    if values.isnan().any():
        return "not quite: it is not a number for some mistakes; take one that all of them have."
    yours, theirs = tell_mended(number, mistakes), tell_mended(lambda one: one.evidence, mistakes)
    areas = f"area {yours.value:.2f} ({yours.low:.2f} to {yours.high:.2f}), the map's energy {theirs.value:.2f}"
    if yours.high >= theirs.value:
        return f"right: {areas}. It tells as well, and needs no map."
    if yours.value < 0.5:
        return f"not quite: {areas}. Below 0.5 it tells, but the wrong way round: try its negative."
    return f"not quite: {areas}. What is true of a box that was drawn for the planted thing?"


@reply
def check_cover(answer: Sequence[int] | None, detector: Detector, confusions: Sequence[Confusion]) -> str:
    """Check which ninths of a box to cover so that a detector says what is true instead of what it said.

    Args:
        answer: numbers of the ninths, 0 to 8.
        detector: what confused two classes.
        confusions: the first is asked about.
    """
    if not confusions:
        return "open: no class was confused in these pictures; take another PHOTO_DETECTOR or PHOTO_THRESHOLD."
    one = confusions[0]
    names, (first, second) = one.names, one.scores.tolist()
    if not isinstance(answer, Sequence) or not answer or any(number not in range(9) for number in answer):
        return (
            f"open: what would you cover so that the {names[0]} becomes a {names[1]}? Answer with numbers from 0 to 8."
        )
    region = select_ninths(one.prediction.boxes[0].cpu(), answer, one.prediction.image_size)
    said, true = measure_scores_without(detector, one.image, one.prediction, region[None], one.labels)[0].tolist()
    told = f"{names[0]} {first:.2f} to {said:.2f}, {names[1]} {second:.2f} to {true:.2f}"
    if true > said and true >= second + CLEAR:
        return f"right: the {names[1]} wins, and gains by it ({told})."
    if len(set(answer)) > 5:
        return f"not quite: with {len(set(answer))} of 9 parts hidden hardly anything is left to name ({told})."
    if true > said:
        return f"not quite: the {names[1]} is ahead only since the {names[0]} fell; it gained nothing itself ({told})."
    if said > first - CLEAR:
        return f"not quite: the {names[0]} hardly needs what you covered ({told})."
    if true < second + CLEAR:
        return f"not quite: both names need what you covered, none gains ({told})."
    return f"not quite: the {names[1]} gains but does not win ({told}); what else speaks for the {names[0]}?"
