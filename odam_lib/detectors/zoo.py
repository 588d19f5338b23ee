"""Detectors by name: bundled ones work without a network, published ones are fetched and checked by hash.

``python -m odam_lib.detectors.zoo`` lists them.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torchvision.models import WeightsEnum
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    FasterRCNN_MobileNet_V3_Large_FPN_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    FCOS_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

from odam_lib.command import command
from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors import detr
from odam_lib.detectors.base import Detector, resolve_device
from odam_lib.detectors.detr import full_detr, small_detr
from odam_lib.detectors.faster_rcnn import (
    full_faster_rcnn,
    mobile_320_faster_rcnn,
    mobile_faster_rcnn,
    small_faster_rcnn,
)
from odam_lib.detectors.fcos import full_fcos, full_fcos_pvt, small_fcos, small_fcos_plain, small_fcos_pvt
from odam_lib.detectors.hub import load_hub
from odam_lib.detectors.of_torchvision import load_published
from odam_lib.detectors.published import published_state
from odam_lib.detectors.retinanet import full_retinanet, full_retinanet_pvt, small_retinanet, small_retinanet_pvt
from odam_lib.detectors.yolo import yolov3_tiny
from odam_lib.files import data_root, read_json, sha256, write_tensors, write_whole
from odam_lib.kernels import checks

Build = Callable[[str, tuple[str, ...]], Detector]
PEOPLE = ("__background__", "person")
COCO_CATEGORIES = tuple(FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"])


@dataclass(frozen=True)
class Bundled:
    """A detector trained on scenes, or on scenes of crowds, with its weights under ``data/weights``."""

    build: Build
    categories: tuple[str, ...] = CATEGORIES


@dataclass(frozen=True)
class Published:
    """A detector trained on COCO whose weights others publish.

    Attributes:
        build: makes it without weights.
        url: of the weights; its name ends with the beginning of their sha256.
        convert: from what the file holds to the state of our model.
        source: who publishes them.
        parameters: how many.
        ap: average precision on COCO val2017 as they state it.
        categories: class names.
    """

    build: Build
    url: str
    source: str
    parameters: int
    ap: float
    convert: Callable[[Any], dict[str, torch.Tensor]] = dict
    categories: tuple[str, ...] = COCO_CATEGORIES


@dataclass(frozen=True)
class Untrained:
    """An architecture for which nobody publishes a detector's weights: for measuring costs, or to train."""

    build: Build
    categories: tuple[str, ...] = COCO_CATEGORIES


def _torchvision(build: Build, weights: WeightsEnum) -> Published:
    meta = weights.meta
    ap = meta["_metrics"]["COCO-val2017"]["box_map"]
    return Published(build, weights.url, "torchvision COCO_V1", meta["num_params"], ap)


ZOO: dict[str, Bundled | Published | Untrained] = {
    "fcos-scenes": Bundled(small_fcos),
    "retinanet-scenes": Bundled(small_retinanet),
    "faster-rcnn-scenes": Bundled(small_faster_rcnn),
    "detr-scenes": Bundled(small_detr),
    "fcos-pvt-scenes": Bundled(small_fcos_pvt),
    "retinanet-pvt-scenes": Bundled(small_retinanet_pvt),
    "fcos-crowd": Bundled(small_fcos, PEOPLE),
    "fcos-crowd-odam": Bundled(small_fcos, PEOPLE),
    "faster-rcnn-crowd": Bundled(small_faster_rcnn, PEOPLE),
    "faster-rcnn-crowd-odam": Bundled(small_faster_rcnn, PEOPLE),
    "yolov3-tiny": Bundled(yolov3_tiny, COCO_CATEGORIES),
    "fcos_resnet50_fpn": _torchvision(full_fcos, FCOS_ResNet50_FPN_Weights.COCO_V1),
    "retinanet_resnet50_fpn": _torchvision(full_retinanet, RetinaNet_ResNet50_FPN_Weights.COCO_V1),
    "fasterrcnn_resnet50_fpn": _torchvision(full_faster_rcnn, FasterRCNN_ResNet50_FPN_Weights.COCO_V1),
    "fasterrcnn_mobilenet_v3_large_fpn": _torchvision(
        mobile_faster_rcnn, FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": _torchvision(
        mobile_320_faster_rcnn, FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1
    ),
    "detr_resnet50": Published(
        full_detr, detr.PUBLISHED, "facebookresearch/detr", 41_524_768, 42.0, detr.from_published
    ),
    "fcos_pvt_v2_b0_fpn": Untrained(full_fcos_pvt),
    "retinanet_pvt_v2_b0_fpn": Untrained(full_retinanet_pvt),
}


ARCHITECTURES: dict[str, Build] = {
    name.removesuffix("-scenes"): entry.build
    for name, entry in ZOO.items()
    if "-crowd" not in name and entry.build is not yolov3_tiny
} | {"fcos-plain": small_fcos_plain}
"""What can be trained, by name; YOLOv3-tiny comes without its loss."""


SOURCES: dict[str, Callable[[str], Detector]] = {"torchvision": load_published, "hf": load_hub}
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
    detector = ZOO[name].build(name, ZOO[name].categories)
    detector.model.eval().requires_grad_(False)
    return detector


def load_detector(name: str, device: str = "auto") -> Detector:
    """A trained detector, ready to detect and to be explained.

    Args:
        name: a key of ``ZOO``, of which those ending in ``-scenes`` are bundled and the others published;
            ``torchvision:NAME``, a detector of torchvision by the name of its builder; or ``hf:`` and the
            ``owner/name`` of a published model of transformers, or the folder of one.
        device: ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ...

    Raises:
        TypeError: the name is no string, or the device neither a string nor a device.
        ValueError: unknown name or device, weights whose hash is not the expected one, or a name without weights.
        FileNotFoundError: weights that are neither here nor to be had; says which file to put where.
    """
    checks.kind("The name of a detector", name, str, "one of python -m odam_lib.detectors.zoo")
    place = resolve_device(device)
    prefix, _, rest = name.partition(":")
    if rest and prefix in SOURCES:
        found = SOURCES[prefix](rest)
        found.model.to(place)
        return found
    detector = build_detector(name)
    entry = ZOO[name]
    if isinstance(entry, Untrained):
        raise ValueError(
            f"Nobody publishes weights of a detector {name}: take one of the other names, or build_detector({name!r}) "
            "and train it."
        )
    state = bundled_state(name) if isinstance(entry, Bundled) else entry.convert(published_state(entry.url))
    try:
        detector.model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"The weights of {name} are those of another network: {RESTORE}.") from error
    detector.model.to(place)
    return detector


def save_weights(
    detector: Detector, about: dict[str, object], folder: Path, start: str = "", frozen: Sequence[str] = ()
) -> Path:
    """Write a detector's weights in half precision with a card that holds their hash; returns the weights' path.

    Args:
        detector: what was trained; its name names the files.
        about: how it was made and what it reached.
        folder: where to.
        start: the bundled detector that it was trained from.
        frozen: names of modules that are still those of ``start``; they are left out and read from its file.
    """
    state = {key: value for key, value in detector.model.state_dict().items() if not _within(key, frozen)}
    if frozen:
        about = about | {"shares": {**version(start), "modules": list(frozen)}}
    return save_state(detector.name, state, about, folder)


def save_state(name: str, state: Mapping[str, torch.Tensor], about: Mapping[str, object], folder: Path) -> Path:
    """Write tensors in half precision with a card that holds their hash; returns the path of the tensors."""
    path = folder / f"{name}.safetensors"
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    write_tensors(path, {key: value.contiguous().cpu() for key, value in halves.items()})
    with write_whole(path.with_suffix(".json")) as aside:
        text = json.dumps({"name": name, "sha256": sha256(path), **about}, indent=2) + "\n"
        aside.write_text(text, encoding="utf-8")
    return path


def _within(key: str, modules: Sequence[str]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)


def weights_file(name: str) -> Path:
    """Where bundled weights lie; their card lies beside them."""
    return data_root() / "weights" / f"{name}.safetensors"


def card(name: str, *needed: str) -> dict[str, Any]:
    """How bundled weights, of a detector or of what goes with one, were made and what they reached.

    Args:
        name: of the weights.
        needed: what the card must say beside the ``sha256``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; names what is wrong.
    """
    path = weights_file(name).with_suffix(".json")
    about = read_json(path, RESTORE)
    wrong = [key for key in ("sha256", *needed) if key not in about]
    wrong += [key for key, value in about.items() if key in SAID and not SAID[key](value)]
    if wrong:
        raise ValueError(f"{path} is damaged, {wrong[0]!r} is missing there or cannot be: {RESTORE}.")
    return about


def _words(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _version(value: object) -> bool:
    return isinstance(value, dict) and _words(value.get("detector")) and _words(value.get("sha256"))


def _part(value: object) -> bool:
    modules = value.get("modules") if isinstance(value, dict) else None
    return _version(value) and isinstance(modules, list) and all(map(_words, modules))


RESTORE = "restore it from the repository (git checkout data/weights)"
SAID: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("sha256", "measured_on", "command"), _words),
    **dict.fromkeys(("parameters", "AP", "AP50"), _number),
    "embeds": _version,
    "shares": _part,
}
"""Whether what a card says can be."""


def version(detector: str) -> dict[str, str]:
    """Which weights of a bundled detector lie here: what the card of others that go with them holds."""
    return {"detector": detector, "sha256": card(detector)["sha256"]}


def check_version(name: str, made_with: Mapping[str, Any]) -> None:
    """Refuse bundled weights that were made with another version of a detector than the one here.

    Args:
        name: of the weights.
        made_with: what :func:`version` gave when they were made.

    Raises:
        ValueError: the versions differ.
    """
    if version(made_with["detector"])["sha256"] != made_with["sha256"]:
        raise ValueError(
            f"The weights {weights_file(name)} go with others of {made_with['detector']} than "
            "those here: restore both from the repository (git checkout data/weights)."
        )


def bundled_state(name: str) -> dict[str, torch.Tensor]:
    """The tensors of bundled weights in single precision, with those they share with another detector.

    Raises:
        FileNotFoundError: the weights or their card are missing.
        ValueError: they are damaged, share tensors with themselves, or were made with another version of the detector
            they share tensors with.
    """
    return _state(name, ())


def _state(name: str, shared_by: tuple[str, ...]) -> dict[str, torch.Tensor]:
    path = weights_file(name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {RESTORE}.")
    about, content = card(name), path.read_bytes()
    if name in shared_by:
        raise ValueError(
            f"{path.with_suffix('.json')} is damaged, {name} shares weights with itself "
            f"({' with '.join((*shared_by, name))}): {RESTORE}."
        )
    found, expected = hashlib.sha256(content).hexdigest(), about["sha256"]
    try:
        tensors = load(content) if found == expected else {}
    except SafetensorError:
        tensors = {}
    if not tensors:
        raise ValueError(f"The weights {path} are damaged (sha256 {found}, expected {expected}): {RESTORE}.")
    state = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    if "shares" not in about:
        return state
    shared = about["shares"]
    check_version(name, shared)
    start = _state(shared["detector"], (*shared_by, name))
    return {key: value for key, value in start.items() if _within(key, shared["modules"])} | state


def table() -> str:
    """All names with the source of their weights, number of parameters and average precision, as text."""
    rows = [("name", "weights", "parameters", "AP50", "AP", "measured on")]
    for name, entry in ZOO.items():
        if isinstance(entry, Bundled):
            about = card(name, "AP", "AP50", "measured_on", "parameters")
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
    print(table())


if __name__ == "__main__":
    main()
