"""Whether a map tells its own object from the others: the object discrimination index (ODI) of Sec. 4.2."""

import torch
from torch import Tensor

from odam_lib.kernels import checks
from odam_lib.metrics.localization import check_energy


def object_discrimination(maps: Tensor, own: Tensor, regions: Tensor) -> Tensor:
    """The share of a map's energy on objects that lies on objects other than the explained one; smaller is better.

    Energy in the union of all *other* objects' regions over energy in the union of all objects' regions: the background
    does not count, and a pixel on several objects counts once. With boxes as regions, or masks that overlap, a pixel of
    the target that also lies in another object's region counts as leaked. A perfect map is therefore not at 0 in a
    crowd: read the index beside its :func:`floor`.

    Args:
        maps: ``Tensor[N, H, W]``, non-negative.
        own: int64 ``Tensor[N]``, which of the M objects each map explains.
        regions: bool ``Tensor[M, H, W]``, the box or mask of every object in the image.

    Returns:
        ``Tensor[N]`` in [0, 1]; NaN for a map without energy on any object, and where the image holds only one object,
        since nothing could leak to another.

    Raises:
        TypeError: no tensors, or numbers of objects that are not whole.
        ValueError: negative or not finite maps, shapes that do not fit, regions that are not bool, or an object that
            does not exist.
    """
    own, regions = _checked(maps, own, regions)
    if len(regions) < 2:
        return maps.new_full((len(maps),), torch.nan)
    owners = regions.sum(dim=0)
    leaks = owners > regions[own].long()
    on_objects = maps * (owners > 0)
    scaled = on_objects / on_objects.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    leaked, kept = (scaled * leaks).sum(dim=(-2, -1)), (scaled * ~leaks).sum(dim=(-2, -1))
    return leaked / (leaked + kept)


def floor(own: Tensor, regions: Tensor, masks: Tensor) -> Tensor:
    """The index of a perfect map: the ODI of the target's own mask used as its map.

    Args:
        own: int64 ``Tensor[N]``, which of the M objects each map explains.
        regions: bool ``Tensor[M, H, W]``, the boxes or masks that the index is measured with.
        masks: bool ``Tensor[M, H, W]``, the mask of every object.

    Returns:
        ``Tensor[N]`` in [0, 1]; NaN for an empty mask, and where the image holds only one object.

    Raises:
        ValueError: as for :func:`object_discrimination`.
    """
    checks.tensor("own", own, "[N]", "int")
    checks.tensor("masks", masks, "[M, H, W]", "bool")
    if len(own) and not (own.min() >= 0 and own.max() < len(masks)):
        raise ValueError(f"A map explains object {own.tolist()} of {len(masks)}: count the objects from 0.")
    return object_discrimination(masks[own.to(masks.device)].float(), own, regions)


def _checked(maps: Tensor, own: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """The objects and their regions on the device of the maps, after refusing what does not fit together."""
    check_energy(maps)
    checks.tensor("own", own, "[...]", "int")
    checks.kind("The regions", regions, Tensor, "a bool tensor [M, H, W]")
    if maps.dim() != 3 or own.shape != maps.shape[:1]:
        raise ValueError(f"The maps have shape {list(maps.shape)}, own {list(own.shape)}: give [N, H, W] and [N].")
    if regions.dim() != 3 or regions.dtype != torch.bool or regions.shape[1:] != maps.shape[1:]:
        raise ValueError(
            f"The regions are {regions.dtype} of shape {list(regions.shape)}: "
            f"give bool [M, {maps.shape[1]}, {maps.shape[2]}]."
        )
    own, regions = own.to(maps.device), regions.to(maps.device)
    if len(own) and not (own.min() >= 0 and own.max() < len(regions)):
        raise ValueError(f"A map explains object {own.tolist()} of {len(regions)}: count the objects from 0.")
    return own, regions
