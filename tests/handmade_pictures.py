"""Planted pictures as a data set, a method that is watched, a quick metric."""

import math
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from planted import BOXES, SIZE, planted_image
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.rows import Evaluation
from odam_lib.explainers.controls import RandomMap
from odam_lib.heatmaps import HeatMaps

NOWHERE = (2.0, 2, 12, 7)
"""A true object that the planted detector does not find."""


class Pictures:
    """Planted pictures as a list-like data set; item i has image id 100 + i.

    Args:
        objects: for each picture which of the planted boxes are true objects; -1 for one that nobody detects.
        bare: item whose truth has no masks.
        first: image id of item 0.
    """

    def __init__(self, objects: Sequence[Sequence[int]], bare: int | None = None, first: int = 100) -> None:
        self.objects, self.bare, self.first = objects, bare, first

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, item: int) -> tuple[Tensor, dict[str, Any]]:
        rows = self.objects[item]
        boxes = torch.tensor([NOWHERE if row < 0 else BOXES[row] for row in rows]).reshape(-1, 4).float()
        masks = torch.zeros(len(rows), *SIZE, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
            mask[y1:y2, x1 : (x1 + x2) // 2] = True
        labels = torch.tensor([1 if row < 0 else row + 1 for row in rows], dtype=torch.int64)
        target = {"boxes": boxes, "labels": labels, "masks": masks, "image_id": self.first + item}
        if item == self.bare:
            del target["masks"]
        return (planted_image() - 0.01 * item).clamp(0, 1), target


@dataclass(frozen=True)
class Watched:
    """Noise that remembers for which picture it was asked and what it was asked to explain.

    Attributes:
        seed: of the noise.
        calls: sources of the detections, one a call.
        before: called first, perhaps to fail.
    """

    seed: int = 0
    calls: list[str] = field(default_factory=list, repr=False)
    before: Callable[[], None] = field(default=lambda: None, repr=False)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        self.before()
        self.calls.append(f"{detections.source} {detections.index.tolist()}")
        return RandomMap(seed=self.seed)(trace, detections, attributes)


@dataclass(frozen=True)
class Mean:
    """A metric that is quick: the mean of the map, undefined for the object with the label ``undefined``."""

    undefined: int = 0
    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def check(self, dataset: Any) -> None:
        """Any data set will do."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        defined = picture.detections.labels != self.undefined
        return {"mean": torch.where(defined, maps.mean(dim=(1, 2)), math.nan), "one": torch.ones(len(maps))}


FOUR = Pictures([(0, 1, -1), (2,), (), (3, 0)])
TRUE = 6
QUICK = (Mean(),)


def without_times(found: Evaluation) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found.rows]


def on_disk(path: Path) -> list[dict[str, Any]]:
    """The rows of a run as somebody reads them who has not this package."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchall()
        return [dict(row) for row in connection.execute("SELECT * FROM rows")] if known else []
