"""Detections to be judged, made by hand, and the true objects."""

import torch

from odam_lib.detections import Detections

CATEGORIES = ("__background__", "person", "surfboard", "bench")


def found(boxes: list[list[float]], labels: list[int], size: tuple[int, int] = (100, 100)) -> Detections:
    count = len(boxes)
    labels_tensor = torch.tensor(labels, dtype=torch.int64)
    scores = torch.linspace(0.9, 0.6, count) if count else torch.zeros(0)
    probs = torch.zeros(count, len(CATEGORIES))
    probs[torch.arange(count), labels_tensor] = scores
    place = torch.arange(count)
    boxes_tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(boxes_tensor, scores, labels_tensor, probs, place * 0, place, size, CATEGORIES, "test")


TRUE_BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 20.0]])


TRUE_LABELS = torch.tensor([1, 2])
