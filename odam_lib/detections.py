"""What a detector found, with the provenance that an explanation needs."""

from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from odam_lib.kernels import checks


@dataclass(frozen=True, eq=False)
class Detections:
    """N predictions of one detector on one image.

    Attributes:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels of the image.
        scores: ``Tensor[N]``, final score of the prediction's label, in [0, 1]; Soft-NMS lowers it.
        labels: ``Tensor[N]``, int64 indices into ``categories``; 0 is the background.
        class_probs: ``Tensor[N, C]``, final score of every class.
        level: ``Tensor[N]``, int64, the feature level that made the prediction.
        index: ``Tensor[N]``, int64, the location, anchor, proposal or query within that level.
        image_size: (height, width) of the image in pixels.
        categories: the C class names.
        source: which detector and image these belong to; two different images never share it.

    Raises:
        TypeError, ValueError: an attribute of another type or shape.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    class_probs: Tensor
    level: Tensor
    index: Tensor
    image_size: tuple[int, int]
    categories: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        number = len(checks.tensor("boxes", self.boxes, "[N, 4]"))
        checks.tensor("scores", self.scores, f"[{number}]", "float")
        for name in ("labels", "level", "index"):
            checks.tensor(name, getattr(self, name), f"[{number}]", "int")
        classes = len(checks.names("categories", self.categories))
        checks.tensor("class_probs", self.class_probs, f"[{number}, {classes}]", "float")
        checks.size("image_size", self.image_size)
        checks.kind("source", self.source, str, "a string that no other detector and image share")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: checks.Rows) -> "Detections":
        """Some rows, in the given order; one integer gives ``Detections`` of length one.

        Args:
            rows: see :func:`odam_lib.kernels.checks.rows`.

        Raises:
            TypeError: no rows.
            IndexError: a row does not exist.
        """
        with torch.inference_mode(False):  # else gradients could not be asked for the rows
            chosen = checks.rows(rows, len(self)).to(self.boxes.device)
            return replace(self, **{name: getattr(self, name)[chosen] for name in _tensor_names()})

    def clipped(self) -> "Detections":
        """The same with boxes cut at the image's border."""
        return replace(self, boxes=clip_boxes_to_image(self.boxes, self.image_size))

    def names(self) -> list[str]:
        """The class name of each row."""
        return [self.categories[label] for label in self.labels.tolist()]

    def to(self, device: str | torch.device) -> "Detections":
        """The same on another device.

        Raises:
            TypeError: neither a string nor a device.
        """
        checks.kind("The device", device, (str, torch.device), "cpu or one this machine has")
        return replace(self, **{name: getattr(self, name).to(device) for name in _tensor_names()})

    def __getstate__(self) -> dict[str, Any]:
        return packed(self)

    def __repr__(self) -> str:
        listed = ", ".join(f"{name} {score:.2f}" for name, score in zip(self.names()[:8], self.scores.tolist()))
        more = ", ..." if len(self) > 8 else ""
        return f"Detections({len(self)}: {listed}{more})"


def check_threshold(score_threshold: float) -> float:
    """A score threshold as a number in [0, 1].

    Raises:
        TypeError: no number.
        ValueError: outside [0, 1].
    """
    return checks.number("The score threshold", score_threshold, "[0, 1]")


def check_detections(detections: object) -> None:
    """Raise ``TypeError`` for anything but :class:`Detections`: a detector's own result lacks where it came from."""
    if isinstance(detections, Detections):
        return
    give = "what detector.detect(image) returned"
    first = detections[0] if isinstance(detections, (list, tuple)) and detections else detections
    if isinstance(first, dict):
        give += "; odam_lib.wrap(model) makes a detector of the model that this result is of"
    elif isinstance(detections, Real):
        give += f", or score_threshold={detections} for all that is found over it"
    raise TypeError(f"The detections are {checks.told(detections)}: give {give}.")


def packed(value: Any) -> dict[str, Any]:
    """The attributes of a dataclass to be pickled or copied: a view of a larger tensor does not take that along."""

    def pack(one: Any) -> Any:
        if isinstance(one, tuple):
            return tuple(map(pack, one))
        larger = isinstance(one, Tensor) and one.untyped_storage().nbytes() > one.nbytes
        return one.clone() if larger else one

    return {name: pack(one) for name, one in vars(value).items()}


def _tensor_names() -> list[str]:
    return [field.name for field in fields(Detections) if field.type is Tensor]
