"""What part of a picture a panel shows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks

MARGIN = 0.2
"""What a panel shows around a box on each side, as a share of the box's longer side."""

SMALLEST = 8
"""Pixels of the picture that a panel shows at least, along each side."""


@dataclass(frozen=True)
class View:
    """A part of a picture and the size that it is shown in.

    Attributes:
        left, top, right, bottom: of the part, in pixels of the picture.
        image_size: (height, width) of the picture.
        size: (height, width) of the panel, in pixels of its own.
    """

    left: int
    top: int
    right: int
    bottom: int
    image_size: tuple[int, int]
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels of the panel for one of the picture."""
        return max(self.size) / max(self.right - self.left, self.bottom - self.top)

    @property
    def extent(self) -> tuple[int, int, int, int]:
        """(left, right, bottom, top) in pixels of the picture, for matplotlib."""
        return self.left, self.right, self.bottom, self.top

    def cut(self, picture: Tensor) -> Tensor:
        """The part ``[C, h, w]`` of a picture or of maps ``[C, H, W]`` that cover it, in the panel's size."""
        high, wide = (ours / whole for ours, whole in zip(picture.shape[-2:], self.image_size))
        rows = slice(math.floor(self.top * high), max(math.ceil(self.bottom * high), math.floor(self.top * high) + 1))
        columns = slice(
            math.floor(self.left * wide), max(math.ceil(self.right * wide), math.floor(self.left * wide) + 1)
        )
        part = picture[:, rows, columns].float()
        return interpolate(part[None], size=self.size, mode="bilinear", antialias=True)[0].clamp(-1, 1)

    def spread(self, one: HeatMaps) -> Tensor:
        """The maps ``[A, h, w]`` of one detection, normalised, on this part."""
        finest = min(1.0, self.scale)
        return self.cut(one.to_image(_scaled(self.image_size, finest))[0].cpu())


def view_box(box: Tensor | None, image_size: tuple[int, int], side: int, margin: float | None = MARGIN) -> View:
    """The square part of a picture around a box, moved where it would leave the picture; there it may be no square.

    Args:
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels; ``None`` for the whole picture.
        image_size: (height, width) of the picture.
        side: the longer side of the panel, in pixels of its own.
        margin: what is shown around the box on each side, as a share of its longer side; ``None`` for the whole
            picture.

    Raises:
        ValueError: a margin below 0.
    """
    height, width = image_size
    if box is None or margin is None:
        return View(0, 0, width, height, image_size, _scaled(image_size, side / max(image_size)))
    margin = checks.number("The margin", margin, "[0, inf)")
    x1, y1, x2, y2 = box.tolist()
    wanted = max(math.ceil((1 + 2 * margin) * max(x2 - x1, y2 - y1)), SMALLEST)
    (left, right), (top, bottom) = _span((x1 + x2) / 2, wanted, width), _span((y1 + y2) / 2, wanted, height)
    size = bottom - top, right - left
    return View(left, top, right, bottom, image_size, _scaled(size, side / max(size)))


def enclose(boxes: Tensor) -> Tensor:
    """The box ``[4]`` around boxes ``[N, 4]``, N >= 1."""
    return torch.cat([boxes[:, :2].amin(dim=0), boxes[:, 2:].amax(dim=0)])


def outline_mask(picture: Tensor, mask: Tensor) -> Tensor:
    """A picture ``[3, h, w]`` with a white line, edged in black, around what a bool ``Tensor[h, w]`` is true of."""
    outlined = picture
    for width, shade in ((3, 0.0), (2, 1.0)):
        grown = max_pool2d(mask[None].float(), 2 * width + 1, stride=1, padding=width)[0] > 0
        outlined = torch.where(grown & ~mask, outlined.new_tensor(shade), outlined)
    return outlined


def _span(middle: float, wanted: int, limit: int) -> tuple[int, int]:
    """Where a length around a middle begins and ends within [0, limit]."""
    length = min(wanted, limit)
    start = min(max(round(middle - length / 2), 0), limit - length)
    return start, start + length


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
