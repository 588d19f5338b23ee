"""A reader that is no person: a rule that tells by the map alone which object was meant. It is a baseline, no bound."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.odam_train.separation import choose_representatives
from odam_chapters.study.given import SUREST, Pointing
from odam_chapters.study.inference import is_right
from odam_chapters.study.items import Item, list_conditions
from odam_chapters.study.making import read_shares
from odam_lib.detectors.base import Detector
from odam_lib.explainers.explain import Explainer
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.discrimination import object_discrimination
from odam_lib.metrics.intervals import Estimate, estimate_mean

Rule = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""Maps ``[N, H, W]`` and a picture's ``boxes`` and ``masks`` of M objects -> how much speaks for each, ``[N, M]``."""


def weigh_pixels(maps: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """The share of a map's energy on the visible pixels of each object."""
    return read_shares(maps, target["masks"])


def weigh_boxes(maps: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """The share in the box of each object."""
    return read_shares(maps, box_regions(target["boxes"], (maps.shape[-2], maps.shape[-1])))


RULES: Mapping[str, Rule] = {"most energy on its pixels": weigh_pixels, "most energy in its box": weigh_boxes}


def read_pictures(
    detector: Detector,
    pictures: Iterable[tuple[Tensor, Mapping[str, Tensor]]],
    method: Explainer,
    rules: Mapping[str, Rule] = RULES,
) -> dict[str, list[Pointing]]:
    """What each rule says of the map of every object that a detector finds.

    Args:
        detector: what is explained.
        pictures: ``(image, target)`` with ``boxes``, ``labels``, ``masks`` and ``image_id``; those with fewer than two
            objects are left out.
        method: the explainer.
        rules: by name; the object with the largest number is chosen.

    Returns:
        Answers by rule: the number of the picture stands for that of a person, the object for the item; the larger the
        share of what was weighed that speaks for the chosen object, the surer.
    """
    found: dict[str, list[Pointing]] = {name: [] for name in rules}
    for image, target in pictures:
        trace = detector.trace(image)
        explained, own = choose_representatives(trace, target["boxes"], target["labels"])
        if len(target["boxes"]) < 2 or not len(own):
            continue
        maps = method(trace, explained, ["class"]).normalized().to_image()[:, 0].cpu()
        odi = object_discrimination(maps, own, target["masks"]).tolist()
        for name, rule in rules.items():
            for true, weights, leak in zip(own.tolist(), rule(maps, target), odi):
                person, item = int(target["image_id"]), f"object {true}"
                found[name].append(_answer(person, item, detector.name, weights.tolist(), true, leak))
    return found


def read_items(items: Sequence[Item]) -> list[Pointing]:
    """What the object with most energy is, on every item under every condition; each item stands for a person."""
    return [
        _answer(place, item.name, condition, item.shares[condition], item.target, (item.odi or {})[condition])
        for place, item in enumerate(items)
        for condition in list_conditions(items)
    ]


def estimate_answers(pointings: Sequence[Pointing], value: Callable[[Pointing], float] = is_right) -> Estimate:
    """The mean of a number of the answers, with a 95 % bootstrap interval over people, or what stands for them."""
    values = torch.tensor([value(one) for one in pointings], dtype=torch.float64)
    return estimate_mean(values, torch.tensor([one.person for one in pointings], dtype=torch.int64))


def estimate_by_condition(
    pointings: Sequence[Pointing], value: Callable[[Pointing], float] = is_right
) -> dict[str, Estimate]:
    """:func:`estimate_answers` under each condition, in the order of the alphabet."""
    conditions = sorted({one.condition for one in pointings})
    return {name: estimate_answers([one for one in pointings if one.condition == name], value) for name in conditions}


def estimate_gain(before: Sequence[Pointing], after: Sequence[Pointing]) -> tuple[Estimate, int]:
    """By how much more often ``after`` is right, of the same objects of the same pictures, and how many these are."""
    known = {(one.person, one.item): one for one in before}
    pairs = [(known[key], one) for one in after if (key := (one.person, one.item)) in known]
    gains = torch.tensor([is_right(new) - is_right(old) for old, new in pairs], dtype=torch.float64)
    people = torch.tensor([new.person for _, new in pairs], dtype=torch.int64)
    return estimate_mean(gains, people), len(pairs)


def _answer(person: int, item: str, condition: str, weights: Sequence[float], true: int, odi: float) -> Pointing:
    chosen = max(range(len(weights)), key=weights.__getitem__)
    share = weights[chosen] / (sum(weights) or 1.0)
    confidence = 1 + min(SUREST - 1, int(SUREST * share))
    return Pointing(person, item, condition, chosen, chosen == true, confidence, odi, len(weights))
