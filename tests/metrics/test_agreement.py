"""Likeness of maps, and matching, against values worked out by hand."""

import pytest
import torch

from odam_lib.detections import Detections
from odam_lib.metrics.agreement import rank_correlation
from odam_lib.metrics.matching import match


def test_rank_correlation_by_hand() -> None:
    first = torch.tensor([[1.0, 2], [3, 4]])
    assert rank_correlation(first, first**3).item() == pytest.approx(1)
    assert rank_correlation(first, -first).item() == pytest.approx(-1)
    swapped = torch.tensor([[2.0, 1], [3, 4]])  # 1 - 6 (1 + 1) / (4 (16 - 1))
    assert rank_correlation(first, swapped).item() == pytest.approx(0.8)
    assert rank_correlation(first, torch.ones(2, 2)).isnan()


def test_equal_values_share_their_rank() -> None:
    first, second = torch.tensor([[7.0, 7], [8, 9]]), torch.tensor([[1.0, 2], [3, 4]])
    # ranks -1, -1, 0.5, 1.5 and -1.5, -0.5, 0.5, 1.5 around their means: 4.5 / sqrt(4.5 * 5)
    assert rank_correlation(first, second).item() == pytest.approx(0.9**0.5)


def test_matching_is_one_to_one_of_the_same_class_best_first() -> None:
    def found(boxes: list[list[float]], labels: list[int]) -> Detections:
        count = len(boxes)
        number = torch.arange(count)
        return Detections(
            boxes=torch.tensor(boxes).reshape(-1, 4),
            scores=torch.ones(count),
            labels=torch.tensor(labels, dtype=torch.int64),
            class_probs=torch.zeros(count, 3),
            level=0 * number,
            index=number,
            image_size=(100, 100),
            categories=("__background__", "cat", "dog"),
            source="hand",
        )

    true = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 12], [50, 50, 60, 60], [80, 80, 90, 90]])
    labels = torch.tensor([1, 1, 2, 2])
    detections = found([[0.0, 0, 10, 11], [0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], [1, 1, 1, 2])
    assert match(detections, true, labels).tolist() == [1, 0, -1, 3]  # the third is of another class
    assert match(detections, true, labels, least_iou=0.95).tolist() == [1, -1, -1, 3]
    assert match(found([], []), true, labels).tolist() == [-1] * 4
    assert match(detections, true[:0], labels[:0]).tolist() == []
