"""A resize that keeps the aspect ratio, with the rest of the network's input filled on both sides."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

GREY = 114 / 255
"""What YOLO fills the rest with, since the first of Ultralytics."""


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies on the input of a network.

    Attributes:
        image_size: (height, width) of the picture.
        inner: (height, width) of the picture after its resize.
        input_size: (height, width) of the network's input.
        top, left: pixels filled above and to the left of the picture.
    """

    image_size: tuple[int, int]
    inner: tuple[int, int]
    input_size: tuple[int, int]
    top: int
    left: int

    @classmethod
    def of(cls, image_size: tuple[int, int], wanted: tuple[int, int], stride: int) -> "Letterbox":
        """The smallest input of whole strides that holds the picture, centred, as large as fits into ``wanted``.

        Args:
            image_size: (height, width) of the picture.
            wanted: (height, width), multiples of the stride.
            stride: in pixels.
        """
        scale = min(wanted[0] / image_size[0], wanted[1] / image_size[1])
        inner = tuple(max(round(side * scale), 1) for side in image_size)
        rest = [(full - side) % stride for full, side in zip(wanted, inner)]
        size = (inner[0] + rest[0], inner[1] + rest[1])
        # Of an odd rest the larger half is at the bottom and on the right.
        return cls(image_size, (inner[0], inner[1]), size, rest[0] // 2, rest[1] // 2)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture for each of the input, across and down."""
        return self.image_size[1] / self.inner[1], self.image_size[0] / self.inner[0]

    def place(self, images: Tensor) -> Tensor:
        """Pictures ``Tensor[B, 3, H, W]`` in [0, 1] as the network sees them, differentiable."""
        if self.inner != self.image_size:
            images = interpolate(images, self.inner, mode="bilinear", align_corners=False)
        below, right = (self.input_size[axis] - self.inner[axis] - (self.top, self.left)[axis] for axis in (0, 1))
        return pad(images, (self.left, right, self.top, below), value=GREY)

    def to_image(self, points: Tensor) -> Tensor:
        """Points ``Tensor[..., 2]``, (x, y) on the input, in pixels of the picture."""
        return (points - points.new_tensor([self.left, self.top])) * points.new_tensor(self.scale)


def list_centres(size: tuple[int, int], stride: float, like: Tensor) -> Tensor:
    """The middles of the cells of one level in pixels of the input, row after row: ``Tensor[h * w, 2]``, (x, y)."""
    rows, columns = (torch.arange(cells, dtype=like.dtype, device=like.device) + 0.5 for cells in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2) * stride
