"""A user's own model on an accelerator: in float32, under autocast, and turned into half precision."""

from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from compared import DEVICE, cosines, distances
from wrapped import PICTURE, Case

from odam_lib import ODAM, HeatMaps, explain, wrap
from odam_lib.detectors.base import Detector

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
MODULES = ["wrapped_torchvision", *(["wrapped_transformers"] if find_spec("transformers") else [])]
CASES: list[Case] = [case for name in MODULES for case in import_module(name).CASES]
HALVES = (torch.float16, torch.bfloat16)
ALIKE = 0.9
"""Median cosine of the maps of numbers of 8 to 11 bits with those of float32, of the same predictions."""
MOST = 6


def explained(detector: Detector, threshold: float) -> HeatMaps:
    """The best of all predictions by every attribute."""
    trace = detector.trace(PICTURE)
    return ODAM()(trace, trace.detections(threshold)[:MOST], ("class", "x1", "y1", "x2", "y2"))


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_maps_are_those_of_the_processor(case: Case) -> None:
    model = case.build()
    here = explain(wrap(model, case.categories, **case.options), PICTURE, score_threshold=case.threshold)
    there = explain(
        wrap(deepcopy(model).to(DEVICE), case.categories, **case.options), PICTURE, score_threshold=case.threshold
    )
    found = distances(here, there, case.threshold)
    # Untrained models have proposals and queries of almost equal rank, a few of which swap places by rounding.
    assert (found < 1e-3).float().mean() > 0.9, found


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_under_autocast_maps_are_float32_and_nearly_those_without(case: Case, half: torch.dtype) -> None:
    detector = wrap(case.build().to(DEVICE), case.categories, **case.options)
    expected = explained(detector, case.threshold)
    with torch.autocast(DEVICE, dtype=half):
        maps = explained(detector, case.threshold)
    assert all(one.dtype == torch.float32 and one.isfinite().all() for one in maps.maps)
    assert maps.to_image().dtype == torch.float32
    if torch.equal(maps.detections.index, expected.detections.index):
        assert cosines(expected, maps).median() > ALIKE


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_a_model_in_half_precision_is_explained_in_it(case: Case, half: torch.dtype) -> None:
    model = case.build().to(DEVICE, half)
    detector, before = wrap(model, case.categories, **case.options), deepcopy(model.state_dict())
    maps = explained(detector, 0.0)
    after = model.state_dict()
    assert all(after[name].dtype == value.dtype and after[name].equal(value) for name, value in before.items())
    assert all(one.dtype == torch.float32 and one.isfinite().all() for one in maps.maps)
    assert maps.detections.boxes.dtype == torch.float32 and any(one.any() for one in maps.maps)
