"""What each rule of suppression decides about two detections, and why, as if there were no others (Sec. 3.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS
from odam_lib.detections import Detections
from odam_lib.kernels import checks
from odam_lib.kernels.nms import nms, odam_nms, soft_nms
from odam_lib.kernels.similarity import correlation
from odam_lib.viz.sheets import make_legible

SOFT_NMS = "Soft-NMS"


LEAST_LEFT = 0.05
"""Soft-NMS drops a detection of which less score is left than this."""


@dataclass(frozen=True)
class Decision:
    """What one rule of suppression decides about two detections.

    Attributes:
        rule: its name.
        duplicate: whether it drops the one with the lower score.
        reason: why, with the numbers that decide.
    """

    rule: str
    duplicate: bool
    reason: str

    @property
    def word(self) -> str:
        if self.rule == SOFT_NMS:  # decides nothing but whether enough score is left
            return "dropped" if self.duplicate else "kept"
        return "duplicate" if self.duplicate else "two objects"

    @property
    def sentence(self) -> str:
        return f"{self.reason}: {self.word}"


@dataclass(frozen=True)
class Decisions:
    """What every rule decides about two detections.

    Attributes:
        iou: IoU of their boxes.
        correlation: correlation of their maps; ``None`` where a map is zero everywhere.
        left: what Soft-NMS leaves of the lower score, even if that is so little that the detection is dropped.
        by_rule: of NMS, Odam-NMS and Soft-NMS.
    """

    iou: float
    correlation: float | None
    left: float
    by_rule: tuple[Decision, ...]

    @property
    def numbers(self) -> str:
        """IoU and correlation in words."""
        known = self.correlation is not None
        return f"IoU {self.iou:.2f}, " + (f"correlation {self.correlation:.2f}" if known else "no correlation")


def decide(
    found: Detections,
    maps: Tensor,
    first: int,
    second: int,
    iou_threshold: float = 0.5,
    low: float = 0.2,
    high: float = 0.8,
) -> Decisions:
    """What NMS, Odam-NMS and Soft-NMS decide about two detections as if there were no others.

    The decisions are those of :mod:`odam_lib.kernels.nms`, called on the two rows; Soft-NMS with its Gaussian decay.

    Args:
        found: N detections of one image.
        maps: their non-negative heat maps ``Tensor[N, h, w]``, see :func:`odam_lib.explainers.raster.raster_maps`.
        first, second: rows of the two; which is which makes no difference.
        iou_threshold: T_iou, in [0, 1].
        low: T_l, in [0, high].
        high: T_h, in [low, 1].

    Raises:
        TypeError: a row is no whole number.
        IndexError: there is no such row.
        ValueError: the same row twice, not one map for each detection, or what
            :func:`odam_lib.kernels.nms.odam_nms` refuses.
    """
    rows = sorted(check_pair(found, maps, first, second))  # the order decides between equal scores
    pair, heat = found[rows], maps[rows]
    given = (pair.boxes, pair.scores, pair.labels)
    dropped = {
        CLASSICAL: len(nms(*given, iou_threshold).index) < 2,
        ODAM_NMS: len(odam_nms(*given, heat, iou_threshold, low, high).index) < 2,
        SOFT_NMS: len(soft_nms(*given, score_threshold=LEAST_LEFT).index) < 2,
    }
    iou = box_iou(pair.boxes, pair.boxes)[0, 1].nan_to_num(nan=0.0)
    similar = correlation(heat)
    zero = [row for row, known in zip(rows, similar.diagonal() > 0) if not known]
    left = soft_nms(*given, score_threshold=0).scores[-1]

    overlap = {over: _compared("IoU", iou.item(), "T_iou", iou_threshold, over) for over in (False, True)}
    reasons = {CLASSICAL: overlap[dropped[CLASSICAL]]}
    if zero:
        reason = f"The map of {' and '.join(map(str, zero))} is zero, so that IoU decides alone"
        reasons[ODAM_NMS] = f"{reason}: {overlap[dropped[ODAM_NMS]]}"
    elif low == 0 and dropped[ODAM_NMS] and (high == 1 or iou > iou_threshold):
        reasons[ODAM_NMS] = f"{overlap[True]} and T_l 0 asks nothing of the maps"
    elif low == 0 and high == 1:
        reasons[ODAM_NMS] = f"{overlap[False]} and T_h 1 merges nothing"
    else:
        over = bool(iou > iou_threshold)
        asked = ("T_l", low) if over else ("T_h", high)
        maps_say = _compared("correlation", similar[0, 1].item(), *asked, dropped[ODAM_NMS])
        reasons[ODAM_NMS] = f"{overlap[over]} {'and' if over == dropped[ODAM_NMS] else 'but'} {maps_say}"
    worse = pair.scores.min()
    remains = _compared("the remaining", left.item(), "the final threshold", LEAST_LEFT, not dropped[SOFT_NMS])
    lowers = "lowers" if left < worse else "does not lower"
    reasons[SOFT_NMS] = f"IoU {iou:.2f} {lowers} score {worse:.2f}, and {remains}"
    if pair.labels[0] != pair.labels[1]:
        apart = "{} and {}: different labels never suppress each other".format(*map(make_legible, pair.names()))
        reasons |= {rule: apart for rule, duplicate in dropped.items() if not duplicate}
    return Decisions(
        iou.item(),
        None if zero else similar[0, 1].item(),
        left.item(),
        tuple(Decision(rule, duplicate, reasons[rule]) for rule, duplicate in dropped.items()),
    )


def find_telling_pair(
    found: Detections, maps: Tensor, iou_threshold: float = 0.5, first: int | None = None
) -> tuple[int, int]:
    """Two detections of one label to begin with: of those whose boxes overlap, the two whose maps differ most.

    Args:
        found: N >= 2 detections of one image.
        maps: their heat maps ``Tensor[N, h, w]``.
        iou_threshold: T_iou; where no boxes overlap so much, IoU minus correlation decides.
        first: the row of one of the two; default any.

    Returns:
        Rows of the first and of the second.
    """
    iou = box_iou(found.boxes, found.boxes).nan_to_num(nan=0.0)
    similar = correlation(maps)
    known = similar.diagonal() > 0
    similar = similar.where(known[:, None] & known, 1)  # a map of zeros shows no difference
    alike = found.labels[:, None] == found.labels
    worth = (iou > iou_threshold).to(iou) + iou - similar + 4 * alike  # the other terms span 3
    worth.fill_diagonal_(-torch.inf)
    rows = range(len(found)) if first is None else [first]
    row = max(rows, key=lambda one: worth[one].max().item())
    return row, int(worth[row].argmax())


def _compared(name: str, value: float, threshold: str, limit: float, over: bool) -> str:
    """On which side of a threshold a number is, with as many digits as show it.

    Where rounding decided, or an equality, no digits can show it, and words do.
    """
    shown_limit = f"{limit:g}"
    for digits in range(2, 7):
        shown = f"{value:.{digits}f}"
        if float(shown) != float(shown_limit) and (float(shown) > float(shown_limit)) == over:
            return f"{name} {shown} is {'' if over else 'not '}over {threshold} {shown_limit}"
    return f"{name} is {threshold} {shown_limit} up to rounding and counts as {'' if over else 'not '}over it"


def check_pair(found: Detections, maps: Tensor, first: int, second: int) -> list[int]:
    """The rows of two detections as Python's own numbers."""
    rows = [checks.count("A row", row, least=None) for row in (first, second)]
    for row in rows:
        if row not in range(len(found)):
            raise IndexError(_absent(row, len(found)))
    if rows[0] == rows[1]:
        raise ValueError(say_twice(rows[0]))
    if len(maps) != len(found):
        raise ValueError(f"There are {len(maps)} maps of {len(found)} detections: give one for each.")
    return rows


def _absent(row: int, count: int) -> str:
    return f"There is no detection {row}: give a number from 0 to {count - 1}."


def say_twice(row: int) -> str:
    return f"Detection {row} is chosen twice: give two different ones."
