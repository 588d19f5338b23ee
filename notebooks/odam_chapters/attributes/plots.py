"""Figures of notebook 01: raw cells over the picture, what scaling and zeroing do to a number."""

from collections.abc import Mapping, Sequence

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from odam_chapters.charts import METHOD_COLOURS, draw_interval
from odam_chapters.pictures import find_part
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.heatmaps import EDGES
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import DIVERGING, SEQUENTIAL, TITLES, draw_box, draw_picture
from odam_lib.viz.sheets import Sheet, name_entry

MASK = "#7fdbff"
"""Of the outline of an object's mask."""


def show_cells(
    trace: Trace,
    panels: Sequence[tuple[str, Detections, Tensor]],
    title: str,
    masks: Tensor | None = None,
    margin: float = 0.4,
) -> Figure:
    """Maps as the cells that they consist of, over the part of the picture around the explained objects.

    Args:
        trace: the pass.
        panels: heading, one detection of that pass and its map ``Tensor[h, w]`` on the features that explain it; a
            signed map gets the diverging colours, and each is scaled by its own largest value; under the heading of an
            edge, of ``TITLES``, that edge is drawn thick. Without panels the figure says so.
        title: the figure's message.
        masks: bool ``Tensor[M, H, W]``, objects to be outlined.
        margin: how much is shown around all boxes together, as a share of the longer side.
    """
    if not panels:
        figure = Sheet(6.0, 0.9)
        figure.suptitle(f"{title}\nNo object above the score threshold", fontsize=11)
        return figure
    edges = {TITLES[edge]: edge for edge in EDGES}
    part, corner = find_part(torch.cat([one.boxes for _, one, _ in panels]).cpu(), trace.image.cpu(), margin)
    high, wide = trace.image.cpu()[part].shape[-2:]
    figure = Sheet(3.0 * len(panels), 3.0 * high / wide + 0.6)
    grey = trace.image.cpu().mean(dim=0, keepdim=True).expand(3, -1, -1) * 0.6 + 0.15
    for panel, (heading, one, values) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        draw_picture(panel, grey, one.image_size)
        _draw_cells(panel, trace, one, values.cpu())
        for mask in () if masks is None else masks.cpu().float().numpy():
            panel.contour(mask, levels=[0.5], colors=[MASK], linewidths=0.9)
        draw_box(panel, one.boxes[0].cpu(), 0, edge=edges.get(heading))
        left, top = corner[:2].tolist()
        panel.set(xlim=(left, left + wide), ylim=(top + high, top))
        panel.set_title(heading, fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_cells(panel: Axes, trace: Trace, one: Detections, values: Tensor) -> None:
    grid, (height, width) = trace.grids[int(trace.feature_level(one)[0])], one.image_size
    down, across = height / trace.input_size[0], width / trace.input_size[1]
    left, top = (grid.x - grid.dx / 2) * across, (grid.y - grid.dy / 2) * down
    right, bottom = left + values.shape[1] * grid.dx * across, top + values.shape[0] * grid.dy * down
    share = (values / values.abs().max().clamp(min=1e-30)).numpy()
    signed = bool((values < 0).any())
    colours = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL](share / 2 + 0.5 if signed else share)
    colours[..., 3] = 0.85 * abs(share) ** 0.5  # weak cells are to be seen too
    panel.imshow(colours, extent=(left, right, bottom, top), interpolation="nearest")


def show_scaling(
    scales: Sequence[float], numbers: Mapping[str, Sequence[float]], totals: Mapping[str, float], title: str
) -> Figure:
    """A number against the factor of all features, and the slope that the sum of its map says it has at 1.

    Args:
        scales: the factors.
        numbers: what each detector says at each of them, by the detector's name.
        totals: the sum of the map before the rectifier, by the same names.
        title: the figure's message.
    """
    figure = Sheet(7.2, 3.6)
    panel = figure.subplots()
    for (name, values), tint in zip(numbers.items(), METHOD_COLOURS):
        middle = values[list(scales).index(1)]
        panel.plot(scales, values, "o-", color=tint, ms=4, label=name_entry(f"{name}: map sums to {totals[name]:+.1f}"))
        ends = [0.85, 1.15]
        panel.plot(ends, [middle + totals[name] * (at - 1) for at in ends], color="black", lw=2.5, alpha=0.5)
    panel.set(xlabel="all features times", ylabel="class logit")
    panel.legend(frameon=False, fontsize=9)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(title, fontsize=11)
    return figure


def show_moves(moves: Mapping[str, Estimate], title: str) -> Figure:
    """How far edges move inwards, with intervals, by what was taken away: of :func:`compare` what is no difference."""
    shown = {name: each for name, each in moves.items() if " minus " not in name}
    figure = Sheet(6.8, 1.4 + 0.36 * len(shown))
    panel = figure.subplots()
    for place, (each, tint) in enumerate(zip(shown.values(), METHOD_COLOURS)):
        draw_interval(panel, place, each.value, (each.low, each.high), tint, 8)
    panel.set_yticks(range(len(shown)), list(shown))
    panel.set(ylim=(len(shown) - 0.4, -0.6), xlabel="inward move, % of the box's side")
    panel.axvline(0, color="0.4", lw=1, ls=":")
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(title, fontsize=11)
    return figure


def show_first_order(predicted: Tensor, happened: Tensor, title: str, label: str) -> Figure:
    """Predicted against measured changes ``[N]``, and the line on which both are the same."""
    figure = Sheet(5.0, 4.2)
    panel = figure.subplots()
    low, high = (float(end) for end in torch.cat([predicted, happened]).cpu().aminmax())
    panel.plot((low, high), (low, high), color="0.6", lw=1)
    panel.plot(predicted.tolist(), happened.tolist(), "o", color=METHOD_COLOURS[0], ms=4, alpha=0.7)
    panel.set(xlabel=f"predicted change of the {label}", ylabel="measured change")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(title, fontsize=11)
    return figure
