"""Mistakes compared with the truth: what went wrong, at which edge, and whether it also does in another picture."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import box_iou, masks_to_boxes

from odam_lib.detections import Detections, check_detections
from odam_lib.kernels import checks
from odam_lib.metrics.errors import Errors

SAME_THING = 0.5
"""From which IoU on a box fits a thing."""
PLANTED, BAD_BOX, WRONG_NAME, DUPLICATE, OTHER = SORTS = (
    "planted thing named",
    "bad box",
    "wrong name",
    "duplicate",
    "other",
)
"""What went wrong, see :func:`sort_mistakes`."""


def sort_mistakes(found: Detections, errors: Errors, target: Mapping[str, Tensor]) -> list[str]:
    """What went wrong with each detection: a verdict says where a box lies, not what was taken for an object.

    A box of the right class with an IoU of 0.1 to 0.5 is ``mislocalised``. Either its edges are wrong, or it fits the
    distractor beside the object, and the distractor was taken for an object; that is another mistake.

    Args:
        found: N of one picture.
        errors: their verdicts.
        target: of the picture, perhaps with ``distractor_masks``.

    Returns:
        For each one of ``SORTS``; empty for what is correct. ``planted thing named``: an IoU of at least 0.5 with the
        box around the distractor's visible pixels and less with every object. ``wrong name``: ``misclassified``.
        ``other``: what fits neither an object nor the distractor, and has no object's class nearby.
    """
    near = overlap_distractor(found, target) >= SAME_THING
    plain = {"correct": "", "duplicate": DUPLICATE, "misclassified": WRONG_NAME}
    rest = {"mislocalised": BAD_BOX}
    return [
        plain[name] if name in plain else PLANTED if planted else rest.get(name, OTHER)
        for name, planted in zip(errors.names(), near.tolist())
    ]


def overlap_distractor(found: Detections, target: Mapping[str, Tensor]) -> Tensor:
    """The IoU of N boxes with that around the distractor's visible pixels, ``Tensor[N]``; 0 where there is none."""
    masks = target.get("distractor_masks", torch.zeros(0, 1, 1))
    boxes = masks_to_boxes(masks) + torch.tensor([0.0, 0, 1, 1])
    return pad(box_iou(found.boxes.cpu(), boxes), (0, 1)).amax(dim=1)


def measure_deviations(boxes: Tensor, true_boxes: Tensor) -> Tensor:
    """How far each edge lies outside its true place.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        true_boxes: ``Tensor[N, 4]``, of the same objects.

    Returns:
        ``Tensor[N, 4]``: outward deviation of x1, y1, x2, y2 as a share of the true box's width or height; negative
        where the edge lies too far inwards.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("boxes", boxes, "[N, 4]", "float")
    checks.tensor("true boxes", true_boxes, f"[{len(boxes)}, 4]")
    sides = (true_boxes[:, 2:] - true_boxes[:, :2]).repeat(1, 2)
    return (boxes - true_boxes) * boxes.new_tensor([-1, -1, 1, 1]) / sides


def find_worst_and_best_edge(boxes: Tensor, true_boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The edge that is most wrong and the one that is least wrong, by relative deviation.

    Returns:
        Two int64 ``Tensor[N]``, indices into x1, y1, x2, y2; the first of equals. Arguments as for
        :func:`measure_deviations`.
    """
    sizes = measure_deviations(boxes, true_boxes).abs()
    return sizes.argmax(dim=1), sizes.argmin(dim=1)


def find_mended(
    detections: Detections, errors: Errors, others: Detections, their_errors: Errors, least_iou: float = 0.5
) -> Tensor:
    """Which mistakes are gone in another picture of the same scene.

    A mistake has stayed if some mistake there, of whatever kind, has the same label and an IoU of at least
    ``least_iou`` with it. A box of the right class that has become right is no mistake any more.

    Args:
        detections: N of the picture, with their ``errors``.
        others: of the other picture, with ``their_errors``.
        least_iou: from which IoU on two boxes are the same mistake.

    Returns:
        bool ``Tensor[N]``; false for what is ``correct``.

    Raises:
        TypeError, ValueError: no ``Detections`` or ``Errors``, or an IoU outside (0, 1].
    """
    for found in (detections, others):
        check_detections(found)
    for verdicts in (errors, their_errors):
        checks.kind("The errors", verdicts, Errors, "what classify_errors returned")
    least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
    wrong = their_errors.verdicts != 0
    same = box_iou(detections.boxes, others.boxes) >= least_iou
    same &= detections.labels[:, None] == others.labels
    return (errors.verdicts != 0) & ~(same.cpu() & wrong).any(dim=1)
