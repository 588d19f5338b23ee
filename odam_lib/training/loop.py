"""The loop of every training: killed at any moment and started again, it ends with the same weights.

Every random choice derives from the seed and the number of the step, so that weights, optimiser and step number are
the whole state.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from odam_lib.datasets.pictures import Examples, Target
from odam_lib.datasets.targets import check_examples
from odam_lib.training.distributed import rank, sum_over_processes, world_size
from odam_lib.training.runs import Run
from odam_lib.training.settings import TrainingSettings

WARM_UP = 0.1
"""The share of a training in which the learning rate rises."""

ComputeLosses = Callable[[int, list[Tensor], list[Target]], dict[str, Tensor]]
"""step, images, targets -> losses by name, scalars whose mean over the processes is the loss of their common batch."""


def train(
    settings: TrainingSettings,
    dataset: Examples,
    folder: Path,
    network: nn.Module,
    optimizer: Optimizer,
    compute_losses: ComputeLosses,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> None:
    """Train a network, or go on where an interrupted run of the same settings stopped.

    Leaves ``checkpoint.pt`` and ``log.csv`` in the folder. Within :func:`~odam_lib.training.distributed.processes`,
    each process takes its share of every batch; what is drawn at random within a step is then drawn by each alone.

    Args:
        settings: what decides the weights.
        dataset: items that passed :func:`check_dataset`.
        folder: where the run's files lie.
        network: what is trained, perhaps in a wrapper that shares its gradients among processes.
        optimizer: of its parameters, each group with the peak of its learning rate.
        compute_losses: the losses of a batch, whose sum is lowered.
        checkpoint_every: steps between checkpoints.
        progress: show a bar on stderr.

    Raises:
        ValueError: the folder holds a run of other settings.
        OSError: the folder cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
        FloatingPointError: a loss or a gradient is not finite; names the images.
    """
    model = network.module if isinstance(network, DistributedDataParallel) else network
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    peaks = [group["lr"] for group in optimizer.param_groups]
    run = Run(folder, settings)
    with run.own():
        done = run.resume(model, optimizer)
        for group, peak in zip(optimizer.param_groups, peaks):
            group["initial_lr"] = peak  # which a checkpoint need not hold
        schedule = LambdaLR(optimizer, partial(anneal, settings.steps), last_epoch=done - 1)
        hidden = not progress or rank() > 0
        with tqdm(total=settings.steps, initial=done, desc=settings.name, unit="step", disable=hidden) as bar:
            for step, images, targets in _batches(settings, dataset, done):
                torch.manual_seed(settings.seed * settings.steps + step)
                optimizer.zero_grad()
                losses = _accumulate(step, images, targets, network, compute_losses, settings.accumulate)
                norm = nn.utils.clip_grad_norm_(trained, settings.clip)
                _refuse_infinite(step, norm, {"norm of the gradient": norm}, targets)
                optimizer.step()
                schedule.step()
                means = sum_over_processes(torch.stack(list(losses.values()))) / world_size()
                shown = dict(zip(losses, means.tolist()))
                run.log(step, settings.learning_rate * anneal(settings.steps, step), shown)
                bar.update()
                bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()})
                if rank() == 0 and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
                    run.save(step + 1, model, optimizer)


def _accumulate(
    step: int,
    images: list[Tensor],
    targets: list[Target],
    network: nn.Module,
    compute_losses: ComputeLosses,
    parts: int,
) -> dict[str, Tensor]:
    """Add the gradients of a batch, taken in parts, to those of the parameters; returns the parts' mean losses."""
    each = len(images) // parts
    sums: dict[str, Tensor] = {}
    for part in range(parts):
        chosen = slice(part * each, (part + 1) * each)
        last = part + 1 == parts
        with network.no_sync() if isinstance(network, DistributedDataParallel) and not last else nullcontext():
            losses = compute_losses(step, images[chosen], targets[chosen])
            total = sum(losses.values(), torch.zeros(()))
            _refuse_infinite(step, total, losses, targets[chosen])
            (total / parts).backward()
        sums = {name: sums.get(name, 0) + value.detach() / parts for name, value in losses.items()}
    return sums


def anneal(steps: int, step: int) -> float:
    """The share of its peak that the learning rate has at a step: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def check_dataset(settings: TrainingSettings, dataset: Examples, categories: Sequence[str]) -> None:
    """Refuse a data set that a training cannot learn from, before anything is made.

    Args:
        settings: of the training.
        dataset: items ``(image, target)``.
        categories: class names, index 0 is the background.

    Raises:
        ValueError: it has another length than the settings say, or its batches cannot be shared, or see
            :func:`~odam_lib.datasets.targets.check_examples`.
        TypeError: items of the data set are of another kind.
    """
    if len(dataset) != settings.number:
        raise ValueError(f"The data set has {len(dataset)} items, the settings say {settings.number}.")
    if settings.batch_size % (world_size() * settings.accumulate):
        raise ValueError(
            f"A batch of {settings.batch_size} cannot be shared by {world_size()} processes in {settings.accumulate} "
            "equal parts each: choose another batch_size."
        )
    check_examples(dataset, categories)


def _refuse_infinite(step: int, total: Tensor, losses: dict[str, Tensor], targets: list[Target]) -> None:
    """Stop a training of which a total is not finite."""
    if torch.isfinite(total):
        return
    ids = ", ".join(str(target["image_id"]) for target in targets)
    values = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
    raise FloatingPointError(f"The loss is not finite at step {step} ({values}); the images were {ids}.")


def _batches(
    settings: TrainingSettings, dataset: Examples, done: int
) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
    """This process's share of every batch that is left: shuffled anew each epoch, half of the pictures mirrored."""
    for epoch in range(done // settings.steps_per_epoch, settings.epochs):
        generator = torch.Generator().manual_seed(settings.seed * settings.epochs + epoch)
        order = torch.randperm(len(dataset), generator=generator)
        flips = torch.rand(len(order), generator=generator) < 0.5
        first = epoch * settings.steps_per_epoch
        rows = order[: settings.steps_per_epoch * settings.batch_size].split(settings.batch_size)
        for step, batch in enumerate(rows[max(0, done - first) :], start=max(done, first)):
            items = [(dataset[item], bool(flips[item])) for item in batch.tolist()[rank() :: world_size()]]
            examples = [_mirror(*example) if flip else example for example, flip in items]
            yield step, [image for image, _ in examples], [target for _, target in examples]


def _mirror(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """An example from left to right."""
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[-1] - target["boxes"][:, [2, 0]]
    return image.flip(-1), {**target, "boxes": boxes}
