"""Run lengths are read as pycocotools reads them, and what it would not survive is found before it is asked."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from odam_lib.datasets.masks import decode_mask, find_mask_problem, has_mask, stack_masks


@given(arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_every_mask_that_pycocotools_writes_is_sound_and_no_other_size_is(mask: np.ndarray, cut: int) -> None:
    height, width = mask.shape
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    code = {"size": [height, width], "counts": counts}
    assert has_mask(code) and find_mask_problem(code, height, width) == ""
    assert (decode_mask(code, height, width).numpy() == mask).all()
    wider = {"size": [height, width + 1], "counts": counts}
    assert "run lengths are damaged" in find_mask_problem(wider, height, width + 1)
    shorter = {"size": [height, width], "counts": counts[: cut % len(counts)]}
    assert not has_mask(shorter) or "run lengths are damaged" in find_mask_problem(shorter, height, width)


def test_a_long_run_is_read_whole() -> None:
    mask = np.zeros((700, 900), np.uint8, order="F")
    mask[300:305, 450:460] = 1
    counts = coco_mask.encode(mask)["counts"].decode()
    assert find_mask_problem({"size": [700, 900], "counts": counts}, 700, 900) == ""


@pytest.mark.parametrize(
    "segmentation", [None, [], {}, {"counts": ""}, [[1, 2, 3, 4]], [[0, 0, 4, 0, 4, 4], [1, 2]], "x"]
)
def test_what_draws_nothing_is_no_mask(segmentation: object) -> None:
    assert not has_mask(segmentation)


NAN, HUGE = float("nan"), 10**9
TRIANGLE = [[0, 0, 4, 0, 4, 4]]


@pytest.mark.parametrize(
    ("segmentation", "height", "width", "sentence"),
    [
        ([[NAN] * 6], 8, 10, "whose numbers are not finite"),
        ([[0, 0, 4, 0, float("inf"), 4]], 8, 10, "whose numbers are not finite"),
        ([[0, 0, 4e8, 0, 4, 4]], 8, 10, "far outside its picture of 10 x 8"),
        ([[0, 0, 10, 8] * 1000], 8, 10, "an outline that crosses its picture 4000 times"),
        ([[0, 0, 10, 8, 0, 8] * 2] * 1000, 8, 10, "an outline that crosses its picture .* times"),
        (TRIANGLE, HUGE, HUGE, "1 masks of 1000000000 x 1000000000 pixels take 1e.09 GB"),
        (TRIANGLE, 1, 2**31, "1 masks of 2147483648 x 1 pixels"),
        ({"size": [HUGE, HUGE], "counts": [0, HUGE**2]}, HUGE, HUGE, "1 masks of"),
        ({"size": [8, 10], "counts": [0, 2**40]}, 8, 10, "run lengths are damaged"),
        ({"size": [8, 10], "counts": "0"}, 8, 10, "run lengths are damaged"),
        ({"size": [HUGE, 10], "counts": [0, 80]}, 8, 10, "a mask of size"),
        (None, 8, 10, "has no mask"),
    ],
)  # fmt: skip
def test_what_pycocotools_would_not_survive_is_not_drawn(
    segmentation: object, height: int, width: int, sentence: str
) -> None:
    for draw in (decode_mask, lambda one, *size: stack_masks([one], *size)):
        with pytest.raises(ValueError, match=sentence):
            draw(segmentation, height, width)


def test_masks_that_memory_would_not_hold_are_not_made() -> None:
    with pytest.raises(ValueError, match="10000 masks of 4000 x 3000 pixels take 120 GB: reduce"):
        stack_masks([TRIANGLE] * 10_000, 3000, 4000)
