"""PASCAL VOC 2007 (Everingham et al., 2010): 20 classes; masks for the part that was segmented."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.download import dataset_root
from odam_lib.datasets.pictures import Target, refuse_missing, stored_picture

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
    labels: Tensor
    difficult: Tensor


class Voc(Dataset[tuple[Tensor, Target]]):
    """VOC 2007; pictures are read when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1]; ``target`` holds ``boxes`` float32
    ``[N, 4]`` (x1, y1, x2, y2) in pixels counted from 0, x2 and y2 just beyond the last one, ``labels`` int64 ``[N]``
    and ``image_id``, the number in the file name; with masks, ``masks`` bool ``[N, H, W]``. Objects marked difficult,
    which VOC's evaluation leaves out, are kept apart as ``ignored`` float32 ``[M, 4]`` and ``ignored_labels`` int64
    ``[M]``.

    Args:
        root: folder with ``VOCdevkit/VOC2007/``; ``None``: where :func:`~odam_lib.datasets.download.fetch` puts it.
        split: ``test``, ``trainval``, ``train`` or ``val``.
        with_masks: only the pictures of ``ImageSets/Segmentation``, and their masks.
        leave_out: names of pictures, such as ``"000032"``, to leave out.

    Raises:
        FileNotFoundError: it is not there or incomplete; says what is missing and how to get it.
        ValueError: unknown split or name to leave out, annotations that are not VOC's, or masks that do not fit them.
    """

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
        self.names = [name for name in listed if name not in leave_out]
        self.with_masks = with_masks
        refuse_missing(self.folder / "JPEGImages", [f"{name}.jpg" for name in self.names], "pictures")
        refuse_missing(self.folder / "Annotations", [f"{name}.xml" for name in self.names], "annotations")
        self._pictures = [_annotation(self.folder / "Annotations" / f"{name}.xml") for name in self.names]
        if with_masks:
            refuse_missing(self.folder / "SegmentationObject", [f"{name}.png" for name in self.names], "segmentations")
            self._refuse_misfits()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged, or its size is not the annotation's.
        """
        if not 0 <= item < len(self.names):
            raise IndexError(f"Picture {item} does not exist: there are {len(self.names)}, counted from 0.")
        name, picture = self.names[item], self._pictures[item]
        kept = ~picture.difficult
        target: Target = {
            "boxes": picture.boxes[kept],
            "labels": picture.labels[kept],
            "image_id": int(name),
            "ignored": picture.boxes[~kept],
            "ignored_labels": picture.labels[~kept],
        }
        if self.with_masks:
            # Object i of the annotation, difficult ones counted, is drawn with the value i + 1.
            values = torch.nonzero(kept).flatten() + 1
            target["masks"] = self._segmentation(name) == values[:, None, None]
        return stored_picture(self.folder / "JPEGImages" / f"{name}.jpg", picture.height, picture.width), target

    def _segmentation(self, name: str) -> Tensor:
        """The segmentation's values, uint8 ``[H, W]``: 0 background, i + 1 object i, 255 void."""
        path = self.folder / "SegmentationObject" / f"{name}.png"
        try:
            with Image.open(path) as opened:
                values = np.array(opened)
        except (OSError, SyntaxError) as error:
            raise ValueError(f"{path} cannot be read ({error}): unpack the official archive again.") from error
        return torch.from_numpy(values)

    def _refuse_misfits(self) -> None:
        problems = {}
        for name, picture in zip(self.names, self._pictures):
            if problem := _misfit(self._segmentation(name), picture):
                problems[name] = problem
        if problems:
            first, problem = next(iter(problems.items()))
            raise ValueError(
                f"{len(problems)} of {len(self.names)} segmentations do not fit their annotations, the first is "
                f"{first} ({problem}): unpack the official archive again, or pass leave_out={sorted(problems)}."
            )


def _misfit(segmentation: Tensor, picture: _Picture) -> str:
    if segmentation.shape != (picture.height, picture.width):
        return f"its shape is {list(segmentation.shape)}, the annotation says {[picture.height, picture.width]}"
    count = len(picture.labels)
    highest = int(torch.where(segmentation == VOID, 0, segmentation).max())
    if highest > count:
        return f"it has an object {highest}, the annotation has {count}"
    for index in torch.nonzero(~picture.difficult).flatten().tolist():
        mask = segmentation == index + 1
        if not mask.any():
            return f"object {index + 1} has no mask"
        x1, y1, x2, y2 = (round(edge) for edge in picture.boxes[index].tolist())
        # Boxes enclose what is visible; a mask outside belongs to another object.
        if 2 * int(mask[y1:y2, x1:x2].sum()) < int(mask.sum()):
            return f"the mask of object {index + 1} lies outside its box"
    return ""


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: unpack the official archive of this split.")
    names = path.read_text().split()
    if not names or not all(name.isdecimal() for name in names):
        raise ValueError(f"{path} is not VOC 2007's list of pictures, a number a line: use the official file.")
    return names


def _annotation(path: Path) -> _Picture:
    try:
        tree = ElementTree.parse(path)
        height, width = (int(tree.findtext(f"size/{side}", "")) for side in ("height", "width"))
        objects = tree.findall("object")
        # A person's parts have boxes of their own, one level below.
        corners = [[float(one.findtext(f"bndbox/{edge}", "")) for edge in _EDGES] for one in objects]
        labels = [CATEGORIES.index(one.findtext("name", "")) for one in objects]
        difficult = [one.findtext("difficult", "0") == "1" for one in objects]
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path} is not VOC's annotation ({error}): unpack the official archive again.") from error
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
    # VOC counts pixels from 1 and names the first and the last one inside.
    boxes[:, :2] -= 1
    return _Picture(
        height, width, boxes, torch.tensor(labels, dtype=torch.int64), torch.tensor(difficult, dtype=torch.bool)
    )
