"""Sec. 3.2: the consistency and separation of heat maps, Odam-Train's two losses, as functions of tensors."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.kernels import checks
from odam_lib.kernels.similarity import cosines

EPSILON = 1e-3
"""How far cosines are kept from 0 and 1, where a logarithm of one of the losses is infinite."""


Bound = Callable[[Tensor], Tensor]
"""cosines in [0, 1] -> the same in [EPSILON, 1 - EPSILON]."""


Negatives = Callable[[Tensor, Tensor], Tensor]
"""boxes [N, 4], images [N] -> bool [N, N], which predictions are told apart if they are of different objects."""


def overlapping(boxes: Tensor, images: Tensor) -> Tensor:
    """Predictions of one image whose boxes overlap: those whose maps may leak into each other."""
    meet: Tensor = box_iou(boxes, boxes) > 0
    return meet & same_image(boxes, images)


def same_image(boxes: Tensor, images: Tensor) -> Tensor:
    """All predictions of one image, as in the paper's formula."""
    return images[:, None] == images


def squeezed(cosines: Tensor) -> Tensor:
    """Cosines scaled linearly into [EPSILON, 1 - EPSILON], which leaves a gradient everywhere."""
    return EPSILON + (1 - 2 * EPSILON) * cosines


def clamped(cosines: Tensor) -> Tensor:
    """Cosines cut off at EPSILON and 1 - EPSILON: beyond them nothing pulls maps together or apart any more."""
    return cosines.clamp(EPSILON, 1 - EPSILON)


class OdamLoss(NamedTuple):
    """The two sums of Eq. (3), scalars, and the number of pairs that they are divided by."""

    consistency: Tensor
    separation: Tensor
    pairs: int

    @property
    def mean(self) -> Tensor:
        """(L_con + L_sep) / pairs; 0, connected to the maps, where there is no pair."""
        return (self.consistency + self.separation) / max(1, self.pairs)


def best_of_each(objects: Tensor, ious: Tensor) -> Tensor:
    """The prediction of highest IoU of each object, in the order of the objects' numbers.

    Args:
        objects: ``Tensor[N]``, int64, the true object of each prediction; numbers differ between images.
        ious: ``Tensor[N]``, IoU of each prediction with its object.

    Returns:
        ``Tensor[G]``, int64, one row for each object that occurs.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("objects", objects, "[N]", "int")
    checks.tensor("ious", ious, f"[{len(objects)}]")
    numbers, member = objects.unique(return_inverse=True)
    of_object = member == torch.arange(len(numbers), device=objects.device)[:, None]
    return torch.where(of_object, ious, -torch.inf).argmax(dim=1)


def pair_losses(cosines: Tensor, agree: Tensor, differ: Tensor, bound: Bound = squeezed) -> OdamLoss:
    r"""Eq. (3): maps of one object agree with its best map, maps of other objects differ from it.

    .. math::

        L_{con} = -\sum_p \sum_{i \in P_p} \log \cos(H^{(p^*)}, H^{(i)}), \qquad
        L_{sep} = -\sum_p \sum_{j \in N_p} \log \big(1 - \cos(H^{(p^*)}, H^{(j)})\big)

    Args:
        cosines: ``Tensor[G, N]``, of the best map of each of G objects with the maps of N predictions.
        agree: bool ``Tensor[G, N]``, P_p, the other predictions of each object.
        differ: bool ``Tensor[G, N]``, N_p, the predictions of other objects that are told apart from it.
        bound: keeps the logarithms finite, :func:`squeezed` or :func:`clamped`.
    """
    bounded = bound(cosines)
    consistency = -torch.log(bounded[agree]).sum()
    separation = -torch.log(1 - bounded[differ]).sum()
    return OdamLoss(consistency, separation, int(agree.sum() + differ.sum()))


def odam_train_loss(
    maps: Tensor,
    objects: Tensor,
    images: Tensor,
    ious: Tensor,
    boxes: Tensor,
    negatives: Negatives = overlapping,
    bound: Bound = squeezed,
) -> OdamLoss:
    """L_con and L_sep, see :func:`pair_losses`, of the positive predictions of a batch.

    The best map of an object is that of its prediction of highest IoU; its pair with itself is left out. Pairs never
    cross images.

    Args:
        maps: ``Tensor[N, ...]``, non-negative heat maps of the positive predictions, of one size.
        objects: ``Tensor[N]``, int64, the true object of each; numbers differ between images.
        images: ``Tensor[N]``, int64, the image of each.
        ious: ``Tensor[N]``, IoU of each prediction with its object.
        boxes: ``Tensor[N, 4]``, the predicted boxes.
        negatives: which predictions of other objects are told apart, :func:`overlapping` or :func:`same_image`.
        bound: keeps the logarithms finite, :func:`squeezed` or :func:`clamped`.

    Raises:
        TypeError: no tensors, or numbers of objects and images that are not whole.
        ValueError: negative maps, or not one of everything for each map.
    """
    _check_positives(maps, objects, images, ious, boxes, negatives, bound)
    if not len(maps):
        return OdamLoss(maps.sum(), maps.sum(), 0)
    best = best_of_each(objects, ious)
    own = objects[best][:, None] == objects
    itself = best[:, None] == torch.arange(len(maps), device=maps.device)
    return pair_losses(cosines(maps, best), own & ~itself, ~own & negatives(boxes, images)[best], bound)


def _check_positives(
    maps: Tensor, objects: Tensor, images: Tensor, ious: Tensor, boxes: Tensor, negatives: object, bound: object
) -> None:
    checks.tensor("maps", maps, "[N, ...]", "float")
    checks.tensor("objects", objects, "[N]", "int")
    checks.tensor("images", images, "[N]")
    checks.tensor("ious", ious, "[N]")
    checks.tensor("boxes", boxes, "[N, 4]")
    for name, function in (("negatives", negatives), ("bound", bound)):
        if not callable(function):
            raise TypeError(f"{name} is {checks.told(function)}: give a function of this module.")
    if not all(len(each) == len(maps) for each in (objects, images, ious, boxes)):
        raise ValueError("There must be one object, image, IoU and box for each map.")
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it before comparing it with others.")
