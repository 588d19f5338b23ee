"""Which detection is of which true object."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections, check_detections
from odam_lib.kernels import checks


def match(detections: Detections, boxes: Tensor, labels: Tensor, least_iou: float = 0.5) -> Tensor:
    """Match detections with true objects of the same class one to one, best IoU first (Sec. 4.2).

    Args:
        detections: N of one image.
        boxes: ``Tensor[M, 4]``, (x1, y1, x2, y2) in pixels.
        labels: ``Tensor[M]``, int64.
        least_iou: least IoU of a match, in (0, 1].

    Returns:
        ``Tensor[M]``, int64: the row of the detection of each true object; -1 where there is none.

    Raises:
        TypeError, ValueError: no ``Detections``, no such tensors, a box that is not finite, or an IoU outside (0, 1].
    """
    check_detections(detections)
    checks.tensor("boxes", boxes, "[M, 4]")
    checks.tensor("labels", labels, f"[{len(boxes)}]", "int")
    least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
    for whose, those in (("true object", boxes), ("detection", detections.boxes)):
        if not those.isfinite().all():  # no overlap with it would be less than least_iou
            raise ValueError(f"The box of a {whose} is not finite: leave it out or mend it.")
    overlap = box_iou(boxes.to(detections.boxes), detections.boxes)
    overlap = overlap * (labels.to(detections.labels)[:, None] == detections.labels)
    rows = torch.full((len(boxes),), -1, dtype=torch.int64, device=overlap.device)
    for place in overlap.flatten().argsort(descending=True, stable=True).tolist():
        true, found = divmod(place, len(detections))
        if overlap[true, found] < least_iou:
            break
        if rows[true] < 0 and not (rows == found).any():
            rows[true] = found
    return rows
