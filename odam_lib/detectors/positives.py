"""What a detector's training assigned to true objects, and its heat maps (Sec. 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ORDERS = {"first": torch.no_grad, "second": torch.enable_grad}
"""The gradient mode in which a map's weights dY/dA are made, by how often a loss differentiates the network."""


@dataclass(frozen=True, eq=False)
class Positives(ABC):
    """The predictions on a training batch that the detector itself assigned to true objects.

    Attributes:
        images: ``Tensor[N]``, int64, the picture of each in the batch.
        objects: ``Tensor[N]``, int64, the true object of each; numbered over the whole batch.
        labels: ``Tensor[N]``, int64, the object's class.
        boxes: ``Tensor[N, 4]``, the predicted boxes in pixels of the detector's input.
        ious: ``Tensor[N]``, IoU of each with its object.
        input_sizes: ``Tensor[B, 2]``, (height, width) of each picture of the batch before its padding.
        divisor: what this detector's own losses of the batch were divided by.
    """

    images: Tensor
    objects: Tensor
    labels: Tensor
    boxes: Tensor
    ious: Tensor
    input_sizes: Tensor
    divisor: int

    def __len__(self) -> int:
        return len(self.images)

    @abstractmethod
    def maps(self, rows: Tensor, size: tuple[int, int], order: str = "first", attribute: str = "logit") -> Tensor:
        """Heat maps by Eq. (2) without smoothing on a raster over each picture.

        Args:
            rows: ``Tensor[R]``, int64, which of the N.
            size: (height, width) of the raster.
            order: ``"first"``: differentiable through the activations A alone; ``"second"``: through the weights
                dY/dA_k too.
            attribute: Y: ``"logit"`` of the object's class, or ``"class"``, the final score.

        Returns:
            ``Tensor[R, height, width]``.
        """


def number_first_objects(targets: Sequence[dict[str, Tensor]]) -> Tensor:
    """The number of the first object of each picture, when all objects of a batch are counted on: ``Tensor[B]``."""
    counts = torch.tensor([len(target["labels"]) for target in targets], device=targets[0]["labels"].device)
    return counts.cumsum(dim=0) - counts
