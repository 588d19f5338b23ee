"""Rules of suppression on a forward pass: the same candidates, other evidence."""

import pytest
import torch
from odam_chapters.crowds.embeddings import EMBEDDED, load_embedder
from torchvision.ops import batched_nms

from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.suppression import by_boxes, by_embeddings, by_maps, suppress
from odam_lib.kernels.nms import feature_nms, nms, odam_nms, soft_nms


@pytest.fixture(scope="module", params=["fcos-crowd-odam", "faster-rcnn-crowd-odam"])
def trace(request):
    return load_detector(request.param, "cpu").trace(Scenes("val", 1, "crowd")[0][0])


def test_by_boxes_is_torchvision(trace) -> None:
    found = trace.above(0.3)
    boxes = trace.boxes(found)
    kept = suppress(trace, 0.3, by_boxes(nms))
    rows = batched_nms(boxes, found.scores, found.labels, 0.5)
    assert torch.equal(kept.boxes, boxes[rows]) and torch.equal(kept.scores, found.scores[rows])


def test_by_maps_makes_the_maps_that_the_kernel_is_given(trace) -> None:
    found = trace.above(0.3)
    boxes, maps = trace.boxes(found), raster_maps(trace, found)
    kept = suppress(trace, 0.3, by_maps(0.3, 0.9))
    index, scores = odam_nms(boxes, found.scores, found.labels, maps, low=0.3, high=0.9)
    assert torch.equal(kept.boxes, boxes[index]) and torch.equal(kept.scores, scores)
    assert len(kept) > len(suppress(trace, 0.3, by_boxes(nms)))


@pytest.mark.parametrize("name", EMBEDDED)
def test_by_embeddings_gives_the_kernel_the_vector_of_each_candidate(name) -> None:
    trace, embed = load_detector(name, "cpu").trace(Scenes("val", 1, "crowd")[0][0]), load_embedder(name)
    found = trace.above(0.3)
    boxes, vectors = trace.boxes(found), embed(trace, found)
    kept = {}
    for far in (0.0, 0.8, 2.0):
        kept[far] = suppress(trace, 0.3, by_embeddings(embed, 0.2, 0.7, far))
        index, scores = feature_nms(boxes, found.scores, found.labels, vectors, 0.2, 0.7, far)
        assert torch.equal(kept[far].boxes, boxes[index]) and torch.equal(kept[far].scores, scores)
    # No vectors are less than 0 or more than 2 apart, so that there the IoU alone decides, at 0.7 and at 0.2.
    for far, iou in ((0.0, 0.7), (2.0, 0.2)):
        alone = suppress(trace, 0.3, by_boxes(lambda *found, iou=iou: nms(*found, iou_threshold=iou)))
        assert torch.equal(kept[far].boxes, alone.boxes)
    assert len(kept[0.0]) > len(kept[0.8]) > len(kept[2.0]) > 0


def test_decayed_scores_reach_the_detections(trace) -> None:
    kept = suppress(trace, 0.3, by_boxes(soft_nms))
    assert len(kept) > len(suppress(trace, 0.3, by_boxes(nms))) and (kept.scores < 0.3).any()
    assert kept.scores.tolist() == sorted(kept.scores.tolist(), reverse=True)
