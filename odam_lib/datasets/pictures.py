"""Pictures that annotations refer to."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol

from torch import Tensor

from odam_lib.images import picture_file
from odam_lib.kernels import checks

Target = dict[str, Any]
"""Tensors ``boxes``, ``labels`` ... of one picture, its number ``image_id`` and, where it is a file, ``file_name``."""


class Examples(Protocol):
    """A data set that one can learn from: so many items ``(image, target)``."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int, /) -> tuple[Tensor, Target]: ...


Outline = tuple[tuple[int, int], Target]
"""Height and width of a picture in pixels, and its target without masks: what is known before it is decoded."""


def outline(dataset: Any, item: int) -> Outline | None:
    """What a data set knows of a picture before it is decoded; ``None`` if it decodes it to know.

    Raises:
        ValueError: the picture cannot be read.
    """
    known = getattr(dataset, "outline", None)
    return known(item) if known else None


LONGEST_SIDE = 65_535
"""Of a JPEG in pixels: boxes of crowds reach beyond the border of their picture, but not so far."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""Of files that are taken for pictures, in lower case."""


@dataclass(frozen=True)
class Advice:
    """What a message about bad data tells to do.

    Attributes:
        pictures: about pictures that are missing, damaged or of another size.
        annotations: about annotations that cannot be right.
    """

    pictures: str
    annotations: str


OFFICIAL = Advice("unpack the official archive again", "use the official file")
"""For published data sets."""
OWN = Advice("give the pictures that the annotations were made for", "mend the file")
"""For data of the user's own."""


def check_item(item: int, number: int) -> None:
    """Raise ``IndexError`` for an item that a data set of so many pictures does not have, ``TypeError`` for none."""
    item = checks.count("The number of a picture", item, least=None)
    if not 0 <= item < number:
        raise IndexError(f"Picture {item} does not exist: there are {number}, counted from 0.")


def refuse_missing(folder: Path, names: Sequence[str], kind: str, advice: Advice) -> None:
    """Refuse a data set that has lost some of its files, instead of shrinking it.

    Args:
        folder: where they must be.
        names: file names, perhaps with sub-folders.
        kind: what they are, in the plural, for the message.
        advice: what to do.

    Raises:
        FileNotFoundError: how many are missing and which is the first.
    """
    if missing := [name for name in names if not os.path.isfile(folder / name)]:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} {kind} are missing, the first is {folder / missing[0]}: {advice.pictures}."
        )


def refuse_misfits(paths: Sequence[Path], sizes: Sequence[tuple[int, int]], advice: Advice) -> None:
    """Refuse annotations that were made for other pictures, before one is decoded.

    Args:
        paths: of the pictures, which are there.
        sizes: (width, height) that the annotations state, in pixels.
        advice: what to do.

    Raises:
        ValueError: a picture's header cannot be read or states another size; names the first.
    """
    for path, size in zip(paths, sizes):
        with picture_file(path, advice.pictures, size):
            pass


def leaves_folder(name: str) -> bool:
    """Whether a file name that annotations state points out of the folder of pictures."""
    return Path(name).is_absolute() or bool(PureWindowsPath(name).drive) or ".." in PureWindowsPath(name).parts


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and its sub-folders, by :data:`SUFFIXES`, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def find_box_problem(box: Sequence[float], width: float, height: float) -> str:
    """What is wrong with a box, as the end of a sentence; empty if nothing is.

    Boxes may stick out of their picture, as those of whole people behind an edge do, but by no more than its size, and
    may be without width or height, as a few of COCO's are.

    Args:
        box: (x1, y1, x2, y2), in the units of
        width: of the picture, and
        height: likewise.
    """
    if not all(math.isfinite(edge) for edge in box):
        return f"has the box {list(box)}, whose numbers are not finite"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return f"has a box of {x2 - x1:g} x {y2 - y1:g}, a negative side"
    touches = x1 <= width and y1 <= height and x2 >= 0 and y2 >= 0
    if not touches or x1 < -width or y1 < -height or x2 > 2 * width or y2 > 2 * height:
        return f"has the box {x1:g}, {y1:g} to {x2:g}, {y2:g}, far outside its picture of {width} x {height}"
    return ""
