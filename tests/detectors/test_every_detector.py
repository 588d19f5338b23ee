"""One table: every detector, every attribute, every layer that has a fast gradient, against plain autograd."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor, nn
from wrapped import nudged

from odam_lib import ODAM, explain
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import TARGETS, Trace
from odam_lib.detectors.zoo import ZOO, build_detector
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.gradients import differentiate

NAMES = [*(name for name in ZOO if name.endswith("-scenes")), "yolov3-tiny"]
FAST = [
    ("fcos-scenes", "fpn"),
    ("retinanet-scenes", "fpn"),
    ("retinanet-pvt-scenes", "fpn"),
    ("faster-rcnn-scenes", "roi"),
    ("faster-rcnn-scenes", "fpn"),
    ("yolov3-tiny", "fpn"),
]
GROUP_NORMED = ["fcos-groupnorm-scenes"]
PICTURE = torch.rand(3, 150, 203, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    """Every bundled architecture with random weights, so that nothing depends on a training."""
    made = {}
    for name in NAMES:
        torch.manual_seed(0)
        made[name] = build_detector(name)
        for module in made[name].model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.Linear):  # the published starts are so small that all predictions are alike
                nn.init.xavier_normal_(module.weight)
    distances = made["fcos-scenes"].model.head.regression_head.bbox_reg
    distances.weight.mul_(0.1)
    distances.bias.fill_(9)  # the rectifier after it would stop half of them
    for head in made["yolov3-tiny"].model.heads.values():
        head[-1].weight.mul_(0.1)  # its boxes grow with the exponential of what it says
    return made


def spread(trace: Trace, each: int = 5) -> Detections:
    """Candidates of every level from the first cell to the last, so that borders and corners are among them."""
    chosen = []
    for level in trace.candidates.level.unique().tolist():
        rows = torch.nonzero(trace.candidates.level == level).flatten()
        chosen += rows[torch.linspace(0, len(rows) - 1, each).long()].tolist()
    return trace.candidates[sorted(set(chosen))]


def whole(trace: Trace, attribute: str, rows: Detections) -> list[Tensor]:
    """Each gradient with respect to the whole level or region, by one call of autograd each: ``[K, h, w]``."""
    found = []
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        target = trace.targets(attribute, rows[row])[0]
        found.append(torch.autograd.grad(target, trace.features[level], retain_graph=True)[0][0])
    return found


def unfolded(trace: Trace, attribute: str, rows: Detections) -> list[Tensor]:
    """The same from windows, laid back on the whole level: ``[K, h, w]``."""
    found: dict[int, Tensor] = {}
    levels = trace.feature_level(rows)
    groups = [torch.arange(len(rows))] if trace.regional else [torch.nonzero(levels == n).flatten() for n in levels]
    for group in groups:
        windows = trace.windows.gradients((attribute,), rows[group])
        for number, row in enumerate(group.tolist()):
            gradient, top, left = windows.values[number, 0], int(windows.top[number]), int(windows.left[number])
            sheet = torch.zeros_like(trace.features[int(levels[row])][0])
            height, width = gradient.shape[-2:]
            wide = nn.functional.pad(sheet, (width, width, height, height))
            wide[:, top + height : top + 2 * height, left + width : left + 2 * width] = gradient
            inner = wide[:, height:-height, width:-width]
            assert inner.abs().sum() == pytest.approx(float(gradient.abs().sum()), rel=1e-3)  # none beyond the border
            found[row] = inner
    return [found[row] for row in range(len(rows))]


@pytest.mark.parametrize("attribute", TARGETS)
@pytest.mark.parametrize(("name", "layer"), FAST)
def test_windows_are_the_gradient(detectors, name: str, layer: str, attribute: str) -> None:
    trace = detectors[name].trace(PICTURE, layer)
    rows = spread(trace)
    assert trace.windows.exact
    for ours, theirs in zip(unfolded(trace, attribute, rows), whole(trace, attribute, rows)):
        assert theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


class Fixed(nn.Module):
    """GroupNorm as the affine map that it was on one level of one picture."""

    def __init__(self, norm: nn.GroupNorm, values: Tensor) -> None:
        super().__init__()
        groups = values.unflatten(1, (norm.num_groups, -1))
        self.mean = groups.mean(dim=(2, 3, 4), keepdim=True)
        self.std = (groups.var(dim=(2, 3, 4), keepdim=True, correction=0) + norm.eps).sqrt()
        self.norm = norm

    def forward(self, values: Tensor) -> Tensor:
        scaled = ((values.unflatten(1, (self.norm.num_groups, -1)) - self.mean) / self.std).flatten(1, 2)
        return scaled * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]


@contextmanager
def frozen_statistics(detector: Detector, features: Tensor) -> Iterator[None]:
    """Replace each GroupNorm of the head by the map that it is at these features of one level."""
    restore = []
    for tower in (detector.model.head.classification_head.conv, detector.model.head.regression_head.conv):
        values = features.detach()
        for number, module in enumerate(tower):
            if isinstance(module, nn.GroupNorm):
                tower[number] = Fixed(module, values)
                restore.append((tower, number, module))
            values = module(values)
    try:
        yield
    finally:
        for tower, number, module in restore:
            tower[number] = module


@pytest.mark.parametrize("attribute", TARGETS)
@pytest.mark.parametrize("name", GROUP_NORMED)
def test_with_groupnorm_windows_are_the_gradient_at_fixed_statistics(detectors, name: str, attribute: str) -> None:
    detector = detectors[name]
    trace = detector.trace(PICTURE)
    assert not trace.windows.exact
    for level, features in enumerate(trace.features):
        rows = spread(trace)
        rows = rows[rows.level == level]
        ours = unfolded(trace, attribute, rows)
        with frozen_statistics(detector, features):
            fixed = detector.trace(PICTURE)
            rows = replace(rows, source=fixed.candidates.source)
            trace = replace(trace, candidates=replace(trace.candidates, source=fixed.candidates.source))
            torch.testing.assert_close(
                fixed.targets(attribute, rows), trace.targets(attribute, rows), rtol=1e-3, atol=1e-3
            )
            theirs = whole(fixed, attribute, rows)
        for window, gradient in zip(ours, theirs):
            torch.testing.assert_close(window, gradient, rtol=1e-4, atol=1e-4 * gradient.abs().max().item() + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_those_of_the_whole_gradient(detectors, name: str) -> None:
    """Windows and their smoothing margins against smoothing of the whole level, for every attribute."""
    trace = detectors[name].trace(PICTURE)
    rows = spread(trace, 3)
    kind = type("Plain", (type(trace),), {"windows": None})
    plain = kind(**{each.name: getattr(trace, each.name) for each in fields(trace)})
    ours = ODAM()(trace, rows, TARGETS)
    if not trace.regional:
        for one, other in zip(ours.maps, ODAM()(plain, rows, TARGETS).maps):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * other.abs().max().item())
    assert len(ours) == len(rows) and all(torch.isfinite(one).all() for one in ours.maps)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_along_an_edges_gradient_moves_that_edge_outwards(detectors, name: str) -> None:
    """Finite differences on the boxes themselves: x1 and y1 get smaller, x2 and y2 larger."""
    detector = detectors[name]
    layer = detector.layers[0]
    trace = detector.trace(PICTURE, layer)
    rows, moved = spread(trace, 3), 0
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        for column, edge in enumerate(EDGES):
            ((gradient,),) = differentiate(trace.targets(edge, rows[row]), [trace.features[level]])
            if not gradient.any():
                continue  # FCOS cuts distances at zero
            step = 1e-3 * trace.features[level].norm() * gradient / gradient.norm()
            with torch.no_grad(), nudged(detector, layer, level, step):
                after = detector.trace(PICTURE, layer)
            same = torch.nonzero(
                (after.candidates.level == rows.level[row]) & (after.candidates.index == rows.index[row])
            )
            found = replace(after.candidates[same[0]], labels=rows.labels[[row]])
            outwards = (after.boxes(found) - rows.boxes[row])[0, column] * (-1 if edge in ("x1", "y1") else 1)
            assert outwards > 0, (edge, float(outwards))
            moved += 1
    assert moved >= 8


@pytest.mark.parametrize("name", NAMES)
def test_few_and_many_detections(detectors, name: str) -> None:
    detector = detectors[name]
    trace = detector.trace(PICTURE)
    assert len(explain(detector, PICTURE, trace.candidates[:0])) == 0
    repeated = trace.candidates[torch.arange(60) % min(20, len(trace.candidates))]
    many = ODAM(derivative="window" if trace.windows else "exact")(trace, repeated, ("class",))
    one = ODAM(derivative=many.settings["derivative"])(trace, repeated[7], ("class",))
    torch.testing.assert_close(many.maps[7], one.maps[0], rtol=1e-4, atol=1e-5 * float(one.maps[0].max()) + 1e-12)
    torch.testing.assert_close(many.maps[47], many.maps[7], rtol=1e-4, atol=1e-5 * float(one.maps[0].max()) + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_detections_of_another_detector_or_picture_are_refused(detectors, name: str) -> None:
    detector = detectors[name]
    rows = detector.trace(PICTURE).candidates[:2]
    with pytest.raises(ValueError, match="explain detections with the detector and the image that made them"):
        explain(detector, PICTURE.flip(-1), rows)
    other = detectors[NAMES[(NAMES.index(name) + 1) % len(NAMES)]]
    with pytest.raises(ValueError, match=rf"detections are of {name} .* on image .*, the trace is of {other.name}"):
        explain(other, PICTURE, rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_explains_every_attribute(detectors, name: str) -> None:
    detector = detectors[name]
    for layer in detector.layers:
        trace = detector.trace(PICTURE, layer)
        rows = spread(trace, 2)
        maps = ODAM()(trace, rows, TARGETS)
        assert maps.layer == layer and maps.to_image().shape == (len(rows), len(TARGETS), 150, 203)
        assert not maps.select("logit").zero().all()
        for one, level in zip(maps.maps, trace.feature_level(rows).tolist()):
            assert one.shape[-2:] == trace.features[level].shape[-2:]
    with pytest.raises(ValueError, match="choose among"):
        detector.trace(PICTURE, "nowhere")


def test_a_layer_without_windows_says_so(detectors) -> None:
    for name in ("fcos-scenes", "faster-rcnn-scenes"):
        detector = detectors[name]
        trace = detector.trace(PICTURE, "stage2")
        with pytest.raises(ValueError, match="'stage2' has no derivative on a window: use ODAM"):
            ODAM(derivative="window")(trace, trace.candidates[:1], ("class",))


@pytest.mark.slow
def test_five_thousand_detections_are_explained(detectors) -> None:
    detector = detectors["retinanet-scenes"]
    trace = detector.trace(PICTURE)
    rows = trace.candidates[:5000]
    maps = ODAM()(trace, rows, ("class",))
    few = ODAM()(trace, rows[[4321]], ("class",))
    assert len(maps) == 5000
    torch.testing.assert_close(maps.maps[4321], few.maps[0], rtol=1e-4, atol=1e-5 * float(few.maps[0].max()))
