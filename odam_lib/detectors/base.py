"""The contract between a detector and everything that explains it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections, check_detections, check_threshold
from odam_lib.detectors.identity import hash_weights
from odam_lib.detectors.passes import leave_inference, make_twin, record_gradients
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import NMS, nms

if TYPE_CHECKING:
    from odam_lib.detectors.windowed import Windowed

TARGETS = (*ATTRIBUTES, "logit")

ORDERS = {"first": torch.no_grad, "second": torch.enable_grad}
"""The gradient mode in which a map's weights dY/dA are made, by how often a loss differentiates the network."""


@dataclass(frozen=True)
class Layer:
    """A place at which a detector can be explained: the module that computes it and the stride of each level.

    Attributes:
        module: its path in the network, as of ``get_submodule``.
        strides: of what it returns, in pixels of the network's input.
        grids: where the cells of each level lie; by default the first one on the first pixel.
        names: of the levels, where it returns them by name.
    """

    module: str
    strides: tuple[int, ...]
    grids: tuple[Grid, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.grids:
            object.__setattr__(self, "grids", tuple(Grid.of_stride(stride) for stride in self.strides))


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

    regional: ClassVar[bool] = False
    """Whether each of :attr:`features` belongs to one prediction, a region of interest, and is no level of many."""
    reads_all_levels: ClassVar[bool] = False
    """Whether each prediction depends on all of :attr:`features`: its map is the sum of those of all levels."""

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
    """

    images: Tensor
    objects: Tensor
    labels: Tensor
    boxes: Tensor
    ious: Tensor
    input_sizes: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def divisor(self) -> int:
        """What this detector's own losses of a batch were divided by; by default the number of pictures."""
        return len(self.input_sizes)

    @abstractmethod
    def maps(self, rows: Tensor, size: tuple[int, int], order: str = "first") -> Tensor:
        """Heat maps by Eq. (2) without smoothing, of the class logits, on a raster over each picture.

        Args:
            rows: ``Tensor[R]``, int64, which of the N.
            size: (height, width) of the raster.
            order: ``"first"``: differentiable through the activations A alone; ``"second"``: through the weights
                dY/dA_k too.

        Returns:
            ``Tensor[R, height, width]``.
        """


class Detector(ABC):
    """A network that finds objects and can say on which features each of its numbers depends.

    Attributes:
        name: the name it was loaded by.
        model: the network; it is asked through copies that share its weights, see :meth:`private`.
        categories: class names, index 0 is the background.
        layers: names of the layers at which it can be explained, the default first.
        towers: modules that may be trained in half precision; what follows them, last layers and losses, may not.
    """

    name: str
    model: Any  # torch calls every attribute of a module a tensor or a module; families know better
    categories: tuple[str, ...]
    layers: tuple[str, ...]
    towers: tuple[nn.Module, ...]
    _weights: str = ""  # of a private copy: the hash of what it was made with

    @abstractmethod
    def make_trace(self, image: Tensor, layer: str) -> Trace:
        """One pass of the network that keeps what an explanation needs.

        It is called on a private copy of the detector, whose network is a twin in evaluation mode
        (:func:`make_twin`): hooks and whatever else it changes are gone afterwards.

        Args:
            image: ``Tensor[3, H, W]``, float in [0, 1], on any device.
            layer: one of :attr:`layers`.
        """

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        """One pass of the network on pictures ``Tensor[B, 3, H, W]`` of one size; called as :meth:`make_trace` is.

        This default takes one picture after another and passes no gradient; the detectors of this library run them in
        one batch and are differentiable with respect to the pictures.
        """
        with torch.no_grad():
            found = [self.make_trace(image, self.layers[0]).candidates for image in images]
        return [Predictions(candidates.boxes, candidates.class_probs) for candidates in found]

    def _pass(self, image: Tensor, layer: str | None) -> Trace:
        check_image(image)
        checks.kind("The layer", layer, (str, type(None)), f"one of {', '.join(self.layers)}, or None")
        if layer is not None and layer not in self.layers:
            raise ValueError(f"{self.name} has no layer {layer!r}: choose among {', '.join(self.layers)}.")
        trace = self.private().make_trace(leave_inference(image), layer or self.layers[0])
        # Another resize makes other predictions of the same numbers.
        seen = f"{trace.candidates.source}, seen at {trace.input_size[1]} x {trace.input_size[0]}"
        return replace(trace, candidates=replace(trace.candidates, source=seen))

    @record_gradients()
    def trace(self, image: Tensor, layer: str | None = None) -> Trace:
        """Run the network once and keep what an explanation needs.

        Args:
            image: ``Tensor[3, H, W]``, float in [0, 1], on any device.
            layer: one of :attr:`layers`; default the first.

        Raises:
            TypeError, ValueError: not an image, an unknown layer, or weights that are not finite.
        """
        return self._pass(image, layer)

    @record_gradients()
    def predict(self, images: Tensor) -> list[Predictions]:
        """Run the network on several pictures of one size, without keeping what an explanation needs.

        Args:
            images: ``Tensor[B, 3, H, W]``, float in [0, 1].

        Returns:
            What is predicted on each picture; with a gradient where the pictures have one, if the detector passes it.
        """
        return [one.single() for one in self.private().make_predictions(leave_inference(images))]

    @record_gradients()
    def detect(self, image: Tensor, score_threshold: float = 0.5, nms: NMS | None = None) -> Detections:
        """The objects in an image, best first; boxes in pixels of the image.

        Args:
            image: ``Tensor[3, H, W]``, float in [0, 1].
            score_threshold: least score, in [0, 1].
            nms: suppression of duplicates; default the detector's own.

        Returns:
            At most as many as the network's own limits allow, see :attr:`Trace.limits`.

        Raises:
            TypeError, ValueError: not an image, a threshold outside [0, 1], no function of suppression, or weights that
                are not finite.
        """
        check_threshold(score_threshold)
        check_nms(nms)
        with torch.no_grad():
            return self._pass(image, None).detections(score_threshold, nms)

    def private(self) -> Self:
        """The same detector on a twin of its network, see :func:`make_twin`.

        Raises:
            ValueError: weights that are not finite.
        """
        made = copy(self)
        made.model, made._weights = make_twin(self.model), hash_weights(self.model)
        return made

    def compute_losses(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], network: nn.Module | None = None
    ) -> tuple[dict[str, Tensor], Positives]:
        """One training pass of a batch: its losses by name, and the predictions that it assigned to true objects.

        Args:
            images: ``Tensor[3, H, W]`` each, where the network is.
            targets: ``boxes`` and ``labels`` of each, likewise.
            network: what is called, if not :attr:`model` itself: what wraps it to share gradients among processes.

        Raises:
            NotImplementedError: this detector's training assigns nothing.
        """
        raise NotImplementedError(
            f"{self.name} cannot be trained by Odam-Train: choose FCOS, RetinaNet or Faster R-CNN."
        )

    @property
    def device(self) -> torch.device:
        """Where the network's parameters lie."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format in which the network computes."""
        return next(self.model.parameters()).dtype

    def candidates(self, image: Tensor, predictions: Predictions, level: Tensor, index: Tensor) -> Detections:
        """All predictions on an image as detections of their best class, with their provenance ``[P]``."""
        boxes, scores, labels = predictions.best()
        self.refuse_infinite(predictions.class_probs, boxes.nan_to_num(torch.nan, 0, 0))
        return Detections(
            boxes=boxes.detach().float(),
            scores=scores.detach().float(),
            labels=labels,
            class_probs=predictions.class_probs.detach().float(),
            level=level,
            index=index,
            image_size=(image.shape[-2], image.shape[-1]),
            categories=self.categories,
            source=self.source(image),
        )

    def refuse_infinite(self, *made: Tensor) -> None:
        """Raise ``ValueError`` unless all numbers that the network made of a picture are finite."""
        if not all(one.isfinite().all() for one in made):
            advice = f"in {self.dtype} its activations may overflow, try model.float()"
            if self.dtype in (torch.float32, torch.float64):
                advice = "check how its pictures are normalised, its norms, and its weights"
            raise ValueError(f"{self.name} makes numbers of this picture that are not finite: {advice}.")

    def source(self, image: Tensor) -> str:
        """An identity of this detector and its weights together with this image's pixels.

        Raises:
            ValueError: weights that are not finite.
        """
        return f"{self.name} (weights {self._weights or hash_weights(self.model)}) on image {image_hash(image)}"


def image_hash(image: Tensor) -> str:
    """What tells the pixels of one image from those of another."""
    pixels = image.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.blake2b(pixels, digest_size=6).hexdigest()


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


def check_elongation(image_size: tuple[int, int], shortest: int, longest: int) -> None:
    """Refuse a picture of which the detector's resize would leave no pixel.

    Args:
        image_size: (height, width) in pixels.
        shortest: length that the resize gives the shorter side, unless
        longest: the longer side would then be longer than this.
    """
    scale = min(shortest / min(image_size), longest / max(image_size))
    if min(image_size) * scale < 1:
        raise ValueError(
            f"The picture of {image_size[1]} x {image_size[0]} pixels is too elongated: fitted into {longest} pixels, "
            "nothing is left of its short side. Crop it."
        )


def first_objects(targets: Sequence[dict[str, Tensor]]) -> Tensor:
    """The number of the first object of each picture, when all objects of a batch are counted on: ``Tensor[B]``."""
    counts = torch.tensor([len(target["labels"]) for target in targets], device=targets[0]["labels"].device)
    return counts.cumsum(dim=0) - counts


def iou_nms(iou_threshold: float) -> NMS:
    """Classical suppression within each class at a threshold of intersection over union."""
    return partial(nms, iou_threshold=iou_threshold)


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ... into a device.

    Raises:
        TypeError: neither a string nor a device.
        ValueError: unknown, or not on this machine.
    """
    checks.kind("The device", device, (str, torch.device), "auto, cpu or one this machine has")
    if device == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found if found is not None else torch.device("cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"The device {device!r} is not usable here: choose auto, cpu or one this machine has."
        ) from error
    return resolved
