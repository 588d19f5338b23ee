"""What happens to a detection when a part of the picture is hidden: finite differences for any detector."""

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, Trace

SAME_OBJECT = 0.5
"""Least IoU of a box with a detection for being called the same object."""


def strongest(heat: Tensor, count: int) -> Tensor:
    """The pixels that a map ranks highest.

    Args:
        heat: ``Tensor[H, W]``.
        count: how many.

    Returns:
        bool ``Tensor[H, W]``, true at exactly ``count`` pixels, or at all if there are fewer.
    """
    chosen = torch.zeros(heat.numel(), dtype=torch.bool, device=heat.device)
    chosen[heat.flatten().topk(min(count, heat.numel())).indices] = True
    return chosen.reshape(heat.shape)


def moved_into(region: Tensor, box: Tensor, generator: torch.Generator) -> Tensor:
    """The same shape elsewhere: its centre is shifted to a random place in a box, the control of a masking test.

    Args:
        region: bool ``Tensor[H, W]``.
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.
        generator: on the CPU.

    Returns:
        bool ``Tensor[H, W]`` with as many pixels; what leaves the picture enters at the other side.
    """
    centre = torch.nonzero(region).float().mean(dim=0).cpu() + 0.5
    corner, opposite = box.cpu()[[1, 0]], box.cpu()[[3, 2]]
    goal = corner + torch.rand(2, generator=generator) * (opposite - corner)
    down, right = (goal - centre).round().int().tolist()
    return region.roll((down, right), dims=(0, 1))


def hidden(image: Tensor, region: Tensor) -> Tensor:
    """The picture with a region in the picture's mean colour.

    Args:
        image: ``Tensor[3, H, W]``.
        region: bool ``Tensor[H, W]``.

    Returns:
        ``Tensor[3, H, W]``.
    """
    return torch.where(region, image.mean(dim=(1, 2), keepdim=True), image)


def counterpart(trace: Trace, detection: Detections) -> Tensor | None:
    """The box, not clipped, that another pass of the network has for the same object.

    Among all candidates with an IoU of at least ``SAME_OBJECT`` it is the one with the best product of IoU and score of
    the detection's class. The candidate's index is not used: a two-stage detector's proposals change with the picture.

    Args:
        trace: a pass on the same picture, or on a changed one of the same size.
        detection: one row.

    Returns:
        ``Tensor[4]``, or ``None`` if no candidate overlaps enough.
    """
    candidates = trace.candidates
    overlap = box_iou(detection.boxes, candidates.clipped().boxes)[0]
    if not (overlap >= SAME_OBJECT).any():
        return None
    worth = overlap * candidates.class_probs[:, detection.labels[0]] * (overlap >= SAME_OBJECT)
    return candidates.boxes[worth.argmax()]


def edge_moves(detector: Detector, image: Tensor, detection: Detections, region: Tensor) -> Tensor:
    """How far each edge of a detection moves when a region of the picture is hidden.

    Args:
        detector: what found it.
        image: ``Tensor[3, H, W]`` in [0, 1].
        detection: one row, found in that image.
        region: bool ``Tensor[H, W]``.

    Returns:
        ``Tensor[4]``: outward movement of x1, y1, x2, y2 as a share of the box's width or height; negative is inwards,
        NaN if the object is lost.
    """
    with torch.no_grad():
        boxes = [counterpart(detector.trace(picture), detection) for picture in (image, hidden(image, region))]
    if boxes[0] is None or boxes[1] is None:
        return detection.boxes.new_full((4,), float("nan"))
    before, after = boxes
    outwards = (after - before) * after.new_tensor([-1, -1, 1, 1])
    return outwards / (before[2:] - before[:2]).repeat(2)
