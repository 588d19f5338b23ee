"""Odam-Train (Sec. 3.2): the loss term that teaches a detector to explain which object it saw."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from odam_lib.detectors.positives import ORDERS, Positives
from odam_lib.kernels import checks
from odam_lib.kernels.losses import OdamLoss, clamped, odam_train_loss, overlapping, same_image, squeezed

FAINT = 1e-3
"""A map whose maximum is below this share of the batch's mean maximum counts as a map of zeros: its direction is noise,
and the gradient of a cosine grows without bound as the map vanishes."""

NEGATIVES = {"overlapping": overlapping, "all": same_image}
BOUNDS = {"squeezed": squeezed, "clamped": clamped}
TARGETS = ("logit", "class")


@dataclass(frozen=True)
class OdamTrain:
    """How the heat maps of a batch's positives are compared.

    The defaults were chosen by :mod:`odam_chapters.odam_train.sweep`: the second order moves the maps most.

    Attributes:
        negatives: predictions of other objects that a map is told apart from: ``"overlapping"`` ones, or ``"all"`` of
            the picture (the paper's formula).
        order: ``"first"``: the loss acts through the features alone; ``"second"``: through the maps' weights too.
        bound: how cosines are kept away from 0 and 1: ``"squeezed"`` linearly, or ``"clamped"``.
        cap: positives a picture, chosen at random where there are more.
        side: maps are compared on a raster of this many lines and columns over the picture.
        target: whose maps: of the class ``"logit"``, or of the final score, ``"class"``.
        consistency, separation: weights of the two losses against each other, 1 each in the paper; 0 for none.

    Raises:
        ValueError: which of them was wrong.
    """

    negatives: str = "overlapping"
    order: str = "second"
    bound: str = "squeezed"
    cap: int = 60
    side: int = 32
    target: str = "logit"
    consistency: float = 1.0
    separation: float = 1.0

    def __post_init__(self) -> None:
        known: dict[str, Collection[str]] = {
            "negatives": NEGATIVES,
            "order": ORDERS,
            "bound": BOUNDS,
            "target": TARGETS,
        }
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: give {' or '.join(choices)}.")
        for name in ("cap", "side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1.")
        for name in ("consistency", "separation"):
            checks.number(name, getattr(self, name), "[0, inf)")

    def __call__(self, positives: Positives) -> OdamLoss:
        """The loss of one batch, of maps as :meth:`Positives.maps` makes them."""
        rows = choose_at_most(self.cap, positives.images)
        loss = odam_train_loss(
            drop_faint(positives.maps(rows, (self.side, self.side), self.order, self.target)),
            positives.objects[rows],
            positives.images[rows],
            positives.ious[rows],
            positives.boxes[rows],
            NEGATIVES[self.negatives],
            BOUNDS[self.bound],
        )
        return OdamLoss(self.consistency * loss.consistency, self.separation * loss.separation, loss.pairs)


def drop_faint(maps: Tensor) -> Tensor:
    """The maps ``[N, h, w]`` with those below ``FAINT`` set to zero, so that they pull at nothing."""
    if not len(maps):
        return maps
    highest = maps.detach().amax(dim=(1, 2))
    return maps * (highest >= FAINT * highest.mean())[:, None, None]


def choose_at_most(cap: int, images: Tensor) -> Tensor:
    """Rows of at most ``cap`` predictions of each image ``[N]``, chosen at random from torch's global seed."""
    shuffled = torch.randperm(len(images)).to(images.device)
    shuffled = shuffled[images[shuffled].argsort(stable=True)]
    counts = images.bincount()
    first = (counts.cumsum(dim=0) - counts)[images[shuffled]]
    place = torch.arange(len(images), device=images.device) - first
    return shuffled[place < cap].sort().values
