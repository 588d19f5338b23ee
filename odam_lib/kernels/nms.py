"""Sec. 3.3: suppression of duplicates by boxes, scores, features or heat maps, as functions of tensors.

Every function takes ``boxes [N, 4]``, ``scores [N]`` and ``labels [N]`` first and returns :class:`Kept`. Predictions of
different labels never suppress each other; of equal scores the earlier row counts as the better. All refuse, before
any work and with a ``ValueError``, tensors of other shapes, numbers of rows or devices, boxes and scores that are not
finite, boxes whose corners are swapped and thresholds outside [0, 1], and with a ``TypeError`` what is no tensor or
number. Boxes without an area overlap nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from odam_lib.kernels import checks
from odam_lib.kernels.candidates import Maps, check_bounds, check_candidates, check_every, check_one_each, checked_maker
from odam_lib.kernels.similarity import at_least_float32, directions

BLOCK = 128
"""Candidates compared at once with all that come later: what an earlier block suppressed is compared with nothing."""


class Kept(NamedTuple):
    """What is left of N predictions: M rows and their scores, the best first.

    Attributes:
        index: ``Tensor[M]``, int64.
        scores: ``Tensor[M]``, the scores given, or what Soft-NMS has made of them.
    """

    index: Tensor  # type: ignore[assignment]  # in the place of tuple.index
    scores: Tensor


NMS = Callable[[Tensor, Tensor, Tensor], Kept]
"""boxes [N, 4], scores [N], labels [N] -> what is kept."""


Decay = Callable[[Tensor], Tensor]
"""IoU -> the weight in [0, 1] of a score whose box overlaps a better one that much."""


def keep_all(boxes: Tensor, scores: Tensor, labels: Tensor) -> Kept:
    """No suppression: every prediction, best first."""
    check_candidates(boxes, scores, labels)
    order = scores.argsort(descending=True, stable=True)
    return Kept(order, scores[order])


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float = 0.5) -> Kept:
    """Classical suppression: a prediction is a duplicate if its IoU with a better one is **over** the threshold.

    This is ``torchvision.ops.batched_nms``, bit for bit. It parts the labels by moving their boxes, for which no
    coordinate may be negative: where one is, all boxes are moved by it first.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        scores: ``Tensor[N]``.
        labels: ``Tensor[N]``.
        iou_threshold: T_iou, in [0, 1].
    """
    iou_threshold = checks.number("iou_threshold", iou_threshold, "[0, 1]")
    corners, ranks = check_candidates(boxes, scores, labels)
    if len(corners):
        corners = corners - corners.min().clamp(max=0)
    index = batched_nms(corners, ranks, labels, iou_threshold)
    return Kept(index, scores[index])


def gaussian(iou: Tensor, sigma: float = 0.5) -> Tensor:
    """exp(-IoU^2 / sigma), the continuous decay of Soft-NMS.

    Raises:
        ValueError: sigma is not positive.
    """
    sigma = checks.number("sigma", sigma, "(0, inf)")
    return torch.exp(-iou.square() / sigma)


def linear(iou: Tensor, iou_threshold: float = 0.5) -> Tensor:
    """1 - IoU from the threshold on, 1 below it: the linear decay of Soft-NMS.

    Raises:
        ValueError: the threshold is outside [0, 1].
    """
    iou_threshold = checks.number("iou_threshold", iou_threshold, "[0, 1]")
    return torch.where(iou < iou_threshold, torch.ones_like(iou), 1 - iou)


def soft_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, decay: Decay = gaussian, score_threshold: float = 0.05
) -> Kept:
    """Soft-NMS (Bodla et al., ICCV 2017): a score is lowered by every better box that overlaps it.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        scores: ``Tensor[N]``.
        labels: ``Tensor[N]``.
        decay: :func:`gaussian` or :func:`linear`; ``functools.partial`` gives them another sigma or threshold.
        score_threshold: least decayed score that is kept, in [0, 1].

    Returns:
        Kept rows with their **decayed** scores.
    """
    score_threshold = checks.number("score_threshold", score_threshold, "[0, 1]")
    if not callable(decay):
        raise TypeError(f"decay is {checks.told(decay)}: give a function of IoU, such as gaussian or linear.")
    corners, ranks = check_candidates(boxes, scores, labels)

    def of_class(rows: Tensor) -> Kept:
        # One small step after another: on the processor, where a step costs less than an accelerator's launch.
        weights = decay(_measure_iou(corners[rows], corners[rows])).cpu()
        current = ranks[rows].cpu()
        left = torch.ones(len(rows), dtype=torch.bool)
        picked: list[int] = []
        for _ in range(len(rows)):
            best = int(torch.where(left, current, -torch.inf).argmax())
            if current[best] < score_threshold:
                break
            picked.append(best)
            left[best] = False
            current = torch.where(left, current * weights[best], current)
        index = torch.tensor(picked, dtype=torch.int64)
        return Kept(rows[index.to(rows.device)], current[index].to(scores))

    return _suppress_by_class(scores, labels, of_class)


def feature_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    embeddings: Tensor,
    low: float = 0.1,
    high: float = 0.9,
    distance: float = 1.0,
) -> Kept:
    """FeatureNMS (Salscheider, 2020): where boxes overlap in part, learned embeddings say whether objects differ.

    A candidate stays if with every better one kept its IoU is under ``low``, or its IoU is under ``high`` and the
    Euclidean distance of the embeddings is over ``distance``.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        scores: ``Tensor[N]``.
        labels: ``Tensor[N]``.
        embeddings: ``Tensor[N, D]``.
        low: IoU under which predictions are never duplicates, in [0, high].
        high: IoU from which they always are, in [low, 1].
        distance: of embeddings, over which predictions of boxes between the two are of different objects.

    Raises:
        ValueError: as all of this family, or embeddings that are not finite or not one for each box, low over high,
            or a negative distance.
    """
    low, high = check_bounds(low, high)
    distance = checks.number("distance", distance, "[0, inf)")
    corners, _ = check_candidates(boxes, scores, labels)
    check_one_each("embeddings", embeddings, "[N, D]", boxes)
    check_every("embedding", embeddings.isfinite().all(dim=1), "is not finite")

    def of_class(rows: Tensor) -> Kept:
        own, vectors = corners[rows], at_least_float32(embeddings[rows])

        def duplicates(kept: Tensor, start: int) -> Tensor:
            iou = _measure_iou(own[kept], own[start:])
            # Without the shortcut by a matrix product, which loses small distances between long vectors.
            apart = torch.cdist(vectors[kept], vectors[start:], compute_mode="donot_use_mm_for_euclid_dist")
            return (iou >= high) | ((iou >= low) & (apart <= distance))

        return _keep_greedily(rows, scores, duplicates)

    return _suppress_by_class(scores, labels, of_class)


def are_duplicates(
    iou: Tensor, corr: Tensor, iou_threshold: float = 0.5, low: float = 0.2, high: float = 0.8
) -> Tensor:
    r"""The rule of Algorithm 1: are two predictions one object, by their boxes and by their explanations?

    .. math::

        (\mathrm{IoU} > T_{iou} \wedge \mathrm{corr} > T_l) \vee (\mathrm{IoU} \le T_{iou} \wedge \mathrm{corr} > T_h)

    Boxes that overlap need little agreement of their maps, boxes that lie apart need much. At the edges:

    - An IoU of exactly T_iou counts as lying apart, as in torchvision; the paper has it on the other side.
    - T_l = 0 asks nothing of the maps, so that boxes that overlap are duplicates even if their maps share no cell and
      corr is exactly 0. T_h = 1 merges nothing, for corr never exceeds 1.
    - Where corr is undefined (NaN), as with a map of zeros, the boxes decide alone.

    Args:
        iou: ``Tensor[...]``, of the boxes of each pair.
        corr: ``Tensor[...]``, the cosine of the maps of each pair, or NaN.
        iou_threshold: T_iou.
        low: T_l, at most T_h.
        high: T_h.

    Returns:
        bool ``Tensor[...]``.
    """
    overlap = iou > iou_threshold
    by_maps = torch.where(overlap, (corr > low) | (low == 0), corr > high)
    return torch.where(corr.isnan(), overlap, by_maps)


def odam_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    maps: Maps,
    iou_threshold: float = 0.5,
    low: float = 0.2,
    high: float = 0.8,
) -> Kept:
    """Odam-NMS, Algorithm 1: greedy by descending score, with :func:`are_duplicates` as its rule.

    (T_l, T_h) = (0, 1) asks nothing of the maps: that is :func:`nms`, which is what is called.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2).
        scores: ``Tensor[N]``.
        labels: ``Tensor[N]``.
        maps: non-negative heat maps ``Tensor[N, h, w]`` of one size, see :func:`common_size`; or a function of row
            numbers ``Tensor[R]`` that makes ``Tensor[R, h, w]``. It is called at most once for each label, for those
            rows that have a partner with which the correlation decides: any other row of the label; with T_h = 1 only
            one over T_iou; with T_l = 0 only one not over it.
        iou_threshold: T_iou, in [0, 1].
        low: T_l, in [0, high].
        high: T_h, in [low, 1].

    Raises:
        ValueError: as all of this family, or maps that are negative, not finite or not one for each box, or T_l over
            T_h. Maps that a function makes are checked when it has made them.
        TypeError: the maps are neither a tensor nor a function.
    """
    iou_threshold = checks.number("iou_threshold", iou_threshold, "[0, 1]")
    low, high = check_bounds(low, high)
    corners, _ = check_candidates(boxes, scores, labels)
    make = checked_maker(maps, boxes)
    if low == 0 and high == 1:
        return nms(boxes, scores, labels, iou_threshold)

    def of_class(rows: Tensor) -> Kept:
        own = corners[rows]
        unit = _make_directions(make, rows, _find_dependent(own, iou_threshold, low, high))

        def duplicates(kept: Tensor, start: int) -> Tensor:
            corr = (unit[kept] @ unit[start:].T).clamp(max=1)
            return are_duplicates(_measure_iou(own[kept], own[start:]), corr, iou_threshold, low, high)

        return _keep_greedily(rows, scores, duplicates)

    return _suppress_by_class(scores, labels, of_class)


def _suppress_by_class(scores: Tensor, labels: Tensor, of_class: Callable[[Tensor], Kept]) -> Kept:
    """What ``of_class`` keeps of the rows of each label, which it is given best first; all of them best first."""
    order = scores.argsort(descending=True, stable=True)
    found = [Kept(order[:0], scores[:0])] + [of_class(order[labels[order] == label]) for label in labels.unique()]
    index, final = torch.cat([kept.index for kept in found]), torch.cat([kept.scores for kept in found])
    as_given = order.argsort()[index].argsort()  # decides between equal scores, which Soft-NMS can make
    best = as_given[final[as_given].argsort(descending=True, stable=True)]
    return Kept(index[best], final[best])


def _keep_greedily(rows: Tensor, scores: Tensor, duplicates: Callable[[Tensor, int], Tensor]) -> Kept:
    """The rows that no better row kept has as a duplicate.

    Args:
        rows: ``Tensor[N]``, the candidates, best first.
        scores: of all predictions.
        duplicates: positions ``[K]`` in rows, start -> bool ``[K, N - start]``, which candidates from that position on
            are their duplicates.
    """
    alive = np.ones(len(rows), dtype=bool)
    for start in range(0, len(rows), BLOCK):
        block = start + alive[start : start + BLOCK].nonzero()[0]
        # One after another on the processor, by NumPy: a step costs less than an operation of PyTorch.
        different = ~duplicates(torch.from_numpy(block).to(rows.device), start).cpu().numpy()
        for position, others in zip(block.tolist(), different):
            if alive[position]:
                alive[position + 1 :] &= others[position + 1 - start :]
    index = rows[torch.from_numpy(alive).to(rows.device)]
    return Kept(index, scores[index])


def _measure_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU ``[N, M]`` of boxes; two without an area have no union, and no overlap."""
    return box_iou(boxes, others).nan_to_num(nan=0.0)


def _find_dependent(boxes: Tensor, iou_threshold: float, low: float, high: float) -> Tensor:
    """Which of some boxes have a partner about which the correlation decides."""
    # In blocks, whose intermediate steps are small.
    over = torch.cat([_measure_iou(block, boxes) > iou_threshold for block in boxes.split(BLOCK)])
    return ((over & (low > 0)) | (~over & (high < 1))).fill_diagonal_(False).any(dim=1)


def _make_directions(make: Callable[[Tensor], Tensor], rows: Tensor, asked: Tensor) -> Tensor:
    """The maps' directions ``[N, D]``; NaN of rows that are not asked for and of maps of zeros, which have none."""
    if not asked.any():
        return torch.full((len(rows), 1), torch.nan, device=rows.device)
    maps = make(rows[asked])
    unit = at_least_float32(maps[:0]).new_full((len(rows), maps.shape[1:].numel()), torch.nan)
    for positions, block in zip(asked.nonzero()[:, 0].split(BLOCK), maps.split(BLOCK)):
        found = directions(at_least_float32(block).flatten(1))
        unit[positions] = found.masked_fill_((found == 0).all(dim=1, keepdim=True), torch.nan)
    return unit
