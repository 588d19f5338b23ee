"""Detections made by hand."""

import torch

from odam_lib.detections import Detections

NAMES = ("__background__", "cat", "dog")


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
        class_probs=torch.zeros(count, 3),
        level=torch.zeros(count, dtype=torch.int64),
        index=torch.arange(count),
        image_size=(100, 100),
        categories=NAMES,
        source="hand",
    )


CAT, DOG, ELSEWHERE = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0], [0.0, 80.0, 10.0, 95.0]
