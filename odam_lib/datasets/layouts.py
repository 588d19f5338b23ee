"""What lies at a path: which format, and whether it has a part to train on and one that is held out."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from odam_lib.datasets.coco import ANNOTATIONS, Coco, CocoFormat
from odam_lib.datasets.crowdhuman import CrowdHuman
from odam_lib.datasets.part import Part
from odam_lib.datasets.voc import Voc, VocFormat
from odam_lib.datasets.yolo import IMAGES, LABELS, NAMES, YAML, YoloFormat, read_yaml
from odam_lib.files import user_path

SPLITS = ("train", "val")
UNDERSTOOD = (
    "a JSON in COCO's format, a data.yaml of YOLO, or a folder in the layout of COCO (annotations/instances_*.json), "
    "CrowdHuman (annotation_*.odgt), VOC (VOCdevkit/ or Annotations/) or YOLO (images/ and labels/)"
)
"""Paths that :func:`recognise` knows."""
PLAIN = "annotations.json"
FILES = {"coco": (".json",), "yolo": YAML}
_YOLO_SPLITS = {"train": ("train",), "val": ("val", "valid")}
WHOLE = ""
Layout = Mapping[str, Callable[[], Any]]
"""What opens each part of a data set, by the names of ``SPLITS``; or all of it, by ``WHOLE``, where it has no parts."""


def recognise(path: Path) -> str:
    """The format of what lies at a path: ``coco``, ``crowdhuman``, ``voc`` or ``yolo``.

    Raises:
        FileNotFoundError: nothing lies there.
        ValueError: it is of no known format, or of several; says which.
    """
    if path.is_dir():
        found = _kinds_of(path)
    elif path.is_file():
        found = [kind for kind, suffixes in FILES.items() if path.suffix.lower() in suffixes]
    else:
        raise FileNotFoundError(f"There is nothing at {path}: give {UNDERSTOOD}.")
    if not found:
        raise ValueError(f"{path} is no data set of a known format: give {UNDERSTOOD}.")
    if len(found) > 1:
        raise ValueError(
            f"{path} holds data in the formats {' and '.join(found)}: name one as the data set, and the folder as root."
        )
    return found[0]


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds data of a known format, and is not just a folder of pictures."""
    return bool(_kinds_of(folder))


def _kinds_of(folder: Path) -> list[str]:
    names = {path.name for path in folder.iterdir()}  # by name: some file systems take Annotations for annotations
    marks = {
        "coco": ("annotations" in names and bool(_coco_files(folder))) or {PLAIN, "images"} <= names,
        "crowdhuman": any(name.startswith("annotation_") and name.endswith(".odgt") for name in names),
        "voc": bool(names & {"VOCdevkit", "Annotations"}) or any(name.endswith(".xml") for name in names),
        "yolo": {IMAGES, LABELS} <= names or NAMES[0] in names or _images_above(folder) is not None,
    }
    return [kind for kind, seen in marks.items() if seen]


def lay_out(kind: str, root: str | Path, annotations: str | Path) -> Layout:
    """How data of a format, at a place, is opened; empty paths stand for the usual places.

    Raises:
        FileNotFoundError: something is not there; says what, and how to get it.
        ValueError: a path is of no use here, or names in YAML that cannot be right.
        ModuleNotFoundError: names in YAML, without pyyaml.
    """
    return {"coco": _coco, "crowdhuman": _crowdhuman, "voc": _voc, "yolo": _yolo}[kind](root, annotations)


def _coco(root: str | Path, annotations: str | Path) -> Layout:
    if annotations:
        return {WHOLE: partial(CocoFormat, root or user_path(annotations).parent, annotations)}
    if not root:
        return _by_split(partial(Coco, None))
    place = user_path(root)
    files = _coco_files(place)
    if not files and (place / PLAIN).is_file():
        return {WHOLE: partial(CocoFormat, place / "images", place / PLAIN)}
    if not files:
        raise FileNotFoundError(
            f"{place / ANNOTATIONS['val']} is missing: give the folder of COCO val2017 as root or, for data of your "
            "own, the JSON as annotations too."
        )
    return _by_split(lambda split: _coco_part(place, split, files.get(split)))


def _coco_files(root: Path) -> dict[str, Path]:
    found = {split: sorted((root / "annotations").glob(f"instances_{split}*.json")) for split in SPLITS}
    return {split: paths[0] for split, paths in found.items() if paths}


def _coco_part(root: Path, split: str, path: Path | None) -> CocoFormat:
    if path is None or path == root / ANNOTATIONS[split]:
        return Coco(root, split)
    name = path.stem.removeprefix("instances_")
    folders = [folder for folder in (root / name, root / "images" / name, root / "images") if folder.is_dir()]
    return CocoFormat(folders[0] if folders else root, path)


def _crowdhuman(root: str | Path, annotations: str | Path) -> Layout:
    if annotations:
        raise ValueError("CrowdHuman's annotations lie in its root: give that alone.")
    return _by_split(partial(CrowdHuman, root or None))


def _by_split(open_split: Callable[[str], Any]) -> Layout:
    return {split: partial(open_split, split) for split in SPLITS}


def _voc(root: str | Path, annotations: str | Path) -> Layout:
    if annotations:
        return {WHOLE: partial(VocFormat, root or annotations, annotations)}
    folder = user_path(root)
    if not root or (folder / "VOCdevkit").is_dir():
        return _by_split(lambda split: Voc(root or None, {"train": "trainval", "val": "test"}[split]))
    if not (folder / "Annotations").is_dir():
        return {WHOLE: partial(VocFormat, folder, folder)}
    whole = partial(VocFormat, folder / "JPEGImages", folder / "Annotations")
    lists = {split: folder / "ImageSets" / "Main" / f"{split}.txt" for split in SPLITS}
    if not all(path.is_file() for path in lists.values()):
        return {WHOLE: whole}
    # The classes are those of all pictures, so that both parts number them alike.
    return {split: partial(_listed_in, path, whole) for split, path in lists.items()}


def _listed_in(path: Path, whole: Callable[[], VocFormat]) -> Part:
    dataset = whole()
    number_of = {name: number for number, name in enumerate(dataset.names)}
    try:
        names = path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text ({error}): list the names of pictures there, one a line.") from error
    if unknown := [name for name in names if name not in number_of]:
        raise ValueError(f"{path} lists {unknown[0]}, of which there is no annotation: mend the list.")
    if not names:
        raise ValueError(f"{path} is empty: list the names of pictures there, one a line.")
    return Part(dataset, [number_of[name] for name in names])


def _yolo(root: str | Path, annotations: str | Path) -> Layout:
    if not root and user_path(annotations).suffix.lower() not in YAML:
        raise ValueError("The data set 'yolo' is always your own: give as root the folder with images/ and labels/.")
    place = user_path(root) if root else user_path(annotations).parent
    names = annotations or None
    if (place / IMAGES).is_dir():
        whole, folders = partial(YoloFormat, place, names), _yolo_folders(place / IMAGES)
        both = folders.keys() == set(SPLITS)
        return {split: partial(whole, name) for split, name in folders.items()} if both else {WHOLE: whole}
    if (images := _images_above(place)) is not None:
        return {WHOLE: partial(YoloFormat, images.parent, names, place.relative_to(images).as_posix())}
    listed = user_path(annotations) if annotations else place / NAMES[0]
    if listed.suffix.lower() not in YAML or not listed.is_file():
        return {WHOLE: partial(YoloFormat, place, names)}
    return {split: partial(_yolo_part, folder, listed) for split, folder in _named_in(listed).items()}


def _yolo_folders(images: Path) -> dict[str, str]:
    return {split: name for split, names in _YOLO_SPLITS.items() for name in names if (images / name).is_dir()}


def _images_above(folder: Path) -> Path | None:
    """The folder, or the nearest one that it lies in, that is called ``images`` and has ``labels`` beside it."""
    above = [one for one in (folder, *folder.parents) if one.name == IMAGES and (one.parent / LABELS).is_dir()]
    return above[0] if above else None


def _yolo_part(folder: Path, names: Path) -> YoloFormat:
    images = _images_above(folder)
    if images is None:
        raise FileNotFoundError(f"{folder}, which {names} names, is no folder in {IMAGES}/ with {LABELS}/ beside it.")
    return YoloFormat(images.parent, names, folder.relative_to(images).as_posix())


def _named_in(path: Path) -> dict[str, Path]:
    """The folders of pictures that a YAML names for each split."""
    content = read_yaml(path)
    start, folders = path.parent / str(content.get("path") or ""), {}
    for split, words in _YOLO_SPLITS.items():
        named = [content[word] for word in words if isinstance(content.get(word), str)]
        if not named:
            raise ValueError(f"{path} names no folder of pictures as {words[0]}: add it, or give the folder as root.")
        # Exporters write ../train/images into a file that lies beside train/.
        tried = [start / named[0], path.parent / named[0], path.parent / named[0].removeprefix("../")]
        folders[split] = next((one for one in tried if one.is_dir()), tried[0])
    return folders
