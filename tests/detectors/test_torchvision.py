"""What is read from torchvision's models: where cells lie, how many candidates are kept, which heads have windows."""

from copy import deepcopy

import pytest
import torch
from test_wrap import assert_same
from torch import nn
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG
from torchvision.models.vgg import make_layers
from wrapped import PICTURE
from wrapped_torchvision import CASES, own

from odam_lib import ODAM, wrap
from odam_lib.detectors.geometry import locate_layers
from odam_lib.heatmaps import ATTRIBUTES

BY_NAME = {case.name: case for case in CASES}


def test_cells_of_even_pools_lie_half_a_stride_from_the_border() -> None:
    """A cell's influence on a picture, as a centre of mass over sixteen cells, lies where the grid says."""
    torch.manual_seed(0)
    backbone = SSDFeatureExtractorVGG(make_layers([8, "M", 16, "M", 32, "M", 512, "M", 512, "M"]), highres=False)
    layer = locate_layers(backbone, {"backbone": ""}, (300, 300))["backbone"]
    assert layer.strides == (8, 16, 32, 64, 64, 64)  # the last two convolutions are not padded and skip no cell
    assert [grid.x for grid in layer.grids] == [4, 8, 8, 8, 72, 136]
    for module in backbone.modules():  # all paths weigh the same
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    picture = torch.rand(1, 3, 300, 300, requires_grad=True)
    features, positions = backbone(picture)["0"], torch.arange(300) + 0.5
    off = []
    for row in range(17, 21):
        for column in range(17, 21):
            (influence,) = torch.autograd.grad(features[0, :, row, column].sum(), picture, retain_graph=True)
            share = influence[0].abs().sum(dim=0) / influence.abs().sum()
            y, x = (share.sum(dim=1) * positions).sum(), (share.sum(dim=0) * positions).sum()
            grid = layer.grids[0]
            off.append(torch.stack([y - grid.y - row * grid.dy, x - grid.x - column * grid.dx]))
    assert torch.stack(off).mean(dim=0).abs().max() < 1  # of a stride of 8; from the first pixel it would be 3.5


@pytest.mark.parametrize("name", ["fcos", "retinanet", "ssdlite", "fasterrcnn"])
def test_the_models_own_limits_are_kept(name: str) -> None:
    case = BY_NAME[name]
    model = case.build()
    settings = model.roi_heads if name == "fasterrcnn" else model
    free = own(model, PICTURE)
    settings.detections_per_img, settings.topk_candidates = 9, 6
    bound = own(model, PICTURE)
    assert len(bound["scores"]) == 9 < len(free["scores"])
    assert_same(wrap(model, case.categories).detect(PICTURE, case.threshold), bound)
    settings.nms_thresh, settings.detections_per_img = 0.3, 1000
    assert_same(wrap(model, case.categories).detect(PICTURE, case.threshold), own(model, PICTURE))


def test_a_head_that_is_no_tower_is_explained_exactly() -> None:
    case = BY_NAME["retinanet"]
    plain = case.build()
    tower = plain.head.classification_head.conv
    other = deepcopy(plain)
    other.head.classification_head.conv = nn.Sequential(*tower, nn.Identity())
    one, two = (wrap(model, case.categories) for model in (plain, other))
    first, second = one.trace(PICTURE), two.trace(PICTURE)
    assert first.windows and not second.windows
    maps = ODAM()(first, first.detections(0.2)[:3], ATTRIBUTES)
    same = ODAM()(second, second.detections(0.2)[:3], ATTRIBUTES)
    for ours, theirs in zip(maps.maps, same.maps):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.max()))
    with pytest.raises(ValueError, match="has no derivative on a window"):
        ODAM(derivative="window")(second, second.candidates[:1], ("class",))


def test_a_pooling_that_has_seen_a_picture_keeps_its_scales() -> None:
    case = BY_NAME["fasterrcnn"]
    model = case.build()
    pool = model.roi_heads.box_roi_pool
    pool.scales = pool.map_levels = None
    detector = wrap(model, case.categories)
    detector.trace(PICTURE)
    assert pool.scales is None and pool.map_levels is None
    own(model, PICTURE)
    assert pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32] == detector.trace(PICTURE).pool.scales
