"""Rules of suppression on a forward pass: the same candidates, other evidence."""

import pytest
import torch
from torchvision.ops import batched_nms

from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.nms import nms, odam_nms, soft_nms
from odam_lib.suppression import by_boxes, by_maps, suppressed


@pytest.fixture(scope="module", params=["fcos-crowd-odam", "faster-rcnn-crowd-odam"])
def trace(request):
    return load_detector(request.param, "cpu").trace(Scenes("val", 1, "crowd")[0][0])


def test_by_boxes_is_torchvision(trace) -> None:
    found = trace.candidates.above(0.3)
    boxes = trace.boxes(found)
    kept = suppressed(trace, 0.3, by_boxes(nms))
    rows = batched_nms(boxes, found.scores, found.labels, 0.5)
    assert torch.equal(kept.boxes, boxes[rows]) and torch.equal(kept.scores, found.scores[rows])


def test_by_maps_makes_the_maps_that_the_kernel_is_given(trace) -> None:
    found = trace.candidates.above(0.3)
    boxes, maps = trace.boxes(found), raster_maps(trace, found)
    kept = suppressed(trace, 0.3, by_maps(0.3, 0.9))
    index, scores = odam_nms(boxes, found.scores, found.labels, maps, low=0.3, high=0.9)
    assert torch.equal(kept.boxes, boxes[index]) and torch.equal(kept.scores, scores)
    assert len(kept) > len(suppressed(trace, 0.3, by_boxes(nms)))


def test_decayed_scores_reach_the_detections(trace) -> None:
    kept = suppressed(trace, 0.3, by_boxes(soft_nms))
    assert len(kept) > len(suppressed(trace, 0.3, by_boxes(nms))) and (kept.scores < 0.3).any()
    assert kept.scores.tolist() == sorted(kept.scores.tolist(), reverse=True)
