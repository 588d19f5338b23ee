"""Superpixels: parts of a picture that are compact and of one colour."""

from itertools import product

import torch
from torch import Tensor

from odam_lib.kernels import checks


def find_superpixels(image: Tensor, number: int, compactness: float = 10.0, rounds: int = 5) -> Tensor:
    """SLIC (Achanta et al., 2012): k-means of colour and place, where each pixel chooses among the nearest centres.

    Colours are compared as RGB in per cent, in the place of CIELAB; parts may come in several pieces.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].
        number: how many parts, about.
        compactness: how much colour difference weighs as much as the distance between two centres.
        rounds: of assigning pixels and moving centres.

    Returns:
        int64 ``Tensor[H, W]``, the part of each pixel, numbered from 0; a part may be empty.

    Raises:
        TypeError, ValueError: not such a picture or number.
    """
    checks.tensor("image", image, "[3, H, W]", "float")
    checks.count("number", number)
    height, width = image.shape[-2:]
    spacing = (height * width / number) ** 0.5
    down, across = (min(side, max(1, round(side / spacing))) for side in (height, width))
    rows, columns = (torch.arange(side, device=image.device) for side in (height, width))
    row, column = rows[:, None] * down // height, columns * across // width
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")) * (compactness / spacing)
    pixels = torch.cat([100 * image, places]).flatten(1).T
    parts = (row * across + column).flatten()
    nearby = torch.stack(
        [
            ((row + up).clamp(0, down - 1) * across + (column + right).clamp(0, across - 1)).flatten()
            for up, right in product((-1, 0, 1), repeat=2)
        ]
    )
    for _ in range(rounds):
        sums = pixels.new_zeros(down * across, 5).index_add_(0, parts, pixels)
        counts = parts.bincount(minlength=down * across)
        centres = sums / counts.clamp(min=1)[:, None]
        distances = torch.stack([(pixels - centres[one]).square().sum(dim=1) for one in nearby])
        distances[counts[nearby] == 0] = torch.inf
        parts = nearby.gather(0, distances.argmin(dim=0)[None])[0]
    return parts.reshape(height, width)
