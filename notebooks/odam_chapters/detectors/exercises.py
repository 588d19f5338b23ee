"""Checks for the exercises of notebook 02."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.metrics.localization import energy_inside


def check_more(value: float | None, reference: float, what: str) -> str:
    """Check that a number the learner measured is larger than a reference."""
    if reference != reference or (value is not None and value != value):
        return "open: nothing was measured; choose a lower SCORE_THRESHOLD or more scenes."
    if value is None:
        return f"open: measure the {what} of your own choice; {reference:.2f} is to be beaten."
    if value <= reference:
        return f"not quite: {value:.2f} is not more than {reference:.2f}."
    return f"right: {what} {value:.2f}, more than {reference:.2f}."


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
        return "open: write a function (image, box) -> map [H, W] that asks no detector."
    made = function(image.clone(), box.clone())
    if not isinstance(made, Tensor) or made.shape != image.shape[1:]:
        return f"not quite: return a tensor of shape {tuple(image.shape[1:])}, one map."
    made = made.float()
    if not torch.isfinite(made).all() or (made < 0).any() or not made.any():
        return "not quite: the map has to be finite, nowhere negative, and not zero everywhere."
    share = float(energy_inside(made, mask))
    if share <= reference:
        return f"not quite: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}."
    return (
        f"right: {share:.2f} of its energy lies in the object, of the detector's map {reference:.2f}. And it knows "
        "nothing of any detector: after every step of the cascade it is the same, correlation 1."
    )
