"""How alike two maps are, and maps that ask no detector, to compare that with."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.kernels.similarity import directions
from odam_lib.kernels.windows import Windows


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """The cosine of two maps: 1 for maps that differ by a factor, 0 for maps that share no place.

    Args:
        first, second: ``Tensor[..., H, W]``, broadcast against each other.

    Returns:
        ``Tensor[...]`` in [-1, 1]; NaN where a map is zero everywhere, which has no direction.

    Raises:
        TypeError, ValueError: not such tensors, or of two sizes.
    """
    _check_maps(first, second)
    first, second = (directions(maps.flatten(-2)) for maps in (first, second))
    known = first.any(dim=-1) & second.any(dim=-1)
    return torch.where(known, (first * second).sum(dim=-1).clamp(-1, 1), torch.nan)


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation of two maps: do they rank the places alike, whatever their scale?

    Equal values share the mean of their ranks.

    Args:
        first, second: ``Tensor[..., H, W]``, broadcast against each other.

    Returns:
        ``Tensor[...]`` in [-1, 1]; NaN where a map is constant, which ranks nothing, or has a NaN.

    Raises:
        TypeError, ValueError: not such tensors, or of two sizes.
    """
    _check_maps(first, second)
    first, second = (_ranks(maps.flatten(-2)) for maps in (first, second))
    return (first * second).sum(dim=-1).clamp(-1, 1)


def energy_outside(gradients: Tensor, windows: Windows) -> Tensor:
    """The share of gradients' energy, their sum of squares, outside windows of the feature map.

    Args:
        gradients: ``Tensor[N, K, h, w]`` on the whole map.
        windows: where N windows lie; what they hold is not looked at.

    Returns:
        ``Tensor[N]`` in [0, 1]; 0 for gradients of zeros.

    Raises:
        TypeError, ValueError: not such a tensor, or not windows.
    """
    checks.tensor("gradients", gradients, "[N, K, h, w]", "float")
    checks.kind("The windows", windows, Windows, "the Windows of a trace")
    height, width = windows.size
    rows = torch.arange(gradients.shape[-2], device=gradients.device) - windows.top[:, None]
    columns = torch.arange(gradients.shape[-1], device=gradients.device) - windows.left[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradients.dtype).tiny)
    energy = (gradients / largest).square().sum(dim=1)
    return (energy * ~inside).sum(dim=(1, 2)) / energy.sum(dim=(1, 2)).clamp(min=torch.finfo(gradients.dtype).tiny)


def edge_strength(image: Tensor) -> Tensor:
    """A map that knows the picture alone: how steeply its brightness changes, by Sobel's two filters.

    Args:
        image: ``Tensor[3, H, W]`` in [0, 1].

    Returns:
        ``Tensor[H, W]``, non-negative.

    Raises:
        TypeError, ValueError: not an image.
    """
    check_image(image)
    grey = image.mean(dim=0)[None, None]
    across = image.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    steep = conv2d(pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([across, across.T])[:, None])
    return steep[0].norm(dim=0)


def _check_maps(first: Tensor, second: Tensor) -> None:
    checks.tensor("first maps", first, "[..., H, W]", "float")
    checks.tensor("second maps", second, f"[..., {first.shape[-2]}, {first.shape[-1]}]", "float")


def _ranks(values: Tensor) -> Tensor:
    """Ranks along the last dimension, the mean rank among equals, less their mean and of norm 1; double precision."""
    values = values.contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    centred = (below + up_to - values.shape[-1]).double()  # twice the mean rank less twice its mean
    centred = torch.where(values.isnan().any(dim=-1, keepdim=True), torch.nan, centred)
    return centred / centred.norm(dim=-1, keepdim=True)
