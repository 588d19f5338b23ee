"""Training of FeatureNMS's embeddings for a detector that stays as it is.

``python -m odam_chapters.crowds.embedding_training --help``; killed at any moment and started again, it ends with the
same weights.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.ops import box_iou

from odam_chapters.charts import draw_training_curves
from odam_chapters.crowds.embeddings import (
    BETA,
    SIDE,
    EmbeddingHead,
    margin_loss,
    measure_distances,
    name_weights,
    pair_predictions,
    read_positive_cells,
)
from odam_lib.categories import PEOPLE
from odam_lib.command import command
from odam_lib.datasets.opening import open_parts
from odam_lib.datasets.pictures import Examples, Target
from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import measure_paired_iou
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.weights import read_version, save_state
from odam_lib.detectors.zoo import ZOO, load_detector
from odam_lib.files import output_folder
from odam_lib.training.command import describe_training, draw_once, parse_settings
from odam_lib.training.loop import check_dataset, train
from odam_lib.training.odam_train import choose_at_most
from odam_lib.training.runs import LOG
from odam_lib.training.settings import TrainingSettings

DETECTORS = tuple(name for name, entry in ZOO.items() if entry.categories == PEOPLE)
LEAST_IOU = 0.5
"""Of a prediction's box with its object's, as a detection needs it to be counted as found."""
HARD = 0.5
"""IoU of two predictions' boxes over which classical suppression takes them for one."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings(TrainingSettings):
    """Everything that decides the weights of a head.

    Attributes:
        detector: a bundled detector of crowds.
        cap: positives a picture, chosen at random where there are more.

    Raises:
        ValueError: which of them was wrong.
    """

    detector: str = "fcos-crowd"
    number: int = 4000
    epochs: int = 2
    batch_size: int = 8
    cap: int = 100
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(f"detector is {self.detector!r}: choose among {', '.join(DETECTORS)}.")
        super().__post_init__()
        self.refuse_nonpositive("cap")

    @property
    def name(self) -> str:
        return name_weights(self.detector)


def train_embeddings(
    settings: EmbeddingSettings,
    detector: Detector,
    dataset: Examples,
    folder: Path,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> EmbeddingHead:
    """Train a head, or go on where an interrupted run of the same settings stopped, see :mod:`odam_lib.training.loop`.

    Args:
        settings: how.
        detector: the one that the settings name; it is not changed.
        dataset: items ``(image, target)``; ``len(dataset) == settings.number``.
        folder: where the run's files lie.
        checkpoint_every: steps between checkpoints.
        progress: show a bar on stderr.

    Raises:
        ValueError, TypeError: the detector is not that of the settings, the data set is refused by
            :func:`~odam_lib.training.loop.check_dataset`, or the folder holds a run of other settings.
        OSError: the folder cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
        FloatingPointError: the loss or its gradient is not finite; names the images.
    """
    if detector.name != settings.detector:
        raise ValueError(f"The detector is {detector.name}, the settings say {settings.detector}: load that one.")
    check_dataset(settings, dataset, detector.categories)
    torch.manual_seed(settings.seed)
    head = EmbeddingHead(detector.model.backbone.out_channels * SIDE**2).to(detector.device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def compute_losses(_: int, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        seen = observe(detector, images, targets, settings.cap)
        return {"margin": margin_loss(head(seen.cells), seen.objects, seen.images, seen.boxes)}

    train(settings, dataset, folder, head, optimizer, compute_losses, checkpoint_every, progress)
    return head.requires_grad_(False)


class Seen(NamedTuple):
    """What a frozen detector makes of predictions whose objects are known.

    Attributes:
        cells: ``Tensor[N, K * 9]``, what a head reads.
        objects, images, boxes: of each, as :class:`Positives` has them.
    """

    cells: Tensor
    objects: Tensor
    images: Tensor
    boxes: Tensor


@torch.no_grad()
def observe(detector: Detector, images: Sequence[Tensor], targets: Sequence[Target], cap: int) -> Seen:
    """The positives of a batch, by the detector's own assignment; it learns nothing.

    Args:
        detector: in evaluation mode, to which it returns.
        images, targets: of the batch.
        cap: positives a picture, chosen at random from torch's global seed where there are more. Faster R-CNN draws
            as many among all proposals that were assigned to objects, and not only the few that its losses are of.
    """
    placed = [{name: target[name].to(detector.device) for name in ("boxes", "labels")} for target in targets]
    with _assigning(detector.model, cap):
        _, positives = detector.compute_losses([image.to(detector.device) for image in images], placed)
    rows = _fitting(positives, images, targets)
    rows = rows[choose_at_most(cap, positives.images[rows])]
    return Seen(
        read_positive_cells(positives, rows), positives.objects[rows], positives.images[rows], positives.boxes[rows]
    )


@contextmanager
def _assigning(model: nn.Module, cap: int) -> Iterator[None]:
    """While active, the model runs as in training, its backbone's norms excepted; a sampler draws positives first."""
    samplers = [model.roi_heads.fg_bg_sampler] if isinstance(model, FasterRCNN) else []
    before = [dict(vars(sampler)) for sampler in samplers]
    try:
        model.train().backbone.eval()
        for sampler in samplers:
            sampler.batch_size_per_image, sampler.positive_fraction = cap, 1.0
        yield
    finally:
        model.eval()
        for sampler, settings in zip(samplers, before):
            vars(sampler).update(settings)


def _fitting(positives: Positives, images: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
    """Rows of the positives whose predicted box is one of their own object: IoU from 0.5 on, and with no other more.

    In a crowd every tenth positive predicts the box of a neighbour of the object it was assigned to; which of the two
    it is of cannot be said.
    """
    sizes = positives.input_sizes.new_tensor([image.shape[-2:] for image in images])
    scales = (positives.input_sizes / sizes).flip(1).repeat(1, 2)
    truth = torch.cat([target["boxes"].to(scales) * scale for target, scale in zip(targets, scales)])
    owners = torch.arange(len(targets)).repeat_interleave(torch.tensor([len(target["boxes"]) for target in targets]))
    ious = box_iou(positives.boxes, truth) * (positives.images[:, None] == owners.to(truth.device))
    own = ious[torch.arange(len(positives)), positives.objects]
    # What is no number stays among them, for training has to stop at it.
    return torch.nonzero(~((own < LEAST_IOU) | (own[:, None] < ious).any(dim=1))).flatten()


def measure_shares(detector: Detector, head: EmbeddingHead, dataset: Examples, cap: int) -> dict[str, float]:
    """How often distances tell one object from two.

    Args:
        detector: whose positives are compared.
        head: trained for it.
        dataset: held-out items.
        cap: positives a picture.

    Returns:
        ``same``: the share of pairs of one object that lie at a distance under 1; ``different``: of pairs of two
        objects whose boxes overlap, those that do not; ``hard same`` and ``hard different``: of such pairs whose boxes
        have an IoU over 0.5. NaN where there is no such pair.
    """
    rows = []
    for item in range(len(dataset)):
        torch.manual_seed(item)
        image, target = dataset[item]
        seen = observe(detector, [image], [target], cap)
        pairs = pair_predictions(seen.objects, seen.images, seen.boxes)
        iou = measure_paired_iou(seen.boxes[pairs.first], seen.boxes[pairs.second])
        right = (measure_distances(head(seen.cells), pairs) < BETA) == pairs.same
        rows.append(torch.stack([pairs.same, iou > HARD, right], dim=1).cpu())
    same, hard, right = torch.cat(rows).unbind(dim=1)
    groups = {"same": same, "different": ~same, "hard same": same & hard, "hard different": ~same & hard}
    return {name: float(right[group].float().mean()) for name, group in groups.items()}


@command
def main() -> None:
    """Train embeddings for a detector of crowds, measure them on held-out scenes, write weights, card, log, curves."""
    settings, options = parse_settings(EmbeddingSettings, main.__doc__, "runs/embedding", 200)
    folder = output_folder(options.output)
    detector = load_detector(settings.detector, options.device)
    embeds = read_version(settings.detector)
    training, held_out = open_parts(
        settings.dataset, settings.number, options.held_out, size=settings.size, seed=settings.seed
    )
    scenes = draw_once(settings, training, folder)
    head = train_embeddings(settings, detector, scenes, folder)
    scores = measure_shares(detector, head, held_out, settings.cap)
    program = "odam_chapters.crowds.embedding_training"
    about = describe_training(program, settings, folder, head, len(held_out), scores) | {"embeds": embeds}
    path = save_state(settings.name, head.state_dict(), about, folder)
    draw_training_curves(folder / LOG, folder / "curves.png")
    print(json.dumps(about, indent=2), f"\nwrote {path}")


if __name__ == "__main__":
    main()
