"""A network that is not ours, plugged in by the very code of ``docs/own_detector.md``."""

import pytest
import torch
from torch import Tensor, nn

from odam_lib import ODAM, explain, show_maps
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import TARGETS
from odam_lib.files import data_root
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.gradients import UnconnectedTargetError
from odam_lib.viz.widgets import InstancePicker

SIZE = (90, 131)


class StandIn(nn.Module):
    """What a third party might bring: one grid of stride 8, a 3x3 head, boxes in a coding of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(*(nn.Conv2d(i, o, 3, 2, 1) for i, o in ((3, 8), (8, 16), (16, 16))), nn.ReLU())
        self.head = nn.Conv2d(16, 4 + 3, 3, padding=1)


def read_example() -> str:
    page = (data_root().parent / "docs" / "own_detector.md").read_text(encoding="utf-8")
    return page.split("```python\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def foreign() -> Detector:
    torch.manual_seed(3)
    names: dict[str, object] = {"__name__": "foreign"}
    exec(compile(read_example(), "own_detector.md", "exec"), names)
    model = StandIn()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return names["MyDetector"](model)  # type: ignore[operator]


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(5))


def test_it_takes_at_most_forty_lines() -> None:
    assert len([line for line in read_example().splitlines() if line.strip()]) <= 40


@pytest.mark.parametrize("attribute", TARGETS)
def test_its_maps_are_gradient_times_activation(foreign, image, attribute: str) -> None:
    trace = foreign.trace(image)
    rows = trace.candidates[::17]
    maps = ODAM(smoothing=None)(trace, rows, (attribute,))
    for row in range(len(rows)):
        features = trace.features[0]
        (gradient,) = torch.autograd.grad(trace.targets(attribute, rows[row])[0], features, retain_graph=True)
        torch.testing.assert_close(maps.maps[row][0], (gradient * features).sum(dim=1)[0].relu(), rtol=1e-4, atol=1e-6)


def test_its_maps_line_up_with_the_cell_that_predicted(foreign, image) -> None:
    """The head sees 3 x 3 cells: the map of a prediction lies within 2 cells of it, for a picture of an odd size."""
    trace = foreign.trace(image)
    rows = trace.candidates[::13]
    heats = ODAM(smoothing=None)(trace, rows, ("logit",)).to_image()[:, 0]
    seen = 0
    for heat, (x, y) in zip(heats, trace.cells[rows.index].tolist()):
        if heat.any():
            ys, xs = torch.nonzero(heat > 1e-6 * heat.max(), as_tuple=True)
            assert abs(float(xs.float().mean()) + 0.5 - x) <= 16 and abs(float(ys.float().mean()) + 0.5 - y) <= 16
            assert xs.max() - xs.min() <= 32 and ys.max() - ys.min() <= 32
            seen += 1
    assert seen >= 5


def test_the_sign_of_its_edges(foreign, image) -> None:
    trace = foreign.trace(image)
    rows = trace.candidates[[20, 77]]
    for row in range(2):
        for column, edge in enumerate(EDGES):
            (gradient,) = torch.autograd.grad(trace.targets(edge, rows[row])[0], trace.features[0], retain_graph=True)
            with torch.no_grad():
                out = foreign.model.head(trace.features[0] + 1e-2 * gradient / gradient.norm())[0].flatten(1).T
            cell = trace.cells[rows.index[row]]
            centre = cell + 8 * out[rows.index[row], :2].tanh()
            half = 4 * out[rows.index[row], 2:4].exp()
            after = torch.cat([centre - half, centre + half])[column]
            before = rows.boxes[row, column]
            assert after < before if edge in ("x1", "y1") else after > before


def test_front_door_figures_and_picker_work(foreign, image) -> None:
    maps = explain(foreign, image, score_threshold=0.6)
    assert len(maps) > 0 and maps.to_image().shape == (len(maps), 5, *SIZE)
    assert len(show_maps(image, maps[:2]).axes[0].images) == 2 * 7
    picker = InstancePicker(foreign, image, maps.detections[:3])
    assert picker.heat_maps.detections.source == maps.detections.source


def test_what_its_layer_cannot_explain_is_named(foreign, image) -> None:
    trace = foreign.trace(image)
    constant = type(trace)(**{**vars(trace), "corners": trace.corners.detach()})
    with pytest.raises(UnconnectedTargetError, match=r"'x1' .* does not depend on layer 'backbone', level 0"):
        ODAM()(constant, trace.candidates[:1], ("class", "x1"))
    with pytest.raises(ValueError, match="has no layer 'neck'"):
        explain(foreign, image, layer="neck")
