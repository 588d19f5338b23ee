"""Figures of Odam-Train: the cosines that its loss compares, the gap that it opens, what a setting gains and costs."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from odam_chapters.charts import METHOD_COLOURS
from odam_chapters.odam_train.sweep import Outcome
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz.drawing import SEQUENTIAL
from odam_lib.viz.sheets import Sheet, name_entry


def show_cosines(panels: Mapping[str, Tensor], objects: Tensor, title: str) -> Figure:
    """Cosines of all pairs of maps, those of one person side by side: its block is on the diagonal, and outlined.

    Args:
        panels: ``Tensor[N, N]`` in [0, 1] by the heading of the panel.
        objects: ``Tensor[N]``, whose map each is.
        title: the figure's message.
    """
    order = objects.argsort(stable=True).cpu()
    counts = objects.unique(return_counts=True)[1].tolist()
    figure = Sheet(3.6 * len(panels) + 0.7, 3.9)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (name, values) in zip(axes, panels.items()):
        drawn = panel.imshow(values.detach().cpu()[order][:, order].numpy(), cmap=SEQUENTIAL, vmin=0, vmax=1)
        start = 0
        for count in counts:
            corner = (start - 0.5, start - 0.5)
            panel.add_patch(Rectangle(corner, count, count, fill=False, edgecolor="white", lw=1.2))
            start += count
        panel.set(xticks=[], yticks=[])
        panel.set_title(name, fontsize=10)
    bar = figure.colorbar(drawn, ax=list(axes), fraction=0.046, pad=0.02)
    bar.set_label("cosine of two maps", fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def show_gaps(gaps: Mapping[str, Mapping[float, Estimate]], title: str) -> Figure:
    """Differences with their intervals at several overlaps: a line for each detector.

    Args:
        gaps: by the IoU of the two boxes, by the name of the line.
        title: the figure's message.
    """
    figure = Sheet(6.4, 3.6)
    panel = figure.subplots()
    for place, (name, by_iou) in enumerate(gaps.items()):
        tint, shift = METHOD_COLOURS[place % len(METHOD_COLOURS)], 0.008 * (place - (len(gaps) - 1) / 2)
        at = [iou + shift for iou in by_iou]
        panel.plot(at, [one.value for one in by_iou.values()], "o-", color=tint, ms=5, label=name_entry(name))
        for x, one in zip(at, by_iou.values()):
            panel.plot((x, x), (one.low, one.high), color=tint, lw=2, alpha=0.6)
    panel.axhline(0, color="0.4", lw=1, ls=":")
    panel.set(xlabel="IoU of the two boxes", ylabel="mean cosine, one person minus two")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=9)
    panel.set_title(title, fontsize=11)
    return figure


def show_trade_off(outcomes: Sequence[Outcome], title: str) -> Figure:
    """The change of ODI against the change of the miss rate, a point with its two intervals for each variant.

    Args:
        outcomes: those whose miss rate was not measured, and trainings without the loss, are left out.
        title: the figure's message.
    """
    figure = Sheet(6.8, 4.4)
    panel = figure.subplots()
    shown = [one for one in outcomes if "without" not in one.variant and not math.isnan(one.missed_change)]
    for place, one in enumerate(shown):
        middle, across = 100 * one.odi_change, 100 * one.missed_change
        tint = METHOD_COLOURS[place % len(METHOD_COLOURS)]
        panel.plot((100 * one.odi_low, 100 * one.odi_high), (across, across), color=tint, lw=1.2, alpha=0.6)
        panel.plot((middle, middle), (100 * one.missed_low, 100 * one.missed_high), color=tint, lw=1.2, alpha=0.6)
        marker = "os^D"[place // len(METHOD_COLOURS) % 4]
        panel.plot(middle, across, marker, color=tint, ms=7, label=name_entry(one.variant))
    panel.axhline(0, color="0.4", lw=1, ls=":")
    panel.axvline(0, color="0.4", lw=1, ls=":")
    panel.set(xlabel="change of ODI in % (left is better)", ylabel="change of the miss rate in points (down is better)")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if shown:
        figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure
