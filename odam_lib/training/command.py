"""The command line ``python -m odam_lib.training``, and what command lines of trainings share.

``torchrun --standalone --nproc-per-node 2 -m odam_lib.training ...`` trains by several processes.
"""

import argparse
import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from odam_lib.command import command
from odam_lib.datasets.arguments import add_dataset_arguments, name_drawn, open_parts_from
from odam_lib.datasets.cached import Cached
from odam_lib.datasets.pictures import Examples
from odam_lib.datasets.scenes import ShortcutScenes
from odam_lib.detectors.base import resolve_device
from odam_lib.detectors.trained import CHECKPOINT, SUFFIX, describe_detector
from odam_lib.detectors.weights import halve, save_weights
from odam_lib.files import output_folder
from odam_lib.metrics.detection import measure_ap
from odam_lib.training.detector import train_detector
from odam_lib.training.distributed import processes, rank, sum_over_processes
from odam_lib.training.runs import read_hours
from odam_lib.training.settings import SHORTCUT, DetectorSettings, TrainingSettings

S = TypeVar("S", bound=TrainingSettings)
TITLES = {"coco": "COCO", "voc": "VOC 2007", "crowdhuman": "CrowdHuman"}
"""Of published data, as cards call it."""


def parse_settings(kind: type[S], description: str | None, output: str, held_out: int) -> tuple[S, argparse.Namespace]:
    """The settings of a training by its command line, an option each, and the options beside them.

    If the data set is a setting, its options are those of
    :func:`~odam_lib.datasets.arguments.add_dataset_arguments`.

    Args:
        kind: the settings' class.
        description: of the command.
        output: folder of the run by default.
        held_out: how many held-out pictures by default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for setting in fields(kind):
        if setting.name == "dataset":
            add_dataset_arguments(parser, str(setting.default))
            continue
        flag = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(setting.default), default=setting.default, help=" ")
    parser.add_argument("--output", default=output, help="folder of the run; start again to resume")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--held-out", type=int, default=held_out, help="held-out pictures to measure on")
    arguments = parser.parse_args()
    chosen = {setting.name: getattr(arguments, setting.name) for setting in fields(kind)}
    if "dataset" in chosen:
        chosen["dataset"] = name_drawn(arguments)
    return kind(**chosen), arguments


def open_pictures(settings: DetectorSettings, options: argparse.Namespace) -> tuple[Examples, Examples]:
    """The pictures to train on and those to measure on.

    Args:
        settings: which data set, and how many of its pictures are learnt.
        options: beside the settings, from :func:`parse_settings`.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: see :func:`~odam_lib.datasets.opening.open_parts`.
    """
    if settings.dataset == SHORTCUT:
        if given := [name for name in ("root", "annotations", "setting") if getattr(options, name)]:
            raise ValueError(f"The data set 'shortcut' is drawn, always streets: leave out --{given[0]}.")
        return (
            ShortcutScenes("train", settings.number, "street", settings.size, settings.seed),
            ShortcutScenes("val", options.held_out, "street", settings.size),
        )
    return open_parts_from(options, settings.number, options.held_out, settings.size, settings.seed)


def draw_once(settings: TrainingSettings, scenes: Examples, folder: Path) -> Cached:
    """Training scenes, drawn by the first process into a file of the run's folder, where they are found next time.

    Raises:
        ValueError: the file holds another number of scenes.
    """
    path = folder / f"scenes-{settings.dataset}-{settings.size}-{settings.number}-{settings.seed}.pt"
    if rank() == 0:
        Cached(scenes, path)
    sum_over_processes(torch.zeros(1))  # the others wait until it is drawn
    return Cached(scenes, path)


def describe_training(
    program: str,
    settings: TrainingSettings,
    folder: Path,
    network: nn.Module,
    held_out: int,
    scores: Mapping[str, float],
) -> dict[str, Any]:
    """What the card of trained weights says.

    Args:
        program: the module that was run.
        settings: of the training.
        folder: of its run.
        network: what was trained.
        held_out: how many held-out pictures it was measured on.
        scores: what was measured.
    """
    return {
        "command": " ".join(["python -m", program, *settings.to_words()]),
        "data": _describe_pictures(settings, settings.number),
        "measured_on": f"{_describe_pictures(settings, held_out)}, held out",
        "seed": settings.seed,
        "hours": read_hours(folder),
        "hardware": f"{torch.get_num_threads()} threads, {next(network.parameters()).device.type}",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **{name: round(value, 4) for name, value in scores.items()},
    }


def _describe_pictures(settings: TrainingSettings, number: int) -> str:
    if settings.drawn:
        return f"{number} generated scenes ({settings.dataset}, {settings.size} px)"
    return f"{number} pictures of {TITLES.get(settings.dataset, settings.dataset)}"


def _refuse_finished(folder: Path, name: str) -> None:
    """Refuse to train where weights lie of which no training goes on: until its end they would be taken for its own."""
    weights = folder / f"{name}{SUFFIX}"
    if weights.exists() and not (folder / CHECKPOINT).exists():
        raise FileExistsError(
            f"{weights} is of an earlier training, whose {CHECKPOINT} is gone: choose another folder, or remove it."
        )


@command
def main() -> None:
    """Train a detector, measure AP on held-out pictures, and write weights, card and log."""
    settings, options = parse_settings(DetectorSettings, main.__doc__, "runs/training", 500)
    folder = output_folder(options.output)
    _refuse_finished(folder, settings.name)
    training, held_out = open_pictures(settings, options)
    with processes(resolve_device(options.device)) as device:
        if settings.drawn:
            training = draw_once(settings, training, folder)
        detector = train_detector(settings, training, folder, device)
        if rank() > 0:
            return
        detector.model.load_state_dict(halve(detector.model.state_dict()))  # what is measured is what is written
        scores = measure_ap(detector, (held_out[item] for item in range(len(held_out))))
        card = describe_training("odam_lib.training", settings, folder, detector.model, len(held_out), scores)
        places = {name: getattr(options, name) for name in ("root", "annotations")}
        card["command"] += "".join(f" --{name} {shlex.quote(path)}" for name, path in places.items() if path)
        card["measured_on"] += ", pycocotools"
        card |= describe_detector(detector, settings.detector)
        path = save_weights(detector, card, folder, settings.start, settings.frozen_modules)
        print(json.dumps(card, indent=2), f"\nwrote {path}, and --detector {shlex.quote(str(folder))} takes it")
