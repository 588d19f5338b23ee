"""Cosines of heat maps, Sec. 3.2 and 3.3, and the common size that maps of several levels need for them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib.kernels import checks
from odam_lib.kernels.candidates import check_maps


def directions(vectors: Tensor) -> Tensor:
    """Vectors scaled to length 1, so that their dot products are cosines.

    Args:
        vectors: ``Tensor[..., D]``, float32 or float64.

    Returns:
        ``Tensor[..., D]``; zeros of a vector of zeros, which has no direction and gets no gradient.

    Raises:
        TypeError: no float tensor.
    """
    checks.tensor("maps", vectors, "[..., D]", "float")
    # Scaled first, and by a constant, so that squares of small values do not underflow.
    scale = vectors.detach().abs().amax(dim=-1, keepdim=True)
    known = scale >= torch.finfo(vectors.dtype).tiny
    scaled = vectors / torch.where(known, scale, 1)
    length = scaled.square().sum(dim=-1, keepdim=True)
    return torch.where(known, scaled / torch.where(known, length, 1).sqrt(), 0)


def cosines(maps: Tensor, best: Tensor) -> Tensor:
    """The cosine of some maps with all maps.

    Args:
        maps: ``Tensor[N, ...]``, non-negative heat maps of one size.
        best: ``Tensor[G]``, int64, rows.

    Returns:
        ``Tensor[G, N]`` in [0, 1]; 0 with a map of zeros, which has no direction and gets no gradient.

    Raises:
        TypeError, ValueError: not such a tensor.
    """
    checks.tensor("maps", maps, "[N, ...]", "float")
    unit = directions(maps.flatten(1))
    return unit[best] @ unit.T


def correlation(maps: Tensor) -> Tensor:
    """The normalised correlation of Sec. 3.3: the cosine of each pair of maps.

    Args:
        maps: ``Tensor[N, ...]``, non-negative heat maps of one size.

    Returns:
        ``Tensor[N, N]`` in [0, 1], float32 or float64, never over 1 by rounding; 0 with a map of zeros, whose
        correlation is undefined.

    Raises:
        ValueError: maps that are negative, not finite or without a cell.
    """
    checks.tensor("maps", maps, "[N, ...]")
    check_maps(maps)
    unit = directions(at_least_float32(maps).flatten(1))
    return (unit @ unit.T).clamp(max=1)


def short_edge_size(size: tuple[int, int], short_edge: int = 50) -> tuple[int, int]:
    """(height, width) scaled to a short edge of this many cells: 800 x 1067 pixels become the paper's 50 x 67.

    Raises:
        ValueError: a side, or the short edge wanted, is not at least 1.
    """
    short_edge = checks.number("short_edge", short_edge)
    if short_edge < 1:
        raise ValueError(f"A size of {size} with a short edge of {short_edge}: give sides of at least 1.")
    size = checks.size("size", size)
    scale = short_edge / min(size)
    return round(size[0] * scale), round(size[1] * scale)


def common_size(maps: Sequence[Tensor], short_edge: int = 50) -> Tensor:
    """Maps of several levels in one size, so that they can be correlated: the shape of the largest, short edge 50.

    Bilinear, averaging where it shrinks, so that no cell is skipped. Each map is spread over the whole result: right
    for maps that cover the same picture. Where padding makes levels cover more of it than others, or maps are of
    regions of interest, ``HeatMaps.to_image(short_edge_size(image_size))`` puts every cell in its place instead.

    Args:
        maps: N tensors ``[h, w]``, each with a size of its own.
        short_edge: cells of the result's shorter side.

    Returns:
        ``Tensor[N, height, width]``, float32 or float64; ``[0, short_edge, short_edge]`` of no map.

    Raises:
        ValueError: a map is not ``[h, w]`` with at least one cell, or the short edge is not at least 1.
    """
    for row, one in enumerate(maps):
        checks.tensor(f"map of row {row}", one, "[...]")
        if one.dim() != 2 or not one.numel():
            raise ValueError(f"Map {row} has shape {list(one.shape)}: give [h, w] with at least one cell.")
    largest = max(((one.shape[0], one.shape[1]) for one in maps), key=lambda size: size[0] * size[1], default=(1, 1))
    size = short_edge_size(largest, short_edge)
    resized = [
        interpolate(at_least_float32(one)[None, None], size, mode="bilinear", align_corners=False, antialias=True)[0, 0]
        for one in maps
    ]
    return torch.stack(resized) if resized else torch.zeros(0, *size)


def at_least_float32(values: Tensor) -> Tensor:
    """Numbers of half precision, and integers, as float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
