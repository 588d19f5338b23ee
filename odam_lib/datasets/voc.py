"""Annotations in VOC's format: folders with their own classes, and PASCAL VOC 2007 (Everingham et al., 2010)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.categories import add_background
from odam_lib.datasets.download import dataset_root
from odam_lib.datasets.masks import check_room
from odam_lib.datasets.pictures import (
    OFFICIAL,
    OWN,
    Advice,
    Outline,
    Target,
    check_item,
    find_box_problem,
    list_pictures,
    refuse_misfits,
    refuse_missing,
)
from odam_lib.files import user_path
from odam_lib.images import measure_picture, picture_file, stored_picture

CATEGORIES = (
    "__background__", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
SPLITS = {
    "test": "voc2007-test",
    "trainval": "voc2007-trainval",
    "train": "voc2007-trainval",
    "val": "voc2007-trainval",
}
"""Splits and the archives they are in."""
VOID = 255
"""In the segmentation: borders between objects, and difficult objects."""
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Picture:
    height: int
    width: int
    boxes: Tensor
    names: tuple[str, ...]
    difficult: Tensor


class VocFormat(Dataset[tuple[Tensor, Target]]):
    """Objects that a folder of VOC's XML files lists, with its own classes; pictures are read when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1], as it is stored, without any EXIF
    rotation; ``target`` holds ``boxes`` float32 ``[N, 4]`` (x1, y1, x2, y2) in pixels counted from 0, x2 and y2 just
    beyond the last one, ``labels`` int64 ``[N]``, ``file_name`` and ``image_id``, here the item's number. Objects
    marked difficult, which VOC's evaluation leaves out, are kept apart as ``ignored`` float32 ``[M, 4]`` and
    ``ignored_labels`` int64 ``[M]``.

    Args:
        images: folder of the pictures, each named as its XML file but for the suffix.
        annotations: folder of the XML files; it may be the same.
        classes: their names, without the background; ``None``: those that occur, in alphabetical order.

    Attributes:
        names: of the pictures, without suffix, in the order of the items.
        categories: class names, index 0 is the background.
        no_masks: why there are no masks.

    Raises:
        FileNotFoundError: a folder, annotations or pictures are missing; says which.
        ValueError: an annotation is damaged, not in VOC's format, holds what cannot be right, or states another size
            than its picture's header; says which.
    """

    _advice: ClassVar[Advice] = OWN
    categories: tuple[str, ...]
    no_masks = "VOC's annotations hold boxes alone"

    def __init__(self, images: str | Path, annotations: str | Path, classes: Sequence[str] | None = None) -> None:
        pictures, folder = user_path(images), user_path(annotations)
        names = sorted(path.stem for path in folder.glob("*.xml"))
        if not names:
            raise FileNotFoundError(f"There are no annotations (*.xml) in {folder}: check the path.")
        self._open(pictures, _files(pictures, names), folder, names)
        occurring = sorted({name for picture in self._pictures for name in picture.names})
        if not occurring:
            raise ValueError(f"The annotations in {folder} hold no objects: give some with at least one.")
        self.categories = add_background(occurring if classes is None else list(classes), folder)
        self._refuse_other_classes()

    def _open(self, images: Path, files: Sequence[str], annotations: Path, names: Sequence[str]) -> None:
        self.names, self._files, self._annotations = list(names), [images / file for file in files], annotations
        self._ids = list(range(len(names)))
        refuse_missing(images, files, "pictures", self._advice)
        refuse_missing(annotations, [f"{name}.xml" for name in names], "annotations", self._advice)
        self._pictures = [_annotation(annotations / f"{name}.xml", self._advice) for name in names]
        refuse_misfits(self._files, [(picture.width, picture.height) for picture in self._pictures], self._advice)

    def _refuse_other_classes(self) -> None:
        for file, picture in zip(self.names, self._pictures):
            if other := [name for name in picture.names if name not in self.categories[1:]]:
                raise ValueError(
                    f"{self._annotations / file}.xml has an object of the class {other[0]!r}, which is none of "
                    f"{', '.join(self.categories[1:])}: {self._advice.annotations}."
                )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged, or its size is not the annotation's.
        """
        check_item(item, len(self.names))
        picture = self._pictures[item]
        image = stored_picture(self._files[item], picture.height, picture.width, self._advice.pictures)
        return image, self._target(item)

    def outline(self, item: int) -> Outline:
        """See :func:`~odam_lib.datasets.pictures.outline`; errors as of an item."""
        check_item(item, len(self.names))
        size = self._pictures[item].width, self._pictures[item].height
        return measure_picture(self._files[item], self._advice.pictures, size), self._target(item)

    def _target(self, item: int) -> Target:
        picture = self._pictures[item]
        labels = torch.tensor([self.categories.index(name) for name in picture.names], dtype=torch.int64)
        kept = ~picture.difficult
        return {
            "boxes": picture.boxes[kept],
            "labels": labels[kept],
            "image_id": self._ids[item],
            "file_name": self._files[item].name,
            "ignored": picture.boxes[~kept],
            "ignored_labels": labels[~kept],
        }


class Voc(VocFormat):
    """VOC 2007; pictures are read when they are asked for.

    Items are those of :class:`VocFormat`, with VOC's 20 classes, the number in the file name as ``image_id`` and, with
    masks, ``masks`` bool ``[N, H, W]``.

    Args:
        root: folder with ``VOCdevkit/VOC2007/``; ``None``: where :func:`~odam_lib.datasets.download.fetch` puts it.
        split: ``test``, ``trainval``, ``train`` or ``val``.
        with_masks: only the pictures of ``ImageSets/Segmentation``, and their masks.
        leave_out: names of pictures, such as ``"000032"``, to leave out.

    Raises:
        FileNotFoundError: it is not there or incomplete; says what is missing and how to get it.
        ValueError: unknown split or name to leave out, annotations that are not VOC's, or masks that do not fit them.
    """

    _advice = OFFICIAL
    categories = CATEGORIES

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "test",
        with_masks: bool = False,
        leave_out: Collection[str] = (),
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
        self.folder = dataset_root(SPLITS[split], root) / "VOCdevkit" / "VOC2007"
        listed = _names(self.folder / "ImageSets" / ("Segmentation" if with_masks else "Main") / f"{split}.txt")
        if unknown := set(leave_out) - set(listed):
            raise ValueError(f"{sorted(unknown)[0]!r} cannot be left out: no picture of the split has that name.")
        names = [name for name in listed if name not in leave_out]
        self._open(self.folder / "JPEGImages", [f"{name}.jpg" for name in names], self.folder / "Annotations", names)
        self._ids = [int(name) for name in names]
        self._refuse_other_classes()
        self.with_masks = with_masks
        self.no_masks = "" if with_masks else "VOC 2007 was opened without them"
        if with_masks:
            segmentations = [f"{name}.png" for name in names]
            refuse_missing(self.folder / "SegmentationObject", segmentations, "segmentations", self._advice)
            self._refuse_misfits()

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target, as of :class:`VocFormat`."""
        image, target = super().__getitem__(item)
        if self.with_masks:
            # Object i of the annotation, difficult ones counted, is drawn with the value i + 1.
            picture = self._pictures[item]
            values = torch.nonzero(~picture.difficult).flatten() + 1
            size = (picture.width, picture.height)
            with picture_file(self._file(self.names[item]), self._advice.pictures, size) as opened:
                check_room(len(values), picture.height, picture.width)
                target["masks"] = _numbers(opened) == values[:, None, None]
        return image, target

    def _file(self, name: str) -> Path:
        return self.folder / "SegmentationObject" / f"{name}.png"

    def _refuse_misfits(self) -> None:
        problems = {}
        for name, picture in zip(self.names, self._pictures):
            with picture_file(self._file(name), self._advice.pictures) as opened:
                if problem := _misfit(opened, picture):
                    problems[name] = problem
        if problems:
            first, problem = next(iter(problems.items()))
            raise ValueError(
                f"{len(problems)} of {len(self.names)} segmentations do not fit their annotations, the first is "
                f"{first} ({problem}): unpack the official archive again, or pass leave_out={sorted(problems)}."
            )


def _numbers(segmentation: Image.Image) -> Tensor:
    """A segmentation's values, uint8 ``[H, W]``: 0 background, i + 1 object i, 255 void."""
    return torch.from_numpy(np.array(segmentation))


def _misfit(opened: Image.Image, picture: _Picture) -> str:
    """What is wrong with a segmentation of which no more than the header has been read; empty if nothing is."""
    if opened.size != (picture.width, picture.height):
        return f"its shape is {list(opened.size[::-1])}, the annotation says {[picture.height, picture.width]}"
    if opened.mode not in ("P", "L"):
        return f"it has values of the kind {opened.mode}, not one byte a pixel"
    segmentation, count = _numbers(opened), len(picture.names)
    highest = int(torch.where(segmentation == VOID, 0, segmentation).max())
    if highest > count:
        return f"it has an object {highest}, the annotation has {count}"
    for index in torch.nonzero(~picture.difficult).flatten().tolist():
        mask = segmentation == index + 1
        if not mask.any():
            return f"object {index + 1} has no mask"
        x1, y1, x2, y2 = (max(0, round(edge)) for edge in picture.boxes[index].tolist())
        # Boxes enclose what is visible; a mask outside belongs to another object.
        if 2 * int(mask[y1:y2, x1:x2].sum()) < int(mask.sum()):
            return f"the mask of object {index + 1} lies outside its box"
    return ""


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: unpack the official archive of this split.")
    try:
        names = path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError:
        names = []
    if not names or not all(name.isdecimal() for name in names):
        raise ValueError(f"{path} is not VOC 2007's list of pictures, a number a line: use the official file.")
    return names


def _files(folder: Path, names: Sequence[str]) -> list[str]:
    """The picture of each annotation; one that is missing gets VOC's own suffix."""
    files: dict[str, str] = {}
    wanted = set(names)
    for path in list_pictures(folder):
        if path.parent != folder or path.stem not in wanted:
            continue
        if path.stem in files:
            raise ValueError(f"{folder} has {files[path.stem]} and {path.name}: leave one of the two there.")
        files[path.stem] = path.name
    return [files.get(name, f"{name}.jpg") for name in names]


def _annotation(path: Path, advice: Advice) -> _Picture:
    try:
        tree = ElementTree.parse(path)
        height, width = (int(tree.findtext(f"size/{side}", "")) for side in ("height", "width"))
        objects = tree.findall("object")
        # A person's parts have boxes of their own, one level below.
        corners = [[float(one.findtext(f"bndbox/{edge}", "")) for edge in _EDGES] for one in objects]
        difficult = [bool(int(one.findtext("difficult") or 0)) for one in objects]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{path} is not VOC's annotation ({error}): {advice.annotations}.") from error
    names = tuple((one.findtext("name") or "").strip() for one in objects)
    if min(height, width) < 1:
        raise ValueError(f"{path} is not VOC's annotation (size {width} x {height}): {advice.annotations}.")
    # VOC counts pixels from 1 and names the first and the last one inside.
    boxes = [(x1 - 1, y1 - 1, x2, y2) for x1, y1, x2, y2 in corners]
    for name, box in zip(names, boxes):
        if problem := find_box_problem(box, width, height) if name else "has no name":
            raise ValueError(f"{path}: an object {name!r} {problem}: {advice.annotations}.")
    return _Picture(
        height, width, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), names,
        torch.tensor(difficult, dtype=torch.bool),
    )  # fmt: skip
