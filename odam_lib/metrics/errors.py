"""What kind of mistake each detection is, and which of its edges is wrong (App. A.5.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections, check_detections
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
    matched = match(detections, boxes, labels, least_iou)
    owner = torch.full((len(detections),), -1, dtype=torch.int64, device=detections.boxes.device)
    taken = torch.nonzero(matched >= 0).flatten()
    owner[matched[taken]] = taken
    overlap = box_iou(detections.boxes, boxes.to(detections.boxes))
    same = detections.labels[:, None] == labels.to(detections.labels)
    verdicts, objects, overlaps = [], [], []
    for row in range(len(detections)):
        verdict, chosen = _verdict(int(owner[row]), overlap[row], same[row], least_iou, background_iou)
        verdicts.append(VERDICTS.index(verdict))
        objects.append(chosen)
        overlaps.append(float(overlap[row, chosen]) if chosen >= 0 else max(overlap[row].tolist(), default=0.0))
    return Errors(
        torch.tensor(verdicts, dtype=torch.int64),
        torch.tensor(objects, dtype=torch.int64),
        torch.tensor(overlaps, dtype=torch.float32),
        (matched < 0).cpu(),
    )


def _verdict(owner: int, overlap: Tensor, same: Tensor, least: float, background: float) -> tuple[str, int]:
    """The verdict on one detection and the true object that it speaks of."""
    if owner >= 0:
        return "correct", owner
    rules = (
        ("duplicate", least, same),
        ("misclassified", least, ~same),
        ("mislocalised", background, same),
        ("mislocalised and misclassified", background, ~same),
    )
    for verdict, enough, candidates in rules:
        fitting = overlap * candidates
        if len(fitting) and float(fitting.max()) >= enough:
            return verdict, int(fitting.argmax())
    return "background", -1


def edge_deviations(boxes: Tensor, true_boxes: Tensor) -> Tensor:
    """How far each edge lies outside its true place.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        true_boxes: ``Tensor[N, 4]``, of the same objects.

    Returns:
        ``Tensor[N, 4]``: outward deviation of x1, y1, x2, y2 as a share of the true box's width or height; negative
        where the edge lies too far inwards.

    Raises:
        TypeError, ValueError: not such tensors.
    """
    checks.tensor("boxes", boxes, "[N, 4]", "float")
    checks.tensor("true boxes", true_boxes, f"[{len(boxes)}, 4]")
    sides = (true_boxes[:, 2:] - true_boxes[:, :2]).repeat(1, 2)
    return (boxes - true_boxes) * boxes.new_tensor([-1, -1, 1, 1]) / sides


def worst_and_best_edge(boxes: Tensor, true_boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The edge that is most wrong and the one that is least wrong, by relative deviation.

    Returns:
        Two int64 ``Tensor[N]``, indices into x1, y1, x2, y2; the first of equals. Arguments as for
        :func:`edge_deviations`.
    """
    sizes = edge_deviations(boxes, true_boxes).abs()
    return sizes.argmax(dim=1), sizes.argmin(dim=1)


def mended(
    detections: Detections, errors: Errors, others: Detections, their_errors: Errors, least_iou: float = 0.5
) -> Tensor:
    """Which mistakes are gone in another picture of the same scene.

    A mistake has stayed if some mistake there, of whatever kind, has the same label and an IoU of at least
    ``least_iou`` with it. A box of the right class that has become right is no mistake any more.

    Args:
        detections: N of the picture, with their ``errors``.
        others: of the other picture, with ``their_errors``.
        least_iou: from which IoU on two boxes are the same mistake.

    Returns:
        bool ``Tensor[N]``; false for what is ``correct``.

    Raises:
        TypeError, ValueError: no ``Detections`` or ``Errors``, or an IoU outside (0, 1].
    """
    for found in (detections, others):
        check_detections(found)
    for verdicts in (errors, their_errors):
        checks.kind("The errors", verdicts, Errors, "what classify_errors returned")
    least_iou = checks.number("The least IoU", least_iou, "(0, 1]")
    wrong = their_errors.verdicts != 0
    same = box_iou(detections.boxes, others.boxes) >= least_iou
    same &= detections.labels[:, None] == others.labels
    return (errors.verdicts != 0) & ~(same.cpu() & wrong).any(dim=1)
