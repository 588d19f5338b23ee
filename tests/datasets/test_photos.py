"""The bundled photographs: annotations that agree with the pictures, with COCO and with themselves."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from odam_lib.datasets.coco import CATEGORIES
from odam_lib.datasets.photos import photo, photo_annotations, photo_names
from odam_lib.files import data_root

FOLDER = data_root() / "photos"
CONTENT: dict[str, Any] = json.loads(photo_annotations().read_text(encoding="utf-8"))
SIZES = {image["id"]: (image["height"], image["width"]) for image in CONTENT["images"]}
OBJECTS = CONTENT["annotations"]
MASKED = [entry for entry in OBJECTS if "segmentation" in entry]


def named(entry: dict[str, Any]) -> str:
    return f"{entry['id']}-{CATEGORIES[entry['category_id']].replace(' ', '_')}"


def mask(entry: dict[str, Any]) -> np.ndarray:
    outlines = coco_mask.frPyObjects(entry["segmentation"], *SIZES[entry["image_id"]])
    return coco_mask.decode(coco_mask.merge(outlines)).astype(bool)


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pictures_and_annotations_list_each_other() -> None:
    assert {image["file_name"] for image in CONTENT["images"]} == {path.name for path in FOLDER.glob("*.jpg")}
    assert {image["id"] for image in CONTENT["images"]} == {entry["image_id"] for entry in OBJECTS}
    for image in CONTENT["images"]:
        with Image.open(FOLDER / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            # Boxes count stored pixels and `photo` turns pictures upright: the two agree only without a rotation.
            assert picture.getexif().get(274, 1) == 1


def test_pictures_have_the_hashes_stated_and_only_large_ones_were_changed() -> None:
    for image in CONTENT["images"]:
        assert sha256(FOLDER / image["file_name"]) == image["sha256"]
        assert max(image["width"], image["height"]) <= 1000
        assert (image["sha256"] == image["source_sha256"]) == (max(image["width"], image["height"]) < 1000)
        assert image["source_sha256"] in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_ids_are_unique(part) -> None:
    ids = [entry["id"] for entry in CONTENT[part]]
    assert len(set(ids)) == len(ids) > 0


def test_categories_are_cocos() -> None:
    expected = {(number, name) for number, name in enumerate(CATEGORIES) if number and name != "N/A"}
    assert len(expected) == 80
    assert {(category["id"], category["name"]) for category in CONTENT["categories"]} == expected


@pytest.mark.parametrize("entry", OBJECTS, ids=named)
def test_a_box_has_positive_sides_inside_its_picture(entry) -> None:
    (x, y, width, height), (bottom, right) = entry["bbox"], SIZES[entry["image_id"]]
    assert width > 0 and height > 0
    assert x >= 0 and y >= 0 and x + width <= right and y + height <= bottom
    assert entry["iscrowd"] == 0 and 0 < entry["area"] <= width * height * 1.0001


@pytest.mark.parametrize("entry", MASKED, ids=named)
def test_a_mask_fills_its_box_and_area(entry) -> None:
    x, y, width, height = entry["bbox"]
    points = np.concatenate([np.reshape(outline, (-1, 2)) for outline in entry["segmentation"]])
    assert np.abs(points.min(0) - (x, y)).max() <= 2
    assert np.abs(points.max(0) - (x + width, y + height)).max() <= 2
    drawn = mask(entry)
    assert drawn.sum() == pytest.approx(entry["area"], rel=0.02)
    rows, columns = np.nonzero(drawn)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(edges, (x, y, x + width, y + height))).max() <= 2


@pytest.mark.parametrize("image", CONTENT["images"], ids=lambda image: image["file_name"])
def test_a_pixel_belongs_to_one_object(image) -> None:
    times = sum(mask(entry).astype(int) for entry in MASKED if entry["image_id"] == image["id"])
    # Outlines of neighbours are smoothed apart from each other and may share pixels of their common border.
    assert (times > 1).sum() <= 0.01 * (times > 0).sum()


def test_pycocotools_reads_the_file() -> None:
    read = COCO(str(photo_annotations()))
    assert len(read.getImgIds()) == len(photo_names()) and len(read.getAnnIds()) == len(OBJECTS)
    dogs = read.getAnnIds(catIds=read.getCatIds(catNms=["dog"]))
    assert {read.imgs[read.anns[number]["image_id"]]["file_name"] for number in dogs} == {"dog.jpg", "person.jpg"}


@pytest.mark.parametrize("name", photo_names())
def test_photo_returns_what_pillow_reads(name) -> None:
    image = photo(name)
    with Image.open(FOLDER / f"{name}.jpg") as picture:
        expected = np.asarray(picture.convert("RGB"))
    assert image.dtype == torch.float32
    assert np.array_equal((image * 255).round().byte().permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", ["cat", "", "dog.jpg", "../photos/dog", "Dog"])
def test_an_unknown_name_is_answered_with_those_there_are(name) -> None:
    with pytest.raises(ValueError, match=", ".join(photo_names())):
        photo(name)


@pytest.mark.parametrize("name", [None, 3, FOLDER / "dog.jpg", ["dog"]])
def test_what_is_no_name_is_refused(name) -> None:
    with pytest.raises(TypeError, match="by its name"):
        photo(name)


def test_a_data_folder_without_photographs_says_how_to_get_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    for ask in (photo_names, photo_annotations, lambda: photo("dog")):
        with pytest.raises(FileNotFoundError, match="git checkout data/photos"):
            ask()
