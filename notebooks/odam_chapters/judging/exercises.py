"""Checks for the exercises of notebook 03, which say why a plausible answer is wrong."""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from odam_chapters.exercises import as_number, call, reply
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside

HEAT = torch.tensor([[0.0, 0.0, 1.0, 2.0], [0.0, 1.0, 4.0, 2.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
MASK = torch.zeros(4, 4, dtype=torch.bool)
MASK[1:, 1:3] = True
"""A map and a mask of which every number below is another."""
NOT_ENERGY: tuple[tuple[Callable[[Tensor, Tensor], Tensor], str], ...] = (
    (
        lambda heat, mask: heat[mask].mean(),
        "that is the mean brightness inside, which doubles when the map is doubled, though the map says the same",
    ),
    (
        lambda heat, mask: heat[mask].sum(),
        "that is the energy inside, which doubles when the map is doubled; divide by the energy of the whole map",
    ),
    (
        lambda heat, mask: (heat[mask] > 0).sum() / (heat > 0).sum(),
        "that counts pixels, so that a faint one counts as much as the maximum",
    ),
    (
        lambda heat, mask: (heat[mask] > 0).float().mean(),
        "that is how much of the object is lit, which a map that is bright everywhere wins",
    ),
    (
        lambda heat, mask: heat[mask].sum() / heat[~mask].sum(),
        "that is inside against outside, which is no share: a map that lies wholly inside divides by 0",
    ),
    (
        lambda heat, mask: heat[mask].mean() / heat.mean(),
        "that is how many times brighter the object is than the picture, which depends on how large the object is",
    ),
)
"""What one may take for the share of energy, and what is wrong with it."""
ENERGY = "write a function of a map and a mask that returns one number."
ZERO = "silence the features where the map is 0, and give the share of the score that is lost."
MEASURED = 5e-5
"""A share that was measured differs by less from ours; one that was guessed, hardly ever."""


@reply
def check_needed(answer: tuple[str, str] | None, falls: Mapping[str, float], bright: Mapping[str, float]) -> str:
    """Check which two parts of an object its score needs most.

    Args:
        answer: two names.
        falls: by which share of itself the score falls without each part.
        bright: what a map shows in each.
    """
    named = {one for one in answer if isinstance(one, str)} if isinstance(answer, Collection) else set[str]()
    if answer is None or len(named) != 2 or not named <= falls.keys():
        return f"open: without which two does the score fall most? Answer with two of {', '.join(map(repr, falls))}."
    needed, brightest = (sorted(of, key=lambda name: -of[name])[:2] for of in (falls, bright))
    told = " and ".join(f"{falls[name]:.2f} of it without the {name}" for name in needed)
    if named == set(needed):
        return f"right: the score loses {told}."
    (wrong, *_) = sorted(named - set(needed), key=brightest.count, reverse=True)
    why = f"without the {wrong} it loses {falls[wrong]:.2f}"
    tempting = (
        ". It was tempting, since ODAM's map is bright there: the map does not tell" if wrong in brightest else ""
    )
    return f"not quite: the score loses {told}; {why}{tempting}."


@reply
def check_energy(function: Callable[[Tensor, Tensor], Tensor | float] | None) -> str:
    """Check a function of a map ``[H, W]`` and a mask ``[H, W]`` that returns the share of energy inside."""
    if function is None:
        return f"open: {ENERGY}"

    def found(heat: Tensor) -> float:
        return as_number(call(function, heat.clone(), MASK, wanted=ENERGY), "the function is to return one.")

    given, right = found(HEAT), float(energy_inside(HEAT, MASK))
    for other, why in NOT_ENERGY:
        if abs(given - float(other(HEAT, MASK))) < 1e-4:
            return f"not quite: {why}."
    if abs(given - right) > 1e-4:
        return f"not quite: of a map with 12 units of energy, 7 of them inside, you say {given:.2f}, not {right:.2f}."
    if found(torch.zeros_like(HEAT)) != 0:
        return "not quite: right but for a map of zeros, where you divide 0 by 0; say that 0 of its energy is inside."
    return f"right: {given:.2f}, as energy_inside says."


@reply
def check_zero(answer: float | None, of_zeros: float, of_bright: float) -> str:
    """Check by which share a score falls without the features beneath a map's zeros.

    Args:
        answer: the share.
        of_zeros: what :func:`~odam_chapters.judging.features.silence` says of where the map is zero.
        of_bright: what it says of where the map is not.
    """
    if answer is None:
        return f"open: {ZERO}"
    mine = as_number(answer, ZERO)
    if abs(mine - of_zeros) < MEASURED:
        return (
            f"right: {of_zeros:+.4f} of the score; without all the other features it is {of_bright:+.2f}. The features "
            "beneath the zeros do not hold the score up: zero is right there, whatever their pixels do to other cells."
        )
    if abs(mine - of_zeros) < 0.005:
        return f"not quite: {mine:g} is near, but a guess or rounded; give the number that silence returns, as it is."
    if abs(mine - of_bright) < 0.005:
        return f"not quite: {of_bright:+.2f} is lost without the features that the map shows; take where it is 0."
    return f"not quite, {mine:+.2f}: give what silence returns for the mask of the map's zeros, a bool [H, W]."


@reply
def check_cheat(
    function: Callable[[Tensor, tuple[int, int]], Tensor] | None, boxes: Tensor, size: tuple[int, int], reference: float
) -> str:
    """Check that maps made from the boxes alone have more energy inside the boxes than an explanation has.

    Args:
        function: from boxes ``Tensor[N, 4]`` and (height, width) to maps ``Tensor[N, height, width]``.
        boxes: (x1, y1, x2, y2) in pixels.
        size: of the picture.
        reference: the share to beat.
    """
    asked = f"write a function that beats {reference:.2f}."
    if function is None:
        return f"open: {asked}"
    maps = call(function, boxes, size, wanted=asked)
    if not isinstance(maps, Tensor) or maps.shape != (len(boxes), *size):
        return f"not quite: return a tensor of shape {[len(boxes), *size]}."
    if not torch.isfinite(maps).all() or (maps < 0).any():
        return "not quite: a map with negative values or NaN has no share of energy."
    regions = box_regions(boxes, size)
    share, area = float(energy_inside(maps.float(), regions).mean()), float(regions.float().mean())
    if share > reference:
        return f"right: {share:.2f} against {reference:.2f}, without asking the detector anything."
    said = f"not quite: {share:.2f} of the energy is in the boxes, the explanation has {reference:.2f}"
    even = "; a map that is bright everywhere has no more of it in a box than the box has of the picture"
    return f"{said}{even if abs(share - area) < 1e-3 else ''}."
