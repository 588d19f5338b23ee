"""One pass of a network, which can be explained: what every detector's traces hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from odam_lib.detections import Detections, check_detections, check_threshold
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels import checks
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import NMS

if TYPE_CHECKING:
    from odam_lib.detectors.base import Detector
    from odam_lib.detectors.windowed import Windowed

TARGETS = (*ATTRIBUTES, "logit")


@dataclass(frozen=True)
class Limits:
    """How many predictions a network's own inference keeps at most; those of torchvision's models are read from them.

    Attributes:
        before: of each level or class, before suppression.
        each: what that number is of: ``level`` or ``labels``.
        after: of a picture, after suppression.
        sides: least (width, height) of a box in pixels of the image.
    """

    before: int | None = None
    each: str = "level"
    after: int | None = None
    sides: tuple[float, float] = (0.0, 0.0)

    def first(self, level: Tensor, labels: Tensor) -> Tensor:
        """Which of N predictions ``[N]``, listed from the best to the worst, go on to suppression."""
        groups = labels if self.each == "labels" else level
        rows = [torch.nonzero(groups == group)[: self.before, 0] for group in groups.unique()]
        return torch.cat(rows).sort().values if rows else torch.zeros_like(groups)

    def large(self, boxes: Tensor) -> Tensor:
        """Which boxes ``[N, 4]`` go on to suppression: bool ``Tensor[N]``."""
        width, height = self.sides
        return (boxes[:, 2] - boxes[:, 0] >= width) & (boxes[:, 3] - boxes[:, 1] >= height)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says about one picture, before thresholds and suppression.

    Attributes:
        boxes: ``Tensor[P, 4]``, (x1, y1, x2, y2) in pixels of the image, not clipped; ``Tensor[P, C, 4]`` of a network
            that has a box for every class.
        class_probs: ``Tensor[P, C]``, final score of every class.
    """

    boxes: Tensor
    class_probs: Tensor

    def single(self) -> Predictions:
        """The same in single precision, whatever the network computes in."""
        return Predictions(self.boxes.float(), self.class_probs.float())

    def of(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``[N, P, 4]`` and scores ``[N, P]`` of all predictions, read as each of N labels ``[N]``."""
        boxes = self.boxes[:, labels] if self.boxes.dim() == 3 else self.boxes[:, None].expand(-1, len(labels), 4)
        return boxes.movedim(1, 0), self.class_probs[:, labels].T

    def best(self) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes ``[P, 4]``, scores ``[P]`` and labels ``[P]`` of the class that each prediction is most sure of."""
        scores, labels = self.class_probs.max(dim=1)
        boxes = self.boxes[torch.arange(len(labels)), labels] if self.boxes.dim() == 3 else self.boxes
        return boxes, scores, labels


@dataclass(frozen=True, eq=False)
class Trace(ABC):
    """One forward pass that can be explained.

    Attributes:
        detector: what made the pass.
        image: ``Tensor[3, H, W]``, of what.
        layer: name of the explained layer.
        features: the activations of that layer, one ``Tensor[1, K, h, w]`` a level, the finest first, each requiring a
            gradient.
        grids: where the cells of each level lie on the detector's input.
        input_size: (height, width) of the image as the network saw it: resized, not yet padded.
        candidates: every prediction before thresholds and suppression, boxes unclipped, in image pixels.
        nms: the suppression that this detector was published with.
        limits: what its own inference leaves out.
    """

    detector: Detector
    image: Tensor
    layer: str
    features: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    input_size: tuple[int, int]
    candidates: Detections
    nms: NMS
    limits: Limits = field(default=Limits(), kw_only=True)

    @abstractmethod
    def targets(self, attribute: str, detections: Detections) -> Tensor:
        """The scalars to explain, differentiable with respect to :attr:`features`.

        Args:
            attribute: ``class`` (final score of the detection's label), ``logit``, or ``x1``, ``y1``, ``x2``, ``y2``:
                the distance from the prediction's reference point to that edge in image pixels, before any clipping,
                so that a larger value is a larger box.
            detections: N rows of this trace.

        Returns:
            ``Tensor[N]``.
        """

    def feature_level(self, detections: Detections) -> Tensor:
        """Which of :attr:`features` explains each detection: its own level where the layer has levels.

        Returns:
            ``Tensor[N]``, int64.
        """
        return detections.level if len(self.features) > 1 else torch.zeros_like(detections.level)

    @property
    def regional(self) -> bool:
        """Whether each of :attr:`features` belongs to one prediction, a region of interest, and is no level of many."""
        return False

    @property
    def reads_all_levels(self) -> bool:
        """Whether each prediction depends on all of :attr:`features`: its map is the sum of those of all levels."""
        return False

    clips_first: ClassVar[bool] = True
    """Whether boxes are clipped to the image before they are compared to suppress duplicates."""

    @property
    def windows(self) -> Windowed | None:
        """The gradients on each prediction's receptive field, if the layer's influence has a small one."""
        return None

    def alike(self, detections: Detections) -> list[Tensor]:
        """Rows of detections whose features are of one size: those of one level, or all regions of interest.

        Returns:
            int64 tensors, which hold each row once.
        """
        levels = self.feature_level(detections)
        groups = [levels >= 0] if self.regional else [levels == level for level in levels.unique()]
        return [rows for rows in (torch.nonzero(group).flatten() for group in groups) if len(rows)]

    def boxes(self, detections: Detections) -> Tensor:
        """The box of each detection's label, ``Tensor[N, 4]``; most detectors have one box for all classes."""
        return detections.boxes

    def again(self, images: Tensor) -> list[Predictions]:
        """The predictions of this pass on other pictures: the same locations, anchors, proposals or queries.

        Args:
            images: ``Tensor[B, 3, H, W]`` of this image's size.

        Returns:
            For each picture the predictions in the order of :attr:`candidates`.
        """
        return self.detector.predict(images)

    def row_of(self, detections: Detections) -> Tensor:
        """Where in :attr:`candidates` each of N detections is: ``Tensor[N]``, int64."""
        candidates = self.candidates
        same = (candidates.index == detections.index[:, None]) & (candidates.level == detections.level[:, None])
        return same.int().argmax(dim=1)

    def above(self, score_threshold: float) -> Detections:
        """The candidates over the threshold, best first, within :attr:`limits`.

        By default one row for each prediction *and class*: this is how torchvision reads a dense detector, one location
        may be detected as several classes.

        Raises:
            ValueError: the threshold is outside [0, 1].
        """
        score_threshold = check_threshold(score_threshold)
        candidates = self.candidates
        rows, labels = torch.nonzero(candidates.class_probs > score_threshold, as_tuple=True)
        scores = candidates.class_probs[rows, labels]
        order = scores.argsort(descending=True, stable=True)
        order = order[self.limits.first(candidates.level[rows[order]], labels[order])]
        return replace(candidates[rows[order]], scores=scores[order], labels=labels[order])

    def detections(self, score_threshold: float, nms: NMS | None = None) -> Detections:
        """What a user sees: candidates over the threshold, clipped to the image, duplicates suppressed.

        Scores are what the suppression leaves of them: Soft-NMS lowers them. There are no more than the :attr:`limits`
        say.

        Args:
            score_threshold: least score; with the network's own the result is that of its own inference.
            nms: suppression of duplicates; default the network's own.

        Raises:
            ValueError: the threshold is outside [0, 1].
        """
        check_nms(nms)
        found = self.above(score_threshold)
        found = replace(found, boxes=self.boxes(found))
        found = found.clipped() if self.clips_first else found
        found = found[self.limits.large(found.boxes)]
        kept = (nms or self.nms)(found.boxes, found.scores, found.labels)
        return replace(found[kept.index], scores=kept.scores)[: self.limits.after].clipped()

    def check(self, detections: Detections, attributes: Sequence[str]) -> None:
        """Refuse detections of another detector or image, and unknown attributes.

        Raises:
            TypeError: no ``Detections``, or no names of attributes.
            ValueError: naming what does not fit.
        """
        check_detections(detections)
        if detections.source != self.candidates.source:
            raise ValueError(
                f"The detections are of {detections.source}, the trace is of {self.candidates.source}: "
                "explain detections with the detector and the image that made them."
            )
        check_attributes(attributes)


def check_attributes(attributes: Sequence[str]) -> None:
    """Raise ``ValueError`` for an attribute that no detector has, or for none at all; ``TypeError`` for no names."""
    attributes = checks.names("attributes", attributes)
    if not attributes:
        raise ValueError(f"No attribute was asked for: give at least one of {', '.join(TARGETS)}.")
    for attribute in attributes:
        if attribute not in TARGETS:
            raise ValueError(f"Unknown attribute {attribute!r}: choose among {', '.join(TARGETS)}.")


def check_nms(nms: object) -> None:
    """Raise ``TypeError`` for what cannot be called to suppress duplicates."""
    if nms is not None and not callable(nms):
        raise TypeError(
            f"nms is {checks.told(nms)}: give a function of boxes, scores and labels, such as iou_nms(0.5), or None."
        )
