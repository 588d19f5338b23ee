"""What pictures are drawn with, in one style: legible in print, in grey and for the colour-blind."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib.detections import Detections
from odam_lib.files import write_whole
from odam_lib.heatmaps import COMBINED, EDGES, HeatMaps
from odam_lib.images import to_uint8
from odam_lib.kernels import checks
from odam_lib.viz.sheets import SCREEN_DPI, make_legible

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


LETTER_SIZE = 5.2, 12.5
"""Points of a label's letter, wide and high, with what stands around it."""


DISPLAY_SIDE = 640
"""Longer pictures are reduced to this many pixels for display."""


def blend(image: Tensor, heat: Tensor, opacity: float = OPACITY) -> Tensor:
    """Lay a map over a picture that stays visible: grey and dimmed below, coloured only as far as the map is high.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        heat: ``Tensor[H, W]``, normalised: in [0, 1], or in [-1, 1] if it is signed.
        opacity: opacity of the map where it is largest, in [0, 1].

    Returns:
        ``Tensor[3, H, W]`` in [0, 1].

    Raises:
        ValueError: an opacity outside [0, 1].
    """
    opacity = checks.number("The opacity", opacity, "[0, 1]")
    grey = image.new_tensor([0.299, 0.587, 0.114]) @ image.flatten(1)
    dimmed = (0.15 + 0.6 * grey).reshape(1, *heat.shape)
    colours = list_colours(DIVERGING if (heat < 0).any() else SEQUENTIAL).to(image)
    colour = colours[:, (_unit(heat) * colours.shape[1]).long().clamp(0, colours.shape[1] - 1)]
    weight = opacity * heat.abs()
    return dimmed * (1 - weight) + colour * weight


def fit_size(image_size: tuple[int, int], side: int = DISPLAY_SIDE) -> tuple[int, int]:
    """(height, width) of a picture whose longer side is reduced to at most ``side`` pixels."""
    scale = min(1.0, side / max(image_size))
    return max(1, round(image_size[0] * scale)), max(1, round(image_size[1] * scale))


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``[3, H, W]`` at another (height, width), anti-aliased."""
    if image.shape[-2:] == size:
        return image
    return interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def write_label(detections: Detections, row: int, number: int | None = None) -> str:
    """A detection's number, class and score, ``3 dog 0.85``; the number is its row unless another one is given."""
    name = detections.categories[int(detections.labels[row])]
    return f"{row if number is None else number} {make_legible(name)} {detections.scores[row]:.2f}"


def add_combined(heat_maps: HeatMaps, attributes: Sequence[str]) -> HeatMaps:
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


def draw_box(panel: Axes, box: Tensor, colour: int, edge: str | None = None) -> None:
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


def draw_labels(panel: Axes, detections: Detections, points: float) -> None:
    """Number, class and score of every detection, in its colour, at its box and where no other label stands.

    Args:
        panel: shows the whole picture, whose pixels are its coordinates.
        detections: their rows are their numbers.
        points: how many points (1/72 inch) wide a pixel of the picture is shown.
    """
    names = [write_label(detections, row) for row in range(len(detections))]
    sizes = [(LETTER_SIZE[0] * len(name) / points, LETTER_SIZE[1] / points) for name in names]
    corners = place_labels(detections.boxes.tolist(), sizes, detections.image_size)
    for row, ((left, top), name) in enumerate(zip(corners, names)):
        panel.text(
            left, top + sizes[row][1] / 2, name, fontsize=8, va="center", color="black", clip_on=True,
            bbox={"facecolor": OBJECT_COLOURS[row % len(OBJECT_COLOURS)], "edgecolor": "none", "pad": 1.2},
        )  # fmt: skip


def place_labels(
    boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[float, float]], image_size: tuple[int, int]
) -> list[tuple[float, float]]:
    """The left and top of a label for each box: above its corners or in them, at the first place that is free.

    Args:
        boxes: (x1, y1, x2, y2) in pixels.
        sizes: (width, height) of each label in pixels.
        image_size: (height, width) of the picture, which no label leaves.

    Returns:
        One place a box. Where every place is taken, the label stands where least of it is covered.
    """
    taken = torch.zeros(0, 4)
    for (x1, y1, x2, y2), (wide, high) in zip(boxes, sizes):
        right, bottom = max(image_size[1] - wide, 0), max(image_size[0] - high, 0)
        rows = (y1 - high, y1, y2 - high, y2, *(y1 + high * step for step in range(1, 8)))
        places = [(min(max(left, 0), right), min(max(top, 0), bottom)) for top in rows for left in (x1, x2 - wide)]
        each = torch.tensor([[left, top, left + wide, top + high] for left, top in places])
        corner = torch.maximum(each[:, None, :2], taken[:, :2])
        hidden = (torch.minimum(each[:, None, 2:], taken[:, 2:]) - corner).clamp(min=0).prod(dim=2).sum(dim=1)
        taken = torch.cat([taken, each[[int(hidden.argmin())]]])
    return [(left, top) for left, top, *_ in taken.tolist()]


def encode_png(image: Tensor) -> bytes:
    """A picture ``[3, H, W]`` in [0, 1] as the bytes of a PNG, quickly made."""
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(buffer, "PNG", compress_level=1)  # 4 times as fast, a seventh larger
    return buffer.getvalue()


def to_png(figure: Figure, dpi: int = SCREEN_DPI) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})  # for the same reason
    return buffer.getvalue()


def save_png(figure: Figure, path: Path, dpi: int = FILE_DPI) -> Path:
    """Write the figure as a PNG file, whole or not at all."""
    with write_whole(path) as aside:
        aside.write_bytes(to_png(figure, dpi))
    return path


def draw_colour_bar(figure: Figure, panel: Axes, shown: HeatMaps) -> None:
    """Below the pictures, for maps that are all drawn by their own maximum."""
    signed = any((maps < 0).any() for maps in shown.maps)
    scale = Normalize(-1 if signed else 0, 1)
    bar = figure.colorbar(
        ScalarMappable(scale, DIVERGING if signed else SEQUENTIAL), ax=panel, location="bottom", shrink=0.4,
        fraction=0.04, pad=0.01, aspect=25,
    )  # fmt: skip
    bar.set_label("influence, each map / its own maximum", fontsize=8)
    bar.set_ticks([-1, 0, 1] if signed else [0, 0.5, 1])
    bar.ax.tick_params(labelsize=8)


@lru_cache
def list_colours(name: str) -> Tensor:
    """The colours of one of matplotlib's maps in order, ``Tensor[3, 256]`` in [0, 1]."""
    return torch.from_numpy(matplotlib.colormaps[name](range(256))[:, :3]).T.float().contiguous()


def _unit(heat: Tensor) -> Tensor:
    return heat / 2 + 0.5 if (heat < 0).any() else heat
