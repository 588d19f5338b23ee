"""Checks for the exercises of notebook 02."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_chapters.exercises import as_number, call, reply
from odam_lib.metrics.agreement import rank_correlation
from odam_lib.metrics.intervals import mean_interval
from odam_lib.metrics.localization import energy_inside

CLOSE = 0.002
"""Correlations that differ by less are called equal."""
RANKS = "write a function (map, map) -> number in [-1, 1]."
FAKE = "write a function (image, box) -> map [H, W] that asks no detector."


@reply
def check_ranks(function: Callable[[Tensor, Tensor], float] | None, first: Tensor, second: Tensor) -> str:
    """Check a rank correlation of two maps; a usual slip is named.

    Args:
        function: (map ``[H, W]``, map ``[H, W]``) -> Spearman's rank correlation.
        first, second: ``Tensor[H, W]``, the maps whose correlation is told at the end.
    """
    if function is None:
        return f"open: {RANKS}"
    one, other = torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(0)).pow(4)
    other = other + one
    made, wanted = call(function, one.clone(), other.clone(), wanted=RANKS), float(rank_correlation(one, other))
    if isinstance(made, Tensor) and made.numel() != 1:
        return f"not quite: this returns {made.numel()} numbers. torch.corrcoef gives a matrix: take [0, 1] of it."
    found = as_number(made, "the function is to return one.")
    if abs(found - wanted) < CLOSE:
        return f"right: of the two maps it is {float(rank_correlation(first, second)):.2f}."
    values = torch.stack([one.flatten(), other.flatten()])
    once = values.argsort(dim=1).double()
    slips = {
        "this is the correlation of the values: the brightest cell decides nearly alone. Of ranks each cell has the "
        "same say.": torch.corrcoef(values)[0, 1],
        "this is the cosine, which finds any two maps without negative values alike, since neither is "
        "centred.": torch.cosine_similarity(values[0], values[1], dim=0),
        "argsort says which cell is the k-th, not which rank each cell has. It is tempting since it returns whole "
        "numbers, too: sort its result once more.": torch.corrcoef(once)[0, 1],
    }
    for why, slip in slips.items():
        if abs(found - float(slip)) < CLOSE:
            return f"not quite: {why}"
    return f"not quite: of two maps made up here it is {wanted:.2f}, your function says {found:.2f}."


@reply
def check_fake(
    function: Callable[[Tensor, Tensor], Tensor] | None, image: Tensor, box: Tensor, mask: Tensor, reference: float
) -> str:
    """Check a map that is made without any detector and has more energy in an object's mask than a detector's map.

    Args:
        function: (image ``[3, H, W]``, box ``[4]``) -> map ``[H, W]``.
        image: ``Tensor[3, H, W]`` in [0, 1].
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels, of the object.
        mask: bool ``Tensor[H, W]``, its visible pixels.
        reference: the share of energy that the detector's map of it has there.
    """
    if function is None:
        return f"open: {FAKE}"
    made = call(function, image.clone(), box.clone(), wanted=FAKE)
    if not isinstance(made, Tensor) or made.shape != image.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(image.shape[1:])}, one map."
    made = made.float()
    if not torch.isfinite(made).all() or (made < 0).any() or not made.any():
        return "not quite: the map has to be finite, nowhere negative, and not zero everywhere."
    share = float(energy_inside(made, mask))
    if share <= reference:
        return f"not quite: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}."
    mirrored = torch.stack([image.shape[-1] - box[2], box[1], image.shape[-1] - box[0], box[3]])
    if torch.equal(made, function(image.flip(-1), mirrored).float()):
        return "not quite: of the mirrored picture and box it makes the same map; use nothing but image and box."
    return (
        f"right: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}. And it knows "
        "nothing of any detector: after every step of the cascade it is the same, correlation 1."
    )


@reply
def check_better(answer: Tensor | None, reference: Tensor, scene_of: Tensor) -> str:
    """Check that maps have more of their energy on the object than others, by more than chance.

    Args:
        answer: ``Tensor[N]``, the share of each object; NaN where it was not found.
        reference: ``Tensor[N]``, what is to be beaten.
        scene_of: int64 ``Tensor[N]``.
    """
    number, mean = len(reference), float(reference.nanmean())
    if answer is None:
        return f"open: measure the energy of {number} objects there, one by one; a mean of {mean:.2f} is to be beaten."
    if not isinstance(answer, Tensor) or answer.shape != reference.shape:
        return (
            f"not quite: give Tensor[{number}], the energy of each object. A mean alone does not say whether it would "
            "be larger on other objects, too."
        )
    known = ~(answer.isnan() | reference.isnan())
    if answer[known].unique().numel() < 2:
        return "not quite: this is one number for all objects; measure each."
    difference = (answer - reference)[known].double()
    low, high = mean_interval(difference, scene_of[known])
    said = f"{difference.mean():+.3f} for the same object, 95 % interval {low:+.3f} to {high:+.3f}"
    if low > 0:
        return f"right: {said}."
    if difference.mean() > 0:
        return (
            f"not quite: {said}. The mean is larger, which is tempting, but the interval holds 0: other scenes may "
            "turn it round."
        )
    return f"not quite: {said}. It is not more."
