"""Maps on a common raster: those of ODAM on windows, for levels and for regions of interest."""

import pytest
import torch

from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.raster import raster_maps


@pytest.mark.parametrize("name", ["fcos-crowd", "faster-rcnn-crowd", "retinanet-scenes"])
@pytest.mark.parametrize("size", [256, (200, 310)])
def test_they_are_the_windows_maps_spread_over_the_picture(name: str, size) -> None:
    detector = load_detector(name, "cpu")
    image, _ = Scenes("val", 1, "crowd" if "crowd" in name else "street", size)[0]
    trace = detector.trace(image)
    found = trace.above(0.1)[:60]
    found = found[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))]
    for attribute in ("logit", "x2"):
        made = raster_maps(trace, found, attribute, short_edge=30)
        expected = ODAM(smoothing=None, derivative="window")(trace, found, [attribute]).to_image(made.shape[1:])[:, 0]
        assert min(made.shape[1:]) == 30 and expected.amax() > 0
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


def test_of_nothing_and_where_there_is_no_window() -> None:
    detector, (image, _) = load_detector("fcos-crowd", "cpu"), Scenes("val", 1, "crowd")[0]
    trace = detector.trace(image)
    assert raster_maps(trace, trace.candidates[:0]).shape == (0, 50, 50)
    deeper = detector.trace(image, "stage1")
    with pytest.raises(ValueError, match="Layer 'stage1' has no derivative on a window"):
        raster_maps(deeper, deeper.candidates[:2])
    with pytest.raises(ValueError, match="Unknown attribute 'width'"):
        raster_maps(trace, trace.candidates[:2], "width")
