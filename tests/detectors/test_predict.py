"""Many pictures at once: the same predictions as one after another, and differentiable."""

import pytest
import torch
from torch import Tensor

from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions
from odam_lib.detectors.zoo import ZOO, load_detector
from odam_lib.heatmaps import EDGES

SIZE = (170, 230)


@pytest.fixture(scope="module", params=[*(name for name in ZOO if name.endswith("-scenes")), "yolov3-tiny"])
def each(request) -> Detector:
    return load_detector(request.param, device="cpu")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_a_batch_says_what_single_pictures_say(each, images) -> None:
    for image, found in zip(images, each.predict(images)):
        candidates = each.trace(image).candidates
        boxes, scores, labels = found.best()
        torch.testing.assert_close(found.class_probs, candidates.class_probs, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(scores, candidates.scores, rtol=1e-3, atol=1e-5)
        same = labels == candidates.labels  # two classes may tie to rounding
        assert same.float().mean() > 0.99
        torch.testing.assert_close(boxes[same], candidates.boxes[same], rtol=1e-3, atol=0.05)


def test_again_reads_the_same_rows_on_other_pictures_and_is_differentiable(each, images) -> None:
    trace = each.trace(images[0])
    rows = trace.candidates[[3, 11]]
    assert trace.row_of(rows).tolist() == [3, 11]
    (same,) = trace.again(images[:1])
    torch.testing.assert_close(same.class_probs, trace.candidates.class_probs, rtol=1e-3, atol=1e-5)
    picture = images[1:2].clone().requires_grad_()
    (other,) = trace.again(picture)
    boxes, scores = other.of(rows.labels)
    assert boxes.shape == (2, len(trace.candidates), 4) and scores.shape == (2, len(trace.candidates))
    (by_score,) = torch.autograd.grad(scores[0, 3], picture, retain_graph=True)
    (by_edge,) = torch.autograd.grad(boxes[1, 11, EDGES.index("x2")], picture)
    assert by_score.abs().sum() > 0 and by_edge.abs().sum() > 0


def test_boxes_of_every_class_are_read_by_label() -> None:
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    found = Predictions(boxes, torch.tensor([[0.0, 0.2, 0.7], [0.0, 0.6, 0.1]]))
    read, scores = found.of(torch.tensor([2, 1, 2]))
    assert read[1].tolist() == boxes[:, 1].tolist() and scores[0].tolist() == pytest.approx([0.7, 0.1])
    best, scores, labels = found.best()
    assert labels.tolist() == [2, 1] and best.tolist() == [boxes[0, 2].tolist(), boxes[1, 1].tolist()]
