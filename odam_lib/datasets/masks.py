"""Masks of objects from the codes that annotations hold: polygons and COCO's run lengths."""

import math
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

# pycocotools takes a polygon of two points for a box.
LEAST_COORDINATES = 6
MOST_CROSSINGS = 1000
"""How often the outline of an object may cross its picture: what draws it takes memory for each of its points."""
MOST_PIXELS, MOST_BYTES = 2 * 89_478_485, 2**32
"""Of a mask, those that Pillow takes a picture for an attack from, and of all masks of a picture."""
_BIT, _SIGN, _MORE = 5, 16, 32  # of a character of the compressed run lengths: value bits, sign, another one follows
_LONGEST = 7  # characters of one number, 35 bits


def has_mask(segmentation: Any) -> bool:
    """Whether an object is drawn at all: by run lengths, or by polygons of three points or more each."""
    if isinstance(segmentation, dict):
        return bool(segmentation.get("counts"))
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(polygon, list) and len(polygon) >= LEAST_COORDINATES for polygon in segmentation)


def find_mask_problem(segmentation: Any, height: int, width: int) -> str:
    """What is wrong with a segmentation, as the end of a sentence; empty if nothing is.

    It is found without drawing: pycocotools trusts what it is given.

    Args:
        segmentation: what an annotation holds, ``None`` if nothing.
        height: of the picture in pixels.
        width: likewise.

    Raises:
        TypeError, OverflowError: a corner is no number, or none that a float can be.
    """
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        if not has_mask(segmentation):
            return ""
        if size != [height, width]:
            return f"has a mask of size {size}, its picture's is {[height, width]} (height, width)"
        return "" if _fills(segmentation["counts"], height * width) else "has a mask whose run lengths are damaged"
    polygons = [] if segmentation is None else segmentation
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        return "has a segmentation that is neither run lengths nor a list of polygons"
    crossings = 0.0
    for polygon in filter(None, polygons):
        if len(polygon) % 2:
            return f"has a polygon of {len(polygon)} numbers, which are no pairs"
        if not all(math.isfinite(value) for value in polygon):
            return "has a polygon whose numbers are not finite"
        across, down = polygon[::2], polygon[1::2]
        if min(across) < -width or max(across) > 2 * width or min(down) < -height or max(down) > 2 * height:
            return f"has a polygon far outside its picture of {width} x {height}"
        crossings += _way(across) / width + _way(down) / height
    return f"has an outline that crosses its picture {crossings:.0f} times" if crossings > MOST_CROSSINGS else ""


def check_room(number: int, height: int, width: int) -> None:
    """Refuse masks that would not fit into memory, before one is made.

    Raises:
        ValueError: too many, or of too many pixels.
    """
    if height * width > MOST_PIXELS or number * height * width > MOST_BYTES:
        raise ValueError(
            f"{number} masks of {width} x {height} pixels take {number * height * width / 1e9:.3g} GB: reduce the "
            "pictures and their annotations."
        )


def decode_mask(segmentation: Any, height: int, width: int) -> Tensor:
    """The pixels of an object, bool ``[height, width]``.

    Args:
        segmentation: one that :func:`has_mask`, of a picture whose size was compared with what it states.
        height: of the picture in pixels.
        width: likewise.

    Raises:
        ValueError: :func:`find_mask_problem` finds one, or there is no room for its mask.
    """
    check_room(1, height, width)
    problem = find_mask_problem(segmentation, height, width) if has_mask(segmentation) else "has no mask"
    if problem:
        raise ValueError(f"An object {problem}: mend the annotation.")
    if isinstance(segmentation, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        encoded = coco_mask.frPyObjects({**segmentation, "size": [height, width]}, height, width)
    else:
        encoded = {"size": [height, width], "counts": segmentation["counts"]}
    return torch.from_numpy(coco_mask.decode(encoded)).bool()


def stack_masks(segmentations: list[Any], height: int, width: int) -> Tensor:
    """:func:`decode_mask` of N objects, bool ``[N, height, width]``.

    Raises:
        ValueError: as there.
    """
    check_room(len(segmentations), height, width)
    masks = torch.zeros((len(segmentations), height, width), dtype=torch.bool)
    for mask, segmentation in zip(masks, segmentations):
        mask[:] = decode_mask(segmentation, height, width)
    return masks


def _way(values: list[float]) -> float:
    """The length of a closed outline along one axis."""
    return sum(abs(value - before) for value, before in zip(values, [values[-1], *values]))


def _fills(counts: list[int] | str, pixels: int) -> bool:
    """Whether run lengths add up to the pixels of the picture."""
    if isinstance(counts, list):
        return all(type(run) is int and run >= 0 for run in counts) and sum(counts) == pixels
    runs = _run_lengths(counts)
    return runs is not None and bool((runs >= 0).all()) and int(runs.sum()) == pixels


def _run_lengths(counts: str) -> np.ndarray | None:
    """The numbers in COCO's compressed code; ``None`` where there are none.

    Numbers are written least bits first, five a character; from the third on they are differences to the last but one.
    """
    if not isinstance(counts, str) or not counts.isascii():
        return None
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - ord("0")
    if codes.min() < 0 or codes.max() >= 2 * _MORE or codes[-1] & _MORE:
        return None
    ends = np.flatnonzero((codes & _MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if places.max() >= _LONGEST:
        return None
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BIT * places), starts)
    numbers -= np.where(codes[ends] & _SIGN, 1 << (_BIT * (places[ends] + 1)), 0)
    # The first number stands alone: no other is told by its difference to it.
    numbers[1::2], numbers[2::2] = numbers[1::2].cumsum(), numbers[2::2].cumsum()
    return numbers
