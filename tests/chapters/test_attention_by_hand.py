"""The weights of a head, by hand and by the network; and what a wrong answer is told."""

import pytest
import torch
from odam_chapters.attention.by_hand import check_attention, record_attention
from odam_chapters.attention.claims import measure_near_rim
from odam_chapters.attention.exercises import check_rims
from odam_chapters.attention.reading import read_cross_attention

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.detr import build_small_detr

pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=[(160, 256), (150, 250)], ids=["whole cells", "padded"])
def asked(request):
    torch.manual_seed(0)
    detector, image = build_small_detr("untrained", CATEGORIES), torch.rand(3, *request.param)
    return detector.trace(image), record_attention(detector, image)


def compute(asked, own: slice, root: float, dim: int = 1) -> torch.Tensor:
    q, k = asked.layer.q_proj(asked.queries)[:, own], asked.layer.k_proj(asked.keys)[:, own]
    return (q @ k.T / root**0.5).softmax(dim=dim)


def test_what_is_recorded_is_what_the_trace_has(asked) -> None:
    trace, recorded = asked
    weights = trace.attention.cross[-1]
    torch.testing.assert_close(recorded.used, weights[:, :, weights.sum(dim=(0, 1)) > 0])
    assert recorded.width == 32 and len(recorded.keys) == recorded.used.shape[2]


def test_a_head_by_hand_is_right_and_slips_are_named(asked) -> None:
    _, recorded = asked
    own = slice(96, 128)
    assert check_attention(compute(recorded, own, 32), recorded, 3).startswith("right: these are the weights")
    for answer, said in (
        (None, "open: from queries and keys"),
        (3.0, "yours is float"),
        (compute(recorded, own, 32).T, "a row for each query"),
        (compute(recorded, own, 32, dim=0), "the softmax runs over the queries"),
        (compute(recorded, own, 1), "not divided by the root of 32"),
        (compute(recorded, own, 128), "it is the root of 32"),
        (compute(recorded, slice(0, 128), 32), "one head of all 128 channels"),
        (compute(recorded, slice(3, 128, 4), 32), "every 4th channel"),
        (compute(recorded, slice(0, 32), 32), "the weights of head 0"),
        (recorded.used.mean(dim=0), "the mean over the heads"),
        (2 * recorded.used[3], "rows sum to 2.00 to 2.00"),
    ):
        assert said in check_attention(answer, recorded, 3)


def test_shares_along_the_edge(asked) -> None:
    trace, _ = asked
    detections = trace.candidates[:5].clipped()

    def measure(layer: int, head: int | None) -> float:
        maps = read_cross_attention(trace, detections, layer, head)
        return float(measure_near_rim(maps, detections.boxes).mean())

    assert check_rims(None, trace, detections).startswith("open")
    assert check_rims([measure(-1, head) for head in range(4)], trace, detections).startswith("right: head")
    assert "the mean over the heads is read" in check_rims([measure(-1, None)] * 4, trace, detections)
    assert "give 4 numbers" in check_rims([0.5], trace, detections)
    assert "the mean over all detections" in check_rims([0.9, 0.1, 0.2, 0.3], trace, detections)
