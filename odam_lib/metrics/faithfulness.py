"""How far a detector's score depends on the pixels that a map ranks highest: deletion and insertion (Sec. 4.2)."""

import torch
from torch import Tensor
from torchvision.ops import box_iou, clip_boxes_to_image

from odam_lib.detections import Detections, check_detections
from odam_lib.detectors.base import Detector, check_detector
from odam_lib.detectors.trace import Predictions
from odam_lib.images import check_image
from odam_lib.kernels import checks


def rank_pixels(maps: Tensor, seed: int) -> Tensor:
    """The pixels of each map, most important first.

    Equal values come in one random order, the same for all maps: in raster order a map that is constant inside a box
    would be read from the box's top edge to its bottom edge, which is an explanation of its own.

    Args:
        maps: ``Tensor[N, H, W]``; negative values are ranked last.
        seed: random seed of the order of equal values, the same on every device.

    Returns:
        int64 ``Tensor[N, H * W]``, each row a permutation of the flattened pixels.

    Raises:
        TypeError: no tensor.
        ValueError: not ``[N, H, W]``, or a map with NaN, which has no rank.
    """
    checks.kind("The maps", maps, Tensor, "a tensor [N, H, W]")
    if maps.dim() != 3:
        raise ValueError(f"The maps have shape {list(maps.shape)}: give [N, H, W].")
    seed = checks.count("seed", seed, least=None)
    _check_numbers(maps)
    shuffled = torch.randperm(maps.shape[1] * maps.shape[2], generator=torch.Generator().manual_seed(seed))
    shuffled = shuffled.to(maps.device)
    return shuffled[maps.flatten(1)[:, shuffled].argsort(dim=1, descending=True, stable=True)]


def best_score(
    predictions: Predictions, boxes: Tensor, labels: Tensor, size: tuple[int, int], least_iou: float = 0.5
) -> Tensor:
    """How sure the network is of each object, before suppression.

    The best score of the object's class among all predictions whose box overlaps the object's. Both are clipped to the
    image first, as the boxes of detections are.

    Args:
        predictions: all predictions on one picture.
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        labels: int64 ``Tensor[N]``.
        size: (height, width) of the picture.
        least_iou: from which IoU on a prediction is of the object, in (0, 1].

    Returns:
        ``Tensor[N]``; 0 where no prediction overlaps enough.

    Raises:
        TypeError: an argument of another type.
        ValueError: an IoU outside (0, 1], or not one label for each box.
    """
    least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
    checks.kind("The predictions", predictions, Predictions, "Predictions of a detector")
    checks.tensor("boxes", boxes, "[...]")
    checks.tensor("labels", labels, "[N]", "int")
    size = checks.size("size", size)
    if boxes.shape != (len(labels), 4):
        raise ValueError(f"There are boxes {list(boxes.shape)} and {len(labels)} labels: give [N, 4] and [N].")
    found, scores = predictions.of(labels.to(predictions.boxes.device))
    if not scores.numel():
        return scores.new_zeros(len(boxes))
    found, boxes = (clip_boxes_to_image(some, size) for some in (found, boxes.to(found)))
    overlap = torch.cat([box_iou(box[None], candidates) for box, candidates in zip(boxes, found)])
    return torch.where(overlap >= least_iou, scores, 0).amax(dim=1)


def deletion(
    detector: Detector,
    image: Tensor,
    detections: Detections,
    maps: Tensor,
    steps: int = 8,
    seed: int = 0,
    batch: int = 16,
) -> Tensor:
    """The score of each detection while its most important pixels turn into noise: a lower curve is a better map.

    Value ``i`` is measured with the share ``i / steps`` of all pixels replaced by uniform noise, and is divided by the
    score on the untouched picture. The score is that of :func:`best_score`. The noise is one picture, the same for all
    maps.

    Args:
        detector: what found the detections.
        image: ``Tensor[3, H, W]`` in [0, 1].
        detections: N rows, found in that image.
        maps: ``Tensor[N, H, W]``, one for each detection, at image size.
        steps: number of equal steps in which the whole picture is replaced.
        seed: random seed of the noise and of the order of pixels of equal importance.
        batch: pictures that are made and predicted at once; it does not change the result.

    Returns:
        float32 ``Tensor[N, steps + 1]``, the first column 1; NaN where the score on the untouched picture is 0.

    Raises:
        TypeError: the image is not a float tensor, or another argument is of another type.
        ValueError: not an image, fewer than one step or one picture a batch, or maps or detections that do not fit.
    """
    check_image(image)
    seed = checks.count("seed", seed, least=None)
    # a seed of its own: from the ranking's seed the noise would follow the order of equal pixels
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(seed + 1)).to(image)
    scores = _score_steps(detector, image, noise, detections, maps, steps, seed, batch)
    return scores / scores[:, :1].where(scores[:, :1] != 0, torch.nan)


def insertion(
    detector: Detector,
    image: Tensor,
    detections: Detections,
    maps: Tensor,
    steps: int = 8,
    seed: int = 0,
    batch: int = 16,
) -> Tensor:
    """The score of each detection while its most important pixels appear: a higher curve is a better map.

    Value ``i`` is measured with the share ``i / steps`` of all pixels revealed on a black picture, and is divided by
    the score on the untouched picture. The score is that of :func:`best_score`.

    Args:
        detector, image, detections, maps, batch: as for :func:`deletion`.
        steps: number of equal steps in which the whole picture is revealed.
        seed: random seed of the order of pixels of equal importance.

    Returns:
        float32 ``Tensor[N, steps + 1]``, the last column 1; NaN where the score on the untouched picture is 0.

    Raises:
        TypeError, ValueError: as for :func:`deletion`.
    """
    check_image(image)
    scores = _score_steps(detector, torch.zeros_like(image), image, detections, maps, steps, seed, batch)
    return scores / scores[:, -1:].where(scores[:, -1:] != 0, torch.nan)


def auc(curves: Tensor) -> Tensor:
    """The area under curves over [0, 1] by the trapezoid rule.

    Args:
        curves: ``Tensor[..., S]``, S >= 2 values at equal distances from 0 to 1.

    Returns:
        ``Tensor[...]``.

    Raises:
        TypeError: no float tensor.
        ValueError: a curve of fewer than two values.
    """
    checks.tensor("curves", curves, "[...]", "float")
    if curves.dim() == 0 or curves.shape[-1] < 2:
        raise ValueError(f"The curves have shape {list(curves.shape)}: give at least two values in the last dimension.")
    return torch.trapezoid(curves, dx=1 / (curves.shape[-1] - 1), dim=-1)


@torch.no_grad()
def _score_steps(
    detector: Detector,
    before: Tensor,
    after: Tensor,
    detections: Detections,
    maps: Tensor,
    steps: int,
    seed: int,
    batch: int,
) -> Tensor:
    """Scores ``[N, steps + 1]`` while pixels of the picture ``before`` turn into those of ``after``, in a map's order.

    The two pictures themselves are the ends of every map's curve and are predicted once.
    """
    size = (before.shape[-2], before.shape[-1])
    check_detector(detector)
    check_detections(detections)
    checks.tensor("maps", maps, "[...]")
    steps, batch, seed = (
        checks.count(name, value, least=None) for name, value in (("steps", steps), ("batch", batch), ("seed", seed))
    )
    if steps < 1 or batch < 1:
        raise ValueError(f"There are {steps} steps in batches of {batch}: give at least one of each.")
    if maps.shape != (len(detections), *size):
        raise ValueError(
            f"The maps have shape {list(maps.shape)}: give [{len(detections)}, {size[0]}, {size[1]}], "
            "one for each detection and of the image's size."
        )
    if detections.image_size != size:
        raise ValueError(
            f"The detections are of an image of {detections.image_size}, this one is of {size}: give their own."
        )
    _check_numbers(maps)

    boxes, labels = detections.boxes, detections.labels
    scores = torch.zeros(len(maps), steps + 1, device=before.device)
    for column, picture in ((0, before), (steps, after)):
        (found,) = detector.predict(picture[None])
        scores[:, column] = best_score(found, boxes, labels, size).to(scores)

    changed = torch.arange(1, steps, device=before.device) * maps[:1].numel() // steps
    rows = torch.arange(len(maps), device=before.device).repeat_interleave(steps - 1)
    for start in range(0, len(rows), batch):
        numbers = torch.arange(start, min(start + batch, len(rows)), device=before.device)
        here, of_map = rows[numbers].unique(return_inverse=True)
        columns = numbers % (steps - 1)
        order = rank_pixels(maps[here.to(maps.device)], seed).to(before.device)
        place = order.argsort(dim=1).reshape(-1, 1, *size)
        pictures = torch.where(place[of_map] < changed[columns].reshape(-1, 1, 1, 1), after, before)
        for row, column, found in zip(rows[numbers].tolist(), columns.tolist(), detector.predict(pictures)):
            scores[row, column + 1] = best_score(found, boxes[row : row + 1], labels[row : row + 1], size)[0]
    return scores


def _check_numbers(maps: Tensor) -> None:
    if maps.isnan().any():
        raise ValueError("A map has NaN, which cannot be ranked: give maps of numbers.")
