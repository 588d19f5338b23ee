"""What people answer: checked before it is kept, and as the statistics take it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odam_chapters.study.items import Box, Item, Question, Study

SUREST = 5
"""Confidence goes from 1, most uncertain, to this, most certain, as in App. A.3."""

LEAST_IOU = 0.5
"""A box that is drawn means the object that it overlaps most, if by this IoU."""


@dataclass(frozen=True)
class Ranking:
    """One person's order of the maps of one item.

    Attributes:
        person: a number.
        item: its name.
        ranks: 1 for the best, by condition.
        shown: the conditions from the first place on the screen to the last.
        seconds: that it took; NaN if nobody measured it.
    """

    person: int
    item: str
    ranks: Mapping[str, int]
    shown: tuple[str, ...] = ()
    seconds: float = math.nan


@dataclass(frozen=True)
class Pointing:
    """What one person took for the object that a map explains.

    Attributes:
        person: a number.
        item: its name.
        condition: under which the map was made.
        chosen: the object; -1 for a box that fits none.
        right: whether it is the explained one.
        confidence: from 1 to :data:`SUREST`.
        odi: of the map.
        objects: how many there were to choose from.
        drawn: the box, if one was drawn.
        seconds: that it took; NaN if nobody measured it.
    """

    person: int
    item: str
    condition: str
    chosen: int
    right: bool
    confidence: int
    odi: float
    objects: int
    drawn: Box | None = None
    seconds: float = math.nan


def check_given(study: Study, item: Item, question: Question, given: Any) -> dict[str, Any]:
    """What the screen sent as an answer, as it is kept.

    Args:
        study: which questionnaire.
        item: that was asked about.
        question: what was shown.
        given: of a ranking ``order``, the places on the screen from the best map to the worst; of pointing
            ``confidence``, and ``chosen``, an object, or ``drawn``, a box.

    Returns:
        ``order``: conditions from best to worst; or ``confidence``, ``chosen`` and ``drawn``, one of these ``None``.

    Raises:
        ValueError: it is incomplete, or no such answer; says what is missing.
    """
    given = given if isinstance(given, Mapping) else {}
    return _check_order(question, given) if study.kind == "rank" else _check_pointed(item, given)


def _check_order(question: Question, given: Mapping[str, Any]) -> dict[str, Any]:
    order, number = given.get("order"), len(question.shown)
    places = list(order) if isinstance(order, Sequence) and all(map(_is_whole, order)) else []
    if len(set(places)) < len(places) or not set(places) <= set(range(number)):
        raise ValueError(f"The order {order!r} has a map twice, or one that is not there: put {number} maps in order.")
    if len(places) < number:
        raise ValueError(f"{number - len(places)} of {number} maps have no place yet: put all of them in order.")
    return {"order": [question.shown[place] for place in places]}


def _check_pointed(item: Item, given: Mapping[str, Any]) -> dict[str, Any]:
    confidence, chosen, drawn = (given.get(name) for name in ("confidence", "chosen", "drawn"))
    if chosen is None and drawn is None:
        raise ValueError("No object is chosen yet: click one, or draw a box around it.")
    if confidence is None:
        raise ValueError(f"Say how sure you are, from 1 to {SUREST}.")
    if not _is_whole(confidence) or not 1 <= confidence <= SUREST:
        raise ValueError(f"The confidence is {confidence!r}: give a whole number from 1 to {SUREST}.")
    if drawn is None:
        if not _is_whole(chosen) or not 0 <= chosen < len(item.objects):
            raise ValueError(f"There is no object {chosen!r}: choose one from 0 to {len(item.objects) - 1}.")
        return {"confidence": confidence, "chosen": chosen, "drawn": None}
    numbers = drawn if isinstance(drawn, Sequence) and len(drawn) == 4 and all(map(_is_finite, drawn)) else None
    if numbers is None or not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
        raise ValueError(f"The box {drawn!r} has no area: draw it from one corner to the opposite one.")
    return {"confidence": confidence, "chosen": None, "drawn": [float(number) for number in numbers]}


def read_ranking(person: int, question: Question, kept: Mapping[str, Any], seconds: float) -> Ranking:
    """A kept answer of a ranking."""
    ranks = {condition: place for place, condition in enumerate(kept["order"], start=1)}
    return Ranking(person, question.item, ranks, question.shown, seconds)


def read_pointing(person: int, item: Item, question: Question, kept: Mapping[str, Any], seconds: float) -> Pointing:
    """A kept answer of pointing, marked: an object is right if it is the target, a drawn box if it fits the target."""
    (condition,) = question.shown
    drawn = None if kept["drawn"] is None else tuple(kept["drawn"])
    chosen = kept["chosen"] if drawn is None else find_object(drawn, item.objects)
    right, odi = chosen == item.target, (item.odi or {}).get(condition, math.nan)
    objects = len(item.objects)
    return Pointing(person, item.name, condition, chosen, right, kept["confidence"], odi, objects, drawn, seconds)


def find_object(drawn: Box, objects: Sequence[Box]) -> int:
    """The object that a drawn box overlaps most, if by :data:`LEAST_IOU`; else -1."""
    ious = [_iou(drawn, one) for one in objects]
    best = max(range(len(ious)), key=ious.__getitem__, default=-1)
    return best if best >= 0 and ious[best] >= LEAST_IOU else -1


def _iou(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared) if areas > shared else 0.0


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
