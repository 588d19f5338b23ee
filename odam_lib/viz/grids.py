"""Rows of pictures of one image."""

from collections.abc import Sequence
from textwrap import fill, wrap

from matplotlib.collections import LineCollection
from torch import Tensor

from odam_lib.heatmaps import HeatMaps
from odam_lib.images import to_uint8
from odam_lib.viz.drawing import FILE_DPI, OBJECT_COLOURS, blend
from odam_lib.viz.sheets import SCREEN_DPI, Sheet, make_legible
from odam_lib.viz.views import MARGIN, outline_mask, view_box

PANEL = 2.8
"""Inches of a panel's longer side: 224 pixels on a screen."""

MOST_IN_LINE = 4
"""Panels beside each other, as many as a page is wide; a row of more goes on below."""

GAP, LINE = 8, 19
"""Pixels between panels, and of a line of text above them."""

LETTERS = 36
"""Of a heading's line, as wide as a panel."""


class PictureGrid:
    """Rows of pictures of one image, drawn on a single Axes: one for each picture would take most of the time.

    A row shows the part of the image around its box. Its name stands above its first picture, a heading above each
    other one.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        rows: the names of the rows.
        headings: of the pictures that follow the first one of each row.
        boxes: ``Tensor[R, 4]``, what each row shows.
        margin: see :func:`~odam_lib.viz.views.view_box`; ``None`` for the whole image in every row.

    Attributes:
        views: which part of the image each row shows.
        small: that part, ``Tensor[3, h, w]``, as fine as :func:`save_png` shows it.
        figure, panel: what is drawn on; a unit is a pixel of the small image.
    """

    def __init__(
        self,
        image: Tensor,
        rows: Sequence[str],
        headings: Sequence[str],
        boxes: Tensor,
        margin: float | None = MARGIN,
    ) -> None:
        self._side = side = round(FILE_DPI * PANEL)
        size = image.shape[-2], image.shape[-1]
        self.views = [view_box(box, size, side, margin) for box in boxes[: len(rows)].cpu()]
        self.small = [view.cut(image.cpu()) for view in self.views]
        self._headings = [[_wrap(name), *map(_wrap, map(make_legible, headings))] for name in rows]
        count = 1 + len(headings)
        lines = -(-count // MOST_IN_LINE)
        self._in_line = -(-count // lines)
        self._tops, below = [], 0
        for names, view in zip(self._headings, self.views):
            room = LINE * max(name.count("\n") + 1 for name in names) + view.size[0] + GAP
            self._tops.append([below + (line + 1) * room - view.size[0] - GAP for line in range(lines)])
            below += lines * room
        self._width, self._height = self._in_line * (side + GAP) - GAP, below
        self.figure = Sheet(self._width / FILE_DPI + 0.1, below / FILE_DPI + 1.0)
        self.figure.set_layout_engine("compressed")  # for an Axes whose shape is given
        self.panel = self.figure.subplots()
        self._lines: list[tuple[list[list[float]], str, float]] = []  # both ends, colour, width

    def blends(self, row: int, one: HeatMaps) -> list[Tensor]:
        """The row's part of the image under each map of one detection, which are normalised."""
        return [blend(self.small[row], heat) for heat in self.views[row].spread(one)]

    def draw(self, row: int, pictures: Sequence[Tensor], mask: Tensor | None = None) -> None:
        """Place the pictures of a row, each ``[3, h, w]`` of the row's size.

        Args:
            row: which.
            pictures: as many as there are headings, and one before them.
            mask: bool ``Tensor[H, W]`` of the whole image, outlined in each.
        """
        outlined = None if mask is None else self.views[row].cut(mask[None].cpu())[0] > 0.5
        for column, picture in enumerate(pictures):
            left, top = self._corner(row, column)
            shown = picture if outlined is None else outline_mask(picture, outlined)
            high, wide = self.views[row].size
            self.panel.imshow(to_uint8(shown), extent=(left, left + wide, top + high, top))

    def draw_box(self, row: int, column: int, box: Tensor, colour: int, edge: str = "") -> None:
        """:func:`draw_box` in one of the pictures, when the grid is finished; no line leaves its picture."""
        (left, top), view = self._corner(row, column), self.views[row]
        corner = box.new_tensor([view.left, view.top, view.left, view.top])
        x1, y1, x2, y2 = ((box - corner) * view.scale).tolist()
        high, wide = view.size
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
            (x, y), (high, wide) = self._corner(row, column), self.views[row].size
            self.panel.text(x + wide / 2, y + high / 2, "zero", ha="center", va="center", color="white", fontsize=9)

    def finish(self, title: str) -> None:
        """Draw the boxes, write what stands above the pictures."""
        lines, tints, widths = zip(*self._lines) if self._lines else ((), (), ())
        shadow = {"colors": "black", "lw": 2.6, "alpha": 0.6, "capstyle": "butt"}
        for style in (shadow, {"colors": tints, "lw": widths, "capstyle": "projecting"}):
            self.panel.add_collection(LineCollection(lines, **style))
        for row, names in enumerate(self._headings):
            for column, name in enumerate(names):
                left, top = self._corner(row, column)
                self.panel.text(
                    left, top - 3, name, fontsize=9, va="bottom", weight="bold" if column == 0 else "normal"
                )
        self.panel.set(xlim=(0, self._width), ylim=(self._height, 0))
        self.panel.set_axis_off()
        letters = int(self.figure.get_figwidth() * SCREEN_DPI / 7.5)
        self.figure.suptitle("\n".join(fill(line, letters) for line in title.split("\n")), fontsize=11)

    def _corner(self, row: int, column: int) -> tuple[float, float]:
        """Left and top of a picture; those that are narrower than others stand in the middle of their place."""
        line, place = divmod(column, self._in_line)
        spare = (self._side - self.views[row].size[1]) / 2
        return place * (self._side + GAP) + spare, self._tops[row][line]


def _wrap(name: str) -> str:
    return "\n".join(wrap(name, LETTERS))
