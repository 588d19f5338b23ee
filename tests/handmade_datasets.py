"""The same few pictures of people, with the same boxes, in the layout of each data set, each with train and val."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from odam_lib.datasets.scenes import Scenes

SIDE = 96
NUMBERS = {"train": 2, "val": 1}
IGNORED = [60, 2, 90, 22]
"""Where detections are neither right nor wrong; YOLO's labels cannot say it."""
Picture = tuple[str, Image.Image, list[list[int]]]


def draw(split: str) -> list[Picture]:
    """Names, pictures and boxes (x1, y1, x2, y2) in whole pixels, which every format can say."""
    scenes = Scenes(split, NUMBERS[split], "crowd", SIDE)
    items = [scenes[item] for item in range(len(scenes))]
    return [(f"{one['image_id']:012}", to_pil_image(image), _whole(one["boxes"])) for image, one in items]


def _whole(boxes: Tensor) -> list[list[int]]:
    return boxes.round().int().clamp(0, SIDE).tolist()


def _sides(box: list[int]) -> list[int]:
    """(x, y, width, height) of a box."""
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _save(pictures: Sequence[Picture], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image, _ in pictures:
        image.save(folder / f"{name}.jpg", format="png")  # no loss: every layout has the very same picture


def _coco(pictures: Sequence[Picture], with_masks: bool) -> str:
    annotations = []
    for number, (_, _, boxes) in enumerate(pictures, start=1):
        for x1, y1, x2, y2 in boxes:
            one = {"image_id": number, "category_id": 1, "bbox": _sides([x1, y1, x2, y2]), "iscrowd": 0}
            if with_masks:
                one["segmentation"] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            annotations.append(one)
        annotations.append({"image_id": number, "category_id": 1, "bbox": _sides(IGNORED), "iscrowd": 1})
    images = [
        {"id": number, "file_name": f"{name}.jpg", "width": SIDE, "height": SIDE}
        for number, (name, _, _) in enumerate(pictures, start=1)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return json.dumps(content)


def write_coco(root: Path) -> None:
    """As MS COCO's archives unpack."""
    (root / "annotations").mkdir(parents=True)
    for split in NUMBERS:
        pictures = draw(split)
        _save(pictures, root / f"{split}2017")
        path = root / "annotations" / f"instances_{split}2017.json"
        path.write_text(_coco(pictures, with_masks=True), encoding="utf-8")


def write_voc(root: Path) -> None:
    """As VOC 2007's archives unpack."""
    folder = root / "VOCdevkit" / "VOC2007"
    for name in ("Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationObject"):
        (folder / name).mkdir(parents=True)
    for split, listed in {"train": "trainval", "val": "test"}.items():
        pictures = draw(split)
        _save(pictures, folder / "JPEGImages")
        text = "\n".join(name for name, _, _ in pictures)
        (folder / "ImageSets" / "Main" / f"{listed}.txt").write_text(text, encoding="utf-8")
        for name, _, boxes in pictures:
            objects = "".join(
                f"<object><name>person</name><difficult>{difficult}</difficult><bndbox><xmin>{x1 + 1}</xmin>"
                f"<ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
                for difficult, (x1, y1, x2, y2) in [*((0, box) for box in boxes), (1, IGNORED)]
            )
            size = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"
            text = f"<annotation><filename>{escape(name)}</filename>{size}{objects}</annotation>"
            (folder / "Annotations" / f"{name}.xml").write_text(text, encoding="utf-8")


def write_crowdhuman(root: Path) -> None:
    """As CrowdHuman's archives unpack."""
    for split in NUMBERS:
        pictures = draw(split)
        _save(pictures, root / "Images")
        lines = []
        for name, _, boxes in pictures:
            tagged = [*(("person", _sides(box)) for box in boxes), ("mask", _sides(IGNORED))]
            gtboxes = [{"tag": tag, "fbox": sides, "vbox": sides, "hbox": sides} for tag, sides in tagged]
            lines.append(json.dumps({"ID": name, "gtboxes": gtboxes}))
        (root / f"annotation_{split}.odgt").write_text("\n".join(lines), encoding="utf-8")


def write_json(root: Path) -> None:
    """All pictures beside a JSON in COCO's format without masks and without parts, and another of those of val."""
    every = {split: draw(split) for split in NUMBERS}
    for name, pictures in {
        "people": [one for each in every.values() for one in each],
        "held_out": every["val"],
    }.items():
        _save(pictures, root)
        (root / f"{name}.json").write_text(_coco(pictures, with_masks=False), encoding="utf-8")


def write_yolo(root: Path) -> None:
    """As Ultralytics lays it out."""
    for split in NUMBERS:
        pictures = draw(split)
        _save(pictures, root / "images" / split)
        (root / "labels" / split).mkdir(parents=True)
        for name, _, boxes in pictures:
            lines = [
                f"0 {(x1 + x2) / 2 / SIDE} {(y1 + y2) / 2 / SIDE} {(x2 - x1) / SIDE} {(y2 - y1) / SIDE}"
                for x1, y1, x2, y2 in boxes
            ]
            (root / "labels" / split / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [person]\n", encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "coco": write_coco,
    "voc": write_voc,
    "crowdhuman": write_crowdhuman,
    "json": write_json,
    "yolo": write_yolo,
}
"""By the name of the layout."""
