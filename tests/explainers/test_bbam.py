"""BBAM against planted truth."""

import pytest
import torch
from blocks import BLOCK, SIZE, BlockDetector, bright

from odam_lib.explainers.bbam import BBAM


def test_bbam_keeps_the_block_that_the_score_needs_and_nothing_else() -> None:
    trace = BlockDetector().trace(bright())
    made = BBAM(iterations=80, cells=16)(trace, trace.candidates[[0]], ("class", "y2"))
    heat = made.to_image()[0, 0]
    x1, y1, x2, y2 = BLOCK
    assert made.maps[0].min() >= 0 and made.maps[0].max() <= 1 and made.maps[0][0].equal(made.maps[0][1])
    assert heat[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 0.8
    outside = torch.ones(SIZE, dtype=torch.bool)
    outside[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = False  # two cells, as they blend into each other
    assert heat[outside].max() < 0.05


def test_bbam_s_mask_weighs_less_the_more_sparsity_costs() -> None:
    trace = BlockDetector().trace(bright())
    sums = [
        float(BBAM(iterations=60, cells=8, sparsity=sparsity)(trace, trace.candidates[[0]], ("class",)).maps[0].sum())
        for sparsity in (0.05, 0.5, 50)
    ]
    assert sums[0] >= sums[1] > 5 and sums[2] < 0.5


def test_bbam_does_not_depend_on_batches_and_company() -> None:
    trace = BlockDetector().trace(bright())
    rows = trace.candidates[[0, 1, 0]]
    together = BBAM(iterations=15, cells=6)(trace, rows, ("class",))
    for batch in (1, 2):
        for one, other in zip(BBAM(iterations=15, cells=6, batch=batch)(trace, rows, ("class",)).maps, together.maps):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    alone = BBAM(iterations=15, cells=6)(trace, rows[[1]], ("class",))
    torch.testing.assert_close(alone.maps[0], together.maps[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together.maps[0], together.maps[1], atol=0.05)


def test_bbam_needs_a_gradient_to_the_picture() -> None:
    trace = BlockDetector(differentiable=False).trace(bright())
    with pytest.raises(TypeError, match="block passes no gradient to the picture, which BBAM needs: give"):
        BBAM(iterations=1)(trace, trace.candidates, ("class",))
