"""MS COCO val2017 (Lin et al., 2014): 5000 photographs, 80 classes, a mask for every object."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.models.detection import FCOS_ResNet50_FPN_Weights

from odam_lib.datasets.download import dataset_root
from odam_lib.datasets.pictures import Target, refuse_missing, stored_picture

CATEGORIES = tuple(FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"])
"""COCO's 91 ids as torchvision lists them; 0 is the background, 10 ids that COCO left out are ``N/A``."""
NAME, IMAGES, ANNOTATIONS = "coco-val2017", "val2017", "annotations/instances_val2017.json"
_NO_MASK = "is an object without a mask"


class Coco(Dataset[tuple[Tensor, Target]]):
    """COCO val2017 with the labels of torchvision's COCO_V1 weights; pictures are read when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1]; ``target`` holds ``boxes`` float32
    ``[N, 4]`` (x1, y1, x2, y2) in pixels, ``labels`` int64 ``[N]``, ``masks`` bool ``[N, H, W]`` and ``image_id``,
    COCO's. Regions marked ``iscrowd`` are no single objects and are kept apart as ``ignored`` float32 ``[M, 4]`` and
    ``ignored_labels`` int64 ``[M]``. Pictures without objects are kept, as in COCO's evaluation.

    Args:
        root: folder with ``val2017/`` and ``annotations/instances_val2017.json``; ``None``: where
            :func:`~odam_lib.datasets.download.fetch` puts it.

    Raises:
        FileNotFoundError: it is not there or incomplete; says what is missing and how to get it.
        ValueError: the annotations are not COCO's, or an object has no mask.
    """

    categories = CATEGORIES

    def __init__(self, root: str | Path | None = None) -> None:
        place = dataset_root(NAME, root)
        self.folder = place / IMAGES
        content = _read(place / ANNOTATIONS)
        self._images = sorted(content["images"], key=lambda image: image["id"])
        refuse_missing(self.folder, [image["file_name"] for image in self._images], "pictures")
        self._annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            self._annotations[annotation["image_id"]].append(annotation)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged, or its size is not the annotation's.
        """
        if not 0 <= item < len(self._images):
            raise IndexError(f"Picture {item} does not exist: there are {len(self._images)}, counted from 0.")
        record = self._images[item]
        height, width = record["height"], record["width"]
        annotations = self._annotations.get(record["id"], [])
        objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
        crowds = [annotation for annotation in annotations if annotation["iscrowd"]]
        masks = [_mask(annotation["segmentation"], height, width) for annotation in objects]
        target: Target = {
            "boxes": _boxes(objects),
            "labels": _labels(objects),
            "masks": torch.stack(masks) if masks else torch.zeros((0, height, width), dtype=torch.bool),
            "image_id": record["id"],
            "ignored": _boxes(crowds),
            "ignored_labels": _labels(crowds),
        }
        return stored_picture(self.folder / record["file_name"], height, width), target


def _boxes(annotations: list[dict[str, Any]]) -> Tensor:
    boxes = torch.tensor([annotation["bbox"] for annotation in annotations], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _labels(annotations: list[dict[str, Any]]) -> Tensor:
    return torch.tensor([annotation["category_id"] for annotation in annotations], dtype=torch.int64)


def _mask(segmentation: Any, height: int, width: int) -> Tensor:
    encoded = segmentation
    if isinstance(segmentation, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        encoded = coco_mask.frPyObjects(segmentation, height, width)
    return torch.from_numpy(coco_mask.decode(encoded)).bool()


def _read(path: Path) -> dict[str, Any]:
    """COCO's annotations, checked so far that no item can fail for their sake."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): unpack the official archive again.") from error
    try:
        names = {category["id"]: category["name"] for category in content["categories"]}
        sizes = {image["id"]: (image["height"], image["width"], image["file_name"]) for image in content["images"]}
        for annotation in content["annotations"]:
            problem = _problem(annotation, names, sizes)
            if problem:
                raise ValueError(f"Annotation {annotation['id']} of {path} {problem}: use the official file.")
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not COCO's instance annotations ({type(error).__name__} {error}): use the official file."
        ) from error
    if wrong := [f"{key} {name}" for key, name in names.items() if dict(enumerate(CATEGORIES)).get(key) != name]:
        raise ValueError(f"{path} has categories that COCO does not have ({', '.join(wrong)}): use the official file.")
    return content


def _problem(annotation: dict[str, Any], names: dict[int, str], images: dict[int, Any]) -> str:
    if annotation["image_id"] not in images:
        return f"belongs to picture {annotation['image_id']}, which is not listed"
    if annotation["category_id"] not in names:
        return f"has the category {annotation['category_id']}, which is not listed"
    if len(annotation["bbox"]) != 4:
        return f"has a box of {len(annotation['bbox'])} numbers instead of 4"
    if annotation["iscrowd"]:
        return ""
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        return "" if shape.get("counts") and shape.get("size") == list(images[annotation["image_id"]][:2]) else _NO_MASK
    # pycocotools takes a polygon of two points for a box.
    return "" if shape and all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in shape) else _NO_MASK
