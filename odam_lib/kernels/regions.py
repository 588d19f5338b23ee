"""Pixels of boxes, and maps that know a box alone."""

import torch
from torch import Tensor

from odam_lib.kernels import checks


def box_regions(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels whose centre lies in each box.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        size: (height, width) of the image.

    Returns:
        bool ``Tensor[N, height, width]``.

    Raises:
        TypeError, ValueError: not such a tensor or size.
    """
    checks.tensor("boxes", boxes, "[N, 4]")
    size = checks.size("size", size)
    rows = torch.arange(size[0], device=boxes.device) + 0.5
    columns = torch.arange(size[1], device=boxes.device) + 0.5
    x1, y1, x2, y2 = boxes[:, :, None].unbind(dim=1)
    return ((rows > y1) & (rows < y2))[:, :, None] & ((columns > x1) & (columns < x2))[:, None, :]


def box_blob(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """A map that knows the box alone: a Gaussian at its centre, of a standard deviation of a quarter of each side.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        size: (height, width) of the image.

    Returns:
        ``Tensor[N, height, width]``, at most 1.

    Raises:
        TypeError, ValueError: not such a tensor or size.
    """
    checks.tensor("boxes", boxes, "[N, 4]", "float")
    size = checks.size("size", size)
    centres, deviations = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1) / 4
    along = [
        torch.exp(-0.5 * ((torch.arange(length, device=boxes.device) + 0.5 - at[:, None]) / wide[:, None]) ** 2)
        for length, at, wide in zip(size, centres.flip(1).T, deviations.flip(1).T)
    ]
    return along[0][:, :, None] * along[1][:, None, :]
