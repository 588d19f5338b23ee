"""D-CLOSE against a plain computation and against planted truth."""

import numpy as np
import torch
from blocks import BLOCK, SIZE, BlockDetector, bright
from torch.nn.functional import interpolate

from odam_lib.explainers.d_close import DCLOSE
from odam_lib.explainers.drise import measure_likeness
from odam_lib.kernels.superpixels import find_superpixels


def test_d_close_is_the_cascade_of_its_levels_fine_to_coarse() -> None:
    trace = BlockDetector().trace(bright())
    rows = trace.candidates
    made = DCLOSE(masks=24, segments=6, levels=3, enlarge=2, seed=5, batch=3)(trace, rows, ("class", "y2"))
    generator, levels = torch.Generator().manual_seed(5), []
    for number in (24, 12, 6):
        parts = find_superpixels(trace.image, number)
        weighted, density = np.zeros((2, *SIZE)), np.zeros(SIZE)
        for _ in range(8):
            shown = torch.rand(int(parts.max()) + 1, generator=generator) < 0.5
            twice = (2 * SIZE[0], 2 * SIZE[1])
            large = interpolate(shown[parts].float()[None, None], twice, mode="bilinear", align_corners=False)[0, 0]
            top, left = (int(torch.randint(side + 1, (), generator=generator)) for side in SIZE)
            mask = large[top : top + SIZE[0], left : left + SIZE[1]]
            (found,) = trace.detector.predict((trace.image * mask)[None])
            likeness = measure_likeness(found, rows).double().numpy()
            weighted += likeness[:, None, None] * mask.double().numpy()
            density += mask.double().numpy()
        level = weighted / np.where(density > 0, density, 1)
        low, high = level.min(axis=(1, 2), keepdims=True), level.max(axis=(1, 2), keepdims=True)
        levels.append((level - low) / (high - low))
    fine, middle, coarse = levels
    expected = ((fine + middle) * middle + coarse) * coarse
    for row, both in enumerate(made.maps):
        assert both[0].equal(both[1])
        np.testing.assert_allclose(both[0].double().numpy(), expected[row], rtol=1e-3, atol=1e-4)


def test_d_close_finds_the_block_that_the_score_depends_on() -> None:
    trace = BlockDetector().trace(bright())
    made = DCLOSE(masks=600, segments=24, levels=3, batch=50)(trace, trace.candidates[[0]], ("class",))
    heat = made.to_image()[0, 0]
    x1, y1, x2, y2 = BLOCK
    assert heat[y1:y2, x1:x2].mean() > 3 * heat.mean()
    row, column = divmod(int(heat.argmax()), SIZE[1])
    assert x1 - 4 <= column < x2 + 4 and y1 - 4 <= row < y2 + 4
