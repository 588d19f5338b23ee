"""How a detection changes when pixels are hidden or feature cells are set to zero: finite differences."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.kernels import checks
from odam_lib.kernels.regions import box_regions

SAME_OBJECT = 0.5
"""Least IoU of a box with a detection for being called the same object."""


def select_strongest(heat: Tensor, count: int) -> Tensor:
    """The pixels that a map ranks highest.

    Args:
        heat: ``Tensor[H, W]``.
        count: how many.

    Returns:
        bool ``Tensor[H, W]``, true at exactly ``count`` pixels, or at all if there are fewer.

    Raises:
        TypeError, ValueError: no such tensor or number.
    """
    checks.tensor("heat", heat, "[H, W]")
    count = checks.count("count", count, least=0)
    chosen = torch.zeros(heat.numel(), dtype=torch.bool, device=heat.device)
    chosen[heat.flatten().topk(min(count, heat.numel())).indices] = True
    return chosen.reshape(heat.shape)


def move_into(region: Tensor, box: Tensor, generator: torch.Generator) -> Tensor:
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


def roll_in(region: Tensor, box: Tensor, generator: torch.Generator) -> Tensor:
    """The same shape elsewhere in a box, with as many pixels in it: what leaves it enters at the other side.

    Args:
        region: bool ``Tensor[H, W]``; what lies outside the box is left out.
        box: ``Tensor[4]``, (x1, y1, x2, y2) in pixels.
        generator: on the CPU.

    Returns:
        bool ``Tensor[H, W]``.
    """
    rows, columns = (torch.nonzero(line).flatten() for line in _sides(region, box))
    inside = torch.meshgrid(rows, columns, indexing="ij")
    down, right = (int(torch.randint(max(1, len(line)), (), generator=generator)) for line in (rows, columns))
    moved = torch.zeros_like(region)
    moved[inside] = region[inside].roll((down, right), dims=(0, 1))
    return moved


def _sides(region: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows and which columns of pixels a box holds."""
    area = box_regions(box[None], (region.shape[0], region.shape[1]))[0].to(region.device)
    return area.any(dim=1), area.any(dim=0)


def hide(image: Tensor, region: Tensor) -> Tensor:
    """The picture with a region in the picture's mean colour.

    Args:
        image: ``Tensor[3, H, W]``.
        region: bool ``Tensor[H, W]``.

    Returns:
        ``Tensor[3, H, W]``.
    """
    return torch.where(region, image.mean(dim=(1, 2), keepdim=True), image)


def find_counterpart(trace: Trace, detection: Detections) -> Tensor | None:
    """The box, not clipped, that another pass of the network has for the same object.

    Among all candidates with an IoU of at least ``SAME_OBJECT`` it is the one with the best product of IoU and score of
    the detection's class. The candidate's index is not used: a two-stage detector's proposals change with the picture.

    Args:
        trace: a pass on the same picture, or on a changed one of the same size.
        detection: one row.

    Returns:
        ``Tensor[4]``, or ``None`` if no candidate overlaps enough.
    """
    candidates, overlap = _candidates(trace, detection)
    best = _best(candidates, overlap, int(detection.labels[0]))
    return None if best is None else candidates.boxes[best]


def measure_scores_without(
    detector: Detector, image: Tensor, detection: Detections, regions: Tensor, labels: Sequence[int]
) -> Tensor:
    """What the same prediction says of some classes when a region of the picture is hidden, one pass each.

    The same prediction is that of the same index where its box is still there, with an IoU of at least
    ``SAME_OBJECT``; else, and where proposals change with the picture, it is found as by :func:`find_counterpart`.

    Args:
        detector: what found it.
        image: ``Tensor[3, H, W]`` in [0, 1].
        detection: one row, found in that image.
        regions: bool ``Tensor[R, H, W]``.
        labels: the classes.

    Returns:
        ``Tensor[R, labels]``: scores in [0, 1]; 0 where the object is lost.
    """
    after = []
    with torch.no_grad():
        for region in regions:
            trace = detector.trace(hide(image, region))
            candidates, overlap = _candidates(trace, detection)
            same = (candidates.index == detection.index) & (candidates.level == detection.level)
            row = _best(candidates, overlap * same, int(detection.labels[0])) if not trace.regional else None
            row = _best(candidates, overlap, int(detection.labels[0])) if row is None else row
            after.append(
                detection.scores.new_zeros(len(labels)) if row is None else candidates.class_probs[row, list(labels)]
            )
    return torch.stack(after) if after else detection.scores.new_zeros((0, len(labels)))


def _candidates(trace: Trace, detection: Detections) -> tuple[Detections, Tensor]:
    """Everything that a pass might say, as boxes, not clipped, of the detection's class, and their IoU with it."""
    labels = torch.full_like(trace.candidates.labels, int(detection.labels[0]))
    candidates = replace(trace.candidates, labels=labels)
    candidates = replace(candidates, boxes=trace.boxes(candidates))
    return candidates, box_iou(detection.boxes, candidates.clipped().boxes)[0]


def _best(candidates: Detections, overlap: Tensor, label: int) -> int | None:
    """The row with the best product of IoU and score among those that overlap enough."""
    same = overlap >= SAME_OBJECT
    return int((overlap * candidates.class_probs[:, label] * same).argmax()) if same.any() else None


def measure_edge_moves(detector: Detector, image: Tensor, detection: Detections, regions: Tensor) -> Tensor:
    """How far each edge of a detection moves when a region of the picture is hidden, one pass of the network each.

    Args:
        detector: what found it.
        image: ``Tensor[3, H, W]`` in [0, 1].
        detection: one row, found in that image.
        regions: bool ``Tensor[R, H, W]``.

    Returns:
        ``Tensor[R, 4]``: outward movement of x1, y1, x2, y2 as a share of the box's width or height; negative is
        inwards, NaN where the object is lost.
    """
    with torch.no_grad():
        before, *after = (
            find_counterpart(detector.trace(picture), detection)
            for picture in (image, *(hide(image, region) for region in regions))
        )
    lost = detection.boxes.new_full((4,), float("nan"))
    start = lost if before is None else before
    ends = torch.stack([lost if box is None else box for box in after])
    return (ends - start) * start.new_tensor([-1, -1, 1, 1]) / (start[2:] - start[:2]).repeat(2)


def measure_cell_moves(detector: Detector, image: Tensor, trace: Trace, detection: Detections, cells: Tensor) -> Tensor:
    """How far each edge of a detection moves when cells of its own features are set to zero, one pass each.

    Arguments as for :func:`measure_cell_effects`.

    Returns:
        ``Tensor[R, 4]``: outward movement of x1, y1, x2, y2 as a share of the box's width or height.
    """
    return measure_cell_effects(detector, image, trace, detection, cells)[:, 1:]


def measure_cell_effects(
    detector: Detector, image: Tensor, trace: Trace, detection: Detections, cells: Tensor
) -> Tensor:
    """What becomes of a detection's score and edges when cells of its own features are set to zero, one pass each.

    Edges are compared as coordinates, not as distances: DETR's reference point, the centre of the box, moves too.

    Args:
        detector: what found it.
        image: ``Tensor[3, H, W]`` in [0, 1].
        trace: a pass on that image.
        detection: one row of that trace.
        cells: bool ``Tensor[R, h, w]`` of the features that explain the detection.

    Returns:
        ``Tensor[R, 5]``: change of the score as a share of it, negative where it falls, and outward movement of x1, y1,
        x2, y2 as a share of the box's width or height.
    """
    level = int(trace.feature_level(detection)[0])
    before, after = _numbers(trace, detection), []
    for region in cells:
        features = [one.detach() for one in trace.features]
        features[level] = features[level] * ~region
        with edit_features(trace, features), torch.no_grad():
            after.append(_numbers(detector.trace(image, trace.layer), detection))
    sides = (detection.boxes[0, 2:] - detection.boxes[0, :2]).repeat(2)
    units = torch.cat([before[:1], sides * sides.new_tensor([-1, -1, 1, 1])])
    return (torch.stack(after) - before) / units


def _numbers(trace: Trace, detection: Detections) -> Tensor:
    """Score and box, not clipped, that a pass has for the prediction that a detection was in another pass."""
    rows = torch.nonzero(trace.candidates.index == detection.index).flatten()
    if len(rows) > 1:  # the index counts within a level
        rows = rows[trace.candidates.level[rows] == detection.level]
    same = replace(trace.candidates[rows], labels=detection.labels)
    return torch.cat([trace.targets("class", detection), trace.boxes(same)[0]]).detach()


@contextmanager
def edit_features(trace: Trace, features: Sequence[Tensor]) -> Iterator[None]:
    """While active, the network that made a trace goes on with other features, whatever module computes them.

    Passes of other threads are left alone.

    Args:
        trace: a pass; passes on the same image at the same layer are edited.
        features: what stands in for :attr:`Trace.features`, of the same shapes.

    Raises:
        RuntimeError: no pass computed the trace's features while this was active.
    """
    pairs = list(zip((one.detach() for one in trace.features), features))
    if trace.regional:  # regions of interest are computed together
        pairs = [(torch.cat([old for old, _ in pairs]), torch.cat([new for _, new in pairs]))]
    pairs += [(_tokens(old), _tokens(new)) for old, new in pairs]
    swapped, thread = False, get_ident()

    def swap(tensor: Any) -> Any:
        nonlocal swapped
        for old, new in pairs:
            if isinstance(tensor, Tensor) and tensor.shape == old.shape and alike(tensor, old):
                swapped = True
                return new
        return tensor

    def alike(one: Tensor, other: Tensor) -> bool:
        """Most tensors differ in their first row, which is quick to see."""
        return torch.allclose(one[..., :1, :], other[..., :1, :], rtol=1e-4) and torch.allclose(one, other, rtol=1e-4)

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        if get_ident() != thread:
            return output
        if isinstance(output, dict):
            return type(output)((name, swap(one)) for name, one in output.items())
        return swap(output)

    handle = register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not swapped:
        raise RuntimeError(f"No pass computed these features of layer {trace.layer!r}: give the image that was traced.")


def _tokens(features: Tensor) -> Tensor:
    """``Tensor[N, K, h, w]`` as a transformer's layers pass it on, ``[N, h w, K]``."""
    return features.flatten(2).transpose(1, 2)
