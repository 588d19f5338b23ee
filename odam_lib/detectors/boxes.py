"""Decoding of what heads say: boxes from shifts and growths, scores that keep a derivative."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot
from torchvision.models.detection._utils import BoxCoder


def decode_distances(coder: BoxCoder, numbers: Tensor, references: Tensor) -> Tensor:
    """Decode (dx, dy, dw, dh) to the distances from the reference's centre to the four edges of the box.

    Args:
        coder: torchvision's, of which the units of the numbers and the limit of the growth are taken.
        numbers: ``Tensor[..., 4]``, shifts in units of the reference's sides and logarithms of the growth.
        references: ``Tensor[..., 4]``, anchors or proposals (x1, y1, x2, y2) in pixels.

    Returns:
        ``Tensor[..., 4]`` in pixels: left, top, right, bottom; a larger value is a larger box.
    """
    deltas = numbers / numbers.new_tensor(coder.weights)
    sides = references[..., 2:] - references[..., :2]
    shift = deltas[..., :2] * sides
    half = 0.5 * sides * torch.exp(deltas[..., 2:].clamp(max=coder.bbox_xform_clip))
    return torch.cat([half - shift, half + shift], dim=-1)


def place_boxes(references: Tensor, distances: Tensor) -> Tensor:
    """Boxes (x1, y1, x2, y2) whose edges lie at these distances from the references' centres; all ``[..., 4]``."""
    centres = (references[..., :2] + references[..., 2:]) / 2
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)


def compute_softmax_score(logits: Tensor, labels: Tensor) -> Tensor:
    """The softmax probability of one class of each row, as the sigmoid of its margin over all others together.

    Args:
        logits: ``Tensor[N, C]``.
        labels: ``Tensor[N]``.

    Returns:
        ``Tensor[N]``; its derivative does not round to zero where the probability rounds to one.
    """
    own = one_hot(labels, logits.shape[1]).bool()
    others = torch.logsumexp(logits.masked_fill(own, -torch.inf), dim=1)
    return torch.exp(logsigmoid(logits[own] - others))


def measure_paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """The IoU of each of N boxes ``[N, 4]`` with its own partner ``[N, 4]``: ``Tensor[N]``, 0 for two without area."""
    common = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    areas = [(one[:, 2:] - one[:, :2]).clamp(min=0).prod(dim=1) for one in (boxes, others)]
    shared = common.prod(dim=1)
    return shared / (areas[0] + areas[1] - shared).clamp(min=torch.finfo(boxes.dtype).tiny)
