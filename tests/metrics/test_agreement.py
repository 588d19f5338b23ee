"""Likeness of maps, and matching, against values worked out by hand."""

import pytest
import torch
from odam_chapters.detectors.agreement import area_holding, cosine, edge_strength, energy_outside

from odam_lib.detections import Detections
from odam_lib.kernels.regions import box_blob
from odam_lib.kernels.windows import Windows
from odam_lib.metrics.agreement import rank_correlation
from odam_lib.metrics.matching import match


def test_cosine_by_hand() -> None:
    first = torch.tensor([[3.0, 0], [0, 4]])
    others = torch.tensor([[[6.0, 0], [0, 8]], [[0, 1], [1, 0]], [[1, 0], [0, 0]], [[-3, 0], [0, -4]]])
    torch.testing.assert_close(cosine(first, others), torch.tensor([1, 0, 0.6, -1]))
    assert cosine(1e-30 * first, others[0]).item() == pytest.approx(1)
    assert cosine(0 * first, others[0]).isnan()


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


def test_likeness_broadcasts_and_keeps_what_is_undefined() -> None:
    maps = torch.tensor([[[1.0, 2], [3, 4]], [[4, 3], [2, 1]], [[torch.nan, torch.nan], [torch.nan, torch.nan]]])
    for alike, opposite in ((rank_correlation, -1), (cosine, 2 / 3)):
        table = alike(maps[:, None], maps)
        assert table.shape == (3, 3) and table[2].isnan().all() and table[:, 2].isnan().all()
        assert table[:2, :2].flatten().tolist() == pytest.approx([1, opposite, opposite, 1])


def test_energy_outside_by_hand() -> None:
    gradients = torch.zeros(2, 2, 5, 5)
    gradients[0, :, 1, 1] = torch.tensor([3.0, 4.0])
    gradients[0, 0, 4, 4] = 5.0
    gradients[1, 0, 0, 0] = 1e-30
    windows = Windows(torch.zeros(2, 1, 2, 3, 3), torch.tensor([0, -2]), torch.tensor([1, -2]))
    assert energy_outside(gradients, windows).tolist() == pytest.approx([0.5, 0])
    assert energy_outside(0 * gradients, windows).tolist() == [0, 0]


def test_maps_that_ask_no_detector() -> None:
    step = torch.zeros(3, 4, 6)
    step[:, :, 3:] = 1
    steep = edge_strength(step)
    assert steep.shape == (4, 6) and (steep[:, 2:4] == 4).all() and not steep[:, [0, 1, 4, 5]].any()
    blob = box_blob(torch.tensor([[2.0, 1.0, 6.0, 9.0]]), (10, 12))[0]
    assert blob.shape == (10, 12)
    across, down = torch.tensor([0.5]), torch.tensor([0.5])  # of a pixel beside the centre; deviations 1 and 2
    assert blob[4, 3].item() == pytest.approx(torch.exp(-0.5 * (across**2 + (down / 2) ** 2)).item())
    torch.testing.assert_close(blob[1:9, 2:6], blob[1:9, 2:6].flip(0, 1))


def test_area_holding_by_hand() -> None:
    maps = torch.tensor([[[5.0, 3], [1, 1]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    area = area_holding(maps, 0.8)
    assert area[:2].tolist() == [0.5, 1.0] and area[2].isnan()
    assert area_holding(maps, 0.5)[:2].tolist() == [0.25, 0.5]
    assert area_holding(maps[:0]).shape == (0,) and area_holding(maps * torch.nan).isnan().all()
    with pytest.raises(ValueError, match="share is 0"):
        area_holding(maps, 0)
    with pytest.raises(ValueError, match="negative values"):
        area_holding(-maps)


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
