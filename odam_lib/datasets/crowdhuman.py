"""CrowdHuman (Shao et al., 2018): photographs of crowds; for each person a full, a visible and a head box."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.categories import PEOPLE
from odam_lib.datasets.download import dataset_root
from odam_lib.datasets.pictures import (
    LONGEST_SIDE,
    OFFICIAL,
    Outline,
    Target,
    check_item,
    find_box_problem,
    leaves_folder,
    refuse_missing,
)
from odam_lib.images import load_image, measure_picture

CATEGORIES = PEOPLE
SPLITS = ("train", "val")
"""Those whose annotations are published."""
BOXES = {"full": "fbox", "visible": "vbox", "head": "hbox"}
"""Kinds of boxes and what the annotations call them."""
NAME, IMAGES = "crowdhuman", "Images"


@dataclass(frozen=True)
class _Picture:
    """K annotated boxes of each of the three kinds, in the order of ``BOXES``."""

    name: str
    boxes: Tensor  # float32 [K, 3, 4], (x1, y1, x2, y2)
    ignored: Tensor  # bool [K, 3]


class CrowdHuman(Dataset[tuple[Tensor, Target]]):
    """CrowdHuman in the layout of its archives; pictures are read when they are asked for.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1], turned as its EXIF tag says;
    ``target`` holds ``boxes`` float32 ``[N, 4]`` (x1, y1, x2, y2) in pixels, which may reach beyond the picture,
    ``labels`` int64 ``[N]``, all 1, ``file_name`` and ``image_id``, the position in the annotation file;
    ``names[image_id]`` is CrowdHuman's ID. All boxes of the N people: ``full_boxes``, ``visible_boxes`` and
    ``head_boxes`` float32 ``[N, 4]``, ``boxes`` being one of them, and ``head_ignored`` bool ``[N]``, whose head box
    says nothing.

    Kept apart as ``ignored`` float32 ``[M, 4]`` and ``ignored_labels`` int64 ``[M]`` is what the evaluation in common
    use (Chu et al., 2020) ignores: crowds, reflections and the like (another tag than ``person``, or ``ignore`` in
    ``extra``) and, among head boxes, heads with ``ignore`` in ``head_attr``. So are people whose box has no width or no
    height, negative ones set to 0: that evaluation would count them as missed, its training leaves out negative ones.

    Args:
        root: folder with ``annotation_train.odgt`` or ``annotation_val.odgt``, and ``Images/<ID>.jpg`` (or ``.png``);
            ``None``: the folder ``crowdhuman`` of :func:`~odam_lib.datasets.download.datasets_folder`.
        split: ``train`` or ``val``.
        box: ``full``, ``visible`` or ``head``.

    Raises:
        FileNotFoundError: it is not there or incomplete; says what is missing and how to get it.
        ValueError: unknown split or kind of box, or annotations that are not CrowdHuman's.
    """

    categories = CATEGORIES
    no_masks = "CrowdHuman's annotations hold boxes alone"

    def __init__(self, root: str | Path | None = None, split: str = "train", box: str = "full") -> None:
        if split not in SPLITS:
            raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
        if box not in BOXES:
            raise ValueError(f"Unknown kind of box {box!r}: choose one of {', '.join(BOXES)}.")
        place = dataset_root(NAME, root)
        self.box, self.folder = box, place / IMAGES
        self._pictures = _read(place / f"annotation_{split}.odgt")
        self.names = [picture.name for picture in self._pictures]
        self._files = _files(self.folder, self.names)
        refuse_missing(self.folder, self._files, "pictures", OFFICIAL)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged or too large.
        """
        check_item(item, len(self.names))
        # The annotations state no size. The authors' code reads pictures by OpenCV, which turns them by their EXIF tag.
        return load_image(self.folder / self._files[item]), self._target(item)

    def outline(self, item: int) -> Outline:
        """See :func:`~odam_lib.datasets.pictures.outline`; errors as of an item."""
        check_item(item, len(self.names))
        return measure_picture(self.folder / self._files[item], OFFICIAL.pictures, upright=True), self._target(item)

    def _target(self, item: int) -> Target:
        picture = self._pictures[item]
        full, visible, head = range(len(BOXES))
        kind = list(BOXES).index(self.box)
        ignored = picture.ignored[:, kind]
        people = picture.boxes[~ignored]
        return {
            "boxes": people[:, kind],
            "labels": torch.ones(len(people), dtype=torch.int64),
            "image_id": item,
            "file_name": self._files[item],
            "full_boxes": people[:, full],
            "visible_boxes": people[:, visible],
            "head_boxes": people[:, head],
            "head_ignored": picture.ignored[~ignored, head],
            "ignored": picture.boxes[ignored, kind],
            "ignored_labels": torch.ones(int(ignored.sum()), dtype=torch.int64),
        }


def _files(folder: Path, names: list[str]) -> list[str]:
    # The archives hold JPEG; the authors' code, and what follows it, reads PNG copies.
    present = {path.name for path in folder.iterdir()}
    return [f"{name}.png" if f"{name}.png" in present else f"{name}.jpg" for name in names]


def _read(path: Path) -> list[_Picture]:
    """CrowdHuman's annotations, checked so far that no item can fail for their sake."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: get it from www.crowdhuman.org/download.html and put it there.")
    lines = path.read_bytes().splitlines()
    if not lines:
        raise ValueError(f"{path} is empty: use the official file.")
    return [_picture(line, f"Line {number} of {path}") for number, line in enumerate(lines, start=1)]


def _picture(line: bytes, place: str) -> _Picture:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is no JSON ({error}): use the official file.") from error
    try:
        name, gtboxes = record["ID"], record["gtboxes"]
        boxes = [[gtbox[key] for key in BOXES.values()] for gtbox in gtboxes]
        ignored = [_ignored(gtbox) for gtbox in gtboxes]
        wrong = [problem for kinds in boxes for box in kinds if (problem := _problem(box))]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{place} is not CrowdHuman's annotation of a picture ({type(error).__name__} {error}): use the official "
            "file."
        ) from error
    if not isinstance(gtboxes, list) or not isinstance(name, str) or not name:
        raise ValueError(
            f"{place} is not CrowdHuman's annotation of a picture (the ID is {name!r}, gtboxes are of the type "
            f"{type(gtboxes).__name__}): use the official file."
        )
    if leaves_folder(name):
        raise ValueError(f"{place} has the ID {name}, a file outside the folder of pictures: use the official file.")
    if wrong:
        raise ValueError(f"{place}, picture {name}, {wrong[0]}: use the official file.")
    starts, sizes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, len(BOXES), 4).split(2, dim=-1)
    return _Picture(
        name,
        torch.cat([starts, starts + sizes.clamp(min=0)], dim=-1),
        torch.tensor(ignored, dtype=torch.bool).reshape(-1, len(BOXES)) | (sizes <= 0).any(dim=-1),
    )


def _problem(box: Any) -> str:
    """What is wrong with a box (x, y, width, height), as the end of a sentence; empty if nothing is."""
    if len(box) != 4:
        return f"has the box {box}, not 4 numbers"
    x, y, width, height = box
    # A negative side is no side; see CrowdHuman.
    return find_box_problem((x, y, x + max(width, 0), y + max(height, 0)), LONGEST_SIDE, LONGEST_SIDE)


def _ignored(gtbox: dict[str, Any]) -> list[bool]:
    """Whether each kind of box is to be ignored, in the order of ``BOXES``."""
    # By the official format any key of extra and head_attr may be absent.
    everything = gtbox["tag"] != "person" or gtbox.get("extra", {}).get("ignore", 0) != 0
    head = gtbox.get("head_attr", {}).get("ignore", 0) != 0
    return [everything or (kind == "head" and head) for kind in BOXES]
