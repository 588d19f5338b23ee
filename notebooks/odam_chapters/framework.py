"""The paper's Fig. 2 drawn from real maps: ODAM, Odam-Train and Odam-NMS in one picture.

Command: ``python -m odam_chapters.framework notebooks/figures/framework.png``.
"""

import argparse
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.crowds.cases import Triple, find_telling_triple
from odam_chapters.pictures import save_small
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.raster import raster_maps
from odam_lib.explainers.sources import WholeGradients
from odam_lib.files import output_file, user_path
from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.odam import min_max, smooth
from odam_lib.kernels.similarity import correlation
from odam_lib.viz.drawing import DIVERGING, blend, draw_box, draw_picture
from odam_lib.viz.sheets import Sheet

CHANNELS = 4
"""Of the features and of the gradients as many are shown: those that weigh most in the map."""


def draw_framework(trace: Trace, one: Detections, crowd: Trace, found: Detections, triple: Triple) -> Figure:
    """Panels (a) to (c) of Fig. 2.

    Args:
        trace: a pass of a detector that reads one level for each prediction.
        one: a single detection of it, for (a).
        crowd: a pass on a crowd, at a layer that has windows.
        found: candidates of it.
        triple: rows of two candidates of one person and one of another, for (b) and (c).
    """
    figure = Sheet(10.0, 5.4)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    apart = {"wspace": 0.16}
    _draw_odam(upper.subplots(1, 5, gridspec_kw=apart).tolist(), trace, one)
    left, right = lower.subfigures(1, 2, width_ratios=(3, 2.3))
    rows = list(triple)
    maps = raster_maps(crowd, found[rows])
    alike = correlation(maps)[0].tolist()
    shared = box_iou(found.boxes[rows], found.boxes[rows])[0].tolist()
    _draw_training(left.subplots(1, 3, gridspec_kw=apart).tolist(), crowd, found[rows], maps, alike)
    _draw_suppression(right.subplots(1, 2).tolist(), crowd, found[rows], shared, alike)
    upper.suptitle("(a) ODAM: the smoothed gradient of one prediction weighs the features, cell by cell", fontsize=10)
    left.suptitle("(b) Odam-Train: consistency for one person, separation of two", fontsize=10)
    right.suptitle("(c) Odam-NMS: boxes and maps decide together", fontsize=10)
    return figure


def _draw_odam(panels: list[Axes], trace: Trace, one: Detections) -> None:
    level = int(trace.feature_level(one)[0])
    method = ODAM()
    (gradient,) = (part[0] for part in WholeGradients(trace).on_levels("class", one, [level]))
    sigma = method.sigma(trace, one, trace.feature_level(one))
    smoothed = gradient if sigma is None else smooth(gradient[None], sigma)[0]
    features = trace.features[level].detach()[0]
    chosen = (smoothed * features).relu().sum(dim=(1, 2)).topk(CHANNELS).indices
    heat = method(trace, one, ("class",)).normalized().to_image()[0, 0]
    draw_picture(panels[0], trace.image.cpu(), one.image_size)
    draw_box(panels[0], one.boxes[0], 0)
    for panel, values in zip(panels[1:4], (features, gradient, smoothed)):
        panel.imshow(_tile(values[chosen]).numpy(), cmap=DIVERGING, vmin=-1, vmax=1)
        panel.set(xticks=[], yticks=[])
    draw_picture(panels[4], blend(trace.image.cpu(), heat.cpu()), one.image_size)
    draw_box(panels[4], one.boxes[0], 0)
    name = one.categories[int(one.labels[0])]
    titles = (
        f"prediction p: {name} {one.scores[0]:.2f}",
        "features A",
        "gradients dY/dA",
        "smoothed: \N{GREEK CAPITAL LETTER PHI}(dY/dA)",
        "H = ReLU(sum of \N{GREEK CAPITAL LETTER PHI}(dY/dA) A)",
    )
    for panel, title in zip(panels, titles):
        panel.set_title(title, fontsize=8)
    for start, end in pairwise(panels):
        _draw_arrow(start, end, "-|>")


def _draw_training(panels: list[Axes], crowd: Trace, found: Detections, maps: Tensor, alike: list[float]) -> None:
    height, width = found.image_size
    cells = Grid(width / maps.shape[2] / 2, height / maps.shape[1] / 2, width / maps.shape[2], height / maps.shape[1])
    large = min_max(sample_grid(maps, cells, found.image_size, found.image_size)).cpu()
    titles = ("prediction p", f"same person: {alike[1]:.2f}", f"neighbour: {alike[2]:.2f}")
    for panel, row in zip(panels, (1, 0, 2)):
        draw_picture(panel, blend(crowd.image.cpu(), large[row]), found.image_size)
        _draw_around(panel, found.boxes, row)
        panel.set_title(titles[row], fontsize=8)
    _draw_arrow(panels[1], panels[0], "<|-|>")
    _draw_arrow(panels[1], panels[2], "|-|")


def _draw_suppression(
    panels: list[Axes], crowd: Trace, found: Detections, shared: list[float], alike: list[float]
) -> None:
    for panel, row, verdict in zip(panels, (1, 2), ("removed", "kept")):
        draw_picture(panel, crowd.image.cpu(), found.image_size)
        draw_box(panel, found.boxes[0], 0)
        _draw_around(panel, found.boxes, row)
        panel.set_title(f"IoU {shared[row]:.2f}, maps {alike[row]:.2f}: {verdict}", fontsize=8)


def _draw_around(panel: Axes, boxes: Tensor, row: int) -> None:
    """One of the boxes, in a panel that shows what is around all of them."""
    draw_box(panel, boxes[row], row)
    low, high = boxes[:, :2].amin(dim=0), boxes[:, 2:].amax(dim=0)
    (left, top), (right, bottom) = (low - 8).tolist(), (high + 8).tolist()
    panel.set(xlim=(left, right), ylim=(bottom, top))


def _draw_arrow(start: Axes, end: Axes, style: str) -> None:
    forward = start.get_position().x0 < end.get_position().x0
    ends = ((1.0, 0.5), (0.0, 0.5)) if forward else ((0.0, 0.5), (1.0, 0.5))
    line = ConnectionPatch(*ends, "axes fraction", "axes fraction", axesA=start, axesB=end, arrowstyle=style)
    start.figure.add_artist(line)


def _tile(values: Tensor) -> Tensor:
    """Channels ``[4, h, w]``, each by its own largest size, as a block of two by two with lines between them."""
    scaled = values / values.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    framed = torch.nn.functional.pad(scaled, (0, 1, 0, 1))
    upper, lower = torch.cat(list(framed[:2]), dim=1), torch.cat(list(framed[2:]), dim=1)
    return torch.cat([upper, lower]).cpu()


@command
def main() -> None:
    """Draw the framework by the bundled detectors on a held-out scene and a held-out crowd."""
    parser = argparse.ArgumentParser(prog="python -m odam_chapters.framework", description=main.__doc__)
    parser.add_argument("output", type=user_path, help="PNG of at most 64 colours")
    parser.add_argument("--detector", default="fcos-scenes")
    parser.add_argument("--crowd-detector", default="fcos-crowd-odam")
    parser.add_argument("--scene", type=int, default=8, help="which of the held-out scenes")
    parser.add_argument("--crowd", type=int, default=3, help="which of the held-out crowds")
    asked = parser.parse_args()
    output_file(asked.output)
    trace = load_detector(asked.detector, "cpu").trace(Scenes("val", asked.scene + 1)[asked.scene][0])
    image, target = Scenes("val", asked.crowd + 1, "crowd")[asked.crowd]
    crowd = load_detector(asked.crowd_detector, "cpu").trace(image)
    one, found = trace.detections(0.5)[:1], crowd.above(0.5)
    triple = find_telling_triple(found, raster_maps(crowd, found), target["boxes"])
    if not len(one) or triple is None:
        raise ValueError("Nothing was found in the scene, or no such three boxes in the crowd: choose others.")
    save_small(draw_framework(trace, one, crowd, found, triple), asked.output)


if __name__ == "__main__":
    main()
