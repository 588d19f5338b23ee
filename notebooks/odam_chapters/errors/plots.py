"""Pictures of mistakes: what was said, what is true, what misled, and the maps that speak of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import EllipsisType

import matplotlib
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from odam_chapters.pictures import find_part
from odam_lib.kernels.odam import min_max
from odam_lib.viz.drawing import OBJECT_COLOURS, SEQUENTIAL, blend, draw_box, draw_picture, resize
from odam_lib.viz.grids import PANEL
from odam_lib.viz.sheets import MOST_ROWS, Sheet, tell_count
from odam_lib.viz.views import enclose, view_box

SAID, TRUE, MISLEADS = 0, 2, 6
"""Places in ``OBJECT_COLOURS`` of what a detector said, of what is true, and of what was planted to mislead it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One mistake to be shown.

    Attributes:
        image: ``Tensor[3, H, W]`` in [0, 1].
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels, of the wrong detection; ``None``: a missed object.
        true_box: box of the object that it should have been; ``None``: there is none.
        distractor: bool ``Tensor[H, W]``, or ``None``.
        distractor_name: what the legend calls it.
        caption: caption of the case.
        maps: ``Tensor[H, W]`` aligned with the picture, non-negative, by heading.
        edges: by heading the edge that is drawn thick.
        things: name and visible pixels, bool ``Tensor[H, W]``, of what is in the picture, by number.
    """

    image: Tensor
    box: Tensor | None
    true_box: Tensor | None
    distractor: Tensor | None
    caption: str
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    edges: Mapping[str, str] = field(default_factory=dict)
    things: Mapping[int, tuple[str, Tensor]] = field(default_factory=dict)
    distractor_name: str = "planted thing"


def show_gallery(cases: Sequence[Case], title: str, columns: int = 4) -> Figure:
    """Mistakes side by side, without maps.

    Args:
        cases: what to show; of none the figure says so, and of more than ``MOST_ROWS`` it shows the first and says so.
        title: the figure's message.
        columns: most pictures in a row.
    """
    if not cases:
        return _nothing(title)
    title, cases = tell_count(title, MOST_ROWS, len(cases), "mistakes"), cases[:MOST_ROWS]
    wide = min(columns, len(cases))
    rows = -(-len(cases) // wide)
    high = PANEL * max(_aspect(case) for case in cases) + 0.5
    figure = Sheet(max((PANEL + 0.1) * wide, 4.6), high * rows + 0.7)
    panels = figure.subplots(rows, wide, squeeze=False).flatten().tolist()
    for panel in panels[len(cases) :]:
        panel.set_axis_off()
    for panel, case in zip(panels, cases):
        _scene(panel, case, case.image)
        panel.set_title(case.caption, fontsize=8, y=1)
    _finish(figure, cases, title)
    return figure


def show_evidence(cases: Sequence[Case], title: str) -> Figure:
    """Mistakes with their maps: a row for each, the whole picture first, then each map from close by under its heading.

    Args:
        cases: what to show, each with as many maps; of none the figure says so, and of more than ``MOST_ROWS`` it shows
            the first and says so.
        title: the figure's message.
    """
    if not cases:
        return _nothing(title)
    title, cases = tell_count(title, MOST_ROWS, len(cases), "mistakes"), cases[:MOST_ROWS]
    wide = 1 + max(len(case.maps) for case in cases)
    near = [_close_up(case) for case in cases]
    high = [PANEL * max(_aspect(case), _aspect(part)) + 0.5 for case, part in zip(cases, near)]
    figure = Sheet((PANEL + 0.1) * wide + 0.7, sum(high) + 0.7)
    axes = figure.subplots(len(cases), wide, squeeze=False, height_ratios=high)
    for panels, case, part in zip(axes, cases, near):
        _scene(panels[0], case, case.image)
        panels[0].set_title(case.caption, fontsize=8, y=1)
        for panel, (heading, heat) in zip(panels[1:], part.maps.items()):
            _scene(panel, part, blend(part.image.cpu(), heat), part.edges.get(heading))
            panel.set_title(heading, fontsize=8, y=1)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), matplotlib.colormaps[SEQUENTIAL]),
        ax=axes.flatten().tolist(),
        fraction=0.03,
        pad=0.01,
        shrink=0.6,
    )
    bar.set_label("influence, each map / its own maximum", fontsize=8)
    bar.set_ticks([0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)
    _finish(figure, cases, title)
    return figure


def zoom(case: Case, margin: float = 0.3) -> Case:
    """The square part of a case around what was said and what is true, moved where it would leave the picture.

    Args:
        case: with a box or a true box.
        margin: how much is shown around both together, as a share of their longer side.
    """
    boxes = torch.stack([box.cpu() for box in (case.box, case.true_box) if box is not None])
    size = case.image.shape[-2], case.image.shape[-1]
    view = view_box(enclose(boxes), size, max(size), margin)
    part = ..., slice(view.top, view.bottom), slice(view.left, view.right)
    return _cut(case, part, boxes.new_tensor([view.left, view.top, view.left, view.top]))


def _cut(case: Case, part: tuple[EllipsisType | slice, ...], corner: Tensor) -> Case:
    """A part of a case: its rows and columns as an index, and what is to be subtracted from boxes."""
    box, true_box = (None if one is None else one.cpu() - corner for one in (case.box, case.true_box))
    return replace(
        case,
        image=case.image[part],
        box=box,
        true_box=true_box,
        distractor=None if case.distractor is None else case.distractor[part],
        maps={heading: heat[part] for heading, heat in case.maps.items()},
    )


def show_ninths(cases: Sequence[Case], title: str) -> Figure:
    """The first case's box from close by, with its nine parts numbered from 0 in reading order.

    Args:
        cases: each with a box; of none the figure says so.
        title: the figure's message.
    """
    if not cases:
        return _nothing(title)
    case = replace(cases[0], true_box=None)
    assert case.box is not None
    case = _cut(case, *find_part(case.box.cpu()[None], case.image, 0.1))
    assert case.box is not None
    figure = Sheet(5.6, 5.4 * _aspect(case) + 0.5)
    panel = figure.subplots()
    _scene(panel, case, case.image)
    x1, y1, x2, y2 = case.box.tolist()
    wide, high = (x2 - x1) / 3, (y2 - y1) / 3
    for number in range(9):
        left, top = x1 + wide * (number % 3), y1 + high * (number // 3)
        panel.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor="white", lw=0.6))
        _write_number(panel, left + wide / 2, top + high / 2, number, 10)
    figure.suptitle(title, fontsize=10)
    return figure


def show_covering(curves: Sequence[tuple[Sequence[str], Tensor, Tensor]], shares: Sequence[float]) -> Figure:
    """What becomes of two scores as more of the box is hidden: a row for each mistake, a column for each class.

    Args:
        curves: for each mistake the names of the two classes; their scores with nothing hidden, ``[2]``; and
            ``Tensor[S, 2 + D, 2]``, their scores when S shares are hidden: where the first class's map is strongest,
            where the second's is, and at D random places. Of more than ``MOST_ROWS`` mistakes the first are shown, and
            the title says so.
        shares: the S shares of the box.
    """
    title = "What the two names lose as their maps' strongest pixels are hidden"
    if not curves:
        return _nothing(title)
    title, curves = tell_count(title, MOST_ROWS, len(curves), "mistakes"), curves[:MOST_ROWS]
    figure = Sheet(7.4, 2.1 * len(curves) + 0.9)
    axes = figure.subplots(len(curves), 2, squeeze=False)  # matplotlib takes much longer to share many axes
    x = [0, *shares]
    for panels, (classes, before, scores) in zip(axes, curves):
        lines = torch.cat([before.expand(1, scores.shape[1], 2), scores]).cpu()
        for column, (panel, name) in enumerate(zip(panels, classes)):
            random = lines[:, 2:, column]
            low, high = random.amin(dim=1).tolist(), random.amax(dim=1).tolist()
            panel.fill_between(x, low, high, color="0.85", label="random places, all draws")
            panel.plot(x, random.mean(dim=1), color="0.45", lw=1.2, label="random places, mean")
            for place, (colour, whose) in enumerate(((SAID, "said"), (TRUE, "true"))):
                tint = OBJECT_COLOURS[colour]
                panel.plot(x, lines[:, place, column], "o-", ms=4, color=tint, label=f"map of what is {whose}")
            panel.set_title(f"score of {name} ({('said', 'true')[column]})", fontsize=9, y=1)
            panel.set(ylim=(0, 1), xlim=(0, max(x)))
            panel.tick_params(labelsize=8)
            panel.label_outer()
            panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel("hidden share of the box", fontsize=8)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    figure.suptitle(title, fontsize=11)
    return figure


def show_things(cases: Sequence[Case], title: str) -> Figure:
    """The first case's picture whose things bear their numbers, with the names beside it, and the wrong box.

    Args:
        cases: with things; of none the figure says so.
        title: the figure's message.
    """
    if not cases:
        return _nothing(title)
    figure, case = Sheet(6.4, 4.2), cases[0]
    panel = figure.subplots()
    _scene(panel, case, case.image)
    panel.set_title(case.caption, fontsize=9, y=1)
    for number, (_, mask) in case.things.items():
        down, across = torch.nonzero(mask).float().mean(dim=0).tolist()
        _write_number(panel, across, down, number, 14)
    names = "\n".join(f"{number} {name}" for number, (name, _) in case.things.items())
    panel.text(1.03, 0.5, names, transform=panel.transAxes, va="center", fontsize=11)
    figure.suptitle(title, fontsize=11)
    return figure


def _write_number(panel: matplotlib.axes.Axes, across: float, down: float, number: int, size: float) -> None:
    outline = [withStroke(linewidth=3, foreground="black")]
    panel.text(across, down, str(number), ha="center", va="center", fontsize=size, color="white", path_effects=outline)


def _close_up(case: Case) -> Case:
    """What is around the boxes of a case with maps, each map scaled by its maximum in the whole picture."""
    scaled = {heading: min_max(heat.cpu()) for heading, heat in case.maps.items()}
    return zoom(replace(case, maps=scaled)) if scaled else case


def _aspect(case: Case) -> float:
    """Height by width, at most 1: taller pictures are drawn narrower."""
    return min(1.0, case.image.shape[-2] / case.image.shape[-1])


def _scene(panel: matplotlib.axes.Axes, case: Case, picture: Tensor, edge: str | None = None) -> None:
    height, width = case.image.shape[-2:]
    draw_picture(panel, resize(picture.cpu(), (height, width)), (height, width))
    if case.distractor is not None:
        outline = [withStroke(linewidth=1.8, foreground="white", alpha=0.5)]
        drawn = panel.contour(
            case.distractor.cpu().float().numpy(), levels=[0.5], colors=[OBJECT_COLOURS[MISLEADS]], linewidths=0.9,
            extent=(0, width, 0, height), origin=None,
        )  # fmt: skip
        drawn.set_path_effects(outline)
    if case.true_box is not None:
        x1, y1, x2, y2 = case.true_box.tolist()
        panel.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=OBJECT_COLOURS[TRUE], lw=1.6, ls="--")
        )
    if case.box is not None:
        draw_box(panel, case.box, SAID, edge=edge)
    panel.set(xlim=(0, width), ylim=(height, 0))


def _finish(figure: Figure, cases: Sequence[Case], title: str) -> None:
    """The message above, what the colours mean below."""
    meaning = {(SAID, "said"): any(case.box is not None for case in cases)}
    meaning[TRUE, "true"] = any(case.true_box is not None for case in cases)
    meaning |= {(MISLEADS, case.distractor_name): True for case in cases if case.distractor is not None}
    handles = [
        Line2D([], [], color=OBJECT_COLOURS[place], lw=2, ls="--" if place == TRUE else "-", label=words)
        for (place, words), present in meaning.items()
        if present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11)


def _nothing(title: str) -> Figure:
    figure = Sheet(5, 0.8)
    figure.text(0.5, 0.5, f"{title}: there is no example among these pictures", ha="center", va="center", fontsize=9)
    return figure
