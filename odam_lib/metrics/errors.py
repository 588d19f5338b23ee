"""What each detection is: right, or which kind of mistake (App. A.5.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.kernels import checks
from odam_lib.metrics.matching import match

VERDICTS = (
    "correct",
    "duplicate",
    "mislocalised",
    "misclassified",
    "mislocalised and misclassified",
    "background",
)
"""What a detection can be; each is exactly one of these."""
MISSED = "missed"
MODES = (*VERDICTS[1:], MISSED)
"""The kinds of mistakes."""


@dataclass(frozen=True, eq=False)
class Errors:
    """The verdict on each of N detections of one picture with M true objects.

    Attributes:
        verdicts: N indices into ``VERDICTS``, int64 ``Tensor[N]``.
        objects: int64 ``Tensor[N]``, the true object that each detection is compared with: the one it was matched with,
            or the one it overlaps most among those that its verdict speaks of; -1 for ``background``.
        overlaps: ``Tensor[N]``, its IoU with that object; for ``background`` the largest IoU with any.
        missed: bool ``Tensor[M]``, true objects with which no detection was matched.
    """

    verdicts: Tensor
    objects: Tensor
    overlaps: Tensor
    missed: Tensor

    def __len__(self) -> int:
        return len(self.verdicts)

    def names(self) -> list[str]:
        """The verdict on each detection in words."""
        return [VERDICTS[verdict] for verdict in self.verdicts.tolist()]

    def rows(self, verdict: str) -> Tensor:
        """The rows of the detections with a verdict, int64, in the detections' order.

        Raises:
            ValueError: there is no such verdict.
        """
        checks.kind("The verdict", verdict, str, f"one of {', '.join(VERDICTS)}")
        if verdict not in VERDICTS:
            raise ValueError(f"Unknown verdict {verdict!r}: choose one of {', '.join(VERDICTS)}.")
        return torch.nonzero(self.verdicts == VERDICTS.index(verdict)).flatten()

    def counts(self) -> dict[str, int]:
        """How many detections have each verdict, and how many objects were ``missed``."""
        each = {name: int((self.verdicts == place).sum()) for place, name in enumerate(VERDICTS)}
        return each | {MISSED: int(self.missed.sum())}


def classify_errors(
    detections: Detections, boxes: Tensor, labels: Tensor, least_iou: float = 0.5, background_iou: float = 0.1
) -> Errors:
    """Say of each detection whether it is right, and if not, what is wrong with it.

    The first rule that fits holds:

    1. ``correct``: matched one to one with an object of its class, IoU at least ``least_iou``, best IoU first;
    2. ``duplicate``: such an overlap with an object of its class that is taken by a better detection;
    3. ``misclassified``: such an overlap with an object of another class;
    4. ``mislocalised``: IoU at least ``background_iou`` with an object of its class;
    5. ``mislocalised and misclassified``: the same with an object of another class;
    6. ``background``: a smaller IoU with every object.

    Args:
        detections: N of one image.
        boxes: ``Tensor[M, 4]``, (x1, y1, x2, y2) in pixels, of the true objects.
        labels: ``Tensor[M]``, int64.
        least_iou: from which IoU on a box is good enough, in (0, 1].
        background_iou: from which IoU on a box has something to do with an object, in (0, ``least_iou``).

    Raises:
        TypeError: no ``Detections``, tensors or numbers.
        ValueError: the two IoUs are not in that order, or tensors of other shapes.
    """
    least_iou, background_iou = checks.number("least_iou", least_iou), checks.number("background_iou", background_iou)
    if not 0 < background_iou < least_iou <= 1:
        raise ValueError(
            f"The IoUs are background {background_iou} and good {least_iou}: give 0 < background < good <= 1."
        )
    matched = match(detections, boxes, labels, least_iou).cpu()
    # one object more that nothing overlaps, so that there is always one
    overlap = pad(box_iou(detections.boxes, boxes.to(detections.boxes)).cpu(), (0, 1))
    same = pad(detections.labels[:, None] == labels.to(detections.labels), (0, 1)).cpu()
    verdicts = torch.full((len(detections),), VERDICTS.index("background"))
    objects = torch.full((len(detections),), -1)
    rules = (  # a later one replaces what an earlier one found
        ("mislocalised and misclassified", background_iou, ~same),
        ("mislocalised", background_iou, same),
        ("misclassified", least_iou, ~same),
        ("duplicate", least_iou, same),
    )
    for verdict, enough, candidates in rules:
        best, chosen = (overlap * candidates).max(dim=1)
        verdicts[best >= enough] = VERDICTS.index(verdict)
        objects[best >= enough] = chosen[best >= enough]
    (taken,) = torch.nonzero(matched >= 0, as_tuple=True)
    verdicts[matched[taken]], objects[matched[taken]] = VERDICTS.index("correct"), taken
    overlaps = torch.where(objects >= 0, overlap.gather(1, objects.clamp(min=0)[:, None])[:, 0], overlap.amax(1))
    return Errors(verdicts, objects, overlaps.float(), matched < 0)


def judge_picture(detections: Detections, target: Mapping[str, Any]) -> tuple[Detections, Errors]:
    """:func:`classify_errors` with what a data set says of a picture.

    Args:
        detections: N of that picture.
        target: with ``boxes`` and ``labels``, perhaps ``ignored`` ``[K, 4]`` and ``ignored_labels`` ``[K]``.

    Returns:
        The detections and the verdict on each; without those that are wrong and lie by more than half in an ignored
        region of their class, as a crowd is one.
    """
    errors = classify_errors(detections, target["boxes"], target["labels"])
    if "ignored" not in target or not len(target["ignored"]):
        return detections, errors
    ignored = _lie_in(detections.to("cpu"), target["ignored"], target["ignored_labels"])
    rows = torch.nonzero((errors.verdicts == 0) | ~ignored).flatten()
    kept = (errors.verdicts[rows], errors.objects[rows], errors.overlaps[rows])
    return detections[rows.tolist()], Errors(*kept, errors.missed)


def _lie_in(detections: Detections, regions: Tensor, labels: Tensor) -> Tensor:
    """Whether more than half of each box lies in a region of its class, bool ``Tensor[N]``."""
    low = torch.maximum(detections.boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(detections.boxes[:, None, 2:], regions[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    own = (detections.boxes[:, 2:] - detections.boxes[:, :2]).prod(dim=1)
    return ((shared > own[:, None] / 2) & (detections.labels[:, None] == labels)).any(dim=1)
