"""Click a place, see where DETR's encoder looked from there.

Needs the extra ``notebooks`` (anywidget and ipywidgets).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor
from traitlets import Bytes

from odam_chapters import STATIC
from odam_chapters.attention.reading import (
    count_cells,
    find_cell,
    get_attention,
    locate_cell,
    read_encoder_attention,
    read_encoder_cells,
    spread_cells,
)
from odam_lib.detectors.trace import Trace
from odam_lib.images import to_uint8
from odam_lib.kernels.odam import min_max
from odam_lib.viz.choosing import Choosing, Row, check_row
from odam_lib.viz.drawing import DISPLAY_SIDE, OPACITY, blend, encode_png, fit_size, resize, to_png
from odam_lib.viz.front_ends import describe_grid, encode_maps, list_palette, read_front_end
from odam_lib.viz.sheets import MOST_ROWS, Sheet, tell_count
from odam_lib.viz.standalone import Standalone

MARK = "#56b4e9"
"""Colour of the cell that was clicked."""

MANY = 500_000
"""Weights of all cells from each: a figure without Python that has more keeps 6 bits of each, to be smaller."""


def render_encoder(image: Tensor, trace: Trace, row: int, column: int, side: int = DISPLAY_SIDE) -> Tensor:
    """The encoder's self-attention at one cell over the picture.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1], that of the trace.
        trace: a pass of a DETR.
        row, column: the cell.
        side: a longer picture is reduced to this many pixels.

    Returns:
        ``Tensor[3, h, w]`` in [0, 1].
    """
    size = fit_size(trace.candidates.image_size, side)
    cells = min_max(read_encoder_cells(trace)[row, column])
    return blend(resize(image.cpu(), size), spread_cells(trace, cells[None], size)[0].cpu())


def show_locations(image: Tensor, trace: Trace, places: list[tuple[float, float]]) -> Figure:
    """The encoder's self-attention at some places side by side, each place marked by a cross.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1], that of the trace.
        trace: a pass of a DETR.
        places: (x, y) in pixels of the image, at least one; of more than ``MOST_ROWS`` the first are shown, and the
            title says so.
    """
    title = tell_count("Where the encoder looked from a place", MOST_ROWS, len(places), "places")
    places = places[:MOST_ROWS]
    height, width = trace.candidates.image_size
    ratio = min(max(height / width, 0.4), 2.5)
    figure = Sheet(2.9 * (len(places) + 1), 2.9 * ratio + 0.6)
    small = resize(image.cpu(), fit_size((height, width)))
    cells = [find_cell(trace, x, y) for x, y in places]
    pictures = [small, *(render_encoder(image, trace, *cell) for cell in cells)]
    marks = [locate_cell(trace, *cell) for cell in cells]
    for number, (panel, picture) in enumerate(zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures)):
        panel.imshow(to_uint8(picture), extent=(0, width, height, 0))
        panel.set_axis_off()
        for other, (x, y) in enumerate(marks, start=1):
            if number in (0, other):
                panel.plot(x, y, "x", color="black", ms=11, mew=4)
                panel.plot(x, y, "x", color=MARK, ms=10, mew=2)
                panel.set_title(f"from ({x:.0f}, {y:.0f})" if number else "the places", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


class LocationPicker(Choosing):
    """A picture in which a place can be clicked, or moved by arrow keys, beside the encoder's attention there.

    Args:
        trace: a pass of a DETR.
        image: ``Tensor[3, H, W]`` in [0, 1], the image of that pass.
        x, y: the place to begin with in pixels; default the middle of the picture.

    Attributes:
        row, column: the chosen cell, counted from the top left.
        error: see :class:`odam_lib.viz.choosing.Choosing`.

    Raises:
        NoAttentionError: the detector has no attention.
        ValueError: the image is not that of the trace, or the place lies outside it.
        TraitError: a cell that does not exist, now or when set later.
    """

    _esm = read_front_end(STATIC / "location.js")
    CHOICES = ("row", "column")
    FAILURE = "The attention could not be drawn"

    row = Row(0).tag(sync=True)
    column = Row(0).tag(sync=True)

    _map = Bytes(help="grey PNG of the attention, a pixel a cell").tag(sync=True)

    def __init__(self, trace: Trace, image: Tensor, x: float | None = None, y: float | None = None) -> None:
        get_attention(trace)
        height, width = trace.candidates.image_size
        if tuple(image.shape[-2:]) != (height, width):
            raise ValueError("The image is not the one that was traced: give both of the same picture.")
        self._trace, self._image = trace, image.detach().cpu()
        self._cells = read_encoder_cells(trace).detach().cpu()
        row, column = find_cell(trace, width / 2 if x is None else x, height / 2 if y is None else y)
        first, second = locate_cell(trace, 0, 0), locate_cell(trace, 1, 1)
        super().__init__(
            row=row,
            column=column,
            _about={
                "size": (height, width),
                "cells": count_cells(trace),
                "first": first,
                "step": (second[0] - first[0], second[1] - first[1]),
                "grid": describe_grid(get_attention(trace).grid, trace.input_size),
                "palette": list_palette(),
                "opacity": OPACITY,
            },
            _picture=encode_png(resize(self._image, fit_size((height, width)))),
        )

    @property
    def location(self) -> tuple[float, float]:
        """(x, y) of the chosen cell's centre in pixels of the image."""
        return locate_cell(self._trace, self.row, self.column)

    @property
    def heat(self) -> Tensor:
        """The encoder's self-attention at the chosen cell: ``Tensor[H, W]``."""
        return read_encoder_attention(self._trace, *self.location)

    def check(self, choice: Mapping[str, Any]) -> None:
        for name, count in zip(self.CHOICES, count_cells(self._trace)):
            check_row(name, choice[name], count)

    def draw(self) -> dict[str, Any]:
        return self._draw(self.row, self.column)

    def _draw(self, row: int, column: int, steps: int = 255) -> dict[str, Any]:
        x, y = locate_cell(self._trace, row, column)
        return {
            "_map": encode_maps((min_max(self._cells[row, column])[None] * steps).round() / steps),
            "_shown": {"title": f"encoder attention from ({x:.0f}, {y:.0f})"},
        }

    def standalone(self) -> Standalone:
        rows, columns = count_cells(self._trace)
        places = ({"row": row, "column": column} for row in range(rows) for column in range(columns))
        steps = 255 if self._cells.numel() < MANY else 63
        draw = partial(self._draw, steps=steps)
        return self.freeze("Where did the encoder look?", STATIC / "location.js", self._image, places, draw)

    def draw_still(self) -> bytes:
        return to_png(show_locations(self._image, self._trace, [self.location]))

    def __repr__(self) -> str:
        return f"LocationPicker(row {self.row}, column {self.column})"
