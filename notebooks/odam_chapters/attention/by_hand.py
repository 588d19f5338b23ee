"""What one attention layer of a DETR was given and what it made of it: to compute a head's weights by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from odam_chapters.attention.reading import NoAttentionError
from odam_chapters.exercises import reply
from odam_lib.detectors.base import Detector
from odam_lib.detectors.detr import DetrDetector

CLOSE = 1e-4
"""Weights that differ by less are called equal: two ways to compute them round differently."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One pass of the decoder's last cross-attention, before the layer has done anything.

    Attributes:
        queries: ``Tensor[Q, C]``, the queries with their positions.
        keys: ``Tensor[T, C]``, the cells with their positions.
        layer: the layer; its ``q_proj`` and ``k_proj`` are linear maps from C to C channels, C / heads for each head,
            side by side.
        used: ``Tensor[heads, Q, T]``, the weights that the network used.
    """

    queries: Tensor
    keys: Tensor
    layer: nn.Module
    used: Tensor

    @property
    def width(self) -> int:
        """How many channels a head has."""
        return self.queries.shape[1] // len(self.used)


def record_attention(detector: Detector, image: Tensor) -> Asked:
    """What the decoder's last cross-attention is given of a picture.

    Args:
        detector: a DETR.
        image: ``Tensor[3, H, W]`` in [0, 1].

    Returns:
        The inputs, and the weights that were used; of cells of padding, which no query sees, neither.

    Raises:
        NoAttentionError: the detector is no DETR.
    """
    if not isinstance(detector, DetrDetector):
        raise NoAttentionError(f"{detector.name} has no attention to read: choose a DETR, as detr-scenes.")
    private, made = detector.private(), []
    layer = private.model.detr.model.decoder.layers[-1].encoder_attn

    def record(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Any], output: tuple[Tensor, Tensor]) -> None:
        known = dict(zip(("hidden_states", "key_value_states"), given)) | named
        queries = known["hidden_states"] + known["position_embeddings"]
        keys, used = known["key_value_states"] + known["encoder_position_embeddings"], output[1][0]
        seen = used.sum(dim=(0, 1)) > 0
        made.append(Asked(queries[0], keys[0, seen], layer, used[:, :, seen]))

    layer.register_forward_hook(record, with_kwargs=True)
    with torch.no_grad():
        private.run(image[None])
    return made[0]


@reply
def check_attention(answer: Tensor | None, asked: Asked, head: int) -> str:
    """Check the weights of one head; a usual slip is named, and why it looked right.

    Args:
        answer: ``Tensor[Q, T]``, each row the weights of one query.
        asked: what the layer was given.
        head: which of its heads.
    """
    used = asked.used[head]
    shape = list(used.shape)
    if answer is None:
        return f"open: from queries and keys make Tensor{shape}, the weights of head {head}."
    if not isinstance(answer, Tensor) or list(answer.shape) != shape:
        given = list(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        return f"not quite: give Tensor{shape}, a row for each query and a column for each cell; yours is {given}."
    answer, off = answer.detach(), float((answer.detach() - used).abs().max())
    if off < CLOSE:
        return f"right: these are the weights that the network used (largest difference {off:.0e})."
    with torch.no_grad():
        for slip, why in _list_slips(asked, head):
            if torch.allclose(answer, slip, atol=CLOSE):
                return f"not quite: {why}"
    sums = answer.sum(dim=1)
    return (
        f"not quite: a weight is off by up to {off:.2f}; your rows sum to {sums.min():.2f} to {sums.max():.2f}, each "
        "row of a softmax over the cells to 1."
    )


def _list_slips(asked: Asked, head: int) -> Iterator[tuple[Tensor, str]]:
    """Weights that come of a slip, and what is to be said of each."""
    width, heads = asked.width, len(asked.used)
    own = slice(head * width, (head + 1) * width)
    all_q, all_k = asked.layer.q_proj(asked.queries), asked.layer.k_proj(asked.keys)  # type: ignore[operator]
    scores = all_q[:, own] @ all_k[:, own].T
    scaled = scores / width**0.5
    yield (
        scaled.softmax(dim=0),
        "the softmax runs over the queries, so columns sum to 1. It looks right as a picture, but it would let each "
        "cell choose among the queries; it is the query that shares its attention out, so rows sum to 1 (dim=1).",
    )
    yield (
        scores.softmax(dim=1),
        f"rows sum to 1, yet the scores were not divided by the root of {width}. A sum of {width} products is large, "
        "so nearly all weight goes to one cell, and the map looks pleasantly sharp.",
    )
    yield (
        (scores / (width * heads) ** 0.5).softmax(dim=1),
        f"the scores were divided by the root of {width * heads}, the layer's width. A head sees {width} of these "
        f"channels: it is the root of {width}.",
    )
    for values in (scores, scaled):
        yield values, "these are scores, of any sign. The softmax over the cells (dim=1) makes weights of them."
    for root in (width * heads, width):
        yield (
            (all_q @ all_k.T / root**0.5).softmax(dim=1),
            f"this is one head of all {width * heads} channels. The layer has {heads} heads of {width} channels each, "
            f"so that it can look at {heads} things at once: take channels {own.start} to {own.stop - 1} of both.",
        )
    yield (
        (all_q[:, head::heads] @ all_k[:, head::heads].T / width**0.5).softmax(dim=1),
        f"these are every {heads}th channel. The channels of a head lie side by side: {own.start} to {own.stop - 1}.",
    )
    yield (
        (asked.queries[:, own] @ asked.keys[:, own].T / width**0.5).softmax(dim=1),
        "queries and keys were compared as they are. The layer first maps each by a matrix that it has learnt: q_proj "
        "and k_proj.",
    )
    yield asked.used.mean(dim=0), "this is the mean over the heads, which is what papers usually show."
    for other in range(heads):
        yield asked.used[other], f"these are the weights of head {other}; heads count from 0."
