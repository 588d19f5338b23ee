"""True objects that nothing can be learnt from or measured against are refused, by the numbers of their annotation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from odam_lib.datasets.categories import check_numbering
from odam_lib.datasets.pictures import LONGEST_SIDE, Examples, Target, outline
from odam_lib.images import check_image

LEAST_SIDE = 0.01
"""Of a box that is learnt, in pixels: mirrored and resized, a smaller one may be left with none."""


def check_examples(dataset: Examples, categories: Sequence[str]) -> None:
    """Refuse a data set that a detector cannot be trained on, before the first step: every item is looked at once.

    What one detector's loss would stop at, another's would be spoiled by without a word; here all refuse the same.

    Data sets that know what is in a picture before they decode it (:func:`~odam_lib.datasets.pictures.outline`), as
    those of files do, are looked at so: to decode COCO's 118,287 pictures took a quarter of an hour of one core at each
    start, also of a run that goes on, and now takes half a minute. Boxes and labels are checked as ever, against the
    size in the header; a file that is no picture or was cut off is found by its header and its end. What is damaged in
    between is named when the training comes to it; once it is mended the run goes on from its checkpoint. Nothing is
    remembered from start to start: there is little left to save, and files change.

    Args:
        dataset: items ``(image, target)``, see :func:`odam_lib.training.detector.train_detector`.
        categories: the detector's, index 0 is the background.

    Raises:
        TypeError: an item is of another kind.
        ValueError: other categories, a file that is no whole picture, pictures outside [0, 1], a box or a label that
            cannot be right, or no box at all; says the picture's ``image_id`` and the numbers as the data set has them.
    """
    check_numbering(dataset, categories)
    count = 0
    for item in range(len(dataset)):
        known = outline(dataset, item)
        count += _count_objects(*(known or _look_at(dataset[item], item)), categories)
    if not count:
        raise ValueError("No picture of the data set has a box: there is nothing to learn from it.")


def _look_at(example: Any, item: int) -> tuple[tuple[int, int], Target]:
    """Height, width and target of an item whose picture is as it must be."""
    try:
        image, target = example
        _, _, place = target["boxes"], target["labels"], _name(target)
    except (TypeError, ValueError, LookupError) as error:
        raise TypeError(
            f"Item {item} of the data set is no pair of an image and a target with boxes, labels and a number as "
            f"image_id ({type(error).__name__}: {error}): mend the data set."
        ) from error
    check_picture(image, place)
    _check_kind(place, "image", image, torch.float32)
    return (image.shape[-2], image.shape[-1]), target


def _name(target: Target) -> str:
    return f"Picture {int(target['image_id'])}"


def _check_kind(place: str, name: str, value: Any, needed: torch.dtype) -> None:
    if not isinstance(value, Tensor) or value.dtype != needed:
        raise TypeError(f"{place} of the data set has as {name} {_kind(value)}: give a tensor of {needed}.")


def _count_objects(size: tuple[int, int], target: Target, categories: Sequence[str]) -> int:
    """The number of objects of a picture of (height, width) whose target is as it must be."""
    boxes, labels, place = target["boxes"], target["labels"], _name(target)
    _check_kind(place, "boxes", boxes, torch.float32)
    _check_kind(place, "labels", labels, torch.int64)
    if problem := find_objects_problem(boxes, labels, categories, LEAST_SIDE):
        raise ValueError(f"{place} of the data set {problem}: mend the data set.")
    height, width = size
    outside = (boxes.abs() > LONGEST_SIDE).any(dim=1)
    outside |= (boxes[:, :2] >= boxes.new_tensor([width, height])).any(dim=1) | (boxes[:, 2:] <= 0).any(dim=1)
    if outside.any():
        raise ValueError(
            f"{place} of the data set has the box {_numbers(boxes[outside][0])}, outside its {width} x {height} "
            "pixels: mend the data set."
        )
    return len(boxes)


def check_picture(image: Any, place: str) -> None:
    """:func:`~odam_lib.images.check_image` with the name of the picture in the message."""
    try:
        check_image(image)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place} of the data set is no picture to learn from. {error}") from error


def find_objects_problem(boxes: Any, labels: Any, categories: Sequence[str], least_side: float = 0.0) -> str:
    """What is wrong with the objects of a picture, as the end of a sentence; empty if nothing is.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        labels: ``Tensor[N]``.
        categories: index 0 is the background, which is no object.
        least_side: of a box, in its units.
    """
    if not isinstance(boxes, Tensor) or boxes.dim() != 2 or boxes.shape[1] != 4:
        return f"has as boxes {_kind(boxes)}, no tensor [N, 4]"
    if not isinstance(labels, Tensor) or labels.shape != boxes.shape[:1]:
        return f"has as labels {_kind(labels)}, no tensor [{len(boxes)}] with one for each box"
    unknown = ~((labels >= 1) & (labels < len(categories)))
    if unknown.any():
        row = int(unknown.nonzero()[0])
        return (
            f"has an object of the label {labels[row].item():g} (box {_numbers(boxes[row])}), and labels go from 1 "
            f"({categories[1]}) to {len(categories) - 1} ({categories[-1]}), 0 being the background"
        )
    for wrong, what in (
        (~boxes.isfinite(), "whose numbers are not finite"),
        (boxes[:, 2:] < boxes[:, :2], "whose corners are swapped: give x1, y1, x2, y2 with x1 < x2 and y1 < y2"),
        (boxes[:, 2:] - boxes[:, :2] < least_side, "which has no width or no height"),
    ):
        if wrong.any():
            return f"has the box {_numbers(boxes[wrong.any(dim=1)][0])}, {what}"
    return ""


def _kind(value: Any) -> str:
    return f"a {value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _numbers(box: Tensor) -> str:
    return ", ".join(f"{edge:.6g}" for edge in box.tolist())
