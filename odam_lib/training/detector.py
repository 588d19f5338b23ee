"""Training of a detector by its own losses and, if wanted, a term of the predictions that it assigned to objects."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from odam_lib.datasets.pictures import Examples, Target
from odam_lib.detectors.base import Detector, resolve_device
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.zoo import ARCHITECTURES, load_detector
from odam_lib.training.distributed import join_processes, share_of_mean, world_size
from odam_lib.training.loop import check_dataset, train
from odam_lib.training.settings import DetectorSettings


def train_detector(
    settings: DetectorSettings,
    dataset: Examples,
    folder: Path,
    device: str | torch.device = "auto",
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Detector:
    """Train a detector, or go on where an interrupted run of the same settings stopped, see :mod:`.loop`.

    Args:
        settings: what to train and how.
        dataset: items ``(image, target)``; ``len(dataset) == settings.number``. Its ``categories`` are the detector's
            unless the settings say them. All items are looked at first; an ``outline``, as of
            :func:`~odam_lib.datasets.pictures.outline`, spares decoding their pictures for it.
        folder: where the run's files lie.
        device: as for ``load_detector``.
        checkpoint_every: steps between checkpoints.
        progress: show a bar on stderr.

    Returns:
        The trained detector, in evaluation mode.

    Raises:
        ValueError, TypeError: the data set is refused by :func:`~odam_lib.training.loop.check_dataset`, or the folder
            holds a run of other settings.
        OSError: the folder cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
        NotImplementedError: Odam-Train, or several processes, with a detector that keeps no positives.
        FloatingPointError: a loss is not finite; names the images.
    """
    categories = settings.categories or tuple(getattr(dataset, "categories", ()))
    if not categories:
        raise TypeError(f"{type(dataset).__name__} has no categories: give it the names of its labels as that.")
    check_dataset(settings, dataset, categories)
    torch.manual_seed(settings.seed)
    detector = ARCHITECTURES[settings.detector](settings.name, categories)
    if settings.start:
        _take_over(detector, load_detector(settings.start, "cpu"))
    model = detector.model.to(resolve_device(str(device))).train().requires_grad_(True)
    for name in settings.frozen_modules:
        model.get_submodule(name).eval().requires_grad_(False)
    network = join_processes(model)
    optimizer = torch.optim.AdamW(_groups(model, settings))

    def compute_losses(step: int, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        placed = [{name: target[name].to(detector.device) for name in ("boxes", "labels")} for target in targets]
        images = [image.to(detector.device) for image in images]
        if not settings.odam_weight and world_size() == 1:
            return network(images, placed)
        losses, positives = detector.compute_losses(images, placed, network)
        share = share_of_mean(positives.divisor, detector.device)
        losses = {name: value * share for name, value in losses.items()}
        return losses | (weigh_odam(settings, step, positives) if settings.odam_weight else {})

    with ExitStack() as stack:
        if settings.precision == "bfloat16":
            for tower in detector.towers:
                stack.enter_context(_half_precision(tower))
        train(settings, dataset, folder, network, optimizer, compute_losses, checkpoint_every, progress)
    model.eval().requires_grad_(False)
    return detector


def weigh_odam(settings: DetectorSettings, step: int, positives: Positives) -> dict[str, Tensor]:
    """Odam-Train's two losses as a term of a detector's training, 0 before it begins and after it ends.

    Args:
        settings: of the training.
        step: number of the step.
        positives: of this process's share of the batch; the mean of all processes is the term of the common batch.
    """
    if not settings.odam_from <= step / settings.steps < settings.odam_until:
        nothing = torch.zeros((), device=positives.boxes.device)
        return {"consistency": nothing, "separation": nothing}
    loss = settings.odam(positives)
    weight = settings.odam_weight / max(1, loss.pairs) * share_of_mean(loss.pairs, positives.boxes.device)
    return {"consistency": loss.consistency * weight, "separation": loss.separation * weight}


def _take_over(detector: Detector, start: Detector) -> None:
    """Copy the parameters of another detector that have the same name and shape."""
    ours, theirs = detector.model.state_dict(), start.model.state_dict()
    shared = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    if not shared:
        raise ValueError(
            f"{start.name} shares no parameter with {detector.name}: start from another one, or from none."
        )
    detector.model.load_state_dict(shared, strict=False)


def _groups(model: nn.Module, settings: DetectorSettings) -> list[dict[str, object]]:
    """Parameter groups: decay for kernels, none for biases and norms; the backbone at its own rate."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {
            "params": [
                parameter
                for name, parameter in named
                if (parameter.dim() > 1) == kernels and name.startswith("backbone.") == backbone
            ],
            "weight_decay": settings.weight_decay if kernels else 0.0,
            "lr": settings.learning_rate * (settings.backbone_rate if backbone else 1.0),
        }
        for kernels in (True, False)
        for backbone in (True, False)
    ]


@contextmanager
def _half_precision(module: nn.Module) -> Iterator[None]:
    """While active, run a module in bfloat16, with float32 before and after it."""
    forward = module.forward

    def call(*inputs: Tensor, **options: object) -> Tensor | dict[str, Tensor]:
        with torch.autocast(inputs[0].device.type, dtype=torch.bfloat16):
            output = forward(*inputs, **options)
        return output.float() if isinstance(output, Tensor) else {name: value.float() for name, value in output.items()}

    module.__dict__["forward"] = call
    try:
        yield
    finally:
        del module.forward  # its class's own is seen again
