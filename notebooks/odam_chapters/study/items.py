"""What a questionnaire asks about: items, each a picture and its maps, and the plan by which a person meets them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal

Box = tuple[float, float, float, float]
"""(x1, y1, x2, y2) in pixels of the picture that is shown."""


@dataclass(frozen=True)
class Study:
    """A questionnaire.

    Attributes:
        name: of the questionnaire.
        kind: ``rank``: all maps of an item are put in order; ``point``: one map is shown, and its object is pointed at.
        question: what is asked of every item.
    """

    name: str
    kind: Literal["rank", "point"]
    question: str


TRUST = Study("trust", "rank", "Which map shows best how the outlined object was detected? Put them in order.")
MODELS = Study("models", "rank", "Two detectors found the outlined object. Whose map is the more reasonable one?")
EDGES = Study("edges", "rank", "Which map shows best how the thick edge of the box was found? Put them in order.")
DISCRIMINATION = Study("discrimination", "point", "The map explains one detection. Which object was it, and how sure?")
PHOTOGRAPHS = Study("photographs", "point", DISCRIMINATION.question)
STUDIES = {study.name: study for study in (TRUST, MODELS, DISCRIMINATION, PHOTOGRAPHS, EDGES)}


@dataclass(frozen=True)
class Item:
    """A picture, and maps of one detection on it under several conditions.

    Attributes:
        name: unlike that of any other item of its questionnaire; people never see it.
        origin: hash of what it was made of: the picture's pixels, the detectors, the methods' settings.
        asked: what is asked about, in a few words; people see it.
        picture: PNG.
        maps: PNG of each map on the picture, by condition: a method, a detector, a variant.
        size: (height, width) of all of them.
        box: what is outlined on all of them; of pointing nothing.
        edge: the edge of the box that is asked about, ``x1``, ``y1``, ``x2`` or ``y2``; else empty.
        shares: by condition, the share of the map's energy on each object; of rankings on the explained one alone.
        objects: boxes of the objects among which a person chooses; of rankings none.
        target: which of them is explained.
        odi: by condition, the map's object discrimination index; of rankings none.
    """

    name: str
    origin: str
    asked: str
    picture: bytes
    maps: Mapping[str, bytes]
    size: tuple[int, int]
    shares: Mapping[str, tuple[float, ...]]
    box: Box | None = None
    edge: str = ""
    objects: tuple[Box, ...] = ()
    target: int = 0
    odi: Mapping[str, float] | None = None

    def describe(self) -> dict[str, Any]:
        """All but the pictures, as JSON has it."""
        return {name: value for name, value in asdict(self).items() if name not in ("picture", "maps")}

    @property
    def hash(self) -> str:
        """Of everything, pictures included: two items that differ anywhere have two."""
        found = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for name, png in (("", self.picture), *sorted(self.maps.items())):
            found.update(f"{name}\0{len(png)}\0".encode() + png)
        return found.hexdigest()


def list_conditions(items: Sequence[Item]) -> tuple[str, ...]:
    """The conditions, which are the same for every item.

    Raises:
        ValueError: there is no item, two have one name, or they have maps of different conditions.
    """
    if not items:
        raise ValueError("There is no item to ask about: take other pictures, or a lower score threshold.")
    if len({item.name for item in items}) < len(items):
        raise ValueError("Two items have one name: number them.")
    conditions = tuple(items[0].maps)
    if wrong := [item.name for item in items if set(item.maps) != set(conditions)]:
        raise ValueError(f"Item {wrong[0]!r} has maps of other conditions than the first: give all items the same.")
    return conditions


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Attributes:
        item: its name.
        shown: the conditions of the maps that are shown, from the first place to the last.
    """

    item: str
    shown: tuple[str, ...]


def make_plan(study: Study, items: Sequence[str], conditions: Sequence[str], turn: int, seed: int) -> list[Question]:
    """The questions of one person, in order.

    Items come in random order. *Rankings*: of as many questions in a row as there are conditions, every condition has
    every place once (a Latin square). *Pointing*: nobody sees an object twice; of as many people in a row as there are
    conditions, each sees an item under another one.

    Args:
        study: of which kind.
        items: names of the items, in the order of the questionnaire.
        conditions: the K conditions.
        turn: how many people began before, counted from 0.
        seed: random seed of the questionnaire.

    Raises:
        ValueError: fewer items than conditions, so that a person would not meet every condition.
    """
    if study.kind == "point" and len(items) < len(conditions):
        raise ValueError(
            f"There are {len(items)} items for {len(conditions)} conditions, of which a person sees one each: "
            f"give {len(conditions)} items or more."
        )
    random = Random(f"{seed} {turn}")
    order = random.sample(range(len(items)), len(items))
    if study.kind == "point":
        return [Question(items[item], (conditions[(item + turn) % len(conditions)],)) for item in order]
    questions: list[Question] = []
    for place, item in enumerate(order):
        step = place % len(conditions)
        if not step:
            first = random.sample(list(conditions), len(conditions))
            steps = random.sample(range(len(conditions)), len(conditions))
        questions.append(Question(items[item], (*first[steps[step] :], *first[: steps[step]])))
    return questions
