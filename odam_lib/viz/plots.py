"""Pictures of detections and heat maps, in one style: legible in print, in grey and for the colour-blind."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib.detections import Detections, check_detections
from odam_lib.files import write_whole
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, EDGES, HeatMaps
from odam_lib.images import check_image, to_uint8
from odam_lib.kernels import checks
from odam_lib.kernels.odam import min_max
from odam_lib.viz.sheets import MOST_BOXES, MOST_ROWS, SCREEN_DPI, Sheet, counted, legible

TITLES = {
    "class": "class",
    "logit": "class logit",
    "x1": "left edge (x1)",
    "y1": "top edge (y1)",
    "x2": "right edge (x2)",
    "y2": "bottom edge (y2)",
    COMBINED: "combined",
}
OBJECT_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Okabe and Ito's colours, distinguishable for the colour-blind; object i has colour i modulo 7 in every figure."""

SEQUENTIAL, DIVERGING = "inferno", "RdBu_r"
OPACITY = 0.8
FILE_DPI = 120
DISPLAY_SIDE = 640
"""Longer pictures are reduced to this many pixels for display."""


def blend(image: Tensor, heat: Tensor, opacity: float = OPACITY) -> Tensor:
    """Lay a map over a picture that stays visible: grey and dimmed below, coloured only as far as the map is high.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat: ``Tensor[H, W]``, normalised: in [0, 1], or in [-1, 1] if it is signed.
        opacity: of the map where it is largest, in [0, 1].

    Returns:
        ``Tensor[3, H, W]`` in [0, 1].

    Raises:
        ValueError: an opacity outside [0, 1].
    """
    opacity = checks.number("The opacity", opacity, "[0, 1]")
    grey = image.new_tensor([0.299, 0.587, 0.114]) @ image.flatten(1)
    dimmed = (0.15 + 0.6 * grey).reshape(1, *heat.shape)
    colours = _colours(DIVERGING if (heat < 0).any() else SEQUENTIAL).to(image)
    colour = colours[:, (_unit(heat) * colours.shape[1]).long().clamp(0, colours.shape[1] - 1)]
    weight = opacity * heat.abs()
    return dimmed * (1 - weight) + colour * weight


def display_size(image_size: tuple[int, int], side: int = DISPLAY_SIDE) -> tuple[int, int]:
    """(height, width) of a picture whose longer side is reduced to at most ``side`` pixels."""
    scale = min(1.0, side / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def reduced(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``[3, H, W]`` at another (height, width), anti-aliased."""
    if image.shape[-2:] == size:
        return image
    return interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def label_of(detections: Detections, row: int, number: int | None = None) -> str:
    """A detection's number, class and score, ``3 dog 0.85``; the number is its row unless another one is given."""
    name = detections.categories[int(detections.labels[row])]
    return f"{row if number is None else number} {legible(name)} {detections.scores[row]:.2f}"


def show_detections(image: Tensor, detections: Detections, title: str | None = None) -> Figure:
    """The picture with its detections, numbered; without any, the picture and a sentence.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: boxes in pixels of the image; of more than ``MOST_BOXES`` the first are drawn, as the title says.
        title: the figure's message; default the number of objects.

    Raises:
        TypeError, ValueError: not an image, or not ``Detections``.
    """
    check_image(image)
    check_detections(detections)
    figure, panel = _single(image.shape)
    draw_picture(panel, reduced(image, display_size(detections.image_size)), detections.image_size)
    shown = detections[:MOST_BOXES]
    for row, box in enumerate(shown.boxes):
        draw_box(panel, box, row, label=label_of(shown, row))
    found = f"{len(detections)} object{'s' if len(detections) != 1 else ''} found"
    title = title or (found if len(detections) else "No object above the score threshold")
    panel.set_title(counted(title, len(shown), len(detections), "objects"))
    return figure


def show_map(
    image: Tensor, heat_maps: HeatMaps, row: int = 0, attribute: str = "class", opacity: float = OPACITY
) -> Figure:
    """One map over the picture, with the box, the edge that is explained, and a colour bar.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of that image.
        row: which detection.
        attribute: one of the computed attributes, or ``combined``.
        opacity: of the map where it is largest.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        IndexError, ValueError: no such detection or attribute.
        TypeError: an argument of another type.
    """
    _check_shown(image, heat_maps)
    checks.kind("The attribute", attribute, str, f"one of {', '.join(TITLES)}")
    if len(heat_maps) == 0:
        return show_detections(image, heat_maps.detections)
    row = checks.row(row, len(heat_maps))
    one = with_combined(heat_maps[row], [attribute]).normalized()
    figure, panel = _single(image.shape, bar=True)
    size = display_size(one.detections.image_size)
    heat = one.to_image(size)[0, 0].cpu()
    draw_picture(panel, blend(reduced(image.cpu(), size), heat, opacity), one.detections.image_size)
    draw_box(panel, one.detections.boxes[0], row, edge=attribute)
    if one.reasons[0][0]:
        panel.text(0.5, 0.5, "zero", transform=panel.transAxes, ha="center", color="white", fontsize=9)
    panel.set_title(f"{label_of(one.detections, 0, row)}: {TITLES[attribute]}")
    _colour_bar(figure, panel, one)
    return figure


def show_maps(
    image: Tensor,
    heat_maps: HeatMaps,
    attributes: Sequence[str] = (*ATTRIBUTES, COMBINED),
    title: str | None = None,
    numbers: Sequence[int] | None = None,
) -> Figure:
    """A grid: a row for each object, a column for each attribute, the picture first.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of that image; of more than ``MOST_ROWS`` the first are shown, and the title says so.
        attributes: columns, any of the computed attributes and ``combined``.
        title: the figure's message.
        numbers: the objects' numbers in other figures, which decide their colours; default their rows.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        TypeError: an argument of another type.
        ValueError: an attribute was not computed, or not one number for each object.
    """
    _check_shown(image, heat_maps)
    if len(heat_maps) == 0:
        return show_detections(image, heat_maps.detections)
    numbers = _numbers(numbers, len(heat_maps))
    shown = with_combined(heat_maps[:MOST_ROWS], attributes).normalized()
    grid = _Grid(image, [_row_name(shown.detections, numbers, row) for row in range(len(shown))], len(attributes), 1.7)
    for row in range(len(shown)):
        grid.draw(row, [grid.small, *grid.blends(shown[row])])
        grid.draw_box(row, 0, shown.detections.boxes[row], numbers[row])
        for column, attribute in enumerate(attributes, start=1):
            grid.draw_box(row, column, shown.detections.boxes[row], numbers[row], attribute)
            grid.draw_reason(row, column, shown.reasons[row][column - 1])
    title = title or "Each object has its own map, and so has each edge of its box"
    grid.finish([TITLES[attribute] for attribute in attributes], counted(title, len(shown), len(heat_maps), "objects"))
    _colour_bar(grid.figure, grid.panel, shown)
    return grid.figure


def show_methods(
    image: Tensor,
    methods: Mapping[str, HeatMaps],
    attribute: str,
    title: str | None = None,
    numbers: Sequence[int] | None = None,
) -> Figure:
    """One attribute by several methods or settings: a row for each object, a column for each method.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        methods: maps of the same detections by the heading of their column; signed ones get the diverging colours. Of
            more than ``MOST_ROWS`` detections the first are shown, and the title says so.
        attribute: one that all of them computed.
        title: the figure's message.
        numbers: the objects' numbers in other figures, which decide their colours; default their rows.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        ValueError: no method, methods of different detections, or an attribute that was not computed.
    """
    if not methods:
        raise ValueError("There is no method to show: give at least one.")
    checks.kind("The methods", methods, Mapping, "a dict of HeatMaps by the heading of their column")
    for one in methods.values():
        _check_shown(image, one)
    first = next(iter(methods.values()))
    if any(one.detections.source != first.detections.source or len(one) != len(first) for one in methods.values()):
        raise ValueError("The methods explain different detections: compare them on the same ones.")
    if len(first) == 0:
        return show_detections(image, first.detections)
    numbers = _numbers(numbers, len(first))
    shown = {name: with_combined(one[:MOST_ROWS], [attribute]).normalized() for name, one in methods.items()}
    found = first.detections[:MOST_ROWS]
    grid = _Grid(image, [_row_name(found, numbers, row) for row in range(len(found))], len(shown), 2.0)
    for row, box in enumerate(found.boxes):
        grid.draw(row, [grid.small, *(grid.blends(one[row])[0] for one in shown.values())])
        for column in range(len(shown) + 1):
            grid.draw_box(row, column, box, numbers[row], attribute)
        for column, one in enumerate(shown.values(), start=1):
            grid.draw_reason(row, column, one.reasons[row][0])
    title = title or f"The {TITLES[attribute]} of the same detections, by method"
    grid.finish(list(shown), counted(title, len(found), len(first), "objects"))
    signed = {name: any((maps < 0).any() for maps in one.maps) for name, one in shown.items()}
    for kind in (False, True):
        if kind in signed.values():
            example = next(one for name, one in shown.items() if signed[name] is kind)
            _colour_bar(grid.figure, grid.panel, example)
    return grid.figure


def show_average_maps(
    frames: Mapping[str, Tensor], attributes: Sequence[str], margin: float = 0.5, title: str | None = None
) -> Figure:
    """Average maps in the frame of their box: a row for each kind of map, a column for each attribute.

    Args:
        frames: ``Tensor[A, cells, cells]`` by the name of their row, see
            :func:`odam_lib.metrics.localization.box_frame`; each map is scaled by its own maximum.
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
    figure = Sheet(1.9 * len(attributes) + 0.6, 1.9 * len(frames) + 0.5)
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


def show_detectors(
    image: Tensor, detectors: Mapping[str, HeatMaps], attributes: Sequence[str], title: str | None = None
) -> Figure:
    """One object through several detectors: a row for each detector, a column for each attribute.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detectors: maps of that image by the detector's name; of each the first detection is shown, if there is one.
        attributes: columns, any of the attributes that all computed and ``combined``.
        title: the figure's message.

    Raises:
        ValueError: no detector, or an attribute that was not computed.
    """
    if not detectors:
        raise ValueError("There is no detector to show: give at least one.")
    checks.kind("The detectors", detectors, Mapping, "a dict of HeatMaps by the detector's name")
    for one in detectors.values():
        _check_shown(image, one)
    shown = {name: with_combined(maps[:1], attributes).normalized() for name, maps in detectors.items()}
    names = [f"{legible(name)}\n{_score_of(maps)}" for name, maps in list(shown.items())[:MOST_ROWS]]
    grid = _Grid(image, names, len(attributes), 1.45)
    for row, maps in zip(range(MOST_ROWS), shown.values()):
        grid.draw(row, [grid.small, *(grid.blends(maps[0]) if len(maps) else [grid.small] * len(attributes))])
        for column, attribute in enumerate(("", *attributes)) if len(maps) else ():
            grid.draw_box(row, column, maps.detections.boxes[0], 0, attribute)
            grid.draw_reason(row, column, maps.reasons[0][column - 1] if column else "")
    title = counted(title or "One object, seen by several detectors", len(names), len(shown), "detectors")
    grid.finish([TITLES[attribute] for attribute in attributes], title)
    _colour_bar(grid.figure, grid.panel, next(iter(shown.values())))
    return grid.figure


def show_columns(
    image: Tensor,
    detections: Detections,
    columns: Mapping[str, Tensor],
    title: str,
    numbers: Sequence[int] | None = None,
) -> Figure:
    """Maps of any origin side by side: a row for each object, a column for each kind of map, the picture first.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: N rows of that image; of more than ``MOST_ROWS`` the first are shown, and the title says so.
        columns: ``Tensor[N, H, W]`` aligned with the picture, non-negative, by the heading of their column; a column
            named as an edge in ``TITLES`` has that edge drawn thick. Each map is scaled by itself.
        title: the figure's message.
        numbers: the objects' numbers in other figures, which decide their colours; default their rows.

    Raises:
        TypeError, ValueError: an argument of another type, or not one map or number for each object.
    """
    check_image(image)
    check_detections(detections)
    checks.kind("The columns", columns, Mapping, "a dict of maps by the heading of their column")
    for heading, maps in columns.items():
        checks.tensor(f"column {heading!r}", maps, f"[{len(detections)}, H, W]")
    if not len(detections):
        return show_detections(image, detections)
    numbers = _numbers(numbers, len(detections))
    found = detections[:MOST_ROWS]
    grid = _Grid(image, [_row_name(found, numbers, row) for row in range(len(found))], len(columns), 1.35)
    edges = {TITLES[edge]: edge for edge in EDGES}
    for row, box in enumerate(found.boxes):
        heats = [min_max(reduced(maps[row : row + 1].cpu(), grid.size)[0]) for maps in columns.values()]
        grid.draw(row, [grid.small, *(blend(grid.small, heat) for heat in heats)])
        for column, heading in enumerate(("detection", *columns)):
            grid.draw_box(row, column, box, numbers[row], edges.get(heading, ""))
    grid.finish(list(columns), counted(title, len(found), len(detections), "objects"))
    return grid.figure


def close_up(
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
    low, high = detections.boxes[:, :2].amin(dim=0), detections.boxes[:, 2:].amax(dim=0)
    around = margin * (high - low).max()
    limits = low.new_tensor([image.shape[-1], image.shape[-2]])
    left, top = (low - around).floor().clamp(min=0).int().tolist()
    right, bottom = torch.minimum((high + around).ceil(), limits).int().tolist()
    part = (..., slice(top, bottom), slice(left, right))
    shifted = detections.boxes - detections.boxes.new_tensor([left, top, left, top])
    cut = replace(detections, boxes=shifted, image_size=(bottom - top, right - left))
    return image[part], cut, {name: maps[part] for name, maps in columns.items()}


def with_combined(heat_maps: HeatMaps, attributes: Sequence[str]) -> HeatMaps:
    """The maps of the given attributes in their order, ``combined`` made from the five where it is among them."""
    attributes = checks.names("attributes", attributes)
    if COMBINED not in attributes:
        return heat_maps.select(*attributes)
    combined = heat_maps.combined()
    return combined.select(COMBINED) if len(attributes) == 1 else heat_maps.joined(combined).select(*attributes)


def draw_picture(panel: Axes, image: Tensor, image_size: tuple[int, int]) -> None:
    """Show a picture so that the panel's coordinates are pixels of the full-size image."""
    panel.imshow(to_uint8(image), extent=(0, image_size[1], image_size[0], 0))
    panel.set(xticks=[], yticks=[])
    panel.set_axis_off()  # beside hiding the frame, this spares matplotlib to measure it


def draw_outline(panel: Axes, box: Tensor, tint: str, style: str = "-") -> None:
    """Outline a box ``(x1, y1, x2, y2)`` in any colour and style of line, with a shadow under it."""
    x1, y1, x2, y2 = box.tolist()
    shadow = [withStroke(linewidth=2.6, foreground="black", alpha=0.6)]
    panel.add_patch(
        Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=tint, lw=1.3, ls=style, path_effects=shadow)
    )


def draw_thin(panel: Axes, boxes: Tensor, tint: str) -> None:
    """Outline boxes ``[N, 4]`` that are not the panel's subject: where many lie, the lines add up."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).cpu().numpy()
    panel.add_collection(PolyCollection(corners, facecolors="none", edgecolors=tint, linewidths=0.7, alpha=0.7))


def draw_box(panel: Axes, box: Tensor, colour: int, label: str = "", edge: str | None = None) -> None:
    """Outline a box ``(x1, y1, x2, y2)`` in an object's colour; ``edge`` is drawn thick."""
    x1, y1, x2, y2 = box.tolist()
    tint = OBJECT_COLOURS[colour % len(OBJECT_COLOURS)]
    draw_outline(panel, box, tint)
    if edge in EDGES:
        ends = {
            "x1": ((x1, x1), (y1, y2)),
            "x2": ((x2, x2), (y1, y2)),
            "y1": ((x1, x2), (y1, y1)),
            "y2": ((x1, x2), (y2, y2)),
        }
        panel.plot(*ends[edge], color=tint, lw=2.6, solid_capstyle="butt")
    if label:
        panel.text(
            max(x1, 0), max(y1, 0), label, fontsize=8, va="bottom" if y1 > 14 else "top", color="black", clip_on=True,
            bbox={"facecolor": tint, "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip


def to_png(figure: Figure, dpi: int = SCREEN_DPI) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    # As in encode_png of the widgets: 4 times as fast, an eighth larger.
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def save_png(figure: Figure, path: Path, dpi: int = FILE_DPI) -> Path:
    """Write the figure as a PNG file, whole or not at all."""
    with write_whole(path) as aside:
        aside.write_bytes(to_png(figure, dpi))
    return path


def _check_shown(image: Tensor, heat_maps: HeatMaps) -> None:
    """Refuse anything but a picture and heat maps."""
    check_image(image)
    checks.kind("The heat maps", heat_maps, HeatMaps, "what explain returned")


def _numbers(numbers: Sequence[int] | None, count: int) -> list[int]:
    """The objects' numbers in other figures; their rows if none are given."""
    found = list(range(count)) if numbers is None else [checks.count("A number", one, least=0) for one in numbers]
    if len(found) != count:
        raise ValueError(f"There are {len(found)} numbers for {count} objects: give one for each, or None.")
    return found


class _Grid:
    """Rows of pictures of one image, drawn on a single Axes: one for each picture would take most of the time.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        rows: what stands beside each row.
        columns: how many pictures follow the first one of each row.
        width: of one picture in inches.

    Attributes:
        size: (height, width) that a picture has here, as fine as :func:`save_png` shows it.
        small: the image in that size.
        figure, panel: what is drawn on; a unit is a pixel of the small image.
    """

    def __init__(self, image: Tensor, rows: Sequence[str], columns: int, width: float) -> None:
        self.size = high, wide = display_size((image.shape[-2], image.shape[-1]), round(FILE_DPI * width))
        self.small, self._rows, self._columns = reduced(image.cpu(), self.size), rows, columns + 1
        self._scale = torch.tensor([wide / image.shape[-1], high / image.shape[-2]]).repeat(2)
        # A very long picture gets more room than it needs, so that rows and columns can be told apart.
        room = max(wide, round(0.4 * high)), max(high, round(0.4 * wide))
        gap = max(1, round(0.06 * room[0]))
        self._step = room[0] + gap, room[1] + gap
        inches = width / max(room)
        across, down = self._corner(len(rows), self._columns)
        self.figure = Sheet(inches * across + 1.9, inches * down + 0.9)
        self.figure.set_layout_engine("compressed")  # for an Axes whose shape is given
        self.panel = self.figure.subplots()
        self._lines: list[tuple[list[list[float]], str, float]] = []  # both ends, colour, width

    def blends(self, one: HeatMaps) -> list[Tensor]:
        """The picture under each map of one detection."""
        return [blend(self.small, heat) for heat in one.to_image(self.size)[0].cpu()]

    def draw(self, row: int, pictures: Sequence[Tensor]) -> None:
        """Place the pictures of a row, each ``[3, h, w]`` of the grid's size, as one strip."""
        (high, wide), (right, top) = self.size, self._corner(row, self._columns)
        strip = torch.ones(3, high, right)
        for column, picture in enumerate(pictures):
            left, _ = self._corner(row, column)
            strip[:, :, left : left + wide] = picture
        self.panel.imshow(to_uint8(strip), extent=(0, right, top + high, top))

    def draw_box(self, row: int, column: int, box: Tensor, colour: int, edge: str = "") -> None:
        """:func:`draw_box` in one of the pictures, when the grid is finished; no line leaves its picture."""
        (left, top), (high, wide) = self._corner(row, column), self.size
        x1, y1, x2, y2 = (box.cpu() * self._scale).tolist()
        across, down = ([min(max(at, 0), side) for at in ends] for ends, side in (((x1, x2), wide), ((y1, y2), high)))
        sides = {"x1": (x1, down), "x2": (x2, down), "y1": (y1, across), "y2": (y2, across)}
        for name, (at, ends) in sides.items():
            upright = name in ("x1", "x2")
            if 0 <= at <= (wide if upright else high) and ends[0] < ends[1]:
                line = [[left + at, top + end] if upright else [left + end, top + at] for end in ends]
                self._lines.append((line, OBJECT_COLOURS[colour % len(OBJECT_COLOURS)], 2.6 if name == edge else 1.3))

    def draw_reason(self, row: int, column: int, reason: str) -> None:
        """Say that a map is zero, if there is a reason why."""
        if reason:
            x, y = self._corner(row, column)
            middle = x + self.size[1] / 2, y + self.size[0] / 2
            self.panel.text(*middle, "zero", ha="center", va="center", color="white", fontsize=9)

    def finish(self, headings: Sequence[str], title: str) -> None:
        """Draw the boxes, write what stands above the pictures and beside them."""
        lines, tints, widths = zip(*self._lines) if self._lines else ((), (), ())
        shadow = {"colors": "black", "lw": 2.6, "alpha": 0.6, "capstyle": "butt"}
        for style in (shadow, {"colors": tints, "lw": widths, "capstyle": "projecting"}):
            self.panel.add_collection(LineCollection(lines, **style))
        panel, (right, below) = self.panel, self._corner(len(self._rows), self._columns)
        across = [self._corner(0, column)[0] + self.size[1] / 2 for column in range(self._columns)]
        down = [self._corner(row, 0)[1] + self.size[0] / 2 for row in range(len(self._rows))]
        panel.set_xticks(across, ["detection", *headings], fontsize=9)
        panel.set_yticks(down, self._rows, fontsize=9)
        panel.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        panel.set(xlim=(0, right), ylim=(below, 0))
        panel.spines[:].set_visible(False)
        self.figure.suptitle(title, fontsize=11)

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        return column * self._step[0], row * self._step[1]


def _single(shape: torch.Size, bar: bool = False) -> tuple[Figure, Axes]:
    """A figure of one picture."""
    aspect = min(max(shape[-2] / shape[-1], 0.4), 2.5)
    figure = Sheet(5.2 + (0.6 if bar else 0), 5.2 * aspect + 0.35)
    return figure, figure.subplots()


def _row_name(detections: Detections, numbers: Sequence[int], row: int) -> str:
    """Number and class of a detection above its score."""
    return "\n".join(label_of(detections, row, numbers[row]).rsplit(" ", 1))


def _score_of(maps: HeatMaps) -> str:
    return f"{maps.detections.scores[0]:.2f}" if len(maps) else "not found"


def _colour_bar(figure: Figure, panel: Axes, shown: HeatMaps) -> None:
    signed = any((maps < 0).any() for maps in shown.maps)
    scale = Normalize(-1 if signed else 0, 1)
    bar = figure.colorbar(
        ScalarMappable(scale, DIVERGING if signed else SEQUENTIAL), ax=panel, fraction=0.04, pad=0.01, aspect=30,
        anchor=(0, 1),
    )  # fmt: skip
    bar.set_label("influence,\neach map / its own maximum", fontsize=8)
    bar.set_ticks([-1, 0, 1] if signed else [0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)


@lru_cache
def _colours(name: str) -> Tensor:
    """The colours of one of matplotlib's maps in order, ``[3, 256]``."""
    return torch.from_numpy(matplotlib.colormaps[name](range(256))[:, :3]).T.float().contiguous()


def _unit(heat: Tensor) -> Tensor:
    return heat / 2 + 0.5 if (heat < 0).any() else heat
