"""Whether a map ranks places, or the parts of a picture, as something else does."""

import torch
from scipy.stats import rankdata
from torch import Tensor

from odam_lib.kernels import checks
from odam_lib.metrics.localization import energy_inside

LEAST_CAUSES = 3
"""Of fewer causes a rank correlation says nothing: two are in the right order half of the time."""


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation of two maps: do they rank the places alike, whatever their scale?

    Equal values share the mean of their ranks.

    Args:
        first, second: ``Tensor[..., H, W]``, broadcast against each other.

    Returns:
        float64 ``Tensor[...]`` in [-1, 1]; NaN where a map is constant, which ranks nothing, or has a NaN.

    Raises:
        TypeError, ValueError: not such tensors, or of two sizes.
    """
    checks.tensor("first maps", first, "[..., H, W]", "float")
    checks.tensor("second maps", second, f"[..., {first.shape[-2]}, {first.shape[-1]}]", "float")
    units = []
    for maps in (first, second):
        ranks = torch.from_numpy(rankdata(maps.detach().flatten(-2).double().cpu().numpy(), axis=-1))
        centred = ranks - ranks.mean(dim=-1, keepdim=True)
        units.append(centred / centred.norm(dim=-1, keepdim=True))
    return (units[0] * units[1]).sum(dim=-1).clamp(-1, 1).to(first.device)


def brightness_per_part(maps: Tensor, regions: Tensor) -> Tensor:
    """How bright each map is in each region: the mean over its pixels, as a multiple of the map's own mean.

    This is how a reader ranks the parts of a picture by a heat map, and what :func:`agreement` should judge: noise has
    no brighter part and agrees with no influence but by chance. (Of sums, :func:`~.localization.energy_inside`, large
    parts have more, and large parts have more influence too.) A filled box has no brighter part within it, though it
    tells the object from the rest, which is much of what decides the score: judge own parts alone too. The price is
    that a map which is right to first order need not be ranked perfectly if its parts differ much in size.

    Args:
        maps: ``Tensor[A, H, W]``, non-negative, at image size.
        regions: bool ``Tensor[R, H, W]``.

    Returns:
        ``Tensor[A, R]``, 1 where a region is as bright as the whole map; 0 for a map of zeros, NaN for an empty region.

    Raises:
        TypeError: no float tensor.
        ValueError: a map with negative values, or regions that are not bool or do not fit.
    """
    checks.tensor("maps", maps, "[A, H, W]", "float")
    return energy_inside(maps[:, None], regions) / regions.to(maps).mean(dim=(1, 2))


def agreement(energy: Tensor, influence: Tensor) -> Tensor:
    """Spearman's rank correlation, over R causes, of what a map shows in them with what they do.

    Args:
        energy: ``Tensor[A, R]``, what a map shows in each cause, see :func:`brightness_per_part`.
        influence: ``Tensor[R, A]``, see :func:`odam_lib.evaluation.planted.measure_influences`.

    Returns:
        ``Tensor[A]`` in [-1, 1], equal values sharing the mean of their ranks; NaN where there are fewer than
        ``LEAST_CAUSES`` causes, or where all have one energy or one influence.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("energy", energy, "[A, R]", "float")
    checks.tensor("influence", influence, f"[{energy.shape[1]}, {energy.shape[0]}]", "float")
    if energy.shape[1] < LEAST_CAUSES:
        return torch.full((len(energy),), torch.nan, dtype=torch.float64, device=energy.device)
    return rank_correlation(energy[:, None], influence.T[:, None])
