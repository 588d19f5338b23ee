"""COCO: items say what the annotation file says; what is missing or foreign is refused at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from odam_lib.categories import COCO as COCO_CATEGORIES
from odam_lib.datasets.coco import CATEGORIES, Coco

SIZES = {139: (40, 60), 285: (50, 30), 632: (20, 20)}
"""Height and width by image id."""


def annotations() -> list[dict[str, Any]]:
    crowd = np.zeros(SIZES[139], np.uint8, order="F")
    crowd[5:9, 10:30] = 1
    counts = coco_mask.encode(crowd)["counts"].decode()
    uncompressed = [0, 50, 50 * 30 - 50]
    common = {"iscrowd": 0, "area": 1.0}
    return [
        {
            **common,
            "id": 1,
            "image_id": 139,
            "category_id": 18,
            "bbox": [10, 5, 20, 10],
            "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]],
        },
        {
            **common,
            "id": 2,
            "image_id": 139,
            "category_id": 1,
            "bbox": [40.5, 2, 9.5, 30],
            "segmentation": [[41, 2, 50, 2, 50, 10, 41, 10], [41, 20, 50, 20, 50, 32, 41, 32]],
        },
        {
            **common,
            "id": 3,
            "image_id": 139,
            "category_id": 1,
            "bbox": [10, 5, 20, 4],
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": counts},
        },
        {
            **common,
            "id": 4,
            "image_id": 285,
            "category_id": 90,
            "bbox": [0, 0, 1, 50],
            "segmentation": {"size": [50, 30], "counts": uncompressed},
        },
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures in the official layout; the last one has no objects."""
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    rng = np.random.default_rng(0)
    images = []
    for image_id, (height, width) in SIZES.items():
        name = f"{image_id:012d}.jpg"
        values = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(values if image_id != 285 else values[..., 0])
        picture.save(tmp_path / "val2017" / name, quality=100)
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
    categories = [{"id": key, "name": name} for key, name in enumerate(CATEGORIES) if name != "N/A" and key]
    content = {"images": images[::-1], "annotations": annotations(), "categories": categories}
    annotation_file(tmp_path).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def annotation_file(root: Path) -> Path:
    return root / "annotations" / "instances_val2017.json"


def change(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(annotation_file(root).read_text(encoding="utf-8"))
    edit(content)
    annotation_file(root).write_text(json.dumps(content), encoding="utf-8")


def test_items_agree_with_pycocotools(root: Path) -> None:
    dataset, reference = Coco(root), COCO(annotation_file(root))
    assert [dataset[item][1]["image_id"] for item in range(len(dataset))] == [139, 285, 632]
    for image, target in (dataset[item] for item in range(3)):
        height, width = SIZES[target["image_id"]]
        record = reference.loadImgs(target["image_id"])[0]
        stored = np.asarray(Image.open(root / "val2017" / record["file_name"]).convert("RGB"))
        assert image.dtype == torch.float32 and (image * 255).round().permute(1, 2, 0).byte().numpy().tolist() == (
            stored.tolist()
        )
        found = reference.loadAnns(reference.getAnnIds(target["image_id"], iscrowd=False))
        assert target["labels"].tolist() == [one["category_id"] for one in found]
        assert target["masks"].shape == (len(found), height, width) and target["masks"].dtype == torch.bool
        for box, mask, one in zip(target["boxes"], target["masks"], found):
            x, y, wide, high = one["bbox"]
            assert box.tolist() == [x, y, x + wide, y + high]
            assert (mask.numpy() == reference.annToMask(one)).all() and mask.any()


def test_crowds_are_no_objects(root: Path) -> None:
    _, target = Coco(root)[0]
    assert target["labels"].tolist() == [18, 1]
    assert target["ignored"].tolist() == [[10, 5, 30, 9]] and target["ignored_labels"].tolist() == [1]


def test_a_picture_without_objects_has_empty_tensors_of_the_right_shape(root: Path) -> None:
    _, target = Coco(root)[2]
    assert [target[key].shape for key in ("boxes", "labels", "masks", "ignored")] == [(0, 4), (0,), (0, 20, 20), (0, 4)]


def test_labels_are_those_of_torchvisions_weights(root: Path) -> None:
    assert Coco(root).categories == COCO_CATEGORIES and len(COCO_CATEGORIES) == 91
    _, target = Coco(root)[0]
    assert [COCO_CATEGORIES[label] for label in target["labels"]] == ["dog", "person"]


def test_pictures_are_read_as_stored_and_decoded_only_when_asked_for(root: Path) -> None:
    path = root / "val2017" / "000000000139.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open(path) as picture:
        picture.copy().save(path, exif=turned)
    cut = root / "val2017" / "000000000285.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    dataset = Coco(root)
    assert dataset[0][0].shape == (3, *SIZES[139])
    with pytest.raises(ValueError, match=r"000000000285\.jpg cannot be read as a picture"):
        dataset[1]
    with pytest.raises(IndexError, match="Picture 3 does not exist: there are 3"):
        dataset[3]


def test_a_picture_of_another_size_is_refused(root: Path) -> None:
    Image.new("RGB", (60, 41)).save(root / "val2017" / "000000000139.jpg")
    with pytest.raises(ValueError, match="has 60 x 41 pixels, its annotation says 60 x 40"):
        Coco(root)[0]


def test_missing_pictures_are_counted(root: Path) -> None:
    for name in ("000000000285.jpg", "000000000632.jpg"):
        (root / "val2017" / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 3 pictures are missing, the first is .*000000000285\.jpg"):
        Coco(root)


@pytest.mark.parametrize("missing", ["val2017", "annotations/instances_val2017.json"])
def test_another_layout_names_what_is_missing(root: Path, missing: str) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"{root / missing} is missing: root must be the folder"):
        Coco(root)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"images": [1], "annotations": [1], "categories": [{"id": 1, "name": "person"}]}']
)
def test_json_that_is_not_cocos_is_refused(root: Path, content: str) -> None:
    annotation_file(root).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"instances_val2017\.json is (no JSON|not in COCO's format)"):
        Coco(root)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content["annotations"][1].pop("segmentation"), "Annotation 2 .* without a mask"),
        (lambda content: content["annotations"][1].update(segmentation=[]), "Annotation 2 .* without a mask"),
        (lambda content: content["annotations"][1].update(segmentation=[[1, 2, 3, 4]]), "Annotation 2 .* mask"),
        (lambda content: content["annotations"][3]["segmentation"].update(size=[30, 50]), "Annotation 4 .* mask"),
        (lambda content: content["annotations"][0].update(image_id=7), "belongs to picture 7, which is not listed"),
        (lambda content: content["annotations"][0].update(category_id=12), "category 12, which is not listed"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, 3]), "a box of 3 numbers"),
        (lambda content: content["categories"][0].update(name="cat"), r"categories that COCO does not have \(1 cat\)"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(root: Path, edit: Callable, message: str) -> None:
    change(root, edit)
    with pytest.raises(ValueError, match=message):
        Coco(root)
