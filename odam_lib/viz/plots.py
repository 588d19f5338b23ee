"""Pictures of detections and heat maps, in one style: legible in print, in grey and for the colour-blind."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from odam_lib.detections import Detections, check_detections
from odam_lib.heatmaps import ATTRIBUTES, COMBINED, HeatMaps
from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.viz.drawing import (
    DISPLAY_SIDE,
    OPACITY,
    TITLES,
    add_combined,
    blend,
    draw_box,
    draw_colour_bar,
    draw_labels,
    draw_picture,
    fit_size,
    resize,
    write_label,
)
from odam_lib.viz.grids import PictureGrid
from odam_lib.viz.sheets import MOST_BOXES, MOST_ROWS, Sheet, tell_count
from odam_lib.viz.views import MARGIN, outline_mask, view_box

WIDTH = 5.2
"""Inches of a figure of one picture."""


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
    draw_picture(panel, resize(image, fit_size(detections.image_size)), detections.image_size)
    shown = detections[:MOST_BOXES]
    for row, box in enumerate(shown.boxes):
        draw_box(panel, box, row)
    draw_labels(panel, shown, 72 * WIDTH / detections.image_size[1])
    found = f"{len(detections)} object{'s' if len(detections) != 1 else ''} found"
    title = title or (found if len(detections) else "No object above the score threshold")
    panel.set_title(tell_count(title, len(shown), len(detections), "objects"))
    return figure


def show_map(
    image: Tensor,
    heat_maps: HeatMaps,
    row: int = 0,
    attribute: str = "class",
    opacity: float = OPACITY,
    margin: float | None = MARGIN,
    mask: Tensor | None = None,
) -> Figure:
    """One map over the part of the picture around its box, with the box, the edge that is explained, and a colour bar.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of that image.
        row: which detection.
        attribute: one of the computed attributes, or ``combined``.
        opacity: opacity of the map where it is largest.
        margin: what is shown around the box, as a share of its longer side; ``None`` for the whole picture.
        mask: bool ``Tensor[H, W]`` that is outlined, such as the object's.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        IndexError, ValueError: no such detection or attribute.
        TypeError: an argument of another type.
    """
    check_shown(image, heat_maps)
    checks.kind("The attribute", attribute, str, f"one of {', '.join(TITLES)}")
    if len(heat_maps) == 0:
        return show_detections(image, heat_maps.detections)
    row = checks.row(row, len(heat_maps))
    one = add_combined(heat_maps[row], [attribute]).normalized()
    box = one.detections.boxes[0]
    view = view_box(box, one.detections.image_size, DISPLAY_SIDE, margin)
    shown = blend(view.cut(image.cpu()), view.spread(one)[0], opacity)
    shown = shown if mask is None else outline_mask(shown, view.cut(mask[None].cpu())[0] > 0.5)
    figure, panel = _single(shown.shape, bar=True)
    draw_picture(panel, shown, one.detections.image_size)
    panel.images[0].set_extent(view.extent)
    draw_box(panel, box, row, edge=attribute)
    panel.set(xlim=view.extent[:2], ylim=view.extent[2:])
    if one.reasons[0][0]:
        panel.text(0.5, 0.5, "zero", transform=panel.transAxes, ha="center", color="white", fontsize=9)
    panel.set_title(f"{write_label(one.detections, 0, row)}: {TITLES[attribute]}")
    draw_colour_bar(figure, panel, one)
    return figure


def show_maps(
    image: Tensor,
    heat_maps: HeatMaps,
    attributes: Sequence[str] = (*ATTRIBUTES, COMBINED),
    title: str | None = None,
    numbers: Sequence[int] | None = None,
    margin: float | None = MARGIN,
    masks: Tensor | None = None,
) -> Figure:
    """A row for each object: the part of the picture around its box, then that part under the map of each attribute.

    A row of more than four pictures goes on in the next line, so that none is narrower than 220 pixels on a screen.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat_maps: maps of that image; of more than ``MOST_ROWS`` the first are shown, and the title says so.
        attributes: columns, any of the computed attributes and ``combined``.
        title: the figure's message.
        numbers: the objects' numbers in other figures, which decide their colours; default their rows.
        margin: what is shown around a box, as a share of its longer side; ``None`` for the whole picture.
        masks: bool ``Tensor[N, H, W]``, one for each object, outlined in its row.

    Returns:
        The figure; :func:`show_detections` where there is no detection to show.

    Raises:
        TypeError: an argument of another type.
        ValueError: an attribute was not computed, or not one number or mask for each object.
    """
    check_shown(image, heat_maps)
    if len(heat_maps) == 0:
        return show_detections(image, heat_maps.detections)
    numbers = check_numbers(numbers, len(heat_maps))
    shown = add_combined(heat_maps[:MOST_ROWS], attributes).normalized()
    outlined = check_masks(masks, image, len(heat_maps))
    names = [write_label(shown.detections, row, numbers[row]) for row in range(len(shown))]
    headings = [TITLES[attribute] for attribute in attributes]
    grid = PictureGrid(image, names, headings, shown.detections.boxes, margin)
    for row in range(len(shown)):
        grid.draw(row, [grid.small[row], *grid.blends(row, shown[row])], outlined[row])
        grid.draw_box(row, 0, shown.detections.boxes[row], numbers[row])
        for column, attribute in enumerate(attributes, start=1):
            grid.draw_box(row, column, shown.detections.boxes[row], numbers[row], attribute)
            grid.draw_reason(row, column, shown.reasons[row][column - 1])
    title = title or "Each object has its own map, and so has each edge of its box"
    grid.finish(tell_count(title, len(shown), len(heat_maps), "objects"))
    draw_colour_bar(grid.figure, grid.panel, shown)
    return grid.figure


def check_shown(image: Tensor, heat_maps: HeatMaps) -> None:
    """Refuse anything but a picture and heat maps."""
    check_image(image)
    checks.kind("The heat maps", heat_maps, HeatMaps, "what explain returned")


def check_numbers(numbers: Sequence[int] | None, count: int) -> list[int]:
    """The objects' numbers in other figures; their rows if none are given."""
    found = list(range(count)) if numbers is None else [checks.count("A number", one, least=0) for one in numbers]
    if len(found) != count:
        raise ValueError(f"There are {len(found)} numbers for {count} objects: give one for each, or None.")
    return found


def check_masks(masks: Tensor | None, image: Tensor, count: int) -> Sequence[Tensor | None]:
    """One mask of a picture for each of some objects, or as many times ``None``."""
    if masks is None:
        return [None] * count
    return list(checks.tensor("masks", masks, f"[{count}, {image.shape[-2]}, {image.shape[-1]}]", "bool"))


def _single(shape: torch.Size, bar: bool = False) -> tuple[Figure, Axes]:
    """A figure of one picture."""
    aspect = min(max(shape[-2] / shape[-1], 0.4), 2.5)
    figure = Sheet(WIDTH, WIDTH * aspect + (0.9 if bar else 0.35))
    return figure, figure.subplots()
