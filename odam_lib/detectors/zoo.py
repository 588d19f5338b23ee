"""Detectors by name: bundled ones work without a network, published ones are fetched and checked by hash.

``python -m odam_lib.detectors.zoo`` lists them.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.models.detection import FCOS, RetinaNet

from odam_lib.categories import COCO, PEOPLE, SCENES
from odam_lib.command import command
from odam_lib.detectors import detr
from odam_lib.detectors.backbones import make_small_pvt
from odam_lib.detectors.base import Detector, resolve_device
from odam_lib.detectors.faster_rcnn import build_small_faster_rcnn
from odam_lib.detectors.fcos import build_small_fcos
from odam_lib.detectors.hub import load_hub
from odam_lib.detectors.of_torchvision import build_on_pvt, build_torchvision, load_torchvision
from odam_lib.detectors.retinanet import build_small_retinanet
from odam_lib.detectors.trained import is_path, read_run
from odam_lib.detectors.weights import ANEW, RESTORE, fetch_published, load_weights, read_card
from odam_lib.detectors.yolo import build_yolov3_tiny
from odam_lib.kernels import checks

Build = Callable[[str, tuple[str, ...]], Detector]


@dataclass(frozen=True)
class Bundled:
    """A detector trained on scenes, or on scenes of crowds, with its weights under ``data/weights``."""

    build: Build
    categories: tuple[str, ...] = SCENES


@dataclass(frozen=True)
class Published:
    """A detector trained on COCO whose weights others publish.

    Attributes:
        build: makes it without weights.
        url: address of the weights; its name ends with the beginning of their sha256.
        source: who publishes them.
        parameters: how many it has.
        ap: average precision on COCO val2017 as they state it.
        convert: from what the file holds to the state of our model.
        categories: class names.
    """

    build: Build
    url: str
    source: str
    parameters: int
    ap: float
    convert: Callable[[Any], dict[str, Tensor]] = dict
    categories: tuple[str, ...] = COCO


@dataclass(frozen=True)
class Untrained:
    """An architecture for which nobody publishes a detector's weights: for measuring costs, or to train."""

    build: Build
    categories: tuple[str, ...] = COCO


def _describe_published(name: str) -> Published:
    weights = get_model_weights(name).DEFAULT
    ap = weights.meta["_metrics"]["COCO-val2017"]["box_map"]
    build = partial(build_torchvision, name)
    return Published(build, weights.url, f"torchvision {weights.name}", weights.meta["num_params"], ap)


ZOO: dict[str, Bundled | Published | Untrained] = {
    "fcos-scenes": Bundled(build_small_fcos),
    "retinanet-scenes": Bundled(build_small_retinanet),
    "faster-rcnn-scenes": Bundled(build_small_faster_rcnn),
    "detr-scenes": Bundled(detr.build_small_detr),
    "retinanet-pvt-scenes": Bundled(partial(build_small_retinanet, make_backbone=make_small_pvt)),
    "fcos-groupnorm-scenes": Bundled(partial(build_small_fcos, group_norm=True)),
    "fcos-scenes-odam": Bundled(build_small_fcos),
    "fcos-shortcut": Bundled(build_small_fcos),
    "fcos-crowd": Bundled(build_small_fcos, PEOPLE),
    "fcos-crowd-odam": Bundled(build_small_fcos, PEOPLE),
    "faster-rcnn-crowd": Bundled(build_small_faster_rcnn, PEOPLE),
    "faster-rcnn-crowd-odam": Bundled(build_small_faster_rcnn, PEOPLE),
    "yolov3-tiny": Bundled(build_yolov3_tiny, COCO),
    "fcos_resnet50_fpn": _describe_published("fcos_resnet50_fpn"),
    "retinanet_resnet50_fpn": _describe_published("retinanet_resnet50_fpn"),
    "fasterrcnn_resnet50_fpn": _describe_published("fasterrcnn_resnet50_fpn"),
    "fasterrcnn_mobilenet_v3_large_fpn": _describe_published("fasterrcnn_mobilenet_v3_large_fpn"),
    "fasterrcnn_mobilenet_v3_large_320_fpn": _describe_published("fasterrcnn_mobilenet_v3_large_320_fpn"),
    "detr_resnet50": Published(
        detr.build_full_detr, detr.PUBLISHED, "facebookresearch/detr", 41_524_768, 42.0, detr.convert_published
    ),
    "fcos_pvt_v2_b0_fpn": Untrained(partial(build_on_pvt, FCOS)),
    "retinanet_pvt_v2_b0_fpn": Untrained(partial(build_on_pvt, RetinaNet)),
}

ARCHITECTURES: dict[str, Build] = {
    name.removesuffix("-scenes"): entry.build
    for name, entry in ZOO.items()
    if name.endswith("-scenes") or not isinstance(entry, Bundled)
}
"""What can be trained, by name; YOLOv3-tiny comes without its loss."""

SOURCES: dict[str, Callable[[str], Detector]] = {"torchvision": load_torchvision, "hf": load_hub}
"""What loads a published detector by the name that follows a prefix and a colon."""


def build_detector(name: str) -> Detector:
    """A detector with untrained weights.

    Raises:
        TypeError: the name is no string.
        ValueError: it is unknown.
    """
    checks.kind("The name of a detector", name, str, "one of python -m odam_lib.detectors.zoo")
    if name not in ZOO:
        raise ValueError(f"Unknown detector {name!r}: choose among {', '.join(ZOO)}.")
    return _make(ZOO[name].build, name, ZOO[name].categories)


def load_detector(name: str | Path, device: str = "auto") -> Detector:
    """A trained detector, ready to detect and to be explained.

    Args:
        name: a key of ``ZOO``, of which those ending in ``-scenes`` are bundled and the others published;
            ``torchvision:NAME``, a detector of torchvision by the name of its builder; ``hf:`` and the
            ``owner/name`` of a published model of transformers, or the folder of one; or, of a detector that
            ``python -m odam_lib.training`` trained, the folder of the run, or the file of weights there.
        device: ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ...

    Raises:
        TypeError: the name is no string or path, or the device neither a string nor a device.
        ValueError: unknown name or device, weights whose hash is not the expected one, a name without weights, or the
            folder of a run that has not ended, see :func:`~odam_lib.detectors.trained.read_run`.
        FileNotFoundError: weights that are neither here nor to be had; says which file to put where.
    """
    checks.kind("The name of a detector", name, (str, Path), "one of python -m odam_lib.detectors.zoo, or a path")
    place = resolve_device(device)
    prefix, _, rest = str(name).partition(":")
    if rest and prefix in SOURCES:
        detector = SOURCES[prefix](rest)
    elif name not in ZOO and is_path(name):
        detector = _load_trained(name)
    else:
        detector = _load_named(str(name))
    detector.model.to(place)
    return detector


def _make(build: Build, name: str, categories: tuple[str, ...]) -> Detector:
    detector = build(name, categories)
    detector.model.eval().requires_grad_(False)
    return detector


def _load_named(name: str) -> Detector:
    if name not in ZOO:
        raise ValueError(f"Unknown detector {name!r}: choose among {', '.join(ZOO)}, or give the folder of a training.")
    detector, entry = build_detector(name), ZOO[name]
    if isinstance(entry, Untrained):
        raise ValueError(
            f"Nobody publishes weights of a detector {name}: take one of the other names, or "
            f"build_detector({name!r}) and train it."
        )
    state = load_weights(name) if isinstance(entry, Bundled) else entry.convert(fetch_published(entry.url))
    _fill(detector, state, RESTORE)
    return detector


def _load_trained(path: str | Path) -> Detector:
    run = read_run(path)
    if run.architecture not in ARCHITECTURES:
        raise ValueError(
            f"{run.file} are weights of a detector {run.architecture!r}, which this version does not know: it knows "
            f"{', '.join(ARCHITECTURES)}."
        )
    state = load_weights(run.file)
    detector = _make(ARCHITECTURES[run.architecture], run.name, run.categories)
    detector.file = run.file
    _fill(detector, state, ANEW)
    run.apply(detector.model)
    return detector


def _fill(detector: Detector, state: dict[str, Tensor], remedy: str) -> None:
    try:
        detector.model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"The weights of {detector.file or detector.name} are those of another network: {remedy}."
        ) from error


def format_table() -> str:
    """All names with the source of their weights, number of parameters and average precision, as text."""
    rows = [("name", "weights", "parameters", "AP50", "AP", "measured on")]
    for name, entry in ZOO.items():
        if isinstance(entry, Bundled):
            about = read_card(name, "AP", "AP50", "measured_on", "parameters")
            scores = (f"{100 * about['AP50']:.1f}", f"{100 * about['AP']:.1f}", about["measured_on"].split(",")[0])
            rows.append((name, "bundled", f"{about['parameters'] / 1e6:.1f} M", *scores))
        elif isinstance(entry, Published):
            rows.append((name, entry.source, f"{entry.parameters / 1e6:.1f} M", "", f"{entry.ap:.1f}", "COCO val2017"))
        else:
            rows.append((name, "none", "", "", "", ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows)


@command
def main() -> None:
    """List all detectors."""
    argparse.ArgumentParser(prog="python -m odam_lib.detectors.zoo", description=main.__doc__).parse_args()
    print(format_table())


if __name__ == "__main__":
    main()
