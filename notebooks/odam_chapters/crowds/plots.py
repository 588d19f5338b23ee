"""Pictures of crowds before and after suppression, of its mistakes, and of what its thresholds change."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.pictures import draw_thin
from odam_lib.kernels.odam import min_max
from odam_lib.metrics.crowds import match_greedily
from odam_lib.viz.drawing import (
    OBJECT_COLOURS,
    SEQUENTIAL,
    blend,
    draw_outline,
    draw_picture,
    fit_size,
    resize,
)
from odam_lib.viz.sheets import MOST_BOXES, MOST_ROWS, Sheet, tell_count

FOUND, MISSED, FALSE = "a person who was found", "a person who is lost", "a box too many"
STYLES = {FOUND: (OBJECT_COLOURS[1], "-"), MISSED: (OBJECT_COLOURS[5], "--"), FALSE: (OBJECT_COLOURS[6], "-.")}
"""Colour and line of a box by what it is of."""
MARGIN = 0.25
"""What is shown around two boxes, as a share of their longer side."""
LEGEND_WIDTH = 5.4
"""Inches that the three entries of the legend need: a figure of one panel is narrower than its legend."""
CROWD, COUPLE = 4.8, 3.0
"""Inches of a panel's side: of a whole crowd, in which people are small, and of a pair of boxes (230 pixels)."""


def show_suppression(image: Tensor, truth: Tensor, kept: Mapping[str, Tensor], title: str) -> Figure:
    """One crowd, a panel for each rule: who was found, who was lost, which boxes are too many.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        truth: ``Tensor[G, 4]``, the people, (x1, y1, x2, y2) in pixels.
        kept: boxes ``[M, 4]``, best first, by the heading of their panel; of more than ``MOST_BOXES`` the first are
            drawn, and the heading says so.
        title: the figure's message.
    """
    size = (image.shape[-2], image.shape[-1])
    figure = Sheet(max(CROWD * len(kept), LEGEND_WIDTH), CROWD * size[0] / size[1] + 0.9)
    for panel, (name, boxes) in zip(figure.subplots(1, len(kept), squeeze=False)[0], kept.items()):
        boxes = boxes.cpu()
        person = match_greedily(box_iou(boxes, truth))
        missed = ~torch.isin(torch.arange(len(truth)), person)
        draw_picture(panel, image, size)
        for box, owner in zip(boxes[:MOST_BOXES], person.tolist()):
            draw_outline(panel, box, *STYLES[FOUND if owner >= 0 else FALSE])
        for box in truth[missed][:MOST_BOXES]:
            draw_outline(panel, box, *STYLES[MISSED])
        counts = (int((person >= 0).sum()), int(missed.sum()), int((person < 0).sum()))
        heading = "{}: {} found, {} lost, {} too many".format(name, *counts)
        panel.set_title(tell_count(heading, MOST_BOXES, max(len(boxes), counts[1]), "boxes"), fontsize=10)
    lines = [Line2D([], [], color=tint, ls=style, lw=2) for tint, style in STYLES.values()]
    figure.legend(lines, list(STYLES), loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def show_candidates(image: Tensor, boxes: Tensor, title: str) -> Figure:
    """A picture with all its candidates, thin: where many lie, the outlines add up.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        boxes: ``Tensor[N, 4]``.
        title: the figure's message.
    """
    size = (image.shape[-2], image.shape[-1])
    figure = Sheet(CROWD, CROWD * size[0] / size[1] + 0.4)
    panel = figure.subplots()
    draw_picture(panel, image, size)
    draw_thin(panel, boxes, STYLES[FOUND][0])
    panel.set_title(title, fontsize=11)
    return figure


def show_couples(pairs: Sequence[tuple[Tensor, Tensor]], captions: Sequence[str], title: str) -> Figure:
    """Pairs of boxes, a panel for each: the first solid, the second dashed.

    Args:
        pairs: P items: image ``[3, H, W]``, two boxes ``[2, 4]``; of more than ``MOST_ROWS`` the first are shown,
            and the title says so.
        captions: one a pair.
        title: the figure's message.
    """
    title, pairs = tell_count(title, MOST_ROWS, len(pairs), "pairs"), pairs[:MOST_ROWS]
    columns = max(1, min(len(pairs), 3))
    rows = max(1, -(-len(pairs) // columns))
    figure = Sheet(COUPLE * columns, (COUPLE + 0.25) * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (image, boxes), caption in zip(panels, pairs, captions):
        _couple(panel, image, boxes.cpu(), image)
        panel.set_title(caption, fontsize=9)
    for panel in panels[len(pairs) :]:
        panel.remove()
    figure.suptitle(title, fontsize=11)
    return figure


def show_couple_maps(
    pairs: Sequence[tuple[Tensor, Tensor, Tensor]], captions: Sequence[Sequence[str]], title: str
) -> Figure:
    """Pairs of boxes and their maps, a row for each: both boxes, then the map of each of them.

    Args:
        pairs: P items: image ``[3, H, W]``, two boxes ``[2, 4]``, their maps ``[2, H, W]`` aligned with the image.
            Of more than ``MOST_ROWS`` the first are shown, and the title says so.
        captions: three for each pair.
        title: the figure's message.
    """
    title, pairs, captions = tell_count(title, MOST_ROWS, len(pairs), "pairs"), pairs[:MOST_ROWS], captions[:MOST_ROWS]
    figure = Sheet(3 * COUPLE, (COUPLE + 0.25) * max(1, len(pairs)) + 0.4)
    lines = figure.subplots(len(pairs), 3, squeeze=False) if pairs else ()
    for line, (image, boxes, maps), texts in zip(lines, pairs, captions, strict=True):
        shown = fit_size((image.shape[-2], image.shape[-1]))
        small, heats = resize(image.cpu(), shown), [min_max(resize(one[None].cpu(), shown)[0]) for one in maps]
        _couple(line[0], image, boxes.cpu(), small)
        for place, heat in enumerate(heats):
            _couple(line[1 + place], image, boxes.cpu(), blend(small, heat), only=place)
        for panel, text in zip(line, texts, strict=True):
            panel.set_title(text, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def show_thresholds(
    panels: Mapping[str, Tensor], lows: Sequence[float], highs: Sequence[float], chosen: tuple[float, float], title: str
) -> Figure:
    """Numbers for pairs of thresholds T_l, T_h as squares of shades, a panel for each number (Fig. 9).

    Args:
        panels: ``Tensor[L, H]`` by the heading of the panel, NaN where a pair was not tried; more is lighter.
        lows: the L values of T_l.
        highs: the H values of T_h.
        chosen: a pair that is framed.
        title: the figure's message.
    """
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Sheet(5 * columns, 3.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in axes[len(panels) :]:
        panel.remove()
    for panel, (name, values) in zip(axes, panels.items()):
        known = values[values.isfinite()]
        low, high = float(known.min()), float(known.max())
        panel.imshow(values.cpu().numpy(), cmap=SEQUENTIAL, vmin=low, vmax=high, aspect="auto", origin="lower")
        for row, line in enumerate(values.tolist()):
            for column, value in enumerate(line):
                tint = "black" if value > low + 0.6 * (high - low) else "white"
                text = "" if value != value else f"{100 * value:.1f}"
                panel.text(column, row, text, ha="center", va="center", color=tint, fontsize=8)
        panel.set_xticks(range(len(highs)), [f"{each:g}" for each in highs], fontsize=8)
        panel.set_yticks(range(len(lows)), [f"{each:g}" for each in lows], fontsize=8)
        panel.set(xlabel="T_h: maps that agree more are one object", ylabel="T_l: maps that agree less are two")
        panel.set_title(name, fontsize=10)
        if chosen[0] in lows and chosen[1] in highs:
            corner = (highs.index(chosen[1]) - 0.5, lows.index(chosen[0]) - 0.5)
            panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=STYLES[FOUND][0], lw=2.5))
    figure.suptitle(title, fontsize=11)
    return figure


def _couple(panel: Axes, image: Tensor, boxes: Tensor, picture: Tensor, only: int | None = None) -> None:
    """A square of the picture around two boxes, of which both or only one are drawn."""
    draw_picture(panel, picture, (image.shape[-2], image.shape[-1]))
    for number, (box, style) in enumerate(zip(boxes, ("-", "--"))):
        if only in (None, number):
            draw_outline(panel, box, OBJECT_COLOURS[number], style)
    low, high = boxes[:, :2].amin(dim=0), boxes[:, 2:].amax(dim=0)
    height, width = image.shape[-2:]
    side = min((1 + 2 * MARGIN) * float((high - low).max()), height, width)
    left, top = (
        min(max(float(middle) - side / 2, 0), most - side) for middle, most in zip((low + high) / 2, (width, height))
    )
    panel.set(xlim=(left, left + side), ylim=(top + side, top))
