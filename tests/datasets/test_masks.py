"""Run lengths are read as pycocotools reads them, and what it would not survive is found before it is asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from odam_lib.datasets.masks import decode_mask, has_mask, mask_problem


@given(arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_every_mask_that_pycocotools_writes_is_sound_and_no_other_size_is(mask: np.ndarray, cut: int) -> None:
    height, width = mask.shape
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    code = {"size": [height, width], "counts": counts}
    assert has_mask(code) and mask_problem(code, height, width) == ""
    assert (decode_mask(code, height, width).numpy() == mask).all()
    wider = {"size": [height, width + 1], "counts": counts}
    assert "run lengths are damaged" in mask_problem(wider, height, width + 1)
    shorter = {"size": [height, width], "counts": counts[: cut % len(counts)]}
    assert not has_mask(shorter) or "run lengths are damaged" in mask_problem(shorter, height, width)


def test_a_long_run_is_read_whole() -> None:
    mask = np.zeros((700, 900), np.uint8, order="F")
    mask[300:305, 450:460] = 1
    counts = coco_mask.encode(mask)["counts"].decode()
    assert mask_problem({"size": [700, 900], "counts": counts}, 700, 900) == ""


@pytest.mark.parametrize(
    "segmentation", [None, [], {}, {"counts": ""}, [[1, 2, 3, 4]], [[0, 0, 4, 0, 4, 4], [1, 2]], "x"]
)
def test_what_draws_nothing_is_no_mask(segmentation: object) -> None:
    assert not has_mask(segmentation)
