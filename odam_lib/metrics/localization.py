"""How much of a map lies where."""

import torch
from torch import Tensor


def energy_inside(maps: Tensor, regions: Tensor) -> Tensor:
    """The share of a map's energy inside a region: the energy-based pointing game of Sec. 4.2.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.
        regions: bool ``Tensor[..., H, W]``, broadcast against the maps.

    Returns:
        ``Tensor[...]`` in [0, 1]; 0 for a map of zeros.

    Raises:
        ValueError: a map with negative values has no share.
    """
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it (relu or abs) before asking for shares of its energy.")
    scaled = maps / maps.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    total = scaled.sum(dim=(-2, -1))
    inside = (scaled * regions).sum(dim=(-2, -1))
    return inside / torch.where(total == 0, torch.ones_like(total), total)


def box_regions(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels whose centre lies in each box.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        size: (height, width) of the image.

    Returns:
        bool ``Tensor[N, height, width]``.
    """
    rows = torch.arange(size[0], device=boxes.device) + 0.5
    columns = torch.arange(size[1], device=boxes.device) + 0.5
    x1, y1, x2, y2 = boxes[:, :, None].unbind(dim=1)
    return ((rows > y1) & (rows < y2))[:, :, None] & ((columns > x1) & (columns < x2))[:, None, :]
