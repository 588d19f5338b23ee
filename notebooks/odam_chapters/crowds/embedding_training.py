"""Training of FeatureNMS's embeddings for a detector that stays as it is.

``python -m odam_chapters.crowds.embedding_training --help``; killed at any moment and started again, it ends with the
same weights.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.ops import box_iou
from tqdm import tqdm

from odam_chapters.charts import draw_training_curves
from odam_chapters.crowds.embeddings import (
    BETA,
    SIDE,
    EmbeddingHead,
    cells_of_positives,
    distances,
    margin_loss,
    pairs_of,
    weights_name,
)
from odam_lib.command import command
from odam_lib.datasets.cached import Target
from odam_lib.datasets.targets import check_examples
from odam_lib.detectors.base import Detector, Positives
from odam_lib.detectors.boxes import paired_iou
from odam_lib.detectors.faster_rcnn import FasterRCNNDetector
from odam_lib.detectors.zoo import PEOPLE, ZOO, load_detector, save_state, version
from odam_lib.files import output_folder
from odam_lib.training.loop import (
    LOG,
    Plan,
    Run,
    batches,
    drawn_once,
    hours,
    learning_rate,
    pictures,
    refuse_infinite,
)
from odam_lib.training.odam_train import at_most

DETECTORS = tuple(name for name, entry in ZOO.items() if entry.categories == PEOPLE)
LEAST_IOU = 0.5
"""Of a prediction's box with its object's, as a detection needs it to be counted as found."""
HARD = 0.5
"""IoU of two predictions' boxes over which classical suppression takes them for one."""


@dataclass(frozen=True)
class Settings(Plan):
    """Everything that decides the weights.

    Attributes:
        detector: a bundled detector of crowds.
        number: training pictures, generated crowds.
        size: their side in pixels.
        epochs: passes over them.
        batch_size: pictures a step.
        cap: positives a picture, chosen at random where there are more.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: of AdamW.
        seed: of the initial weights, the order, the flips and the choice of positives.

    Raises:
        ValueError: which of them was wrong.
    """

    detector: str = "fcos-crowd"
    number: int = 4000
    size: int = 256
    epochs: int = 2
    batch_size: int = 8
    cap: int = 100
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0

    dataset: ClassVar[str] = "crowd"

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(f"detector is {self.detector!r}: choose among {', '.join(DETECTORS)}.")
        for name in ("number", "epochs", "batch_size", "cap", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: give a positive number.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}: give 0 for none, or a positive number.")
        if self.number < self.batch_size:
            raise ValueError(f"{self.number} pictures do not fill a batch of {self.batch_size}: take more.")


def train(
    settings: Settings,
    detector: Detector,
    dataset: Dataset[tuple[Tensor, Target]],
    folder: Path,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> EmbeddingHead:
    """Train a head, or go on where an interrupted run of the same settings stopped.

    Every random choice derives from the seed and the number of the step. Leaves ``checkpoint.pt`` and ``log.csv`` in
    the folder, as :func:`odam_lib.training.loop.train` does.

    Args:
        settings: how.
        detector: the one that the settings name; it is not changed.
        dataset: items ``(image, target)``; ``len(dataset) == settings.number``.
        folder: where the run's files lie.
        checkpoint_every: steps between checkpoints.
        progress: show a bar on stderr.

    Raises:
        ValueError: the detector or the data set's length is not that of the settings, the data set cannot be learnt
            from, see :func:`~odam_lib.datasets.targets.check_examples`, or the folder holds a run of other settings.
        TypeError: items of the data set are of another kind.
        OSError: the folder cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
        FloatingPointError: the loss is not finite; names the images.
    """
    if detector.name != settings.detector:
        raise ValueError(f"The detector is {detector.name}, the settings say {settings.detector}: load that one.")
    if len(dataset) != settings.number:  # type: ignore[arg-type]
        raise ValueError(f"The data set has {len(dataset)} items, the settings say {settings.number}.")  # type: ignore[arg-type]
    check_examples(dataset, detector.categories)
    torch.manual_seed(settings.seed)
    head = EmbeddingHead(detector.model.backbone.out_channels * SIDE**2).to(detector.device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    run = Run(folder, settings)
    with run.owned(), observing(detector, settings.cap) as observe:
        done = run.resume(head, optimizer)
        bar = tqdm(total=settings.steps, initial=done, desc=settings.detector, unit="step", disable=not progress)
        for step, images, targets in batches(settings, dataset, done):
            torch.manual_seed(settings.seed * settings.steps + step)
            rate = learning_rate(settings, step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            seen = observe(images, targets)
            embeddings = head(seen.cells)
            loss = margin_loss(embeddings, seen.objects, seen.images, seen.boxes)
            # Without a pair the loss is finite whatever the embeddings are, and the gradient is not.
            refuse_infinite(step, loss + 0 * embeddings.detach().sum(), {"margin": loss}, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(step, rate, {"margin": loss.item()})
            bar.update()
            if (step + 1) % checkpoint_every == 0 or step + 1 == settings.steps:
                run.save(step + 1, head, optimizer)
        bar.close()
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


Observe = Callable[[Sequence[Tensor], Sequence[Target]], Seen]
"""images and targets of a batch -> the positives on them."""


@contextmanager
def observing(detector: Detector, cap: int) -> Iterator[Observe]:
    """While active, the detector runs as in training, for there it assigns predictions to objects; it learns nothing.

    Args:
        detector: in evaluation mode, to which it returns.
        cap: positives a picture, chosen at random from torch's global seed where there are more. Faster R-CNN draws
            as many among all proposals that were assigned to objects, and not only the few that its losses are of.
    """
    model = detector.model
    with ExitStack() as stack:
        stack.callback(model.eval)
        model.train().backbone.eval()  # its batch norms keep their statistics
        if isinstance(detector, FasterRCNNDetector):
            stack.enter_context(_positives_alone(model.roi_heads.fg_bg_sampler, cap))

        @torch.no_grad()
        def observe(images: Sequence[Tensor], targets: Sequence[Target]) -> Seen:
            placed = [{name: target[name].to(detector.device) for name in ("boxes", "labels")} for target in targets]
            _, positives = detector.compute_losses([image.to(detector.device) for image in images], placed)
            rows = _fitting(positives, images, targets)
            rows = rows[at_most(cap, positives.images[rows])]
            cells = cells_of_positives(positives, rows)
            return Seen(cells, positives.objects[rows], positives.images[rows], positives.boxes[rows])

        yield observe


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


@contextmanager
def _positives_alone(sampler: BalancedPositiveNegativeSampler, number: int) -> Iterator[None]:
    """While active, the sampler draws so many positives, and negatives only where these are fewer."""
    before = sampler.batch_size_per_image, sampler.positive_fraction
    sampler.batch_size_per_image, sampler.positive_fraction = number, 1.0
    try:
        yield
    finally:
        sampler.batch_size_per_image, sampler.positive_fraction = before


def shares(
    detector: Detector, head: EmbeddingHead, dataset: Dataset[tuple[Tensor, Target]], cap: int
) -> dict[str, float]:
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
    with observing(detector, cap) as observe:
        for item in range(len(dataset)):  # type: ignore[arg-type]
            torch.manual_seed(item)
            image, target = dataset[item]
            seen = observe([image], [target])
            pairs = pairs_of(seen.objects, seen.images, seen.boxes)
            iou = paired_iou(seen.boxes[pairs.first], seen.boxes[pairs.second])
            right = (distances(head(seen.cells), pairs) < BETA) == pairs.same
            rows.append(torch.stack([pairs.same, iou > HARD, right], dim=1).cpu())
    same, hard, right = torch.cat(rows).unbind(dim=1)
    groups = {"same": same, "different": ~same, "hard same": same & hard, "hard different": ~same & hard}
    return {name: float(right[group].float().mean()) for name, group in groups.items()}


@command
def main() -> None:
    """Train embeddings for a detector of crowds, measure them on held-out scenes, write weights, card, log, curves."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for setting in fields(Settings):
        flag = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(setting.default), default=setting.default, help=" ")
    parser.add_argument("--output", default="runs/embedding", help="folder of the run; start again to resume")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--held-out", type=int, default=200, help="held-out scenes that embeddings are measured on")
    arguments = vars(parser.parse_args())
    settings = Settings(**{setting.name: arguments[setting.name] for setting in fields(Settings)})
    folder = output_folder(arguments["output"])
    detector = load_detector(settings.detector, arguments["device"])
    embeds = version(settings.detector)
    held_out = pictures(settings, "val", arguments["held_out"], None)
    scenes = drawn_once(settings, pictures(settings, "train", settings.number, None), folder)
    head = train(settings, detector, scenes, folder)
    words = [f"--{name.replace('_', '-')} {value}" for name, value in asdict(settings).items()]
    about = {
        "command": " ".join(["python -m odam_chapters.crowds.embedding_training", *words]),
        "data": f"{settings.number} generated scenes (crowd, {settings.size} px)",
        "measured_on": f"{arguments['held_out']} generated scenes (crowd, {settings.size} px), held out",
        "seed": settings.seed,
        "hours": hours(folder),
        "hardware": f"{torch.get_num_threads()} threads, {detector.device.type}",
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        **{name: round(value, 4) for name, value in shares(detector, head, held_out, settings.cap).items()},
        "embeds": embeds,
    }
    path = save_state(weights_name(settings.detector), head.state_dict(), about, folder)
    draw_training_curves(folder / LOG, folder / "curves.png")
    print(json.dumps(about, indent=2), f"\nwrote {path}")


if __name__ == "__main__":
    main()
