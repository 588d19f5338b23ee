"""Checks for the exercises of notebook 05; that of a head's weights is in :mod:`~odam_chapters.attention.by_hand`."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from odam_chapters.attention.attended import estimate_edges, try_heads
from odam_chapters.attention.claims import measure_near_rim
from odam_chapters.attention.reading import get_attention, read_cross_attention
from odam_chapters.exercises import as_number, reply
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.heatmaps import EDGES
from odam_lib.viz.drawing import TITLES

CLOSE = 0.005
"""Shares that differ by less are called equal."""


@reply
def check_heads(answer: Mapping[str, tuple[int, int]] | None, energies: Tensor, scene_of: Tensor) -> str:
    """Check a choice of one attention head for each edge: is it better than one map for all four?

    Args:
        answer: (decoder layer, head), counted from 0, for each of ``x1``, ``y1``, ``x2``, ``y2``.
        energies: ``Tensor[N, L, heads, 4]``, each head's energy near each edge, of detections that were not chosen on.
        scene_of: int64 ``Tensor[N]``, the scene of each.
    """
    layers, heads = energies.shape[1:3]
    if not isinstance(answer, Mapping):
        return f"open: for each edge give (layer, head), layers 0 to {layers - 1} and heads 0 to {heads - 1}."
    if set(answer) != set(EDGES):
        return f"not quite: give a head for each of {', '.join(EDGES)}."
    if any(not isinstance(one, tuple | list) or len(one) != 2 for one in answer.values()):
        return "not quite: give each edge a pair, (layer, head)."
    if any(layer not in range(layers) or head not in range(heads) for layer, head in answer.values()):
        return f"not quite: there are layers 0 to {layers - 1} with heads 0 to {heads - 1}."
    for first, second in (("x1", "x2"), ("y1", "y2")):
        if answer[first] == answer[second]:
            return (
                f"not quite: {first} and {second} have the same head, so for each object exactly one of the two is "
                "right, whatever the head shows: 0.50, by arithmetic. It is tempting since a head that leans one way "
                "is right about that edge nearly always, and as often wrong about the other."
            )
    shares = estimate_edges(try_heads(energies, answer), scene_of)
    mean, low, high = shares.pop("all")
    said = f"{mean:.2f} (95 % interval {low:.2f} to {high:.2f})"
    worst = min(shares, key=lambda edge: shares[edge].value)
    if low > 0.5:
        best = float((energies > energies[..., [2, 3, 0, 1]]).double().mean(dim=0).flatten(0, 1).amax(dim=0).mean())
        return (
            f"right: on scenes that you did not choose on, these heads point at their own edge in {said} of the cases; "
            f"one map for all edges cannot exceed 0.50, the heads that are best on these scenes have {best:.2f}."
        )
    if high < 0.5:
        return f"not quite: {said}, worse than one map. Is an edge exchanged with the one across?"
    return (
        f"not quite: {said}, which one map for all edges may reach. The {TITLES[worst]} has {shares[worst].value:.2f}: "
        "a head that fits the object you look at need not fit others. Count over all objects of the even scenes."
    )


@reply
def check_rims(answer: Sequence[float] | None, trace: Trace, detections: Detections) -> str:
    """Check which share each head of the last layer has along the edges of the boxes, see :func:`measure_near_rim`.

    Args:
        answer: a share for each head, the mean over the detections.
        trace: a pass of a DETR.
        detections: rows of it.
    """

    def measure(layer: int) -> list[float]:
        heads = range(len(get_attention(trace).cross[layer]))
        maps = [read_cross_attention(trace, detections, layer, head) for head in heads]
        return [float(measure_near_rim(one, detections.boxes).mean()) for one in maps]

    shares = measure(-1)
    if not isinstance(answer, list | tuple | Tensor):
        return f"open: for each of the {len(shares)} heads give the mean share over all detections."
    if any(isinstance(one, Tensor) and one.numel() != 1 for one in answer):
        return "not quite: the share of a head is one number, the mean over the detections."
    given = [as_number(one, "the share of a head is one.") for one in answer]
    if len(given) != len(shares):
        return f"not quite: give {len(shares)} numbers, one for each head; the mean over the detections is one number."
    if _alike(given, shares):
        best = max(range(len(shares)), key=shares.__getitem__)
        mean = float(measure_near_rim(read_cross_attention(trace, detections), detections.boxes).mean())
        return (
            f"right: head {best} has {shares[best]:.2f} along the edge, the mean over the heads only {mean:.2f}; half "
            "would be even. A mean says what most heads do, and hides what one of them does."
        )
    if max(given) - min(given) < CLOSE:
        return "not quite: the four numbers are one. Without head=... the mean over the heads is read, four times."
    for layer in range(len(get_attention(trace).cross) - 1):
        if _alike(given, measure(layer)):
            return f"not quite: these are of layer {layer}. Layers count from 0; the last one is read by default."
    return f"not quite: head 0 has {shares[0]:.2f}, you have {given[0]:.2f}. Is it the mean over all detections?"


def _alike(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    return max(abs(one - other) for one, other in zip(ours, theirs)) < CLOSE
