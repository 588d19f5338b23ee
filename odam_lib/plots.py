"""Pictures of detections and heat maps, in one style: legible in print, in grey and for the colour-blind."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib import checks
from odam_lib.detections import Detections, check_detections
from odam_lib.files import write_whole
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, EDGES, HeatMaps, min_max
from odam_lib.images import check_image, to_uint8

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
SCREEN_DPI = 80
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
    colour = torch.from_numpy(_colour_map(heat)(_unit(heat).cpu().numpy())[..., :3]).to(image).permute(2, 0, 1)
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


def show_detections(image: Tensor, detections: Detections, title: str | None = None) -> Figure:
    """The picture with its detections, numbered; without any, the picture and a sentence.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: boxes in pixels of the image.
        title: the figure's message; default the number of objects.

    Raises:
        TypeError, ValueError: not an image, or not ``Detections``.
    """
    check_image(image)
    check_detections(detections)
    figure, axes = _panels(1, 1, image.shape, width=5.2)
    draw_picture(axes[0][0], reduced(image, display_size(detections.image_size)), detections.image_size)
    for row, name in enumerate(detections.names()):
        draw_box(axes[0][0], detections.boxes[row], row, label=f"{row} {name} {detections.scores[row]:.2f}")
    found = f"{len(detections)} object{'s' if len(detections) != 1 else ''} found"
    axes[0][0].set_title(title or (found if len(detections) else "No object above the score threshold"))
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
    figure, axes = _panels(1, 1, image.shape, width=5.2, bar=True)
    small = reduced(image.cpu(), display_size(one.detections.image_size))
    _map_panel(axes[0][0], small, one, colour=row, opacity=opacity)
    name, score = one.detections.names()[0], one.detections.scores[0]
    axes[0][0].set_title(f"{row} {name} {score:.2f}: {TITLES[attribute]}")
    _colour_bar(figure, axes[0], one)
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
        heat_maps: maps of that image.
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
    shown = with_combined(heat_maps, attributes).normalized()
    figure, axes = _panels(len(shown), len(attributes) + 1, image.shape, width=1.7, bar=True)
    numbers = _numbers(numbers, len(shown))
    small = reduced(image.cpu(), display_size(shown.detections.image_size))
    for row, name in enumerate(shown.detections.names()):
        draw_picture(axes[row][0], small, shown.detections.image_size)
        draw_box(axes[row][0], shown.detections.boxes[row], numbers[row])
        axes[row][0].set_ylabel(f"{numbers[row]} {name} {shown.detections.scores[row]:.2f}", fontsize=9)
        for column, attribute in enumerate(attributes, start=1):
            _map_panel(axes[row][column], small, shown[row].select(attribute), colour=numbers[row], opacity=OPACITY)
    for column, attribute in enumerate(attributes, start=1):
        axes[0][column].set_title(TITLES[attribute], fontsize=9)
    axes[0][0].set_title("detection", fontsize=9)
    figure.suptitle(title or "Each object has its own map, and so has each edge of its box", fontsize=11)
    _colour_bar(figure, [panel for panels in axes for panel in panels], shown)
    return figure


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
        methods: maps of the same detections by the heading of their column; signed ones get the diverging colours.
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
    shown = {name: with_combined(one, [attribute]).normalized() for name, one in methods.items()}
    figure, axes = _panels(len(first), len(shown) + 1, image.shape, width=2.0, bar=True)
    numbers = _numbers(numbers, len(first))
    small = reduced(image.cpu(), display_size(first.detections.image_size))
    for row, name in enumerate(first.detections.names()):
        draw_picture(axes[row][0], small, first.detections.image_size)
        draw_box(axes[row][0], first.detections.boxes[row], numbers[row], edge=attribute)
        axes[row][0].set_ylabel(f"{numbers[row]} {name} {first.detections.scores[row]:.2f}", fontsize=9)
        for column, one in enumerate(shown.values(), start=1):
            _map_panel(axes[row][column], small, one[row], colour=numbers[row], opacity=OPACITY)
    for column, heading in enumerate(("detection", *shown)):
        axes[0][column].set_title(heading, fontsize=9)
    figure.suptitle(title or f"The {TITLES[attribute]} of the same detections, by method", fontsize=11)
    signed = {name: any((maps < 0).any() for maps in one.maps) for name, one in shown.items()}
    for kind in (False, True):
        if kind in signed.values():
            example = next(one for name, one in shown.items() if signed[name] is kind)
            _colour_bar(figure, [panel for panels in axes for panel in panels], example)
    return figure


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
    """
    figure, axes = _panels(len(frames), len(attributes), torch.Size((1, 1)), width=1.9, bar=True)
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
    shown = {name: with_combined(maps, attributes).normalized() for name, maps in detectors.items()}
    figure, axes = _panels(len(shown), len(attributes) + 1, image.shape, width=1.45, bar=True)
    size = (image.shape[-2], image.shape[-1])
    small = reduced(image.cpu(), display_size(size))
    for panels, (name, maps) in zip(axes, shown.items()):
        score = f"{maps.detections.scores[0]:.2f}" if len(maps) else "not found"
        panels[0].set_ylabel(f"{name}\n{score}", fontsize=8)
        for panel in panels:
            draw_picture(panel, small, size)
        if len(maps):
            draw_box(panels[0], maps.detections.boxes[0], 0)
        for panel, attribute in zip(panels[1:], attributes if len(maps) else ()):
            _map_panel(panel, small, maps[0].select(attribute), colour=0, opacity=OPACITY)
    for panel, heading in zip(axes[0], ("detection", *(TITLES[attribute] for attribute in attributes))):
        panel.set_title(heading, fontsize=9)
    figure.suptitle(title or "One object, seen by several detectors", fontsize=11)
    _colour_bar(figure, [panel for panels in axes for panel in panels], next(iter(shown.values())))
    return figure


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
        detections: N rows of that image.
        columns: ``Tensor[N, H, W]`` aligned with the picture, non-negative, by the heading of their column; a column
            named as an edge in ``TITLES`` has that edge drawn thick. Each map is scaled by itself.
        title: the figure's message.
        numbers: the objects' numbers in other figures, which decide their colours; default their rows.

    Raises:
        TypeError, ValueError: an argument of another type, or not one map or number for each object.
    """
    check_image(image)
    check_detections(detections)
    for heading, maps in columns.items():
        checks.tensor(f"column {heading!r}", maps, f"[{len(detections)}, H, W]")
    if not len(detections):
        return show_detections(image, detections)
    figure, axes = _panels(len(detections), len(columns) + 1, image.shape, width=1.35)
    numbers = _numbers(numbers, len(detections))
    size = display_size(detections.image_size)
    small, edges = reduced(image.cpu(), size), {TITLES[edge]: edge for edge in EDGES}
    for row, name in enumerate(detections.names()):
        pictures = [
            small,
            *(blend(small, min_max(reduced(maps[row : row + 1].cpu(), size)[0])) for maps in columns.values()),
        ]
        for panel, picture, heading in zip(axes[row], pictures, ("detection", *columns)):
            draw_picture(panel, picture, detections.image_size)
            draw_box(panel, detections.boxes[row], numbers[row], edge=edges.get(heading))
            if row == 0:
                panel.set_title(heading, fontsize=9)
        axes[row][0].set_ylabel(f"{numbers[row]} {name} {detections.scores[row]:.2f}", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


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
    for spine in panel.spines.values():
        spine.set_visible(False)


def draw_outline(panel: Axes, box: Tensor, tint: str, style: str = "-") -> None:
    """Outline a box ``(x1, y1, x2, y2)`` in any colour and style of line, with a shadow under it."""
    x1, y1, x2, y2 = box.tolist()
    shadow = [withStroke(linewidth=2.6, foreground="black", alpha=0.6)]
    panel.add_patch(
        Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=tint, lw=1.3, ls=style, path_effects=shadow)
    )


def draw_thin(panel: Axes, boxes: Tensor, tint: str) -> None:
    """Outline boxes ``[N, 4]`` that are not the panel's subject: where many lie, the lines add up."""
    for x1, y1, x2, y2 in boxes.tolist():
        panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=tint, lw=0.7, alpha=0.7))


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
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def save_png(figure: Figure, path: Path, dpi: int = 120) -> Path:
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


def _map_panel(panel: Axes, small: Tensor, one: HeatMaps, colour: int, opacity: float) -> None:
    """Draw one normalised map over the picture, which is already at its display size."""
    heat = one.to_image((small.shape[-2], small.shape[-1]))[0, 0].cpu()
    draw_picture(panel, blend(small, heat, opacity), one.detections.image_size)
    draw_box(panel, one.detections.boxes[0], colour, edge=one.attributes[0])
    if one.reasons[0][0]:
        panel.text(0.5, 0.5, "zero", transform=panel.transAxes, ha="center", color="white", fontsize=9)


def _panels(
    rows: int, columns: int, shape: torch.Size, width: float, bar: bool = False
) -> tuple[Figure, list[list[Axes]]]:
    aspect = min(max(shape[-2] / shape[-1], 0.4), 2.5)
    figure = Figure(
        figsize=(width * columns + (0.6 if bar else 0), width * aspect * rows + (0.5 if rows * columns > 1 else 0.35)),
        dpi=SCREEN_DPI,
        layout="constrained",
    )
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def _colour_bar(figure: Figure, panels: list[Axes], shown: HeatMaps) -> None:
    signed = any((maps < 0).any() for maps in shown.maps)
    scale = Normalize(-1 if signed else 0, 1)
    bar = figure.colorbar(
        ScalarMappable(scale, DIVERGING if signed else SEQUENTIAL), ax=panels, fraction=0.04, pad=0.01, aspect=30
    )
    bar.set_label("influence,\neach map / its own maximum", fontsize=8)
    bar.set_ticks([-1, 0, 1] if signed else [0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)


def _colour_map(heat: Tensor) -> matplotlib.colors.Colormap:
    return matplotlib.colormaps[DIVERGING if (heat < 0).any() else SEQUENTIAL]


def _unit(heat: Tensor) -> Tensor:
    return heat / 2 + 0.5 if (heat < 0).any() else heat
