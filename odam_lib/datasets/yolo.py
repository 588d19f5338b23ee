"""Labels in YOLO's format: a text file for each picture, a line for each object."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.categories import add_background
from odam_lib.datasets.masks import LEAST_COORDINATES, find_mask_problem, stack_masks
from odam_lib.datasets.pictures import OWN as ADVICE, Outline, Target, check_item, find_box_problem, list_pictures
from odam_lib.files import user_path
from odam_lib.images import load_image, measure_picture

IMAGES, LABELS = "images", "labels"
NAMES = ("data.yaml", "classes.txt", f"{LABELS}/classes.txt")
"""Where class names are looked for, in this order."""
YAML = (".yaml", ".yml")
SLACK = 0.01
"""How far a number may lie outside [0, 1], for labels that were rounded."""


@dataclass(frozen=True)
class _Object:
    label: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 as shares of the picture's sides
    polygon: tuple[float, ...]  # x, y of each corner, likewise; empty where there is but a box
    line: int


class YoloFormat(Dataset[tuple[Tensor, Target]]):
    """Pictures in ``images/`` and their labels in ``labels/``; pictures are read when they are asked for.

    A line of a label file is ``class cx cy w h`` or, for a segment, ``class x1 y1 x2 y2 x3 y3 ...``: the class counted
    from 0, all else as shares of the picture's width and height. The label file of ``images/a/b.jpg`` is
    ``labels/a/b.txt``; a picture without one has no objects, as the format's makers have it.

    Items are ``(image, target)``: ``image`` float32 ``Tensor[3, H, W]`` in [0, 1], turned as its EXIF tag says;
    ``target`` holds ``boxes`` float32 ``[N, 4]`` (x1, y1, x2, y2) in pixels, a segment's being its bounds, ``labels``
    int64 ``[N]``, ``file_name``, ``image_id``, here the item's number, no objects in ``ignored`` ``[0, 4]`` and
    ``ignored_labels`` ``[0]`` and, where every object is a segment, ``masks`` bool ``[N, H, W]``.

    Args:
        root: folder with ``images/`` and ``labels/``.
        classes: names of the classes without the background, or a file of them: YAML with ``names``, a list or a
            mapping from numbers, or text with a name a line. ``None``: one of :data:`NAMES` in ``root``.
        split: sub-folder of both, such as ``val``; all if empty.

    Attributes:
        names: of the pictures below ``images/``, without suffix, in the order of the items.
        categories: class names, index 0 is the background.
        no_masks: why there are no masks, naming the first object without one; empty where there are.
        no_ignored: why nothing is marked as to be ignored.

    Raises:
        FileNotFoundError: a folder, pictures or the names of the classes are missing; says which.
        ValueError: a label file or the names are damaged or hold what cannot be right; says where.
        ModuleNotFoundError: the names are in YAML and pyyaml is not installed.
    """

    no_ignored = "YOLO's labels cannot mark what is to be ignored"

    def __init__(self, root: str | Path, classes: Sequence[str] | str | Path | None = None, split: str = "") -> None:
        place = user_path(root)
        self._images, labels = place / IMAGES, place / LABELS
        for folder in (self._images / split, labels / split):
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder} is missing: root must hold {IMAGES}/ and {LABELS}/.")
        self.categories = _categories(place, classes)
        self._files = list_pictures(self._images / split)
        self.names = [path.relative_to(self._images).with_suffix("").as_posix() for path in self._files]
        self._refuse_others(sorted((labels / split).rglob("*.txt")), labels)
        self._objects = [self._read(labels / f"{name}.txt") for name in self.names]
        objects = [(name, one) for name, found in zip(self.names, self._objects) for one in found]
        if not objects:
            raise ValueError(f"The labels in {labels / split} hold no objects: give some with at least one.")
        boxes = [
            f"Line {one.line} of {labels / name}.txt is a box, no segment" for name, one in objects if not one.polygon
        ]
        self.no_masks = boxes[0] if boxes else ""

    def _refuse_others(self, files: Sequence[Path], labels: Path) -> None:
        """Refuse label files without a picture, and pictures that share one."""
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(
                f"{self._images} has two pictures {twice[0]!r} of one label file: leave one of them there."
            )
        known = set(self.names)
        listed = [path for path in files if path.name != "classes.txt"]
        if lone := [path for path in listed if path.relative_to(labels).with_suffix("").as_posix() not in known]:
            raise FileNotFoundError(
                f"{len(lone)} of {len(listed)} label files have no picture in {self._images}, the first is {lone[0]}: "
                f"{ADVICE.pictures}."
            )

    def _read(self, path: Path) -> list[_Object]:
        if not path.is_file():
            return []
        lines = enumerate(_text(path).splitlines(), start=1)
        return [_object(line, number, path, self.categories) for number, line in lines if line.strip()]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        """Picture number ``item`` and its target.

        Raises:
            IndexError: there is no such picture.
            ValueError: the picture is damaged or too large.
        """
        check_item(item, len(self.names))
        # As it is meant to be seen: tools that write this format apply the EXIF rotation, and so do trainings on it.
        image = load_image(self._files[item])
        height, width = image.shape[-2:]
        target = self._target(item, height, width)
        if not self.no_masks:
            polygons = [
                [value * side for value, side in _sides(one.polygon, width, height)] for one in self._objects[item]
            ]
            target["masks"] = stack_masks([[polygon] for polygon in polygons], height, width)
        return image, target

    def outline(self, item: int) -> Outline:
        """See :func:`~odam_lib.datasets.pictures.outline`; errors as of an item."""
        check_item(item, len(self.names))
        size = measure_picture(self._files[item], ADVICE.pictures, upright=True)
        return size, self._target(item, *size)

    def _target(self, item: int, height: int, width: int) -> Target:
        objects = self._objects[item]
        boxes = torch.tensor([one.box for one in objects], dtype=torch.float64).reshape(-1, 4)
        return {
            "boxes": (boxes * boxes.new_tensor([width, height, width, height])).float(),
            "labels": torch.tensor([one.label for one in objects], dtype=torch.int64),
            "image_id": item,
            "file_name": self._files[item].relative_to(self._images).as_posix(),
            "ignored": torch.zeros((0, 4)),
            "ignored_labels": torch.zeros(0, dtype=torch.int64),
        }


def _sides(polygon: Sequence[float], width: int, height: int) -> list[tuple[float, int]]:
    return list(zip(polygon, (width, height) * (len(polygon) // 2)))


def _object(line: str, number: int, path: Path, categories: Sequence[str]) -> _Object:
    place = f"Line {number} of {path}"
    try:
        kind, *values = (float(word) for word in line.split())
    except ValueError as error:
        raise ValueError(f"{place} is no list of numbers ({error}): {ADVICE.annotations}.") from error
    if kind not in range(len(categories) - 1):
        raise ValueError(
            f"{place} has the class {kind:g}, there are {len(categories) - 1}, counted from 0: {ADVICE.annotations}."
        )
    segment = len(values) >= LEAST_COORDINATES and len(values) % 2 == 0
    if len(values) != 4 and not segment:
        raise ValueError(
            f"{place} has {len(values)} numbers after the class: give 4 of a box, or pairs for 3 corners or more."
        )
    if outside := [value for value in values if not -SLACK <= value <= 1 + SLACK]:
        raise ValueError(
            f"{place} has the number {outside[0]:g}, which is no share of the picture's width or height, 0 to 1: "
            f"{ADVICE.annotations}."
        )
    across, down = values[::2], values[1::2]
    if segment:
        box = (min(across), min(down), max(across), max(down))
    else:
        (x, wide), (y, high) = across, down
        box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    if problem := find_box_problem(box, 1, 1) or (find_mask_problem([values], 1, 1) if segment else ""):
        raise ValueError(f"{place} {problem}: {ADVICE.annotations}.")
    return _Object(int(kind) + 1, box, tuple(values) if segment else (), number)


def _categories(root: Path, classes: Sequence[str] | str | Path | None) -> tuple[str, ...]:
    if classes is None:
        found = [root / name for name in NAMES if (root / name).is_file()]
        if not found:
            raise FileNotFoundError(
                f"{root} has none of {', '.join(NAMES)}: put one there, or give the names of the classes."
            )
        classes = found[0]
    if not isinstance(classes, (str, Path)):
        return add_background(list(classes), "The list of classes")
    path = user_path(classes)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path} with the names of the classes: check the path.")
    if path.suffix.lower() in YAML:
        return add_background(_listed(path), path)
    return add_background([line.strip() for line in _text(path).strip().splitlines()], path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text ({error}): {ADVICE.annotations}.") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML of YOLO's says by name; empty where it holds something else.

    Raises:
        ValueError: it is no text or no YAML.
        ModuleNotFoundError: pyyaml is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path} is read by pyyaml, which is not installed: pip install 'odam_lib[notebooks]', or list the names "
            "in classes.txt."
        ) from error
    try:
        content = yaml.safe_load(_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is no YAML ({' '.join(str(error).split())}): {ADVICE.annotations}.") from error
    return content if isinstance(content, dict) else {}


def _listed(path: Path) -> list[Any]:
    """The names in a YAML, in the order of their numbers."""
    names = read_yaml(path).get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise ValueError(f"{path} has no names, a list or a mapping from 0, 1, 2 ...: {ADVICE.annotations}.")
    return names
