"""What a training left in its folder: weights and, in the card beside them, what it takes to make their detector."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from odam_lib.categories import BACKGROUND
from odam_lib.detectors.base import Detector
from odam_lib.detectors.weights import ANEW, read_card
from odam_lib.files import read_json, user_path
from odam_lib.kernels import checks

CHECKPOINT = "checkpoint.pt"
"""From which a training goes on."""
FORMAT = 1
"""Of what :func:`describe_detector` says; a later one, that says something else, has a larger number."""
SUFFIX = ".safetensors"
_SUPPRESSION = {"score_thresh": "[0, 1]", "nms_thresh": "[0, 1]"}
INFERENCE = {
    **dict.fromkeys(("transform.min_size", "transform.max_size", "transform.image_std"), "(0, inf)"),
    "transform.image_mean": "(-inf, inf)",
    **{f"{part}{name}": span for part in ("", "roi_heads.", "rpn.") for name, span in _SUPPRESSION.items()},
    **dict.fromkeys(("topk_candidates", "detections_per_img", "roi_heads.detections_per_img"), "[1, inf)"),
}
"""Attributes of a network, where it has them, that say how large it sees pictures and which scores it lets pass."""


@dataclass(frozen=True)
class Trained:
    """A detector that a training left.

    Attributes:
        file: of the weights.
        architecture: what was trained, by its name for ``odam_lib.training``.
        categories: class names, index 0 is the background.
        inference: values by the names of ``INFERENCE``.
    """

    file: Path
    architecture: str
    categories: tuple[str, ...]
    inference: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's and that of the weights: two runs that are compared may have weights of the same name."""
        return f"{self.file.parent.name}/{self.file.stem}"

    def apply(self, model: Any) -> None:
        """Let a network see pictures and scores as the one that was trained does.

        Raises:
            ValueError: it has no such setting, or the value is none.
        """
        for name, value in self.inference.items():
            try:
                part, attribute = _locate(model, name)
                before, span = getattr(part, attribute), INFERENCE[name]
                _check_like(name, value, before, span)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{self.file.with_suffix('.json')} is damaged, its {name!r} cannot be {value!r}: {ANEW}."
                ) from error
            setattr(part, attribute, tuple(value) if isinstance(before, tuple) else value)


def describe_detector(detector: Detector, architecture: str) -> dict[str, Any]:
    """What a card has to say for :func:`read_run`.

    Args:
        detector: that was trained.
        architecture: its name for ``odam_lib.training``.
    """
    found = {}
    for name in INFERENCE:
        with suppress(AttributeError):  # not every network has it
            found[name] = getattr(*_locate(detector.model, name))
    categories = list(detector.categories)
    return {"format": FORMAT, "architecture": architecture, "categories": categories, "inference": found}


def is_path(name: str | Path) -> bool:
    """Whether a detector is asked for by a path, be something there or not."""
    if isinstance(name, Path) or any(mark in name for mark in "/\\"):
        return True
    return bool(name) and os.path.exists(user_path(name))


def read_run(path: str | Path) -> Trained:
    """What a training left.

    Args:
        path: its folder, or the file of weights there.

    Raises:
        FileNotFoundError: nothing is there, no weights, or no card beside them.
        ValueError: the training has not ended, the folder holds weights of several, or the card is damaged, says too
            little or is of a newer version.
    """
    file = Path(os.path.abspath(_find_weights(user_path(path))))
    card = file.with_suffix(".json")
    if not card.is_file():
        raise FileNotFoundError(
            f"{file} has no card {card.name} beside it, which says what detector it is of: give the folder of a run of "
            "odam_lib.training, or load weights of other origin into their own model and wrap it."
        )
    number = read_json(card, ANEW).get("format")
    if isinstance(number, int) and number > FORMAT:  # before what else it says is read
        raise ValueError(
            f"{card} is of the format {number}, and this version of odam_lib knows {FORMAT}: install a newer one."
        )
    about = read_card(file)
    if missing := [key for key in ("format", "architecture", "categories", "inference") if key not in about]:
        raise ValueError(f"{card} does not say {missing[0]!r}, as those of older versions do not: {ANEW}.")
    names = tuple(about["categories"])
    if len(names) < 2 or names[0] != BACKGROUND:
        raise ValueError(f"{card} is damaged, its categories are {list(names)[:3]}: {ANEW}.")
    return Trained(file, about["architecture"], names, about["inference"])


def _find_weights(place: Path) -> Path:
    if not os.path.exists(place):
        raise FileNotFoundError(f"There is no folder or file {place} to read a detector from: check the path.")
    if place.is_file():
        if place.suffix != SUFFIX:
            raise ValueError(f"{place} is no file of weights: give the folder of a training, or the {SUFFIX} in it.")
        return place
    if (place / "config.json").is_file():
        raise ValueError(f"{place} holds a model of transformers: give 'hf:{place}'.")
    found = sorted(place.glob(f"*{SUFFIX}"))
    if len(found) > 1:
        listed = ", ".join(path.name for path in found[:3])
        raise ValueError(f"{place} holds the weights of several trainings ({listed}): give the path of one of them.")
    if not found and (place / CHECKPOINT).is_file():
        raise ValueError(
            f"The training in {place} has not ended, there is a checkpoint and no weights: start it again, it goes on."
        )
    if not found:
        raise FileNotFoundError(
            f"There are no weights in {place}: give a folder in which a run of odam_lib.training has ended."
        )
    return found[0]


def _locate(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that has an attribute of ``INFERENCE``, and the attribute's name there."""
    owner, _, attribute = name.rpartition(".")
    return model.get_submodule(owner), attribute


def _check_like(name: str, value: Any, before: Any, span: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless a value is of the kind of another one and within its bounds."""
    if isinstance(before, (list, tuple)):
        if not isinstance(value, list) or not value:
            raise TypeError(f"{name} is no list.")
        for one in value:
            checks.number(name, one, span)
        return
    checks.number(name, value, span)
    if isinstance(before, int) and not isinstance(value, int):
        raise TypeError(f"{name} is no whole number.")
