"""Crowds made by hand or by a seed, and every number of a rule."""

import torch
from torch import Tensor

from odam_lib.metrics.crowd_scores import (
    average_precision,
    crowd_recall,
    jaccard,
    miss_rate,
    sparse_recall,
)
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture

MEASURES = (average_precision, miss_rate, jaccard, crowd_recall, sparse_recall)


def rows(boxes: list[list[float]]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def numbers(found: CrowdMatches, weights: Tensor | None = None) -> list[float]:
    return [measure(found, weights) for measure in MEASURES]


def scene(seed: int, people: int = 8, strangers: int = 6) -> CrowdPicture:
    """People in pairs, some missed, some found twice, and boxes on nobody; scores all different."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    corners = (uniform(people // 2, 2) * 200).repeat(2, 1) + uniform(people // 2 * 2, 2) * 12
    truth = torch.cat([corners, corners + 20 + uniform(len(corners), 2) * 10], dim=1)
    known = truth[uniform(len(truth)) < 0.8]
    near = torch.cat([known, known[::2]]) + uniform(len(known) + len(known[::2]), 4) * 6 - 3
    elsewhere = uniform(strangers, 2) * 200
    boxes = torch.cat([near, torch.cat([elsewhere, elsewhere + 25], dim=1)])
    return CrowdPicture(boxes, uniform(len(boxes)), truth, torch.tensor([[100.0, 100.0, 160.0, 160.0]]))


def scenes(number: int, start: int = 0) -> list[CrowdPicture]:
    return [scene(seed) for seed in range(start, start + number)]
