"""Annotations in COCO's format: any JSON with its own classes, and MS COCO 2017 (Lin et al., 2014)."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.categories import BACKGROUND, COCO
from odam_lib.datasets.categories import add_background
from odam_lib.datasets.download import dataset_root
from odam_lib.datasets.masks import find_mask_problem, has_mask, stack_masks
from odam_lib.datasets.pictures import (
    OFFICIAL,
    OWN,
    Advice,
    Outline,
    Target,
    check_item,
    find_box_problem,
    leaves_folder,
    refuse_misfits,
    refuse_missing,
)
from odam_lib.datasets.targets import LEAST_SIDE
from odam_lib.files import user_path
from odam_lib.images import measure_picture, stored_picture

CATEGORIES = COCO
SPLITS = ("train", "val")
ANNOTATIONS = {split: f"annotations/instances_{split}2017.json" for split in SPLITS}
_LISTS = ("images", "annotations", "categories")


class CocoFormat(Dataset[tuple[Tensor, Target]]):
    """Objects that a JSON in COCO's format lists, with its own classes; pictures are read when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1], as it is stored, without any EXIF
    rotation; ``target`` holds ``boxes`` float32 ``[N, 4]`` (x1, y1, x2, y2) in pixels, ``labels`` int64 ``[N]``,
    ``image_id`` and ``file_name``, the file's, and, where every object of the file has one, ``masks`` bool
    ``[N, H, W]``. Regions marked ``iscrowd`` are no single objects and are kept apart as ``ignored`` float32 ``[M, 4]``
    and ``ignored_labels`` int64 ``[M]``. Pictures without objects are kept, as in COCO's evaluation. Of an annotation
    ``image_id``, ``category_id`` and ``bbox`` are needed.

    Args:
        images: folder that the file names of the pictures start at.
        annotations: the JSON.

    Attributes:
        categories: the classes in the order of their ids; index 0 is the background.
        no_masks: why there are no masks, naming the first object without one; empty where there are.

    Raises:
        FileNotFoundError: the file or pictures are missing; says which.
        ValueError: the file is damaged, not in COCO's format, holds what cannot be right, or states another size than
            a picture's header; says where.
    """

    _advice: ClassVar[Advice] = OWN
    categories: tuple[str, ...]

    def __init__(self, images: str | Path, annotations: str | Path) -> None:
        self.folder, path = user_path(images), user_path(annotations)
        content = _read(path, self._advice)
        names = _names(content["categories"], path, self._advice)
        self.categories, self._label_of = self._numbering(names, path)
        self._images = sorted(_checked(content["images"], path, self._advice).values(), key=lambda image: image["id"])
        self._annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.no_masks = self._sort(content["annotations"], path)
        files = [image["file_name"] for image in self._images]
        refuse_missing(self.folder, files, "pictures", self._advice)
        sizes = [(image["width"], image["height"]) for image in self._images]
        refuse_misfits([self.folder / file for file in files], sizes, self._advice)

    def _numbering(self, names: dict[int, str], path: Path) -> tuple[tuple[str, ...], dict[int, int]]:
        """The categories and the label of each id."""
        ids = [key for key in sorted(names) if names[key] != BACKGROUND]
        return add_background([names[key] for key in ids], path), {key: label for label, key in enumerate(ids, 1)}

    def _sort(self, annotations: Sequence[dict[str, Any]], path: Path) -> str:
        """Put annotations to their pictures once they are checked; returns why there are no masks."""
        images = {image["id"]: image for image in self._images}
        without, objects = "", 0
        for number, annotation in enumerate(annotations, start=1):
            try:
                name = f"Annotation {annotation.get('id', f'number {number}')} of {path}"
                problem = _problem(annotation, self._label_of, images)
                if annotation["image_id"] in images:
                    name += f" (picture {images[annotation['image_id']]['file_name']})"
            except (KeyError, TypeError, AttributeError, OverflowError) as error:
                raise _foreign(path, error, self._advice, f"annotation number {number}") from error
            if problem:
                raise ValueError(f"{name} {problem}: {self._advice.annotations}.")
            self._annotations[annotation["image_id"]].append(annotation)
            objects += not self._stands_apart(annotation)
            if not (without or self._stands_apart(annotation) or has_mask(annotation.get("segmentation"))):
                without = f"{name} is an object without a mask"
        if not objects:
            raise ValueError(f"{path} holds no objects: give annotations with at least one.")
        return without

    def _stands_apart(self, annotation: dict[str, Any]) -> bool:
        """Whether an annotation is of a region to be ignored, not of a single object."""
        return bool(annotation.get("iscrowd"))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged, or its size is not the annotation's.
        """
        check_item(item, len(self._images))
        record = self._images[item]
        height, width = record["height"], record["width"]
        # The picture first: until its size is known, the size of the masks is but a claim.
        image = stored_picture(self.folder / record["file_name"], height, width, self._advice.pictures)
        objects, crowds = self._sorted(record["id"])
        target = self._target(record, objects, crowds)
        if not self.no_masks:
            target["masks"] = stack_masks([annotation["segmentation"] for annotation in objects], height, width)
        return image, target

    def outline(self, item: int) -> Outline:
        """See :func:`~odam_lib.datasets.pictures.outline`; errors as of an item."""
        check_item(item, len(self._images))
        record = self._images[item]
        size = record["width"], record["height"]
        path = self.folder / record["file_name"]
        target = self._target(record, *self._sorted(record["id"]))
        return measure_picture(path, self._advice.pictures, size), target

    def _sorted(self, image_id: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The annotations of a picture's objects, and of what stands apart."""
        found: tuple[list[dict[str, Any]], list[dict[str, Any]]] = [], []
        for annotation in self._annotations.get(image_id, []):
            found[self._stands_apart(annotation)].append(annotation)
        return found

    def _target(self, record: dict[str, Any], objects: list[dict[str, Any]], crowds: list[dict[str, Any]]) -> Target:
        return {
            "boxes": _boxes(objects),
            "labels": self._labels(objects),
            "image_id": record["id"],
            "file_name": record["file_name"],
            "ignored": _boxes(crowds),
            "ignored_labels": self._labels(crowds),
        }

    def _labels(self, annotations: list[dict[str, Any]]) -> Tensor:
        return torch.tensor([self._label_of[one["category_id"]] for one in annotations], dtype=torch.int64)


class Coco(CocoFormat):
    """COCO 2017 with the labels of torchvision's COCO_V1 weights: photographs, 80 classes, a mask an object.

    Items are those of :class:`CocoFormat`, always with masks. In those to train on, objects whose box has no width or
    no height are kept apart as crowds are, for nothing can be learnt from them.

    Args:
        root: folder with ``val2017/`` and ``annotations/instances_val2017.json``, or the same of ``train2017``;
            ``None``: where :func:`~odam_lib.datasets.download.fetch` puts it.
        split: ``val`` (5000 photographs) or ``train`` (118,287).

    Raises:
        FileNotFoundError: it is not there or incomplete; says what is missing and how to get it.
        ValueError: an unknown split, the annotations are not COCO's, or an object has no mask.
    """

    _advice = OFFICIAL
    categories = CATEGORIES

    def __init__(self, root: str | Path | None = None, split: str = "val") -> None:
        if split not in SPLITS:
            raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
        self.split = split
        place = dataset_root(f"coco-{split}2017", root)
        super().__init__(place / f"{split}2017", place / ANNOTATIONS[split])
        if self.no_masks:
            raise ValueError(f"{self.no_masks}: {self._advice.annotations}.")

    def _stands_apart(self, annotation: dict[str, Any]) -> bool:
        unlearnable = self.split == "train" and min(annotation["bbox"][2:]) < LEAST_SIDE
        return unlearnable or super()._stands_apart(annotation)

    def _numbering(self, names: dict[int, str], path: Path) -> tuple[tuple[str, ...], dict[int, int]]:
        known = dict(enumerate(CATEGORIES))
        if wrong := [f"{key} {name}" for key, name in names.items() if known.get(key) != name]:
            raise ValueError(
                f"{path} has categories that COCO does not have ({', '.join(wrong)}): {self._advice.annotations}, "
                "or read it as CocoFormat."
            )
        return CATEGORIES, {key: key for key in names}


def _boxes(annotations: list[dict[str, Any]]) -> Tensor:
    boxes = torch.tensor([annotation["bbox"] for annotation in annotations], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _read(path: Path, advice: Advice) -> dict[str, list[Any]]:
    """The three lists of a JSON in COCO's format."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no annotation file {path}: check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}): {advice.annotations}.") from error
    for key in _LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path} is not in COCO's format, it has no list of {key}: {advice.annotations}.")
        if not content[key]:
            raise ValueError(f"{path} has an empty list of {key}: {advice.annotations}.")
    return content


def _names(categories: list[Any], path: Path, advice: Advice) -> dict[int, str]:
    """Names of classes by their ids."""
    names: dict[int, str] = {}
    for number, category in enumerate(categories, start=1):
        try:
            key, name = category["id"], category["name"]
        except (KeyError, TypeError) as error:
            raise _foreign(path, error, advice, f"category number {number}") from error
        if type(key) is not int or key in names:
            raise ValueError(f"Category {name!r} of {path} has {_unfit(key)}: {advice.annotations}.")
        names[key] = name
    return names


def _checked(images: list[Any], path: Path, advice: Advice) -> dict[int, dict[str, Any]]:
    """Records of pictures by their ids."""
    records: dict[int, dict[str, Any]] = {}
    for number, image in enumerate(images, start=1):
        try:
            key, name, size = image["id"], image["file_name"], (image["height"], image["width"])
        except (KeyError, TypeError) as error:
            raise _foreign(path, error, advice, f"picture number {number}") from error
        problem = ""
        if type(key) is not int or key in records:
            problem = f"has {_unfit(key)}"
        elif not isinstance(name, str) or not name:
            problem = f"has the file name {json.dumps(name)}"
        elif leaves_folder(name):
            problem = "has a file name outside the folder of pictures"
        elif not all(type(side) is int and side > 0 for side in size):
            problem = f"has the size {size[1]} x {size[0]}, which are no numbers of pixels"
        if problem:
            raise ValueError(f"Picture {name or number} of {path} {problem}: {advice.annotations}.")
        records[key] = image
    return records


def _unfit(key: Any) -> str:
    return f"the id {key}, which is listed twice" if type(key) is int else f"the id {key!r}, which is no whole number"


def _problem(annotation: dict[str, Any], label_of: dict[int, int], images: dict[int, dict[str, Any]]) -> str:
    if annotation["image_id"] not in images:
        return f"belongs to picture {annotation['image_id']}, which is not listed"
    if annotation["category_id"] not in label_of:
        return f"has the category {annotation['category_id']}, which is not listed"
    image, box = images[annotation["image_id"]], annotation["bbox"]
    height, width = image["height"], image["width"]
    if annotation.get("iscrowd") not in (None, 0, 1):
        return f"has iscrowd {annotation['iscrowd']!r}, which is neither 0 nor 1"
    if len(box) != 4:
        return f"has a box of {len(box)} numbers instead of 4"
    x, y, wide, high = box
    if problem := find_box_problem((x, y, x + wide, y + high), width, height):
        return problem
    return find_mask_problem(annotation.get("segmentation"), height, width)


def _foreign(path: Path, error: Exception, advice: Advice, place: str) -> ValueError:
    return ValueError(
        f"{path} is not in COCO's format ({place}: {type(error).__name__} {error}): {advice.annotations}."
    )
