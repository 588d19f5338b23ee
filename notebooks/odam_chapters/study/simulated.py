"""Readers that are no people, for comparison: one guesses, one follows a map's energy.

What they say is never written to a file of answers.
"""

from collections.abc import Sequence
from random import Random

from odam_chapters.study.given import SUREST, Pointing, Ranking
from odam_chapters.study.items import Item, Study, list_conditions, make_plan


def guess_rankings(study: Study, items: Sequence[Item], people: int, seed: int = 0) -> list[Ranking]:
    """What ``people`` would answer who put the maps in any order; they are numbered from 1."""
    random, found = Random(seed), []
    for person, item, shown in _ask(study, items, people, seed):
        order = random.sample(shown, len(shown))
        found.append(Ranking(person, item.name, {name: place for place, name in enumerate(order, start=1)}, shown))
    return found


def follow_rankings(study: Study, items: Sequence[Item], people: int, seed: int = 0) -> list[Ranking]:
    """The same by energy: of the maps that have no place yet, one is drawn in proportion to its share in the box."""
    random, found = Random(seed), []
    for person, item, shown in _ask(study, items, people, seed):
        left, ranks = list(shown), dict[str, int]()
        while left:
            name = left[_draw(random, [item.shares[each][0] for each in left])]
            left.remove(name)
            ranks[name] = len(ranks) + 1
        found.append(Ranking(person, item.name, ranks, shown))
    return found


def guess_pointings(study: Study, items: Sequence[Item], people: int, seed: int = 0) -> list[Pointing]:
    """What ``people`` would answer who choose any object and any confidence."""
    random, found = Random(seed), []
    for person, item, (condition,) in _ask(study, items, people, seed):
        chosen, confidence = random.randrange(len(item.objects)), random.randint(1, SUREST)
        found.append(_point(person, item, condition, chosen, confidence))
    return found


def follow_pointings(study: Study, items: Sequence[Item], people: int, seed: int = 0) -> list[Pointing]:
    """The same by energy: an object is drawn in proportion to the energy on it; the larger its share, the surer."""
    random, found = Random(seed), []
    for person, item, (condition,) in _ask(study, items, people, seed):
        shares = item.shares[condition]
        chosen = _draw(random, shares)
        share = shares[chosen] / (sum(shares) or 1.0)
        found.append(_point(person, item, condition, chosen, 1 + min(SUREST - 1, int(SUREST * share))))
    return found


def _ask(study: Study, items: Sequence[Item], people: int, seed: int) -> list[tuple[int, Item, tuple[str, ...]]]:
    conditions, named = list_conditions(items), {item.name: item for item in items}
    return [
        (turn + 1, named[question.item], question.shown)
        for turn in range(people)
        for question in make_plan(study, list(named), conditions, turn, seed)
    ]


def _draw(random: Random, weights: Sequence[float]) -> int:
    """A place in proportion to its weight; any, if all are 0."""
    return random.choices(range(len(weights)), weights if sum(weights) > 0 else None)[0]


def _point(person: int, item: Item, condition: str, chosen: int, confidence: int) -> Pointing:
    odi = (item.odi or {}).get(condition, float("nan"))
    right = chosen == item.target
    return Pointing(person, item.name, condition, chosen, right, confidence, odi, len(item.objects))
