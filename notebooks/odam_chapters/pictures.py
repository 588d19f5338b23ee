"""Pictures of maps that only notebooks draw: side by side by method, detector or origin, or on average."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType

import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from odam_lib.detections import Detections, check_detections
from odam_lib.files import write_whole
from odam_lib.heatmaps import EDGES, HeatMaps
from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.kernels.odam import min_max
from odam_lib.viz.drawing import (
    SEQUENTIAL,
    TITLES,
    add_combined,
    blend,
    draw_box,
    draw_colour_bar,
    to_png,
    write_label,
)
from odam_lib.viz.grids import MOST_IN_LINE, PANEL, PictureGrid
from odam_lib.viz.plots import check_masks, check_numbers, check_shown, show_detections
from odam_lib.viz.sheets import MOST_ROWS, SCREEN_DPI, Sheet, tell_count
from odam_lib.viz.views import MARGIN, enclose


def show_methods(
    image: Tensor,
    methods: Mapping[str, HeatMaps],
    attribute: str,
    title: str | None = None,
    numbers: Sequence[int] | None = None,
    margin: float | None = MARGIN,
    masks: Tensor | None = None,
) -> Figure:
    """One attribute by several methods or settings: a row for each object, cropped to its box, a map for each method.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        methods: maps of the same detections by the heading of their column; signed ones get the diverging colours. Of
            more than ``MOST_ROWS`` detections the first are shown, and the title says so.
        attribute: one that all of them computed.
        title: the figure's message.
        numbers, margin, masks: see :func:`odam_lib.viz.show_maps`.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        ValueError: no method, methods of different detections, or an attribute that was not computed.
    """
    if not methods:
        raise ValueError("There is no method to show: give at least one.")
    checks.kind("The methods", methods, Mapping, "a dict of HeatMaps by the heading of their column")
    for one in methods.values():
        check_shown(image, one)
    first = next(iter(methods.values()))
    if any(one.detections.source != first.detections.source or len(one) != len(first) for one in methods.values()):
        raise ValueError("The methods explain different detections: compare them on the same ones.")
    if len(first) == 0:
        return show_detections(image, first.detections)
    numbers = check_numbers(numbers, len(first))
    shown = {name: add_combined(one[:MOST_ROWS], [attribute]).normalized() for name, one in methods.items()}
    found = first.detections[:MOST_ROWS]
    outlined = check_masks(masks, image, len(first))
    grid = PictureGrid(image, _name_rows(found, numbers), list(shown), found.boxes, margin)
    for row, box in enumerate(found.boxes):
        grid.draw(row, [grid.small[row], *(grid.blends(row, one[row])[0] for one in shown.values())], outlined[row])
        for column in range(len(shown) + 1):
            grid.draw_box(row, column, box, numbers[row], attribute)
        for column, one in enumerate(shown.values(), start=1):
            grid.draw_reason(row, column, one.reasons[row][0])
    title = title or f"The {TITLES[attribute]} of the same detections, by method"
    grid.finish(tell_count(title, len(found), len(first), "objects"))
    _draw_colour_bars(grid, shown)
    return grid.figure


def show_average_maps(
    frames: Mapping[str, Tensor], attributes: Sequence[str], margin: float = 0.5, title: str | None = None
) -> Figure:
    """Average maps in the frame of their box: a row for each kind of map, a column for each attribute.

    Args:
        frames: ``Tensor[A, cells, cells]`` by the name of their row, see
            :func:`odam_chapters.in_boxes.frame_box`; each map is scaled by its own maximum.
        attributes: the A attributes.
        margin: how much around the box the frame shows on each side, as a share of the box's side.
        title: the figure's message.

    Raises:
        TypeError: an argument of another type.
        ValueError: nothing to show, or a row without a map of each attribute.
    """
    checks.kind("The frames", frames, Mapping, "a dict of maps by the name of their row")
    attributes = checks.names("attributes", attributes)
    if not frames or not attributes:
        raise ValueError("There is no average map to show: give at least one row and one attribute.")
    for name, maps in frames.items():
        checks.tensor(f"row {name!r}", maps, f"[{len(attributes)}, cells, cells]", "float")
    side = min(PANEL, MOST_IN_LINE * PANEL / len(attributes))
    figure = Sheet(side * len(attributes) + 1.0, side * len(frames) + 0.9)
    axes = figure.subplots(len(frames), len(attributes), squeeze=False).tolist()
    for panels, (name, maps) in zip(axes, frames.items()):
        panels[0].set_ylabel(name, fontsize=9)
        for panel, heat, attribute in zip(panels, maps.cpu(), attributes):
            extent = (-margin, 1 + margin, 1 + margin, -margin)
            panel.imshow((heat / heat.max().clamp(min=1e-30)).numpy(), cmap=SEQUENTIAL, vmin=0, vmax=1, extent=extent)
            panel.set(xticks=[], yticks=[])
            draw_box(panel, torch.tensor([0.0, 0.0, 1.0, 1.0]), 1, edge=attribute)
    for panel, attribute in zip(axes[0], attributes):
        panel.set_title(TITLES[attribute], fontsize=9)
    figure.suptitle(title or "Where the maps lie in their boxes, on average", fontsize=11)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), SEQUENTIAL), ax=[p for panels in axes for p in panels], pad=0.01, aspect=30
    )
    bar.set_label("average influence / its maximum", fontsize=8)
    bar.set_ticks([0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)
    return figure


def show_columns(
    image: Tensor,
    detections: Detections,
    columns: Mapping[str, Tensor],
    title: str,
    numbers: Sequence[int] | None = None,
    margin: float | None = MARGIN,
    masks: Tensor | None = None,
) -> Figure:
    """Maps of any origin side by side: a row for each object, cropped to its box, the picture first, then its maps.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: N rows of that image; of more than ``MOST_ROWS`` the first are shown, and the title says so.
        columns: ``Tensor[N, H, W]`` aligned with the picture, non-negative, by the heading of their column; a column
            named as an edge in ``TITLES`` has that edge drawn thick. Each map is scaled by itself.
        title: the figure's message.
        numbers, margin, masks: see :func:`odam_lib.viz.show_maps`.

    Raises:
        TypeError, ValueError: an argument of another type, or not one map, number or mask for each object.
    """
    check_image(image)
    check_detections(detections)
    checks.kind("The columns", columns, Mapping, "a dict of maps by the heading of their column")
    for heading, maps in columns.items():
        checks.tensor(f"column {heading!r}", maps, f"[{len(detections)}, H, W]")
    if not len(detections):
        return show_detections(image, detections)
    numbers = check_numbers(numbers, len(detections))
    found = detections[:MOST_ROWS]
    outlined = check_masks(masks, image, len(detections))
    grid = PictureGrid(image, _name_rows(found, numbers), list(columns), found.boxes, margin)
    edges = {TITLES[edge]: edge for edge in EDGES}
    for row, box in enumerate(found.boxes):
        heats = [grid.views[row].cut(min_max(maps[row : row + 1].cpu()))[0] for maps in columns.values()]
        grid.draw(row, [grid.small[row], *(blend(grid.small[row], heat) for heat in heats)], outlined[row])
        for column, heading in enumerate(("detection", *columns)):
            grid.draw_box(row, column, box, numbers[row], edges.get(heading, ""))
    grid.finish(tell_count(title, len(found), len(detections), "objects"))
    return grid.figure


def crop(
    image: Tensor, detections: Detections, columns: Mapping[str, Tensor], margin: float = 0.3
) -> tuple[Tensor, Detections, dict[str, Tensor]]:
    """The part of a picture around some detections, for :func:`show_columns`.

    Args:
        image: ``Tensor[3, H, W]``.
        detections: N >= 1 rows of that image.
        columns: ``Tensor[N, H, W]`` by name.
        margin: how much is shown around all boxes together, as a share of the longer side.

    Returns:
        The three cut to whole pixels, boxes shifted.
    """
    part, corner = find_part(detections.boxes, image, margin)
    cut = image[part]
    shifted = replace(detections, boxes=detections.boxes - corner, image_size=(cut.shape[-2], cut.shape[-1]))
    return cut, shifted, {name: maps[part] for name, maps in columns.items()}


def find_part(boxes: Tensor, image: Tensor, margin: float) -> tuple[tuple[EllipsisType | slice, ...], Tensor]:
    """What of a picture is around some boxes: its rows and columns as an index, and its corner to subtract from boxes.

    Args:
        boxes: ``Tensor[N, 4]``, N >= 1, (x1, y1, x2, y2) in pixels.
        image: ``Tensor[3, H, W]``.
        margin: how much is shown around all boxes together, as a share of the longer side.
    """
    low, high = enclose(boxes).split(2)
    around, limits = margin * (high - low).max(), boxes.new_tensor([image.shape[-1], image.shape[-2]])
    left, top = (low - around).floor().clamp(min=0).int().tolist()
    right, bottom = torch.minimum((high + around).ceil(), limits).int().tolist()
    return (..., slice(top, bottom), slice(left, right)), boxes.new_tensor([left, top, left, top])


def save_small(figure: Figure, path: Path, dpi: int = SCREEN_DPI, colours: int = 64) -> None:
    """Write a figure that the repository keeps as a PNG file of few colours, whole or not at all."""
    with Image.open(io.BytesIO(to_png(figure, dpi))) as drawn, write_whole(path) as aside:
        drawn.convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=4).save(aside, "png", optimize=True)


def draw_thin(panel: Axes, boxes: Tensor, tint: str) -> None:
    """Outline boxes ``[N, 4]`` that are not the panel's subject: where many lie, the lines add up."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).tolist()
    panel.add_collection(PolyCollection(corners, facecolors="none", edgecolors=tint, linewidths=0.7, alpha=0.7))


def _name_rows(found: Detections, numbers: Sequence[int]) -> list[str]:
    return [write_label(found, row, numbers[row]) for row in range(len(found))]


def _draw_colour_bars(grid: PictureGrid, shown: Mapping[str, HeatMaps]) -> None:
    """One for unsigned maps, one for signed ones, where there are such."""
    signed = {name: any((maps < 0).any() for maps in one.maps) for name, one in shown.items()}
    for kind in (False, True):
        if kind in signed.values():
            example = next(one for name, one in shown.items() if signed[name] is kind)
            draw_colour_bar(grid.figure, grid.panel, example)
