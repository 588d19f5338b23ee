"""Every bundled detector and method: the maps of an accelerator are those of the processor."""

from functools import cache

import pytest
import torch
from compared import DEVICE, distances, partners
from torch import Tensor

from odam_lib import ODAM, explain, load_detector, photo
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import ZOO, Bundled
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.raster import raster_maps

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NAMES = [name for name, entry in ZOO.items() if isinstance(entry, Bundled)]
METHODS = {
    "exact": ODAM(),
    "window": ODAM(derivative="window"),
    "Grad-CAM": GradCAM(),
    "Grad-CAM++": GradCAMPlusPlus(),
    "D-RISE": DRISE(masks=24, cells=8, batch=12),
}
THRESHOLD = 0.5


@cache
def loaded(name: str, device: str) -> Detector:
    return load_detector(name, device)


@cache
def picture(name: str) -> Tensor:
    return photo("dog") if name == "yolov3-tiny" else Scenes("val", 3, "crowd" if "crowd" in name else None)[1][0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_maps_are_those_of_the_processor(name: str, method: str) -> None:
    if method == "window" and not loaded(name, "cpu").trace(picture(name)).windows:
        pytest.skip(f"{name} has no windows")
    here, there = (
        explain(loaded(name, device), picture(name), method=METHODS[method], score_threshold=THRESHOLD)
        for device in ("cpu", DEVICE)
    )
    assert there.maps[0].device.type == DEVICE and there.detections.boxes.device.type == DEVICE
    found = distances(here, there, THRESHOLD)
    assert len(found) >= 2
    # Grad-CAM++ divides by what may be near zero, where a map hangs on rounding.
    assert (found.median() if method == "Grad-CAM++" else found.max()) < 1e-3, found


@pytest.mark.parametrize("name", NAMES)
def test_small_maps_of_all_candidates_are_those_of_the_processor(name: str) -> None:
    traces = [loaded(name, device).trace(picture(name)) for device in ("cpu", DEVICE)]
    if not traces[0].windows:
        pytest.skip(f"{name} has no windows")
    here, there = (raster_maps(trace, trace.detections(THRESHOLD)).cpu() for trace in traces)
    assert here.shape == there.shape and here.any()
    assert (here - there).norm() < 1e-3 * here.norm()


@pytest.mark.parametrize("name", ["fcos-scenes", "faster-rcnn-scenes", "detr-scenes"])
def test_other_layers_too(name: str) -> None:
    for layer in loaded(name, "cpu").layers[1:]:
        here, there = (explain(loaded(name, device), picture(name), layer=layer) for device in ("cpu", DEVICE))
        assert distances(here, there, THRESHOLD).max() < 1e-3, layer


@pytest.mark.parametrize("name", NAMES)
def test_how_many_maps_are_made_at_a_time_changes_none(name: str) -> None:
    """The number is chosen by the memory that is free."""
    trace = loaded(name, DEVICE).trace(picture(name))
    found = trace.detections(THRESHOLD)[:6]
    whole, pieces = (ODAM(chunk=chunk)(trace, found, ("class", "x1")) for chunk in (None, 1))
    assert distances(whole, pieces, THRESHOLD).max() < 1e-4


def test_pictures_may_lie_on_either_device() -> None:
    image = picture("fcos-scenes")
    here, there = (explain(loaded("fcos-scenes", DEVICE), each) for each in (image, image.to(DEVICE)))
    assert len(partners(here, there, THRESHOLD)) == len(here)
    assert distances(here, there, THRESHOLD).max() < 1e-4
    assert here.to_image().device.type == DEVICE and here.combined().to_image().isfinite().all()
