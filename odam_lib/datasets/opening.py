"""The one door to all data sets: by the name of their kind or, for data of the user's own, by path."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from odam_lib.datasets.coco import CocoFormat
from odam_lib.datasets.layouts import SPLITS, UNDERSTOOD, WHOLE, Layout, lay_out, recognise
from odam_lib.datasets.part import Part
from odam_lib.datasets.scenes import SETTINGS, Scenes
from odam_lib.files import data_root, user_path

KINDS = ("scenes", "coco", "voc", "crowdhuman", "yolo", "photos")
BUNDLED = ("scenes", "photos")
MIXED = "mixed"
DRAWN = ("scenes", MIXED, *SETTINGS)
"""Names of drawn scenes: of all, of the mixture that they are by default, and of each setting."""
HELD_OUT = 1000
SIDE = 256


def open_dataset(
    kind: str,
    root: str | Path = "",
    annotations: str | Path = "",
    setting: str | None = None,
    split: str = "",
    number: int | None = None,
    size: int = SIDE,
    seed: int = 0,
) -> Any:
    """A data set for evaluations, crowds and the notebooks; :func:`open_parts` opens one to train on.

    ============== ================= ========================================================================
    kind           without root      with root, or root and annotations
    ============== ================= ========================================================================
    ``scenes``     held-out scenes
    ``photos``     bundled pictures
    ``coco``       COCO val2017      a folder in COCO's layout; or any JSON in its format as annotations, and
                                     the folder that its file names start at
    ``voc``        VOC 2007 test     a folder in VOC's layout; or the folders of the pictures and the XML files
    ``crowdhuman`` CrowdHuman's val  its folder
    ``yolo``                         ``images/``, ``labels/`` and names, or ``images/val`` for a part; names of
                                     the classes, in ``data.yaml`` or a text, as annotations
    a setting      those scenes
    a path                           what lies there says which of these it is
    ============== ================= ========================================================================

    Args:
        kind: one of :data:`KINDS`; a name of :data:`DRAWN`; or a path, see
            :data:`~odam_lib.datasets.layouts.UNDERSTOOD`.
        root: folder; empty: where published data is fetched to, or the folder of ``annotations``.
        annotations: file or folder, see above; empty for none.
        setting: of scenes, see :class:`~odam_lib.datasets.scenes.Scenes`; ``mixed`` or ``None`` for the first three.
        split: ``train`` or ``val`` of data that has such parts; empty: the held-out one, and all of other data.
        number: how many pictures: so many scenes are drawn, of other data the first are taken; ``None`` for all, and
            1000 scenes.
        size, seed: of scenes.

    Returns:
        A data set with ``categories`` and ``no_masks``.

    Raises:
        FileNotFoundError: something is not there; says what, and how to get it.
        ValueError: an unknown kind, paths for bundled data, a part or number of pictures that it does not have, or data
            that cannot be right.
        ModuleNotFoundError: names in YAML, without pyyaml.
    """
    if split not in ("", *SPLITS):
        raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}, or none.")
    if is_drawn(kind):
        draw = _draw_by(kind, root, annotations, setting, size)
        return draw(split or "val", HELD_OUT if number is None else number, seed=seed)
    layout = _lay_out(kind, root, annotations, setting)
    if split and WHOLE in layout:
        raise ValueError(f"{_name(kind, root)} has no parts {' and '.join(SPLITS)}: leave out the split {split!r}.")
    chosen = WHOLE if WHOLE in layout else split or "val"
    dataset = layout[chosen]()
    return dataset if number is None else _take(dataset, number, f"{_name(kind, root)}{chosen and f' ({chosen})'}")


def open_parts(
    kind: str,
    train: int,
    held_out: int,
    root: str | Path = "",
    annotations: str | Path = "",
    setting: str | None = None,
    size: int = SIDE,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Pictures to train on and others to measure on: of data that has no such parts the first and the last ones.

    Args:
        kind, root, annotations, setting, size: as for :func:`open_dataset`.
        train: how many to train on.
        held_out: how many to measure on.
        seed: of the training scenes.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: as for :func:`open_dataset`.
    """
    if is_drawn(kind):
        draw = _draw_by(kind, root, annotations, setting, size)
        return draw("train", train, seed=seed), draw("val", held_out)
    layout, name = _lay_out(kind, root, annotations, setting), _name(kind, root)
    if WHOLE not in layout:
        first, second = (
            _take(layout[split](), number, f"{name} ({split})") for split, number in zip(SPLITS, (train, held_out))
        )
        return first, second
    whole = layout[WHOLE]()
    _take(whole, train, name), _take(whole, held_out, name)
    if train + held_out > len(whole):
        raise ValueError(
            f"{name} has no parts to train on and to measure on, and its {len(whole)} pictures are not enough for "
            f"{train} and {held_out}: ask for fewer."
        )
    return Part(whole, range(train)), Part(whole, range(len(whole) - held_out, len(whole)))


def is_drawn(kind: str) -> bool:
    """Whether a name of a data set stands for drawn scenes."""
    return kind in DRAWN


def _draw_by(
    kind: str, root: str | Path, annotations: str | Path, setting: str | None, size: int
) -> Callable[..., Scenes]:
    _refuse_paths(kind, root, annotations)
    if kind != "scenes" and setting not in (None, kind):
        raise ValueError(f"The data set is {kind!r} and the setting {setting!r}: give one of the two.")
    named = setting if kind == "scenes" else kind
    return partial(Scenes, setting=None if named == MIXED else named, size=size)


def _refuse_paths(kind: str, root: str | Path, annotations: str | Path) -> None:
    if root or annotations:
        raise ValueError(f"The data set {kind!r} is bundled: give no root and no annotations, or another kind.")


def _lay_out(kind: str, root: str | Path, annotations: str | Path, setting: str | None) -> Layout:
    if setting not in (None, MIXED):
        raise ValueError(f"The setting is {setting!r}, but the data set {kind!r} has none: only scenes do.")
    if kind == "photos":
        _refuse_paths(kind, root, annotations)
        return {WHOLE: partial(CocoFormat, data_root() / "photos", data_root() / "photos" / "annotations.json")}
    if kind in KINDS:
        return lay_out(kind, root, annotations)
    path = user_path(kind)
    if not path.exists():
        raise ValueError(
            f"Unknown data set {kind!r}: choose one of {', '.join(KINDS)}, a setting of the scenes "
            f"({', '.join(DRAWN[1:])}), or a path that is there: {UNDERSTOOD}."
        )
    found = recognise(path)
    if path.is_file():
        if annotations:
            raise ValueError(f"{path} are the annotations already: give no others.")
        return lay_out(found, root, path)
    if root:
        raise ValueError(f"{path} is a folder already: give no root.")
    return lay_out(found, path, annotations)


def _name(kind: str, root: str | Path) -> str:
    return f"The data set {kind!r}{f' at {root}' if root else ''}"


def _take(dataset: Any, number: int, name: str) -> Any:
    """The first pictures of a data set."""
    if number < 1:
        raise ValueError(f"The number of pictures is {number}: give 1 or more.")
    if number > len(dataset):
        raise ValueError(f"{name} has {len(dataset)} pictures here, not {number}: ask for fewer.")
    return dataset if number == len(dataset) else Part(dataset, range(number))
