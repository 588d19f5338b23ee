"""YOLO by Ultralytics, recognised without importing it: what :func:`odam_lib.detectors.wrap.wrap` reads from them."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from torch import nn

from odam_lib.categories import choose_categories
from odam_lib.detectors.dfl_yolo import DflDetector
from odam_lib.detectors.hooks import is_named

NAMES = "Ultralytics' YOLO"
PACKAGE = "ultralytics"
WITH_OTHER_BOXES = ("OBB", "WorldDetect", "YOLOEDetect")
"""Heads that are derived from ``Detect`` but turn their boxes, or compare with embeddings of words."""
SUPPORTED = "those that can be wrapped have a Detect, Segment or Pose head (YOLOv3u, v5u, v6, v8 to v12, 26)"
IMAGE_SIZE = 640
"""``imgsz`` in the package's cfg/default.yaml, for a model that carries no arguments of its own."""


def recognises(model: nn.Module) -> bool:
    """Whether it is a network of the package, of any task, or the object in front of one."""
    return is_named(model, PACKAGE, "Model", "BaseModel", "DetectionModel")


def wrap_model(model: Any, name: str, categories: tuple[str, ...] | None, _: object = None) -> DflDetector:
    """The detector of a network or of the object in front of it.

    Raises:
        ValueError: the network's head is not one of those supported, or the network contradicts what was told.
    """
    network = model.model if is_named(model, PACKAGE, "Model") else model
    if not isinstance(network, nn.Module):
        raise ValueError(f"The model was exported to {network!r}, which has no gradients: load its .pt file.")
    if isinstance(network, nn.Sequential):
        raise ValueError("That is the list of a network's layers: give the network that holds it, or YOLO(...).")
    head = _find_head(network)
    channels = next(network.parameters()).shape[1]
    if channels != 3:
        raise ValueError(f"The model takes pictures of {channels} channels: only those for RGB can be wrapped.")
    strides = tuple(int(stride) for stride in head.stride.tolist())
    return DflDetector(
        name,
        network,
        choose_categories(categories, head.nc, _read_names(network, head.nc)),
        strides,
        _read_input_size(network, max(strides)),
    )


def _find_head(network: nn.Module) -> Any:
    layers = getattr(network, "model", None)
    head = layers[-1] if isinstance(layers, nn.Sequential) and len(layers) else None
    if head is None or not is_named(head, PACKAGE, "Detect") or is_named(head, PACKAGE, *WITH_OTHER_BOXES):
        kind = (
            type(network).__name__ if head is None else f"{type(network).__name__} with the head {type(head).__name__}"
        )
        raise ValueError(f"Of the models of Ultralytics a {kind} is not supported: {SUPPORTED}.")
    return head


def _read_names(network: nn.Module, number: int) -> tuple[str, ...] | None:
    """The names that the network carries, in the order of its classes."""
    names = getattr(network, "names", None)
    if names is None:
        return None
    listed = [names[label] for label in sorted(names)] if isinstance(names, Mapping) else list(names)
    if len(listed) != number:
        raise ValueError(f"The model predicts {number} classes, but its own names are {len(listed)}: set model.names.")
    return tuple(str(name) for name in listed)


def _read_input_size(network: nn.Module, stride: int) -> tuple[int, int]:
    """(height, width) into which pictures are fitted: the ``imgsz`` it was trained with, in whole strides."""
    arguments = getattr(network, "args", None)
    given = arguments.get("imgsz") if isinstance(arguments, Mapping) else getattr(arguments, "imgsz", None)
    sides = tuple(given) if isinstance(given, Sequence) else (given or IMAGE_SIZE,) * 2
    height, width = (max(1, ceil(side / stride)) * stride for side in (sides[0], sides[-1]))
    return height, width
