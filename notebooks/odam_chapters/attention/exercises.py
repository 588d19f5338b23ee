"""Checks for the exercises of notebook 05; that of a head's weights is in :mod:`~odam_chapters.attention.by_hand`."""

from collections.abc import Mapping

from torch import Tensor

from odam_chapters.attention.attended import CROSS, ODAM_CLASS, estimate_edges, try_heads
from odam_lib.heatmaps import EDGES
from odam_lib.viz.drawing import TITLES


def check_heads(answer: Mapping[str, tuple[int, int]] | None, energies: Tensor, scene_of: Tensor) -> str:
    """Check a choice of one attention head for each edge: is it better than one map for all four?

    Args:
        answer: (decoder layer, head), counted from 0, for each of ``x1``, ``y1``, ``x2``, ``y2``.
        energies: ``Tensor[N, L, heads, 4]``, each head's energy near each edge, of detections that were not chosen on.
        scene_of: int64 ``Tensor[N]``, the scene of each.
    """
    layers, heads = energies.shape[1:3]
    if answer is None:
        return f"open: for each edge give (layer, head), layers 0 to {layers - 1} and heads 0 to {heads - 1}."
    if set(answer) != set(EDGES):
        return f"not quite: give a head for each of {', '.join(EDGES)}."
    if any(layer not in range(layers) or head not in range(heads) for layer, head in answer.values()):
        return f"not quite: there are layers 0 to {layers - 1} with heads 0 to {heads - 1}."
    for first, second in (("x1", "x2"), ("y1", "y2")):
        if answer[first] == answer[second]:
            return (
                f"not quite: {first} and {second} have the same head, so for each object exactly one of the two is "
                "right, whatever the head shows: 0.50, by arithmetic. It is tempting since a head that leans one way is "
                f"right about that edge nearly always, and as often wrong about the other."
            )
    shares = estimate_edges(try_heads(energies, answer), scene_of)
    mean, low, high = shares.pop("all")
    said = f"{mean:.2f} (95 % interval {low:.2f} to {high:.2f})"
    worst = min(shares, key=lambda edge: shares[edge].value)
    if low > 0.5:
        return (
            f"right: on scenes that you did not choose on, these heads point at their own edge in {said} of the cases; "
            "one map for all edges cannot exceed 0.50."
        )
    if high < 0.5:
        return f"not quite: {said}, worse than one map. Is an edge exchanged with the one across?"
    return (
        f"not quite: {said}, which one map for all edges may reach. The {TITLES[worst]} has {shares[worst].value:.2f}: a "
        "head that fits the object you look at need not fit others. Count over all objects of the even scenes."
    )


def check_loss(answer: str | None, losses: Mapping[str, float]) -> str:
    """Check a prediction of which choice of cells costs the most score.

    Args:
        answer: one of the names.
        losses: share of the score lost, by the choice.
    """
    if answer not in losses:
        return f"open: answer with one of {', '.join(map(repr, losses))}."
    found = max(losses, key=losses.__getitem__)
    listed = ", ".join(f"{name} {value:.2f}" for name, value in losses.items())
    if answer == found:
        return f"right: {listed}."
    reasons = {
        CROSS: "These cells were read most, but what was read is not yet what the score needed.",
        ODAM_CLASS: "It is tempting, for ODAM is made from this score's gradient. But a gradient tells of a small change, "
        "and a cell set to zero is a large one.",
    }
    return f"not quite, it is {found}: {listed}. {reasons.get(answer, 'Chance rarely finds what holds the score.')}"
