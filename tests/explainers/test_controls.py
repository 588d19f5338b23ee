"""Controls: maps that explain nothing; and the combination of maps."""

import numpy as np
import pytest
import torch
from blocks import BlockDetector, bright
from hypothesis import given, settings, strategies as st

from odam_lib import ODAM, explain
from odam_lib.explainers.controls import BoxFill, CentredGaussian, RandomMap
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.odam import combine
from odam_lib.metrics.localization import energy_inside


def test_box_fill_lies_in_the_box_alone(detector, scene) -> None:
    maps = explain(detector, scene, method=BoxFill())
    inside = maps.detections.boxes
    rows, columns = torch.arange(scene.shape[1]) + 0.5, torch.arange(scene.shape[2]) + 0.5
    for heat, (x1, y1, x2, y2) in zip(maps.to_image()[:, 0], inside.tolist()):
        region = ((rows > y1) & (rows < y2))[:, None] & ((columns > x1) & (columns < x2))
        assert energy_inside(heat, region) > 0.999
        torch.testing.assert_close(heat[region], torch.ones_like(heat[region]), atol=1e-3, rtol=0)


def test_the_centred_gaussian_peaks_in_the_middle_and_falls_with_the_box(detector, scene) -> None:
    maps = explain(detector, scene, method=CentredGaussian())
    for heat, (x1, y1, x2, y2) in zip(maps.to_image()[:, 0], maps.detections.boxes.tolist()):
        row, column = divmod(int(heat.argmax()), heat.shape[1])
        assert abs(column + 0.5 - (x1 + x2) / 2) <= 0.51 and abs(row + 0.5 - (y1 + y2) / 2) <= 0.51
        middle = heat[row]
        quarter = min(int(column + (x2 - x1) / 4), len(middle) - 1)
        away = (quarter + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 4)
        assert float(middle[quarter]) == pytest.approx(float(heat.max()) * np.exp(-0.5 * away**2), abs=0.02)


def test_random_maps_are_one_detection_s_own(detector, scene) -> None:
    found = detector.detect(scene, 0.3)
    together = explain(detector, scene, found, method=RandomMap())
    assert len(found) >= 2
    for row in range(len(found)):
        alone = explain(detector, scene, found[row], method=RandomMap())
        assert alone.maps[0].equal(together.maps[row])
    turned = explain(detector, scene, found[list(reversed(range(len(found))))], method=RandomMap())
    assert all(one.equal(other) for one, other in zip(reversed(turned.maps), together.maps))
    correlation = torch.corrcoef(torch.stack([maps[0].flatten() for maps in together.maps]))
    assert (correlation - torch.eye(len(found))).abs().max() < 0.4
    assert not explain(detector, scene, found, method=RandomMap(seed=1)).maps[0].equal(together.maps[0])
    assert together.maps[0].shape == (len(ATTRIBUTES), 16, 16) and together.maps[0][0].equal(together.maps[0][3])


@given(st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_noise_is_uniform_and_its_seed_s(cells: int, seed: int) -> None:
    trace = BlockDetector().trace(bright())
    one, other = (RandomMap(cells, seed)(trace, trace.candidates, ("class",)) for _ in range(2))
    assert one.maps[0].shape == (1, cells, cells) and one.maps[0].equal(other.maps[0])
    assert one.maps[0].min() >= 0 and one.maps[0].max() < 1
    assert abs(float(one.maps[0].mean()) - 0.5) < 2 / cells


def test_combined_is_h_comb_in_the_place_of_every_attribute(detector, scene) -> None:
    of = ODAM(smoothing=None)
    plain, made = explain(detector, scene, method=of), explain(detector, scene, None, ("y1", "class"), Combined(of))
    assert len(made) >= 1 and made.attributes == ("y1", "class") and made.settings == plain.settings
    for maps, whole, expected in zip(plain.maps, made.maps, plain.combined().maps):
        assert whole[0].equal(expected[0]) and whole[1].equal(expected[0]) and whole[0].equal(combine(maps))
