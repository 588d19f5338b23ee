"""The contract between a detector and everything that explains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from odam_lib.detections import Detections, check_threshold
from odam_lib.detectors.identity import hash_image, hash_weights
from odam_lib.detectors.passes import find_accelerator, leave_inference, make_twin, record_gradients
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.trace import Predictions, Trace, check_nms
from odam_lib.images import check_image
from odam_lib.kernels import checks
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import NMS, nms


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


class Detector(ABC):
    """A network that finds objects and can say on which features each of its numbers depends.

    Attributes:
        name: the name it was loaded by.
        model: the network; it is asked through copies that share its weights, see :meth:`private`.
        categories: class names, index 0 is the background.
        layers: names of the layers at which it can be explained, the default first.
        file: of its weights, if a training of the user's left them.
        towers: modules that may be trained in half precision; what follows them, last layers and losses, may not.
    """

    name: str
    model: Any  # torch calls every attribute of a module a tensor or a module; families know better
    categories: tuple[str, ...]
    layers: tuple[str, ...]
    towers: tuple[nn.Module, ...]
    file: Path | None = None
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

    def choose_layer(self, layer: str | None) -> str:
        """The layer of a name, or the default one for ``None``.

        Raises:
            TypeError, ValueError: an unknown layer.
        """
        checks.kind("The layer", layer, (str, type(None)), f"one of {', '.join(self.layers)}, or None")
        if layer is not None and layer not in self.layers:
            raise ValueError(f"{self.name} has no layer {layer!r}: choose among {', '.join(self.layers)}.")
        return layer or self.layers[0]

    def _pass(self, image: Tensor, layer: str | None) -> Trace:
        check_image(image)
        trace = self.private().make_trace(leave_inference(image), self.choose_layer(layer))
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
        # A trace's own detector has been looked at: hundreds of masked pictures need no hash each.
        apart = self._apart() if self._weights else self.private()
        return [one.single() for one in apart.make_predictions(leave_inference(images))]

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
        made = self._apart()
        made._weights = hash_weights(self.model)
        return made

    def _apart(self) -> Self:
        made = copy(self)
        made.model = make_twin(self.model)
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
        return f"{self.name} (weights {self._weights or hash_weights(self.model)}) on image {hash_image(image)}"


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


def iou_nms(iou_threshold: float) -> NMS:
    """Classical suppression within each class at a threshold of intersection over union."""
    return partial(nms, iou_threshold=iou_threshold)


def check_detector(value: object) -> None:
    """Raise ``TypeError`` for what cannot be explained."""
    traces = callable(getattr(value, "trace", None))
    if traces and not isinstance(value, (type, Tensor, np.ndarray)):  # the last two have one of their own
        return
    give = "a detector, as load_detector or wrap returns"
    if isinstance(value, str):
        give = f"load_detector({value!r})"
    elif isinstance(value, nn.Module):
        give = "odam_lib.wrap(model)"
    raise TypeError(f"The detector is {checks.told(value)}: give {give}.")


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ... into a device.

    Raises:
        TypeError: neither a string nor a device.
        ValueError: unknown, or not on this machine.
    """
    checks.kind("The device", device, (str, torch.device), "auto, cpu or one this machine has")
    if device == "auto":
        return find_accelerator() or torch.device("cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"The device {device!r} is not usable here: choose auto, cpu or one this machine has."
        ) from error
    return resolved
