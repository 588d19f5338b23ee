"""What suppression is given: refused before any work if it has no meaning."""

from collections.abc import Callable

import torch
from torch import Tensor

from odam_lib.kernels import checks

Maps = Tensor | Callable[[Tensor], Tensor]
"""Heat maps [N, h, w], or a function that makes those of some rows: rows [R], int64 -> [R, h, w]."""


def check_candidates(boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes and scores in one floating type of at least float32, after refusing what has no meaning."""
    checks.tensor("boxes", boxes, "[N, 4]")
    check_one_each("scores", scores, "[N]", boxes)
    check_one_each("labels", labels, "[N]", boxes)
    check_every("box", boxes.isfinite().all(dim=1), "is not finite")
    check_every("box", (boxes[:, 2:] >= boxes[:, :2]).all(dim=1), "ends before it begins: boxes are (x1, y1, x2, y2)")
    check_every("score", scores.isfinite(), "is not finite")
    common = torch.promote_types(torch.promote_types(boxes.dtype, scores.dtype), torch.float32)
    return boxes.to(common), scores.to(common)


def check_bounds(low: float, high: float) -> tuple[float, float]:
    """Two thresholds in [0, 1], the lower one first."""
    low, high = (checks.number(name, value, "[0, 1]") for name, value in (("low", low), ("high", high)))
    if low > high:
        raise ValueError(f"low is {low} and high is {high}: low may not be over high.")
    return low, high


def check_one_each(name: str, values: Tensor, shape: str, rows: Tensor) -> None:
    """Refuse values that are not of this shape, one for each row and on the device of the rows."""
    checks.tensor(name, values, "[N, ...]")
    if values.dim() != shape.count(",") + 1 or len(values) != len(rows) or values.device != rows.device:
        raise ValueError(
            f"The {name} have shape {list(values.shape)} on {values.device}: "
            f"give {shape} with N = {len(rows)} on {rows.device}."
        )


def check_every(name: str, good: Tensor, wrong: str, rows: Tensor | None = None) -> None:
    """Name the first row that is not good; ``rows`` are the numbers to call them by."""
    if not good.all():
        first = int(good.int().argmin())
        raise ValueError(f"The {name} of row {first if rows is None else int(rows[first])} {wrong}.")


def check_maps(maps: Tensor, rows: Tensor | None = None) -> None:
    """Refuse maps without a cell, negative ones and those that are not finite."""
    if not maps.shape[1:].numel():
        raise ValueError(f"The maps have shape {list(maps.shape)}: give maps of at least one cell.")
    # Each in one pass over the maps: NaN passes through a minimum, and only infinity is left to the maximum.
    least, largest = maps.flatten(1).amin(dim=1), maps.flatten(1).amax(dim=1)
    check_every("map", least.isfinite() & largest.isfinite(), "is not finite", rows)
    check_every("map", least >= 0, "has negative values: rectify it before comparing it with others", rows)


def checked_maker(maps: Maps, boxes: Tensor) -> Callable[[Tensor], Tensor]:
    """The function that gives the maps of some rows, checked: all at once, or as they are made."""
    if isinstance(maps, Tensor):
        check_one_each("maps", maps, "[N, h, w]", boxes)
        check_maps(maps)
        return maps.__getitem__
    if not callable(maps):
        raise TypeError(f"The maps are {type(maps).__name__}: give a tensor [N, h, w], or a function that makes them.")

    def make(rows: Tensor) -> Tensor:
        made = maps(rows)
        check_one_each("maps", made, "[N, h, w]", rows)
        check_maps(made, rows)
        return made

    return make
