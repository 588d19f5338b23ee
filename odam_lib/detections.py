"""What a detector found, with the provenance that an explanation needs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image


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

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: int | slice | Sequence[int] | Tensor) -> "Detections":
        """Some rows, in the given order; one integer gives ``Detections`` of length one.

        Raises:
            IndexError: a row does not exist.
        """
        if isinstance(rows, int):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"Detection {rows} does not exist: there are {len(self)}, counted from 0.")
            rows = [rows]
        if not isinstance(rows, slice):
            rows = torch.as_tensor(rows, device=self.boxes.device)
            rows = rows if rows.dtype == torch.bool else rows.long()
        return replace(self, **{name: getattr(self, name)[rows] for name in _tensor_names()})

    def clipped(self) -> "Detections":
        """The same with boxes cut at the image's border."""
        return replace(self, boxes=clip_boxes_to_image(self.boxes, self.image_size))

    def names(self) -> list[str]:
        """The class name of each row."""
        return [self.categories[label] for label in self.labels.tolist()]

    def to(self, device: str | torch.device) -> "Detections":
        """The same on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _tensor_names()})

    def __repr__(self) -> str:
        listed = ", ".join(f"{name} {score:.2f}" for name, score in zip(self.names()[:8], self.scores.tolist()))
        more = ", ..." if len(self) > 8 else ""
        return f"Detections({len(self)}: {listed}{more})"


def check_threshold(score_threshold: float) -> None:
    """Raise ``ValueError`` for a score threshold outside [0, 1]."""
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"The score threshold is {score_threshold}: scores lie in [0, 1], choose one there.")


def _tensor_names() -> list[str]:
    return [field.name for field in fields(Detections) if field.type is Tensor]
