"""How alike two maps are, how far one spreads, and a map that asks no detector, to compare that with."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.kernels.similarity import directions
from odam_lib.kernels.windows import Windows


def measure_cosine(first: Tensor, second: Tensor) -> Tensor:
    """The cosine of two maps: 1 for maps that differ by a factor, 0 for maps that share no place.

    Args:
        first, second: ``Tensor[..., H, W]``, broadcast against each other.

    Returns:
        ``Tensor[...]`` in [-1, 1]; NaN where a map is zero everywhere, which has no direction.

    Raises:
        TypeError, ValueError: not such tensors, or of two sizes.
    """
    checks.tensor("first maps", first, "[..., H, W]", "float")
    checks.tensor("second maps", second, f"[..., {first.shape[-2]}, {first.shape[-1]}]", "float")
    first, second = (directions(maps.flatten(-2)) for maps in (first, second))
    known = first.any(dim=-1) & second.any(dim=-1)
    return torch.where(known, (first * second).sum(dim=-1).clamp(-1, 1), torch.nan)


def measure_energy_outside(gradients: Tensor, windows: Windows) -> Tensor:
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


def measure_edge_strength(image: Tensor) -> Tensor:
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


def measure_spread(maps: Tensor, share: float = 0.8) -> Tensor:
    """How far a map spreads: the smallest part of the picture that holds a share of the map's energy.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative.
        share: of the energy, in (0, 1].

    Returns:
        ``Tensor[...]`` in [0, 1], as a share of the picture's pixels; NaN for a map of zeros or of NaN.

    Raises:
        ValueError: a map with negative values, or a share outside (0, 1].
    """
    share = checks.number("The share", share, "(0, 1]")
    checks.tensor("maps", maps, "[..., H, W]")
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it (relu or abs) before asking for shares of its energy.")
    ordered = maps.flatten(-2).double().sort(dim=-1, descending=True).values
    held = ordered.cumsum(dim=-1)
    total = held[..., -1:]
    needed = 1 + (held < share * total * (1 - 1e-9)).sum(dim=-1)
    return torch.where(total[..., 0] > 0, needed / ordered.shape[-1], torch.nan)
