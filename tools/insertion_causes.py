"""Why insertion ranks ODAM and D-RISE differently on drawings and on photographs.

Command: ``python tools/insertion_causes.py --help``.

The same detections are explained by both methods, and the pixels of each map are revealed in three ways: as insertion
does it (black picture, equal values in random order), on the blurred picture, and with the pixels of which the map says
nothing, its zeros, in the order of a wide blur of the map, so that they are revealed from the object outwards.
"""

import argparse
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from odam_lib.command import command
from odam_lib.datasets.categories import relabel
from odam_lib.datasets.opening import open_dataset
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.odam import ODAM
from odam_lib.files import owned, user_path, write_rows
from odam_lib.metrics.faithfulness import auc, best_score, insertion, rank_pixels

STEPS = 6
CASES = (
    ("fcos-groupnorm-scenes", "scenes"),
    ("retinanet-scenes", "scenes"),
    ("faster-rcnn-scenes", "scenes"),
    ("yolov3-tiny", "scenes"),
    ("yolov3-tiny", "coco"),
)


def outwards(maps: Tensor) -> Tensor:
    """Maps ``[N, H, W]`` whose zeros are replaced by a wide blur of the map, below their least other value."""
    side = max(maps.shape[-2:])
    halo = gaussian_blur(maps, [2 * (side // 4) + 1] * 2, [side / 8] * 2)
    positive = torch.where(maps > 0, maps, torch.inf).amin(dim=(1, 2), keepdim=True)
    return torch.where(maps > 0, maps, 0.5 * positive * halo / halo.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12))


def insertion_on_blur(picture: Picture, maps: Tensor) -> Tensor:
    """Insertion that begins with the blurred picture: ``Tensor[N]``."""
    image, found = picture.trace.image, picture.detections
    blurred, orders = gaussian_blur(image, [101, 101], [20.0, 20.0]), rank_pixels(maps, 0)
    curves = []
    for row, order in enumerate(orders):
        pictures = []
        for step in range(STEPS + 1):
            shown = torch.zeros(order.numel(), dtype=torch.bool)
            shown[order[: round(order.numel() * step / STEPS)]] = True
            pictures.append(torch.where(shown.view(image.shape[-2:]), image, blurred))
        said = picture.trace.detector.predict(torch.stack(pictures))
        one = found[row]
        scores = torch.cat([best_score(each, one.boxes, one.labels, one.image_size) for each in said])
        curves.append(scores / scores[-1])
    return auc(torch.stack(curves))


@torch.no_grad()
def measure(picture: Picture, maps: Tensor) -> dict[str, Tensor]:
    """Every variant for the maps ``[N, H, W]`` of one method, and what of the object the first step reveals."""
    detector, image, found = picture.trace.detector, picture.trace.image, picture.detections
    masks = picture.target["masks"][picture.own].flatten(1)
    first = rank_pixels(maps, 0)[:, : masks.shape[1] // STEPS]
    return {
        "insertion": auc(insertion(detector, image, found, maps, STEPS)),
        "insertion, zeros outwards": auc(insertion(detector, image, found, outwards(maps), STEPS)),
        "insertion on blur": insertion_on_blur(picture, maps),
        "object in the first sixth": masks.gather(1, first).sum(dim=1) / masks.sum(dim=1),
        "zero pixels": (maps == 0).flatten(1).float().mean(dim=1),
        "mask": masks.float().mean(dim=1),
    }


def rows(name: str, kind: str, root: str, objects: int, masks: int) -> Iterator[dict[str, object]]:
    """One row an object and method."""
    detector = load_detector(name, "cpu")
    dataset = relabel(open_dataset(kind, root if kind == "coco" else ""), detector.categories)
    methods = {"ODAM": ODAM(), "D-RISE": DRISE(masks)}
    if name == "fcos-groupnorm-scenes":
        methods["ODAM window"] = ODAM(derivative="window")
    layer, explained = "fpn", 0
    for item in range(len(dataset)):
        if explained >= objects:
            return
        picture = open_picture(detector, dataset, item, *dataset[item], 0.5, 0.3, layer)
        explained += len(picture.own)
        for method, explainer in methods.items() if len(picture.own) else ():
            heat_maps = explainer(picture.trace, picture.detections, ("class",))
            numbers = measure(picture, heat_maps.normalized().to_image()[:, 0])
            for row, own in enumerate(picture.own.tolist()):
                about = {"detector": name, "dataset": kind, "image_id": int(picture.target["image_id"]), "object": own}
                values = {metric: float(f"{float(value[row]):.4g}") for metric, value in numbers.items()}
                yield about | {"method": method} | values


@command
def main() -> None:
    """Measure all cases and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=user_path, help="CSV of the rows")
    parser.add_argument("coco", help="COCO pictures in the official layout")
    parser.add_argument("--objects", type=int, default=60, help="at least so many of each case, 60 by default")
    parser.add_argument("--masks", type=int, default=300, help="of D-RISE, 300 by default")
    asked = parser.parse_args()
    with owned(asked.output):
        found = chain(*(rows(*case, asked.coco, asked.objects, asked.masks) for case in CASES))
        write_rows(asked.output, list(found))


if __name__ == "__main__":
    main()
