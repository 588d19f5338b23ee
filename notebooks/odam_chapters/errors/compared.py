"""Mistakes compared with the truth, edge by edge, and with those in another picture of the scene."""

from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections, check_detections
from odam_lib.kernels import checks
from odam_lib.metrics.errors import Errors


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
