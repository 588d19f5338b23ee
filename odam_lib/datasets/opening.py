"""Data sets by the name of their kind and, for data of the user's own, by path."""

from pathlib import Path
from typing import Any

from odam_lib.datasets.coco import ANNOTATIONS, Coco, CocoFormat
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.voc import Voc, VocFormat
from odam_lib.datasets.yolo import IMAGES, YoloFormat
from odam_lib.files import data_root, user_path

KINDS = ("scenes", "coco", "voc", "yolo", "photos")
BUNDLED = ("scenes", "photos")
HELD_OUT = 1000


def open_dataset(kind: str, root: str | Path = "", annotations: str | Path = "", setting: str | None = None) -> Any:
    """A data set for :func:`~odam_lib.evaluation.runs.evaluate` and the notebooks.

    ========== ===================== =====================================================================
    kind       without annotations   with annotations
    ========== ===================== =====================================================================
    ``scenes`` held-out scenes
    ``photos`` bundled photographs
    ``coco``   COCO val2017          any JSON in COCO's format, and the folder its file names start at
    ``voc``    VOC 2007 test, or a   the folder of XML files, and that of the pictures
               folder in its layout
    ``yolo``   ``images/``,          the same, with this file of class names (``data.yaml`` or text)
               ``labels/`` and names, or
               ``images/val`` for a part
    ========== ===================== =====================================================================

    Args:
        kind: one of :data:`KINDS`.
        root: folder; empty: where COCO and VOC are fetched to, or the folder of ``annotations``.
        annotations: file or folder, see above; empty for none.
        setting: of scenes, see :class:`~odam_lib.datasets.scenes.Scenes`.

    Returns:
        A data set with ``categories`` and ``no_masks``.

    Raises:
        FileNotFoundError: something is not there; says what, and how to get it.
        ValueError: an unknown kind, paths for bundled data, or data that cannot be right.
        ModuleNotFoundError: names in YAML, without pyyaml.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown data set {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind in BUNDLED and (root or annotations):
        raise ValueError(f"The data set {kind!r} is bundled: give no root and no annotations, or another kind.")
    if kind != "scenes" and setting is not None:
        raise ValueError(f"The setting is {setting!r}, but the data set {kind!r} has none: only scenes do.")
    if kind == "scenes":
        return Scenes("val", HELD_OUT, setting)
    if kind == "photos":
        return CocoFormat(data_root() / "photos", data_root() / "photos" / "annotations.json")
    if kind == "yolo":
        if not root:
            raise ValueError(
                "The data set 'yolo' is always your own: give as root the folder with images/ and labels/."
            )
        return _yolo(user_path(root), annotations)
    return _coco(root, annotations) if kind == "coco" else _voc(root, annotations)


def _coco(root: str | Path, annotations: str | Path) -> CocoFormat:
    if annotations:
        return CocoFormat(root or user_path(annotations).parent, annotations)
    if root and not (user_path(root) / ANNOTATIONS).is_file():
        raise FileNotFoundError(
            f"{user_path(root) / ANNOTATIONS} is missing: give the folder of COCO val2017 as root or, for data of your "
            "own, the JSON as annotations too."
        )
    return Coco(root or None)


def _voc(root: str | Path, annotations: str | Path) -> VocFormat:
    if annotations:
        return VocFormat(root or annotations, annotations)
    folder = user_path(root)
    if not root or (folder / "VOCdevkit").is_dir():
        return Voc(root or None)
    if (folder / "Annotations").is_dir():
        return VocFormat(folder / "JPEGImages", folder / "Annotations")
    return VocFormat(folder, folder)


def _yolo(root: Path, annotations: str | Path) -> YoloFormat:
    inside = [folder for folder in (root, *root.parents) if folder.name == IMAGES]
    if (root / IMAGES).is_dir() or not inside:
        return YoloFormat(root, annotations or None)
    return YoloFormat(inside[0].parent, annotations or None, root.relative_to(inside[0]).as_posix())
