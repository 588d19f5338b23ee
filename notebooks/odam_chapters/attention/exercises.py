"""Checks for the exercises of notebook 05."""

from collections.abc import Mapping

from torch import Tensor

from odam_lib.heatmaps import EDGES


def check_heads(answer: Mapping[str, tuple[int, int]] | None, energies: Tensor) -> str:
    """Check a choice of one attention head for each edge: it is to point at its edge more often than one map can.

    Args:
        answer: (decoder layer, head), counted from 0, for each of ``x1``, ``y1``, ``x2``, ``y2``.
        energies: ``Tensor[N, L, heads, 4]``, each head's energy near each edge of each detection.
    """
    if not energies.numel():
        return "open: there is no attention to choose from; take a DETR and a score threshold that it reaches."
    layers, heads = energies.shape[1:3]
    if answer is None:
        return f"open: for each edge give (layer, head), layers 0 to {layers - 1} and heads 0 to {heads - 1}."
    if set(answer) != set(EDGES):
        return f"not quite: give a head for each of {', '.join(EDGES)}."
    if any(layer not in range(layers) or head not in range(heads) for layer, head in answer.values()):
        return f"not quite: there are layers 0 to {layers - 1} with heads 0 to {heads - 1}."
    shares = {}
    for number, edge in enumerate(EDGES):
        layer, head = answer[edge]
        chosen = energies[:, layer, head]
        shares[edge] = float((chosen[:, number] > chosen[:, (number + 2) % 4]).float().mean())
    mean, listed = sum(shares.values()) / 4, ", ".join(f"{edge} {share:.2f}" for edge, share in shares.items())
    grade = "right" if mean > 0.5 else "not quite"
    return f"{grade}: these heads point at their own edge in {mean:.2f} of the cases ({listed}); one map reaches 0.50."
