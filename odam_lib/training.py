"""One training loop for every detector: killed at any moment and started again, it ends with the same weights.

``python -m odam_lib.training --help`` trains from the command line.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from odam_lib.charts import training_curves
from odam_lib.datasets.cached import Cached, Target
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector, resolve_device
from odam_lib.detectors.zoo import build_detector, load_detector, save_weights
from odam_lib.files import output_folder, write_whole
from odam_lib.metrics.detection import detector_ap

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
WARM_UP = 0.1
LOG_EVERY = 10


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights.

    Attributes:
        detector: name in the zoo.
        start: name of a bundled detector whose parameters are taken over where name and shape agree; empty for none.
        setting: setting of the scenes; ``mixed`` for street, beach and room.
        number: training scenes.
        size: side of a scene in pixels.
        epochs: passes over them.
        batch_size: scenes a step.
        learning_rate: peak of the one-cycle schedule of AdamW.
        backbone_rate: factor on the learning rate of the backbone, where it starts from trained weights.
        clip: largest norm of the gradient; a larger one is scaled down to it.
        weight_decay: of AdamW.
        precision: ``float32``, or ``bfloat16`` for the detector's towers (losses stay in float32).
        seed: of the initial weights, the order and the flips.
    """

    detector: str = "fcos-scenes"
    start: str = ""
    setting: str = "mixed"
    number: int = 6000
    size: int = 256
    epochs: int = 10
    batch_size: int = 16
    learning_rate: float = 2e-3
    backbone_rate: float = 1.0
    clip: float = 10.0
    weight_decay: float = 0.05
    precision: str = "bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("number", "epochs", "batch_size", "learning_rate", "backbone_rate", "clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a positive number.")
        if self.number < self.batch_size:
            raise ValueError(f"{self.number} scenes do not fill a batch of {self.batch_size}: draw more.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}: give float32 or bfloat16.")

    @property
    def steps_per_epoch(self) -> int:
        return self.number // self.batch_size

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


def train(
    settings: Settings,
    dataset: Dataset[tuple[Tensor, Target]],
    folder: Path,
    device: str = "auto",
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Detector:
    """Train a detector, or go on where an interrupted run of the same settings stopped.

    Every random choice derives from the seed and the number of the step, so that weights, optimiser and step number are
    the whole state. Leaves ``checkpoint.pt`` and ``log.csv`` in the folder.

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
        ValueError: the folder holds a run of other settings, or the data set has another length.
        FloatingPointError: a loss is not finite; names the images.
    """
    if len(dataset) != settings.number:  # type: ignore[arg-type]
        raise ValueError(f"The data set has {len(dataset)} items, the settings say {settings.number}.")
    torch.manual_seed(settings.seed)
    detector = build_detector(settings.detector)
    if settings.start:
        _take_over(detector, load_detector(settings.start, "cpu"))
    model = detector.model.to(resolve_device(device)).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(_groups(model, settings), lr=settings.learning_rate)
    run = _Run(folder, settings)
    done = run.resume(model, optimizer)
    handles = [_HalfPrecision(tower) for tower in detector.towers] if settings.precision == "bfloat16" else []
    with tqdm(total=settings.steps, initial=done, desc=settings.detector, unit="step", disable=not progress) as bar:
        for step, images, targets in _batches(settings, dataset, done):
            losses = _step(model, optimizer, settings, step, images, targets)
            run.log(step, learning_rate(settings, step), losses)
            bar.update()
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            if (step + 1) % checkpoint_every == 0 or step + 1 == settings.steps:
                run.save(step + 1, model, optimizer)
    for restore in handles:
        restore.remove()
    model.eval().requires_grad_(False)
    return detector


def learning_rate(settings: Settings, step: int) -> float:
    """One cycle: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP * settings.steps))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, settings.steps - warm_up)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    step: int,
    images: list[Tensor],
    targets: list[Target],
) -> dict[str, float]:
    torch.manual_seed(settings.seed * settings.steps + step)
    device = next(model.parameters()).device
    placed = [{name: target[name].to(device) for name in ("boxes", "labels")} for target in targets]
    losses: dict[str, Tensor] = model([image.to(device) for image in images], placed)
    total = sum(losses.values())
    if not torch.isfinite(total):
        ids = ", ".join(str(target["image_id"]) for target in targets)
        values = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
        raise FloatingPointError(f"The loss is not finite at step {step} ({values}); the images were {ids}.")
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step) * group["factor"]
    optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return {name: value.item() for name, value in losses.items()}


def _batches(
    settings: Settings, dataset: Dataset[tuple[Tensor, Target]], done: int
) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
    for epoch in range(done // settings.steps_per_epoch, settings.epochs):
        generator = torch.Generator().manual_seed(settings.seed * settings.epochs + epoch)
        order = torch.randperm(len(dataset), generator=generator)  # type: ignore[arg-type]
        flips = torch.rand(len(order), generator=generator) < 0.5
        first = epoch * settings.steps_per_epoch
        batches = order[: settings.steps_per_epoch * settings.batch_size].split(settings.batch_size)
        loader = DataLoader(
            _Flipped(dataset, flips),
            batch_sampler=[batch.tolist() for batch in batches[max(0, done - first) :]],
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


class _Run:
    """The files of one run: checkpoint and log."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.checkpoint, self.csv = folder / CHECKPOINT, folder / LOG
        self.rows: list[dict[str, float]] = []
        self.seconds, self.since = 0.0, time.monotonic()

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load the last checkpoint if there is one; returns the number of steps done."""
        if not self.checkpoint.is_file():
            return 0
        state = torch.load(self.checkpoint, weights_only=True, map_location=next(model.parameters()).device)
        ours = asdict(self.settings)
        changed = [
            f"{name} {state['settings'][name]} instead of {ours[name]}"
            for name in ours
            if state["settings"][name] != ours[name]
        ]
        if changed:
            raise ValueError(
                f"{self.checkpoint} is of another run ({'; '.join(changed)}): choose another folder or delete it."
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.rows, self.seconds = state["rows"], state["seconds"]
        return state["step"]

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.seconds, self.since = self.seconds + time.monotonic() - self.since, time.monotonic()
        state = {"settings": asdict(self.settings), "step": step, "rows": self.rows, "seconds": self.seconds}
        with write_whole(self.checkpoint) as aside:
            torch.save(state | {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, aside)
        with write_whole(self.csv) as aside, aside.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def log(self, step: int, rate: float, losses: dict[str, float]) -> None:
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
                if (parameter.dim() > 1) == kernels and name.startswith("backbone.") == backbone
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
        self.module.forward = self.forward  # type: ignore[method-assign]


def main() -> None:
    """Train on scenes, measure AP50 on held-out scenes, and write weights, card, log and curves."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for setting in fields(Settings):
        flag = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(flag, type=setting.type, default=setting.default, help=" ")  # type: ignore[arg-type]
    parser.add_argument("--output", default="runs/training", help="folder of the run; start again to resume")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--held-out", type=int, default=500, help="held-out scenes that AP50 is measured on")
    arguments = vars(parser.parse_args())
    settings = Settings(**{setting.name: arguments[setting.name] for setting in fields(Settings)})
    folder = output_folder(arguments["output"])
    setting = None if settings.setting == "mixed" else settings.setting
    scenes = Scenes("train", settings.number, setting, settings.size, settings.seed)
    cache = folder / f"scenes-{settings.setting}-{settings.size}-{settings.number}-{settings.seed}.pt"
    detector = train(settings, Cached(scenes, cache), folder, arguments["device"])
    scores = detector_ap(detector, Scenes("val", arguments["held_out"], setting, settings.size, seed=0))
    card = {
        "command": "python -m odam_lib.training "
        + " ".join(f"--{k.replace('_', '-')} {v}" for k, v in asdict(settings).items()),
        "data": f"{settings.number} generated scenes ({settings.setting}, {settings.size} px)",
        "measured_on": f"{arguments['held_out']} held-out scenes, pycocotools",
        "seed": settings.seed,
        "hours": round(torch.load(folder / CHECKPOINT, weights_only=True)["seconds"] / 3600, 2),
        "hardware": f"{torch.get_num_threads()} threads, {next(detector.model.parameters()).device.type}",
        "parameters": sum(parameter.numel() for parameter in detector.model.parameters()),
        **{name: round(value, 4) for name, value in scores.items()},
    }
    path = save_weights(detector, card, folder)
    training_curves(folder / LOG, folder / "curves.png")
    print(json.dumps(card, indent=2), f"\nwrote {path}")


if __name__ == "__main__":
    main()
