"""How much of a map lies where."""

import torch
from torch import Tensor

from odam_lib.kernels import checks
from odam_lib.kernels.odam import min_max

THRESHOLDS = torch.arange(1, 20) / 20
"""Of the visual explanation accuracy: 0.05, 0.10 ... 0.95."""


def check_energy(maps: Tensor) -> None:
    """Refuse maps that are no distribution of energy over the picture.

    Raises:
        TypeError: no float tensor.
        ValueError: not ``[..., H, W]``, negative or not finite values.
    """
    checks.tensor("maps", maps, "[..., H, W]", "float")
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it (relu or abs) before measuring where its energy lies.")
    if not maps.isfinite().all():
        raise ValueError("A map has values that are not finite: give maps of numbers.")


def energy_inside(maps: Tensor, regions: Tensor) -> Tensor:
    """The share of a map's energy inside a region: the energy-based pointing game of Sec. 4.2.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.
        regions: bool ``Tensor[..., H, W]``, broadcast against the maps.

    Returns:
        ``Tensor[...]`` in [0, 1]; 0 for a map of zeros.

    Raises:
        TypeError: no float tensor.
        ValueError: a map with negative values has no share; regions that are not bool or do not fit.
    """
    checks.tensor("maps", maps, "[..., H, W]", "float")
    _check_regions(maps, regions)
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it (relu or abs) before asking for shares of its energy.")
    scaled = maps / maps.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    total = scaled.sum(dim=(-2, -1))
    inside = (scaled * regions).sum(dim=(-2, -1))
    return inside / torch.where(total == 0, torch.ones_like(total), total)


def visual_explanation_accuracy(maps: Tensor, masks: Tensor, thresholds: Tensor = THRESHOLDS) -> Tensor:
    """How well the part of a map over a threshold covers the object: the visual explanation accuracy of Sec. 4.2.

    Each map is min-max normalised; a positive constant becomes 1 everywhere.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.
        masks: bool ``Tensor[..., H, W]``, the true mask of each explained object, broadcast against the maps.
        thresholds: ``Tensor[T]``.

    Returns:
        float32 ``Tensor[..., T]``, the IoU of the mask and the pixels whose value is larger than each threshold; 0 for
        a map of zeros.

    Raises:
        ValueError: negative or not finite maps, or masks that are not bool or do not fit.
    """
    check_energy(maps)
    _check_regions(maps, masks)
    scaled = min_max(maps)
    checks.tensor("thresholds", thresholds, "[T]")
    ious = []
    for threshold in thresholds.tolist():  # one at a time: all together would hold T copies of every map
        shown = scaled > threshold
        common, either = (pixels.sum(dim=(-2, -1)) for pixels in (shown & masks, shown | masks))
        ious.append(common.float() / either.clamp(min=1))
    return torch.stack(ious, dim=-1)


def pointing(maps: Tensor, regions: Tensor) -> Tensor:
    """Whether a map's maximum lies on the object: the pointing game of Sec. 4.2.

    Of several equal maxima the mean position counts, so a positive constant points at the picture's centre. A position
    on the border of two or four pixels is a hit if one of them is in the region. A map of zeros points nowhere: a miss.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.
        regions: bool ``Tensor[..., H, W]``, the box or mask of each explained object, broadcast against the maps.

    Returns:
        bool ``Tensor[...]``.

    Raises:
        ValueError: negative or not finite maps, or regions that are not bool or do not fit.
    """
    check_energy(maps)
    _check_regions(maps, regions)
    sums, count = _maxima(maps)
    # whole numbers throughout: a rounded mean would decide on which side of a border a maximum lies
    upper = torch.div(2 * sums + count, 2 * count, rounding_mode="floor")
    lower = -torch.div(count - 2 * sums, 2 * count, rounding_mode="floor")
    pixels = torch.stack(
        [row * maps.shape[-1] + column for row in (lower[0], upper[0]) for column in (lower[1], upper[1])], dim=-1
    )
    flat = regions.flatten(-2)
    shape = torch.broadcast_shapes(flat.shape[:-1], pixels.shape[:-1])
    touched = flat.expand(*shape, -1).gather(-1, pixels.expand(*shape, -1))
    return touched.any(dim=-1) & (maps > 0).any(dim=-1).any(dim=-1)


def compactness(maps: Tensor, boxes: Tensor) -> Tensor:
    """How far a map's energy lies from its maximum, in units of the box: the compactness of Sec. 4.2.

    The square root of the mean squared distance from the maximum, weighted by the map, over half the diagonal of the
    box. Of several equal maxima the mean position counts.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative, at image size.
        boxes: ``Tensor[..., 4]``, (x1, y1, x2, y2) in pixels, the true box of each object, broadcast against the maps.

    Returns:
        ``Tensor[...]``, smaller is more compact; NaN for a map of zeros.

    Raises:
        ValueError: negative or not finite maps, or a box without area.
    """
    check_energy(maps)
    checks.tensor("boxes", boxes, "[..., 4]")
    if not (boxes[..., 2:] > boxes[..., :2]).all():
        raise ValueError("A box has no area: give boxes (x1, y1, x2, y2) with x1 < x2 and y1 < y2.")
    scaled = maps / maps.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    sums, count = _maxima(maps)
    row, column = sums.to(maps.dtype) / count
    down, across = (torch.arange(length, device=maps.device) for length in maps.shape[-2:])
    squared = (scaled.sum(dim=-1) * (down - row[..., None]) ** 2).sum(dim=-1)
    squared = squared + (scaled.sum(dim=-2) * (across - column[..., None]) ** 2).sum(dim=-1)
    spread = (squared / scaled.sum(dim=(-2, -1))).sqrt()
    return spread / ((boxes[..., 2:] - boxes[..., :2]).square().sum(dim=-1) / 4).sqrt()


def sparsity(maps: Tensor) -> Tensor:
    """How few pixels hold a map: its maximum over its mean, after min-max normalisation (Gomez et al., 2022).

    ODExAI (2025) counts it as the complexity of an explanation. It asks neither for the object nor for the detector.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.

    Returns:
        ``Tensor[...]``, 1 for a positive constant, H * W for a single pixel; NaN for a map of zeros.

    Raises:
        ValueError: negative or not finite maps.
    """
    check_energy(maps)
    mean = min_max(maps).mean(dim=(-2, -1))
    return 1 / mean.where(mean > 0, torch.nan)


def _check_regions(maps: Tensor, regions: Tensor) -> None:
    checks.kind("The regions", regions, Tensor, "a bool tensor [..., H, W]")
    if regions.dtype != torch.bool or regions.shape[-2:] != maps.shape[-2:]:
        raise ValueError(
            f"The regions are {regions.dtype} of shape {list(regions.shape)}: "
            f"give bool [..., {maps.shape[-2]}, {maps.shape[-1]}], the maps' size."
        )


def _maxima(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Sums ``[2, ...]`` of the rows and of the columns of a map's largest values, and how many ``[...]`` there are."""
    largest = maps == maps.amax(dim=(-2, -1), keepdim=True)
    rows, columns = (torch.arange(length, device=maps.device) for length in maps.shape[-2:])
    sums = torch.stack([(largest.sum(dim=-1) * rows).sum(dim=-1), (largest.sum(dim=-2) * columns).sum(dim=-1)])
    return sums, largest.sum(dim=(-2, -1))
