"""Items of questionnaires made by hand: small pictures of one colour, whose maps are told apart by their brightness."""

from dataclasses import replace
from typing import Any

import torch
from odam_chapters.study.items import Item

from odam_lib.viz.drawing import encode_png

METHODS = ("D-RISE", "Grad-CAM", "Grad-CAM++", "ODAM")
SIZE = (60, 80)
OBJECTS = ((5.0, 5.0, 25.0, 55.0), (30.0, 5.0, 50.0, 55.0), (55.0, 20.0, 75.0, 55.0))


def paint(shade: float) -> bytes:
    """A PNG of one shade in [0, 1]."""
    return encode_png(torch.full((3, *SIZE), shade))


def make_item(place: int, asked: str, shares: dict[str, tuple[float, ...]], **about: Any) -> Item:
    """An item of four methods' maps, unlike those of other places."""
    maps = {name: paint(0.2 * column + place / 50) for column, name in enumerate(METHODS)}
    return Item(f"item {place}", f"origin {place}", asked, paint(place / 20), maps, SIZE, shares, **about)


def make_ranked(number: int) -> list[Item]:
    """Items of a ranking; the later a method stands, the more energy its map has in the box."""
    shares = {name: ((1.0 + place) / 4,) for place, name in enumerate(METHODS)}
    return [
        make_item(place, "the dog", shares, box=OBJECTS[0], edge="x1" if place % 2 else "") for place in range(number)
    ]


def make_pairs(number: int) -> list[Item]:
    """Items of two maps, of which the better one is chosen."""
    pair = METHODS[2:]
    return [
        replace(item, maps={name: item.maps[name] for name in pair}, shares={name: item.shares[name] for name in pair})
        for item in make_ranked(number)
    ]


def make_pointed(number: int) -> list[Item]:
    """Items of pointing: object 1 of three is explained; ODAM's maps have all energy on it, the others' elsewhere."""
    shares = {name: (0.0, 1.0, 0.0) if name == "ODAM" else (0.6, 0.2, 0.2) for name in METHODS}
    odi = {name: 0.0 if name == "ODAM" else 0.8 for name in METHODS}
    return [make_item(place, "", shares, objects=OBJECTS, target=1, odi=odi) for place in range(number)]
