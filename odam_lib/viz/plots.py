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
    OPACITY,
    TITLES,
    add_combined,
    blend,
    draw_box,
    draw_colour_bar,
    draw_picture,
    fit_size,
    resize,
    write_label,
)
from odam_lib.viz.grids import PictureGrid
from odam_lib.viz.sheets import MOST_BOXES, MOST_ROWS, Sheet, tell_count


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
        draw_box(panel, box, row, label=write_label(shown, row))
    found = f"{len(detections)} object{'s' if len(detections) != 1 else ''} found"
    title = title or (found if len(detections) else "No object above the score threshold")
    panel.set_title(tell_count(title, len(shown), len(detections), "objects"))
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
        opacity: opacity of the map where it is largest.

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
    figure, panel = _single(image.shape, bar=True)
    size = fit_size(one.detections.image_size)
    heat = one.to_image(size)[0, 0].cpu()
    draw_picture(panel, blend(resize(image.cpu(), size), heat, opacity), one.detections.image_size)
    draw_box(panel, one.detections.boxes[0], row, edge=attribute)
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
    check_shown(image, heat_maps)
    if len(heat_maps) == 0:
        return show_detections(image, heat_maps.detections)
    numbers = check_numbers(numbers, len(heat_maps))
    shown = add_combined(heat_maps[:MOST_ROWS], attributes).normalized()
    grid = PictureGrid(
        image, [name_row(shown.detections, numbers, row) for row in range(len(shown))], len(attributes), 1.7
    )
    for row in range(len(shown)):
        grid.draw(row, [grid.small, *grid.blends(shown[row])])
        grid.draw_box(row, 0, shown.detections.boxes[row], numbers[row])
        for column, attribute in enumerate(attributes, start=1):
            grid.draw_box(row, column, shown.detections.boxes[row], numbers[row], attribute)
            grid.draw_reason(row, column, shown.reasons[row][column - 1])
    title = title or "Each object has its own map, and so has each edge of its box"
    grid.finish(
        [TITLES[attribute] for attribute in attributes], tell_count(title, len(shown), len(heat_maps), "objects")
    )
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


def _single(shape: torch.Size, bar: bool = False) -> tuple[Figure, Axes]:
    """A figure of one picture."""
    aspect = min(max(shape[-2] / shape[-1], 0.4), 2.5)
    figure = Sheet(5.2 + (0.6 if bar else 0), 5.2 * aspect + 0.35)
    return figure, figure.subplots()


def name_row(detections: Detections, numbers: Sequence[int], row: int) -> str:
    """Number and class of a detection above its score."""
    return "\n".join(write_label(detections, row, numbers[row]).rsplit(" ", 1))
