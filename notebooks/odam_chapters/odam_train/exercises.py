"""Checks for the exercises of notebook 06."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from odam_chapters.exercises import Unusable, as_number, call, reply
from odam_chapters.odam_train.separation import CandidatePairs
from odam_lib.kernels.losses import pair_losses
from odam_lib.kernels.odam import heat_map
from odam_lib.kernels.similarity import cosines

LOSS = "write a function (maps [N, h, w], objects [N], best) -> the mean loss over the pairs."
FIRST_ORDER = "write a function (y, A [1, K, h, w]) -> the map; the loss shall not differentiate its weights."
GAP = "give one number, the gap with Odam-Train minus the gap without."


def _call_loss(function: object, maps: Tensor, objects: Tensor) -> Tensor:
    """What a loss gives for its maps, as a tensor, with the second map as the best one."""
    said = call(function, maps, objects.clone(), 1, wanted=LOSS)
    try:
        found = torch.as_tensor(said).float()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Unusable(f"not quite: a loss is one number, this is {said!r}.") from error
    if found.numel() != 1:
        raise Unusable(f"not quite: a loss is one number, this is a tensor of shape {list(found.shape)}.")
    return found


@reply
def check_odam_loss(function: Callable[[Tensor, Tensor, int], Tensor] | None, seed: int = 0) -> str:
    """Check Odam-Train's loss of one best map: the mean over its pairs, cosines not bounded.

    Args:
        function: (maps ``[N, h, w]``, the object ``[N]`` of each, the row of the best map) -> the loss, a scalar.
        seed: random seed of the maps that it is tried on.
    """
    if function is None:
        return f"open: {LOSS}"
    generator = torch.Generator().manual_seed(seed)
    maps, objects = torch.rand(6, 4, 4, generator=generator) + 0.05, torch.tensor([0, 0, 0, 1, 2, 2])
    same, others = objects == objects[1], torch.arange(6) != 1
    loss = pair_losses(cosines(maps, torch.tensor([1])), (same & others)[None], ~same[None], bound=lambda free: free)
    found = _call_loss(function, maps.clone().requires_grad_(), objects)
    agree, differ = loss.consistency.item(), loss.separation.item()
    total, right = agree + differ, loss.mean.item()
    if math.isclose(found.item(), right, rel_tol=1e-3):
        if not found.requires_grad:
            return (
                "not quite: the number is right, but no gradient reaches the maps, so that nothing would be learnt. "
                "A plain number is tempting, since a loss is one; but .item(), float() and detach() cut the graph. "
                "Return the tensor."
            )
        return "right: the same maps of one person would cost nothing, those of two people without end."
    mistakes = {
        total: "that is the sum. Both formulas are sums, which makes it tempting; but a crowd has a hundred times the "
        "pairs of two people, and would pull a hundred times as hard. Divide by the number of pairs.",
        agree / 2 + differ / 3: "those are two means, added. It looks fair, one for each loss; but then two pairs of "
        "one person weigh as much as all pairs of a crowd. Divide both sums by the number of all pairs.",
        total / (loss.pairs + 1): f"the best map with itself is no pair; {loss.pairs} pairs remain, not "
        f"{loss.pairs + 1}.",
        agree / 2: "only the maps of one person are compared: all maps of the crowd might become the same.",
        differ / 3: "only maps of different people are compared: those of one person would part, too.",
    }
    for value, why in mistakes.items():
        if math.isclose(found.item(), value, rel_tol=1e-3):
            return f"not quite: {why}"
    free = cosines(maps, torch.tensor([1]))[0]
    agreeing, differing = free[same & others], free[~same]
    if math.isclose(found.item(), torch.cat([1 - agreeing, differing]).mean().item(), rel_tol=1e-3):
        return (
            "not quite: the cosines themselves, without a logarithm. They have the same best maps; but only the "
            "logarithm grows without end where two people have one map."
        )
    if math.isclose(found.item(), -torch.cat([(1 - agreeing).log(), differing.log()]).mean().item(), rel_tol=1e-3):
        return "not quite: the two losses are swapped: this one pulls different people's maps together."
    brighter = _call_loss(function, maps * 2, objects)
    if not math.isclose(found.item(), brighter.item(), rel_tol=1e-3):
        return "not quite: maps twice as bright have another loss; divide each map by its length first."
    return f"not quite: {found.item():.3f} for the maps that were tried, {right:.3f} is right."


@reply
def check_first_order(function: Callable[[Tensor, Tensor], Tensor] | None, seed: int = 0) -> str:
    """Check a map whose weights count as constants: the loss reaches the activations, and not the head.

    Args:
        function: (Y, a scalar, A ``[1, K, h, w]``) -> the map.
        seed: random seed of the small head that it is tried on.
    """
    if function is None:
        return f"open: {FIRST_ORDER}"
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand(1, 3, 4, 4, generator=generator).requires_grad_()
    head = torch.randn(3, 4, 4, generator=generator).requires_grad_()
    target = (head * activations[0]).sum().square() / 2
    (weights,) = torch.autograd.grad(target, activations, retain_graph=True)
    right = heat_map(weights, activations.detach())
    found = call(function, target, activations, wanted=FIRST_ORDER)
    if not isinstance(found, Tensor):
        return f"not quite: a map is a tensor, this is {found!r}."
    if found.numel() != right.numel() or not torch.allclose(found.detach().reshape(right.shape), right, atol=1e-4):
        return "not quite: that is another map; it should be relu((g * A).sum(1)), pixel for pixel."
    if not found.requires_grad:
        return (
            "not quite: the map is right, but nothing can learn from it: it is cut off whole. Detaching the map is "
            "tempting; only the gradient g is to be a constant, A stays connected."
        )
    try:
        torch.autograd.grad(target, activations, retain_graph=True)
    except RuntimeError:
        return (
            "not quite: the map is right, but with it the graph is gone: the next person's map, and the detector's own "
            "loss, cannot be differentiated any more. autograd.grad frees it unless told otherwise, and one map alone "
            "does not show it. Keep it: retain_graph=True."
        )
    (of_head,) = torch.autograd.grad(found.sum(), head, retain_graph=True, allow_unused=True)
    if of_head is not None and of_head.any():
        return (
            "not quite: this is second order. The map looks the same, which makes it tempting to think that nothing "
            "changed; but with create_graph the loss differentiates g, too, and the head learns. Cut g off."
        )
    return "right: the same map, and only the activations learn; the head goes on looking where it looked."


@reply
def check_gap(answer: float | None, before: CandidatePairs, after: CandidatePairs, least_iou: float = 0.5) -> str:
    """Check by how much Odam-Train widens the gap between pairs of one person and pairs of two.

    Args:
        answer: the difference of the two gaps of mean correlations.
        before, after: pairs of candidates without and with Odam-Train.
        least_iou: of the pairs that are compared.
    """
    if answer is None:
        return f"open: {GAP}"
    answer = as_number(answer, GAP)
    if math.isnan(answer):
        return "not quite: NaN. A map of zeros has no correlation: leave out pairs whose correlation is not finite."
    ones, twos = ([pairs.agreement(same, least_iou)[0].value for pairs in (before, after)] for same in (True, False))
    wider = (ones[1] - twos[1]) - (ones[0] - twos[0])
    if math.isclose(answer, wider, abs_tol=0.005):
        return f"right: from {ones[0] - twos[0]:.2f} to {ones[1] - twos[1]:.2f}, wider by {wider:.2f}."
    if math.isclose(answer, -wider, abs_tol=0.005):
        return "not quite: the sign is the other way round: the gap with Odam-Train minus the gap without."
    if math.isclose(answer, twos[0] - twos[1], abs_tol=0.005):
        return (
            "not quite: so far the pairs of two people fell. It is tempting to call that the gain, but the pairs of "
            "one person fell, too, and Odam-NMS lives on the difference."
        )
    if math.isclose(answer, ones[1] - twos[1], abs_tol=0.005):
        return "not quite: that is the gap with Odam-Train; there was one before. Subtract it."
    return f"not quite: {answer:.2f}; keep pairs with an IoU over {least_iou:g} and a correlation that is finite."
