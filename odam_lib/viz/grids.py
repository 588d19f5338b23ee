"""Rows of pictures of one image."""

from collections.abc import Sequence

import torch
from matplotlib.collections import LineCollection
from torch import Tensor

from odam_lib.heatmaps import HeatMaps
from odam_lib.images import to_uint8
from odam_lib.viz.drawing import FILE_DPI, OBJECT_COLOURS, blend, fit_size, resize
from odam_lib.viz.sheets import Sheet


class PictureGrid:
    """Rows of pictures of one image, drawn on a single Axes: one for each picture would take most of the time.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        rows: what stands beside each row.
        columns: how many pictures follow the first one of each row.
        width: width of one picture in inches.

    Attributes:
        size: (height, width) that a picture has here, as fine as :func:`save_png` shows it.
        small: the image in that size.
        figure, panel: what is drawn on; a unit is a pixel of the small image.
    """

    def __init__(self, image: Tensor, rows: Sequence[str], columns: int, width: float) -> None:
        self.size = high, wide = fit_size((image.shape[-2], image.shape[-1]), round(FILE_DPI * width))
        self.small, self._rows, self._columns = resize(image.cpu(), self.size), rows, columns + 1
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
