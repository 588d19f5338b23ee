"""What every method does alike: by the front door, with strangers, with bad settings, on disk."""

import copy
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from blocks import BlockDetector, bright
from torch import Tensor

from odam_lib import ODAM, explain, load_detector
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.controls import BoxFill, CentredGaussian, EigenCAM, RandomMap
from odam_lib.explainers.d_close import DCLOSE
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.g_came import GCAME
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.layer_cam import LayerCAM
from odam_lib.explainers.smooth_grad import SmoothGrad
from odam_lib.explainers.ss_grad_cam import SSGradCAMPlusPlus
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import HeatMaps

NAMES = ("fcos-scenes", "faster-rcnn-scenes", "detr-scenes")
EVERY: dict[str, Explainer] = {
    "Grad-CAM": GradCAM(),
    "Grad-CAM++": GradCAMPlusPlus(),
    "D-RISE": DRISE(masks=3, batch=2),
    "LayerCAM": LayerCAM(),
    "G-CAME": GCAME(),
    "SSGrad-CAM++": SSGradCAMPlusPlus(),
    "D-CLOSE": DCLOSE(masks=4, segments=8, levels=2, batch=3),
    "SmoothGrad": SmoothGrad(samples=1),
    "BBAM": BBAM(iterations=2),
    "box fill": BoxFill(),
    "centred Gaussian": CentredGaussian(),
    "random": RandomMap(),
    "Eigen-CAM": EigenCAM(),
    "ODAM, combined": Combined(ODAM()),
}


@pytest.mark.parametrize("name", EVERY)
def test_maps_of_every_method_can_be_saved(untrained, image, name: str, tmp_path: Path) -> None:
    trace = untrained.trace(image)
    maps = EVERY[name](trace, trace.candidates[[0, 300, 301]], ("class", "y1"))
    for part in (maps, maps[1], maps[[0, 0]], maps[::-1]):
        part.save(tmp_path / "maps.safetensors")
        loaded = HeatMaps.load(tmp_path / "maps.safetensors")
        for kept in (loaded, pickle.loads(pickle.dumps(part)), copy.deepcopy(part)):
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(kept.maps, part.maps, strict=True))


@dataclass
class Found:
    """One bundled detector and what it found on a small scene."""

    detector: Detector
    image: Tensor
    detections: Detections
    other: Detections = field(init=False)

    def __post_init__(self) -> None:
        self.other = replace(self.detections, source="another on image 0")


@pytest.fixture(scope="module", params=NAMES)
def found(request, scene) -> Found:
    detector = load_detector(request.param, device="cpu")
    return Found(detector, scene, detector.detect(scene, 0.3)[:2])


@pytest.mark.parametrize("name", EVERY)
def test_each_method_explains_each_detector(found: Found, name: str) -> None:
    asked = ("x2", "class")
    made = explain(found.detector, found.image, found.detections, asked, EVERY[name])
    assert isinstance(made, HeatMaps) and made.method == name and made.attributes == asked
    assert len(made) == len(made.grids) == len(made.reasons) == len(found.detections) >= 1
    assert all(one.shape[0] == 2 and one.isfinite().all() and not one.requires_grad for one in made.maps)
    assert made.to_image().shape == (len(made), 2, *found.image.shape[-2:])
    empty = torch.tensor([[not one.any() for one in maps] for maps in made.maps])
    assert made.zero().equal(empty) and not empty[:, 1].any()
    none = explain(found.detector, found.image, found.detections[[]], asked, EVERY[name])
    assert len(none) == 0 and none.attributes == asked
    assert none.to_image().shape == (0, 2, *found.image.shape[-2:])


@pytest.mark.parametrize("name", EVERY)
def test_each_method_refuses_strangers_and_unknown_attributes(name: str) -> None:
    trace = BlockDetector().trace(bright())
    with pytest.raises(ValueError, match=r"The detections are of another on image 0, the trace is of block"):
        EVERY[name](trace, replace(trace.candidates, source="another on image 0"), ("class",))
    with pytest.raises(ValueError, match="Unknown attribute 'left'"):
        EVERY[name](trace, trace.candidates, ("left",))
    with pytest.raises(ValueError, match="No attribute"):
        EVERY[name](trace, trace.candidates, ())


@pytest.mark.parametrize(
    ("method", "bad"),
    [
        *[(method, {"derivative": "numeric"}) for method in (GradCAM, GradCAMPlusPlus)],
        *[(method, {"chunk": 0}) for method in (GradCAM, GradCAMPlusPlus)],
        *[(DRISE, bad) for bad in ({"masks": 0}, {"cells": 0}, {"batch": 0}, {"keep": 0}, {"keep": 1}, {"settled": 0})],
        *[(DCLOSE, {name: 0}) for name in ("masks", "segments", "levels", "batch", "keep", "enlarge")],
        (DCLOSE, {"masks": 4}),
        *[(SmoothGrad, bad) for bad in ({"samples": 0}, {"noise": -1})],
        *[(BBAM, {name: 0}) for name in ("iterations", "cells", "sparsity", "rate", "batch")],
        (RandomMap, {"cells": 0}),
    ],
)
def test_bad_settings_are_refused_by_name(method: type, bad: dict) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(bad))} is .*: give"):
        method(**bad)


def test_a_layer_without_windows_names_the_method_that_works_there(untrained, image) -> None:
    trace = untrained.trace(image, "stage2")
    with pytest.raises(ValueError, match=r"use GradCAM\(derivative='exact'\) there"):
        GradCAM(derivative="window")(trace, trace.candidates[[0]], ("class",))
