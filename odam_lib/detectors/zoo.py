"""Detectors by name: bundled ones work without a network, published ones are fetched and checked by hash."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torchvision.models import WeightsEnum
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    FasterRCNN_MobileNet_V3_Large_FPN_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    FCOS_ResNet50_FPN_Weights,
    RetinaNet_ResNet50_FPN_Weights,
)

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.base import Detector, resolve_device
from odam_lib.detectors.faster_rcnn import (
    full_faster_rcnn,
    mobile_320_faster_rcnn,
    mobile_faster_rcnn,
    small_faster_rcnn,
)
from odam_lib.detectors.fcos import full_fcos, small_fcos, small_fcos_pvt
from odam_lib.detectors.retinanet import full_retinanet, small_retinanet, small_retinanet_pvt
from odam_lib.files import data_root, write_whole


@dataclass(frozen=True)
class Bundled:
    """A detector trained on scenes, with its weights under ``data/weights``."""

    build: Callable[[str, tuple[str, ...]], Detector]
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """A detector whose weights torchvision publishes."""

    build: Callable[[str, tuple[str, ...]], Detector]
    weights: WeightsEnum


ZOO: dict[str, Bundled | Published] = {
    "fcos-scenes": Bundled(small_fcos, CATEGORIES),
    "retinanet-scenes": Bundled(small_retinanet, CATEGORIES),
    "faster-rcnn-scenes": Bundled(small_faster_rcnn, CATEGORIES),
    "fcos-pvt-scenes": Bundled(small_fcos_pvt, CATEGORIES),
    "retinanet-pvt-scenes": Bundled(small_retinanet_pvt, CATEGORIES),
    "fcos_resnet50_fpn": Published(full_fcos, FCOS_ResNet50_FPN_Weights.COCO_V1),
    "retinanet_resnet50_fpn": Published(full_retinanet, RetinaNet_ResNet50_FPN_Weights.COCO_V1),
    "fasterrcnn_resnet50_fpn": Published(full_faster_rcnn, FasterRCNN_ResNet50_FPN_Weights.COCO_V1),
    "fasterrcnn_mobilenet_v3_large_fpn": Published(
        mobile_faster_rcnn, FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": Published(
        mobile_320_faster_rcnn, FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1
    ),
}


def build_detector(name: str) -> Detector:
    """A detector with untrained weights.

    Raises:
        ValueError: unknown name.
    """
    if name not in ZOO:
        raise ValueError(f"Unknown detector {name!r}: choose among {', '.join(ZOO)}.")
    entry = ZOO[name]
    categories = entry.categories if isinstance(entry, Bundled) else tuple(entry.weights.meta["categories"])
    return entry.build(name, categories)


def load_detector(name: str, device: str = "auto") -> Detector:
    """A trained detector, ready to detect and to be explained.

    Args:
        name: a key of ``ZOO``. ``fcos-scenes`` is bundled; ``fcos_resnet50_fpn`` is torchvision's COCO_V1.
        device: ``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ...

    Raises:
        ValueError: unknown name or device, or weights whose hash is not the expected one.
        FileNotFoundError: weights that are neither here nor to be had; says which file to put where.
    """
    place = resolve_device(device)
    detector = build_detector(name)
    entry = ZOO[name]
    state = _bundled_state(name) if isinstance(entry, Bundled) else _published_state(entry.weights)
    detector.model.load_state_dict(state)
    detector.model.to(place)
    return detector


def save_weights(detector: Detector, card: dict[str, object], folder: Path) -> Path:
    """Write a detector's weights in half precision with a card that holds their hash; returns the weights' path.

    Args:
        detector: what was trained; its name names the files.
        card: how it was made and what it reached.
        folder: where to.
    """
    path = folder / f"{detector.name}.safetensors"
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in detector.model.state_dict().items()
    }
    with write_whole(path) as aside:
        save_file({key: value.contiguous().cpu() for key, value in state.items()}, aside)
    with write_whole(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps({"name": detector.name, "sha256": _sha256(path), **card}, indent=2) + "\n")
    return path


def _bundled_state(name: str) -> dict[str, torch.Tensor]:
    path = data_root() / "weights" / f"{name}.safetensors"
    card = path.with_suffix(".json")
    for needed in (path, card):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is missing: restore it from the repository (git checkout data/weights).")
    expected, found = json.loads(card.read_text())["sha256"], _sha256(path)
    if found != expected:
        raise ValueError(
            f"The weights {path} are damaged (sha256 {found}, expected {expected}): "
            "restore them from the repository (git checkout data/weights)."
        )
    return {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}


def _published_state(weights: WeightsEnum) -> dict[str, torch.Tensor]:
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    expected = path.stem.rsplit("-", 1)[-1]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=expected, progress=False)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"The weights could not be fetched ({error}): get {weights.url} and put it at {path}; "
                f"its sha256 begins with {expected}."
            ) from error
    found = _sha256(path)
    if not found.startswith(expected):
        raise ValueError(
            f"The weights {path} are damaged (sha256 {found}, expected to begin with {expected}): "
            f"delete the file and get {weights.url} again."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
