"""Scenes as files: PNG pictures, COCO's JSON and, for crowds, CrowdHuman's ``.odgt``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from odam_lib.datasets.scenes.render import render
from odam_lib.datasets.scenes.values import CATEGORIES, Instance
from odam_lib.files import owned, write_whole

DESCRIPTION, VERSION = "odam_lib scenes", "1"


def export(scenes: Any, folder: Path, workers: int = 2) -> list[Path]:
    """Write scenes and their annotations; returns the annotation files. Each file is written whole or not at all.

    Args:
        scenes: a :class:`~odam_lib.datasets.scenes.Scenes`.
        folder: an existing folder. Scenes that are there are replaced; there are no annotations until all pictures are.
        workers: processes; 0 works in this one.

    Raises:
        ValueError: a negative number of workers.
        FileExistsError: the folder holds another data set.
        OSError: it cannot be written or another run writes to it, see :func:`~odam_lib.files.owned`.
    """
    if workers < 0:
        raise ValueError(f"The number of workers is {workers}: give 0 or more.")
    with owned(folder / "annotations.json"):
        _remove_scenes(folder)
        return _export(scenes, folder, workers)


def _remove_scenes(folder: Path) -> None:
    path = folder / "annotations.json"
    if path.is_file():
        try:
            ours = json.loads(path.read_text(encoding="utf-8"))["info"]["description"] == DESCRIPTION
        except (ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise FileExistsError(f"{path} is of another data set than exported scenes: choose another folder.")
    for one in (path, folder / "annotations.odgt"):
        one.unlink(missing_ok=True)


def _export(scenes: Any, folder: Path, workers: int) -> list[Path]:
    images = folder / "images"
    images.mkdir(exist_ok=True)
    loader = DataLoader(_Written(scenes, images), batch_size=None, num_workers=workers)
    records = list(tqdm(loader, desc="scenes", unit="scene"))
    annotations = [annotation for record in records for annotation in record["annotations"]]
    coco = {
        "info": {"description": DESCRIPTION, "version": VERSION},
        "images": [record["image"] for record in records],
        "categories": [{"id": label, "name": name} for label, name in enumerate(CATEGORIES) if label],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }
    written = [folder / "annotations.json"]
    with write_whole(written[0]) as aside:
        aside.write_text(json.dumps(coco), encoding="utf-8")
    if scenes.setting == "crowd":
        written.append(folder / "annotations.odgt")
        with write_whole(written[1]) as aside:
            text = "".join(json.dumps(record["odgt"]) + "\n" for record in records)
            aside.write_text(text, encoding="utf-8")
    return written


class _Written(Dataset[dict[str, Any]]):
    """Renders a scene, writes its picture, returns its annotations."""

    def __init__(self, scenes: Any, images: Path) -> None:
        self.scenes, self.images = scenes, images

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, item: int) -> dict[str, Any]:
        scene = self.scenes.scene(item)
        rendered = render(scene)
        path = self.images / f"{item:06d}.png"
        with write_whole(path) as aside:
            Image.fromarray(rendered.image).save(aside, optimize=True)
        image = {
            "id": scene.seed,
            "file_name": path.name,
            "height": scene.height,
            "width": scene.width,
            "seed": scene.seed,
            "setting": scene.setting,
        }
        return {
            "image": image,
            "annotations": [_annotation(scene.seed, one) for one in rendered.instances],
            "odgt": {"ID": path.stem, "gtboxes": [_gtbox(one) for one in rendered.instances if one.name == "person"]},
        }


def _annotation(image_id: int, instance: Instance) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": instance.label,
        "bbox": _xywh(instance.box_visible),
        "bbox_full": _xywh(instance.box_full),
        "area": int(instance.mask.sum()),
        "iscrowd": 0,
        "visible_fraction": round(instance.visible_fraction, 4),
        "segmentation": _rle(instance.mask),
        "parts": {name: _rle(part) for name, part in instance.parts.items()},
    }


def _gtbox(instance: Instance) -> dict[str, Any]:
    head = instance.box_head
    return {
        "tag": instance.name,
        "fbox": _whole(instance.box_full),
        "vbox": _whole(instance.box_visible),
        "hbox": _whole(head or instance.box_full),
        "head_attr": {"ignore": int(head is None), "occ": int("head" not in instance.parts), "unsure": 0},
        "extra": {"box_id": instance.index, "occ": int(instance.visible_fraction < 0.99)},
    }


def _rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}


def _xywh(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3)]


def _whole(box: Sequence[float]) -> list[int]:
    """CrowdHuman's boxes are whole pixels."""
    x1, y1, x2, y2 = (round(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]
