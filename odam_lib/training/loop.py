"""One training loop for every detector: killed at any moment and started again, it ends with the same weights.

``python -m odam_lib.training --help`` trains from the command line, ``torchrun --standalone --nproc-per-node 2 -m
odam_lib.training ...`` by several processes.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from odam_chapters.charts import draw_training_curves
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from odam_lib.command import command
from odam_lib.datasets.cached import Cached, Target
from odam_lib.datasets.crowdhuman import CrowdHuman
from odam_lib.datasets.scenes import CATEGORIES, SETTINGS, Scenes
from odam_lib.datasets.targets import check_examples
from odam_lib.detectors.base import Detector, Positives, resolve_device
from odam_lib.detectors.zoo import ARCHITECTURES, PEOPLE, load_detector, save_weights
from odam_lib.files import output_folder, owned, user_path, write_rows
from odam_lib.metrics.detection import detector_ap
from odam_lib.sealed import load_sealed, save_sealed
from odam_lib.training.distributed import processes, rank, summed, synchronize_norms, world_size
from odam_lib.training.odam_train import OdamTrain

DATASETS = ("mixed", *SETTINGS, "crowdhuman")
CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
STATE = ("settings", "step", "rows", "seconds", "model", "optimizer")
"""What a checkpoint holds."""
WARM_UP = 0.1
LOG_EVERY = 10


class Plan:
    """What the functions that trainings share read of their settings, which are dataclasses."""

    dataset: str
    number: int
    size: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return self.number // self.batch_size

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class Settings(Plan):
    """Everything that decides the weights.

    Attributes:
        detector: one of ``ARCHITECTURES``.
        dataset: a setting of the scenes (``street``, ``beach``, ``room``, ``crowd``, or ``mixed`` for the first three),
            or ``crowdhuman``.
        start: name of a bundled detector whose parameters are taken over where name and shape agree; empty for none.
        frozen: names of modules that stay as they start, separated by commas; their batch norms keep their statistics.
        number: training pictures.
        size: side of a scene in pixels.
        epochs: passes over them.
        batch_size: pictures a step, of all processes together.
        accumulate: parts that each process takes its share of a step in, one after another; losses are their mean.
        learning_rate: peak of the one-cycle schedule of AdamW.
        backbone_rate: factor on the learning rate of the backbone, where it starts from trained weights.
        clip: largest norm of the gradient; a larger one is scaled down to it.
        weight_decay: of AdamW.
        precision: ``float32``, or ``bfloat16`` for the detector's towers (losses stay in float32).
        odam_weight: of Odam-Train's loss beside the detector's own; 0 for none.
        odam_from: the share of all steps after which that loss begins: maps of a detector that finds nothing yet are
            noise, and separating them costs precision.
        odam_negatives, odam_order, odam_bound, odam_cap, odam_side: see :class:`OdamTrain`.
        seed: of the initial weights, the order and the flips.

    Raises:
        ValueError: which of them was wrong.
    """

    detector: str = "fcos"
    dataset: str = "mixed"
    start: str = ""
    frozen: str = ""
    number: int = 6000
    size: int = 256
    epochs: int = 10
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 2e-3
    backbone_rate: float = 1.0
    clip: float = 10.0
    weight_decay: float = 0.05
    precision: str = "bfloat16"
    odam_weight: float = 0.0
    odam_from: float = 0.0
    odam_negatives: str = OdamTrain.negatives
    odam_order: str = OdamTrain.order
    odam_bound: str = OdamTrain.bound
    odam_cap: int = OdamTrain.cap
    odam_side: int = OdamTrain.side
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("detector", tuple(ARCHITECTURES)), ("dataset", DATASETS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose among {', '.join(choices)}.")
        for name in ("number", "epochs", "batch_size", "accumulate", "learning_rate", "backbone_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: give a positive number.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}: give 0 for none, or a positive number.")
        if not 0 <= self.odam_weight < math.inf:
            raise ValueError(f"odam_weight is {self.odam_weight}: give 0 for no Odam-Train, or a positive number.")
        if not 0 <= self.odam_from < 1:
            raise ValueError(f"odam_from is {self.odam_from}: give a share of the training in [0, 1).")
        if self.number < self.batch_size:
            raise ValueError(f"{self.number} pictures do not fill a batch of {self.batch_size}: take more.")
        if self.batch_size % self.accumulate:
            raise ValueError(f"A batch of {self.batch_size} cannot be taken in {self.accumulate} equal parts.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}: give float32 or bfloat16.")
        if self.frozen and not self.start:
            raise ValueError(f"{self.frozen} would stay at random weights: give a start, or freeze nothing.")
        self.odam  # noqa: B018, refuses what it does not know

    @property
    def name(self) -> str:
        """What the trained detector is called."""
        group = self.dataset if self.dataset in ("crowd", "crowdhuman") else "scenes"
        return f"{self.detector}-{group}{'-odam' if self.odam_weight else ''}"

    @property
    def categories(self) -> tuple[str, ...]:
        """The class names of the data set, index 0 is the background."""
        return PEOPLE if self.dataset in ("crowd", "crowdhuman") else CATEGORIES

    @property
    def frozen_modules(self) -> tuple[str, ...]:
        """The names in ``frozen``."""
        return tuple(filter(None, self.frozen.split(",")))

    @property
    def odam(self) -> OdamTrain:
        """How heat maps are compared, if ``odam_weight`` is not 0."""
        options = {one.name: getattr(self, f"odam_{one.name}") for one in fields(OdamTrain)}
        return OdamTrain(**options)


def train(
    settings: Settings,
    dataset: Dataset[tuple[Tensor, Target]],
    folder: Path,
    device: str | torch.device = "auto",
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Detector:
    """Train a detector, or go on where an interrupted run of the same settings stopped.

    Every random choice derives from the seed and the number of the step, so that weights, optimiser and step number are
    the whole state. Leaves ``checkpoint.pt`` and ``log.csv`` in the folder. Within :func:`processes`, each process
    takes its share of every batch; what is drawn at random within a step (Odam-Train's choice among more than
    ``odam_cap`` positives, Faster R-CNN's samples) is then drawn by each alone.

    Args:
        settings: what to train and how.
        dataset: items ``(image, target)``; ``len(dataset) == settings.number``.
        folder: where the run's files lie.
        device: as for ``load_detector``.
        checkpoint_every: steps between checkpoints.
        progress: show a bar on stderr.

    Returns:
        The trained detector, in evaluation mode.

    Raises:
        ValueError: the folder holds a run of other settings, or the data set has another length or cannot be learnt
            from, see :func:`~odam_lib.datasets.targets.check_examples`.
        TypeError: items of the data set are of another kind.
        OSError: the folder cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
        NotImplementedError: Odam-Train, or several processes, with a detector that keeps no positives.
        FloatingPointError: a loss is not finite; names the images.
    """
    _check(settings, dataset)
    torch.manual_seed(settings.seed)
    detector = ARCHITECTURES[settings.detector](settings.name, settings.categories)
    if settings.start:
        _take_over(detector, load_detector(settings.start, "cpu"))
    model = detector.model.to(resolve_device(str(device))).train().requires_grad_(True)
    for name in settings.frozen_modules:
        model.get_submodule(name).eval().requires_grad_(False)
    if world_size() > 1:
        synchronize_norms(model)
    optimizer = torch.optim.AdamW(_groups(model, settings), lr=settings.learning_rate)
    run = Run(folder, settings)
    with ExitStack() as stack:
        stack.enter_context(run.owned())
        done = run.resume(model, optimizer)
        if settings.precision == "bfloat16":
            for tower in detector.towers:
                stack.callback(_HalfPrecision(tower).remove)
        learner = _Learner(settings, detector, optimizer)
        bar = stack.enter_context(
            tqdm(
                total=settings.steps, initial=done, desc=settings.name, unit="step", disable=not progress or rank() > 0
            )
        )
        for step, images, targets in batches(settings, dataset, done):
            losses = learner.step(step, images, targets)
            run.log(step, learning_rate(settings, step), losses)
            bar.update()
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            if rank() == 0 and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
                run.save(step + 1, model, optimizer)
    model.eval().requires_grad_(False)
    return detector


def _check(settings: Settings, dataset: Dataset[tuple[Tensor, Target]]) -> None:
    if len(dataset) != settings.number:  # type: ignore[arg-type]
        raise ValueError(f"The data set has {len(dataset)} items, the settings say {settings.number}.")  # type: ignore[arg-type]
    if settings.batch_size % (world_size() * settings.accumulate):
        raise ValueError(
            f"A batch of {settings.batch_size} cannot be shared by {world_size()} processes in {settings.accumulate} "
            "equal parts each: choose another batch_size."
        )
    check_examples(dataset, settings.categories)


def learning_rate(settings: Plan, step: int) -> float:
    """One cycle: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP * settings.steps))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, settings.steps - warm_up)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class _Learner:
    """Losses, gradients and steps; with several processes those of their common batch."""

    def __init__(self, settings: Settings, detector: Detector, optimizer: torch.optim.Optimizer) -> None:
        self.settings, self.optimizer = settings, optimizer
        self.model: nn.Module = detector.model
        self.trained = [parameter for parameter in detector.model.parameters() if parameter.requires_grad]
        self.device = detector.device
        self.detector = detector
        self.records = bool(settings.odam_weight) or world_size() > 1
        if world_size() > 1:
            places = [self.device] if self.device.type == "cuda" else None
            self.model = nn.parallel.DistributedDataParallel(detector.model, device_ids=places)

    def step(self, step: int, images: list[Tensor], targets: list[Target]) -> dict[str, float]:
        """One step of the optimiser; returns the losses of the common batch."""
        torch.manual_seed(self.settings.seed * self.settings.steps + step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step) * group["factor"]
        self.optimizer.zero_grad()
        parts, each = self.settings.accumulate, len(images) // self.settings.accumulate
        sums: dict[str, Tensor] = {}
        for part in range(parts):
            chosen = slice(part * each, (part + 1) * each)
            with nullcontext() if world_size() == 1 or part + 1 == parts else self.model.no_sync():  # type: ignore[operator]
                losses = self._losses(step, images[chosen], targets[chosen])
                total = sum(losses.values())
                refuse_infinite(step, total, losses, targets[chosen])
                (total / parts).backward()
            sums = {name: sums.get(name, 0) + value.detach() / parts for name, value in losses.items()}
        norm = nn.utils.clip_grad_norm_(self.trained, self.settings.clip)
        refuse_infinite(step, norm, {"norm of the gradient": norm}, targets)
        self.optimizer.step()
        means = summed(torch.stack(list(sums.values()))) / world_size()
        return dict(zip(sums, means.tolist()))

    def _losses(self, step: int, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Losses whose mean over the processes is the loss of their common batch."""
        placed = [{name: target[name].to(self.device) for name in ("boxes", "labels")} for target in targets]
        images = [image.to(self.device) for image in images]
        if not self.records:
            return self.model(images, placed)
        losses, positives = self.detector.compute_losses(images, placed, self.model)
        share = self._share(positives.divisor)
        losses = {name: value * share for name, value in losses.items()}
        return losses | self._odam(step, positives) if self.settings.odam_weight else losses

    def _odam(self, step: int, positives: Positives) -> dict[str, Tensor]:
        if step < self.settings.odam_from * self.settings.steps:
            nothing = torch.zeros((), device=self.device)
            return {"consistency": nothing, "separation": nothing}
        odam = self.settings.odam(positives)
        weight = self.settings.odam_weight / max(1, odam.pairs) * self._share(odam.pairs)
        return {"consistency": odam.consistency * weight, "separation": odam.separation * weight}

    def _share(self, divisor: int) -> float:
        """The factor on a mean over ``divisor`` things here that makes the mean of all processes the common one."""
        if world_size() == 1:
            return 1.0
        everywhere = summed(torch.tensor([float(divisor)], device=self.device)).item()
        return divisor * world_size() / max(1.0, everywhere)


def refuse_infinite(step: int, total: Tensor, losses: dict[str, Tensor], targets: list[Target]) -> None:
    """Stop a training whose numbers are spoiled.

    Args:
        step: number of the step.
        total: scalar that is finite if and only if all is well.
        losses: scalars by name, to be shown.
        targets: of the pictures that they were computed on.

    Raises:
        FloatingPointError: ``total`` is not finite; names the images.
    """
    if torch.isfinite(total):
        return
    ids = ", ".join(str(target["image_id"]) for target in targets)
    values = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
    raise FloatingPointError(f"The loss is not finite at step {step} ({values}); the images were {ids}.")


def batches(
    settings: Plan, dataset: Dataset[tuple[Tensor, Target]], done: int
) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
    """This process's share of every batch that is left: shuffled anew each epoch, half of the pictures mirrored.

    Order and flips derive from the seed and the epoch alone, so that a training which goes on sees what it would have.

    Args:
        settings: how many pictures a batch and how often.
        dataset: items ``(image [3, H, W], target)``.
        done: steps that were taken already.

    Yields:
        The number of the step, images and targets.
    """
    for epoch in range(done // settings.steps_per_epoch, settings.epochs):
        generator = torch.Generator().manual_seed(settings.seed * settings.epochs + epoch)
        order = torch.randperm(len(dataset), generator=generator)  # type: ignore[arg-type]
        flips = torch.rand(len(order), generator=generator) < 0.5
        first = epoch * settings.steps_per_epoch
        rows = order[: settings.steps_per_epoch * settings.batch_size].split(settings.batch_size)
        loader = DataLoader(
            _Flipped(dataset, flips),
            batch_sampler=[batch.tolist()[rank() :: world_size()] for batch in rows[max(0, done - first) :]],
            collate_fn=lambda items: tuple(map(list, zip(*items))),
        )
        for step, (images, targets) in enumerate(loader, start=max(done, first)):
            yield step, images, targets


class _Flipped(Dataset[tuple[Tensor, Target]]):
    """A data set with some of its images mirrored left to right."""

    def __init__(self, dataset: Dataset[tuple[Tensor, Target]], flips: Tensor) -> None:
        self.dataset, self.flips = dataset, flips

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        image, target = self.dataset[item]
        if not self.flips[item]:
            return image, target
        mirrored = target["boxes"].clone()
        mirrored[:, [0, 2]] = image.shape[-1] - target["boxes"][:, [2, 0]]
        return image.flip(-1), {**target, "boxes": mirrored}


class Run:
    """The files of one run: checkpoint and log.

    Args:
        folder: where they lie.
        settings: of the run, a dataclass.
    """

    def __init__(self, folder: Path, settings: Plan) -> None:
        self.settings = settings
        self.checkpoint, self.csv = user_path(folder) / CHECKPOINT, user_path(folder) / LOG
        self.rows: list[dict[str, float]] = []
        self.seconds, self.since = 0.0, time.monotonic()

    def owned(self) -> AbstractContextManager[None]:
        """No other run may write to the folder while this lasts; of several processes the first one writes."""
        return owned(self.checkpoint) if rank() == 0 else nullcontext()

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load the last checkpoint if there is one; returns the number of steps done.

        Raises:
            ValueError: it is damaged, or of a run with other settings; names them.
        """
        if not self.checkpoint.exists():
            return 0
        state = load_sealed(self.checkpoint, STATE, next(model.parameters()).device)
        ours, theirs = asdict(self.settings), state["settings"]
        changed = [
            f"{name} {theirs.get(name)} instead of {ours.get(name)}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]
        if changed:
            raise ValueError(
                f"{self.checkpoint} is of another run ({'; '.join(changed)}): choose another folder or delete it."
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.rows, self.seconds = state["rows"], state["seconds"]
        if rank() == 0:
            self._write_log()  # a run may have been stopped between its two files
        return state["step"]

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write what is needed to go on after so many steps, and the log; each whole or not at all."""
        self.seconds, self.since = self.seconds + time.monotonic() - self.since, time.monotonic()
        state = {"settings": asdict(self.settings), "step": step, "rows": self.rows, "seconds": self.seconds}
        save_sealed(state | {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, self.checkpoint)
        self._write_log()

    def _write_log(self) -> None:
        write_rows(self.csv, self.rows)

    def log(self, step: int, rate: float, losses: dict[str, float]) -> None:
        """Keep the losses of every tenth step for the log."""
        if step % LOG_EVERY == 0:
            self.rows.append({"step": step, "epoch": step / self.settings.steps_per_epoch, "lr": rate, **losses})


def _take_over(detector: Detector, start: Detector) -> None:
    """Copy the parameters of another detector that have the same name and shape."""
    ours, theirs = detector.model.state_dict(), start.model.state_dict()
    shared = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    if not shared:
        raise ValueError(
            f"{start.name} shares no parameter with {detector.name}: start from another one, or from none."
        )
    detector.model.load_state_dict(shared, strict=False)


def _groups(model: nn.Module, settings: Settings) -> list[dict[str, object]]:
    """Parameter groups: decay for kernels, none for biases and norms; the backbone at its own rate."""
    named = list(model.named_parameters())
    return [
        {
            "params": [
                parameter
                for name, parameter in named
                if parameter.requires_grad
                and (parameter.dim() > 1) == kernels
                and name.startswith("backbone.") == backbone
            ],
            "weight_decay": settings.weight_decay if kernels else 0.0,
            "factor": settings.backbone_rate if backbone else 1.0,
        }
        for kernels in (True, False)
        for backbone in (True, False)
    ]


class _HalfPrecision:
    """Run a module in bfloat16, with float32 before and after it, until removed."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.forward = module, module.forward
        module.forward = self._forward  # type: ignore[method-assign]

    def _forward(self, *inputs: Tensor, **options: object) -> Tensor | dict[str, Tensor]:
        with torch.autocast(inputs[0].device.type, dtype=torch.bfloat16):
            output = self.forward(*inputs, **options)
        return output.float() if isinstance(output, Tensor) else {name: value.float() for name, value in output.items()}

    def remove(self) -> None:
        del self.module.forward  # its class's own is seen again


def pictures(settings: Plan, split: str, number: int, root: str | None) -> Dataset[tuple[Tensor, Target]]:
    """The first pictures of one split of the settings' data set.

    Args:
        settings: which data set.
        split: ``train`` or ``val``.
        number: how many.
        root: folder of a data set that is not generated.

    Raises:
        ValueError: it has fewer.
    """
    if settings.dataset != "crowdhuman":
        setting = None if settings.dataset == "mixed" else settings.dataset
        return Scenes(split, number, setting, settings.size, settings.seed if split == "train" else 0)
    found = CrowdHuman(root, split)
    if len(found) < number:
        raise ValueError(f"CrowdHuman's {split} split has {len(found)} pictures here, not {number}: ask for fewer.")
    return Subset(found, range(number))


@command
def main() -> None:
    """Train, measure AP on held-out pictures, and write weights, card, log and curves."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for setting in fields(Settings):
        flag = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(flag, type=setting.type, default=setting.default, help=" ")  # type: ignore[arg-type]
    parser.add_argument("--output", default="runs/training", help="folder of the run; start again to resume")
    parser.add_argument("--root", help="folder of a data set that is not generated")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--held-out", type=int, default=500, help="held-out pictures that AP is measured on")
    arguments = vars(parser.parse_args())
    settings = Settings(**{setting.name: arguments[setting.name] for setting in fields(Settings)})
    folder = output_folder(arguments["output"])
    training = pictures(settings, "train", settings.number, arguments["root"])
    held_out = pictures(settings, "val", arguments["held_out"], arguments["root"])
    with processes(resolve_device(arguments["device"])) as device:
        if settings.dataset != "crowdhuman":
            training = drawn_once(settings, training, folder)
        detector = train(settings, training, folder, device)
        if rank() == 0:
            _finish(settings, detector, held_out, folder)


def drawn_once(settings: Plan, scenes: Dataset[tuple[Tensor, Target]], folder: Path) -> Cached:
    """Training scenes, drawn by the first process into a file of the run's folder, where they are found next time.

    Raises:
        ValueError: the file holds another number of scenes.
    """
    path = folder / f"scenes-{settings.dataset}-{settings.size}-{settings.number}-{settings.seed}.pt"
    if rank() == 0:
        Cached(scenes, path)
    summed(torch.zeros(1))  # the others wait until it is drawn
    return Cached(scenes, path)


def _finish(settings: Settings, detector: Detector, held_out: Dataset[tuple[Tensor, Target]], folder: Path) -> None:
    scores = detector_ap(detector, (held_out[item] for item in range(len(held_out))))  # type: ignore[arg-type]
    changed = {one.name: getattr(settings, one.name) for one in fields(Settings)}
    if not settings.odam_weight:
        changed = {name: value for name, value in changed.items() if not name.startswith("odam_")}
    words = [f"--{name.replace('_', '-')} {value}" for name, value in changed.items() if value != ""]
    card = {
        "command": " ".join(["python -m odam_lib.training", *words]),
        "data": _description(settings, settings.number),
        "measured_on": f"{_description(settings, len(held_out))}, held out, pycocotools",  # type: ignore[arg-type]
        "seed": settings.seed,
        "hours": hours(folder),
        "hardware": f"{torch.get_num_threads()} threads, {detector.device.type}",
        "parameters": sum(parameter.numel() for parameter in detector.model.parameters()),
        **{name: round(value, 4) for name, value in scores.items()},
    }
    path = save_weights(detector, card, folder, settings.start, settings.frozen_modules)
    draw_training_curves(folder / LOG, folder / "curves.png")
    print(json.dumps(card, indent=2), f"\nwrote {path}")


def hours(folder: Path) -> float:
    """How long a run has trained, by its checkpoint."""
    return round(load_sealed(folder / CHECKPOINT, STATE)["seconds"] / 3600, 2)


def _description(settings: Settings, number: int) -> str:
    if settings.dataset == "crowdhuman":
        return f"{number} pictures of CrowdHuman"
    return f"{number} generated scenes ({settings.dataset}, {settings.size} px)"
