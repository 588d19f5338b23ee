"""Any JSON in COCO's format: own categories and odd ids are read, what cannot be right is refused in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from odam_lib.datasets.coco import Coco, CocoFormat
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.dataset import main
from odam_lib.files import data_root

HEIGHT, WIDTH = 8, 10
VAL100 = data_root().parent.parent / "shared" / "data" / "coco-val100"


def annotations() -> dict[str, Any]:
    """Two pictures, the second in a sub-folder; three classes with ids that are not consecutive."""
    return {
        "images": [
            {"id": 70, "file_name": "sub/b.png", "height": HEIGHT, "width": WIDTH},
            {"id": 3, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
        ],
        "categories": [{"id": 40, "name": "plough"}, {"id": 0, "name": "tractor"}, {"id": 7, "name": "cow"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 40, "bbox": [1, 2, 4, 3],
             "segmentation": [[1, 2, 5, 2, 5, 5, 1, 5]]},
            {"image_id": 70, "category_id": 0, "bbox": [0, 0, 10, 8],
             "segmentation": {"size": [8, 10], "counts": [0, 80]}},
            {"id": 9, "image_id": 3, "category_id": 7, "bbox": [6, 6, 3.5, 1], "iscrowd": 1},
        ],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 51)).save(tmp_path / name)
    return tmp_path


def opened(folder: Path, content: Any) -> CocoFormat:
    path = folder / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return CocoFormat(folder, path)


def test_labels_count_the_classes_in_the_order_of_their_ids(folder: Path) -> None:
    dataset = opened(folder, annotations())
    assert dataset.categories == ("__background__", "tractor", "cow", "plough") and dataset.no_masks == ""
    image, target = dataset[0]
    assert image.shape == (3, HEIGHT, WIDTH) and image[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert target["image_id"] == 3 and target["labels"].tolist() == [3] and target["boxes"].tolist() == [[1, 2, 5, 5]]
    assert target["ignored"].tolist() == [[6, 6, 9.5, 7]] and target["ignored_labels"].tolist() == [2]
    expected = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    expected[0, 2:5, 1:5] = True
    assert torch.equal(target["masks"], expected)
    _, other = dataset[1]
    assert other["image_id"] == 70 and other["labels"].tolist() == [1] and bool(other["masks"].all())
    assert other["ignored"].shape == (0, 4) and len(dataset) == 2


def test_one_object_without_a_mask_takes_all_masks_away_and_is_named(folder: Path) -> None:
    content = annotations()
    content["annotations"][1]["segmentation"] = []
    dataset = opened(folder, content)
    assert dataset.no_masks == (
        f"Annotation number 2 of {folder / 'own.json'} (picture sub/b.png) is an object without a mask"
    )
    assert all("masks" not in dataset[item][1] for item in range(2)) and dataset[0][1]["boxes"].shape == (1, 4)


def test_a_category_called_background_is_the_background(folder: Path) -> None:
    content = annotations()
    content["categories"][1]["name"] = "__background__"
    del content["annotations"][1]
    assert opened(folder, content).categories == ("__background__", "cow", "plough")


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    assert len(opened(folder, "\ufeff" + json.dumps(annotations()))) == 2


def change(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return edit


def without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return edit


BOX, POLYGON = ("annotations", 0, "bbox"), ("annotations", 0, "segmentation")
RUNS = ("annotations", 1, "segmentation", "counts")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (without("categories"), r"own\.json is not in COCO's format, it has no list of categories"),
        (change("categories", to=[]), "has an empty list of categories"),
        (change("images", to=[]), "has an empty list of images"),
        (change("annotations", to=[]), "has an empty list of annotations"),
        (change("categories", 0, "name", to="cow"), "has two categories of the name 'cow'"),
        (change("categories", 0, "name", to=None), "has the category None, which is no name"),
        (change("categories", 0, "id", to=7), "the id 7, which is listed twice"),
        (change("categories", 0, "id", to="7"), "the id '7', which is no whole number"),
        (change("categories", 0, to="cow"), "not in COCO's format .category number 1"),
        (change("annotations", 0, "category_id", to=41), r"\(picture a\.png\) has the category 41, which"),
        (change("annotations", 0, "image_id", to=4), "belongs to picture 4, which is not listed"),
        (change("annotations", 0, "image_id", to=[]), "not in COCO's format .annotation number 1: TypeError"),
        (change("annotations", 0, to=None), "not in COCO's format .annotation number 1"),
        (change("images", 0, "id", to=3), r"Picture a\.png of .* has the id 3, which is listed twice"),
        (change("images", 0, "id", to="b"), "has the id 'b', which is no whole number"),
        (change("images", 0, "file_name", to=None), "Picture 1 of .* has the file name null"),
        (change("images", 0, "file_name", to=""), "Picture 1 of .* has the file name"),
        (change("images", 0, "file_name", to="/etc/a.png"), "has a file name outside the folder of pictures"),
        (change("images", 0, "file_name", to="sub/../../a.png"), "has a file name outside the folder of pictures"),
        (change("images", 0, "file_name", to="C:\\a.png"), "has a file name outside the folder of pictures"),
        (without("images", 0, "height"), "picture number 1: KeyError 'height'"),
        (change("images", 0, "height", to=8.5), "the size 10 x 8.5, which are no numbers of pixels"),
        (change("images", 0, "width", to=0), "the size 0 x 8, which are no numbers of pixels"),
        (without(*BOX), "KeyError 'bbox'"),
        (change(*BOX, to=[1, 2, 3]), r"Annotation 1 of .* \(picture a\.png\) has a box of 3 numbers instead of 4"),
        (change(*BOX, to=[1, 2, float("nan"), 3]), "whose numbers are not finite"),
        (change(*BOX, to=[1, 2, float("inf"), 3]), "whose numbers are not finite"),
        (change(*BOX, to=[1, 2, 10**400, 3]), "not in COCO's format .annotation number 1: OverflowError"),
        (change(*BOX, to=["1", 2, 3, 3]), "not in COCO's format .annotation number 1: TypeError"),
        (change(*BOX, to=[5, 2, -4, 3]), "has a box of -4 x 3, a negative side"),
        (change(*BOX, to=[11, 2, 4, 3]), "far outside its picture of 10 x 8"),
        (change(*BOX, to=[1, 2, 400, 3]), "far outside its picture of 10 x 8"),
        (change(*POLYGON, to=[[1, 2, float("nan"), 2, 5, 5]]), "has a polygon whose numbers are not finite"),
        (change(*POLYGON, to=[[1, 2, 1e30, 2, 5, 5]]), "has a polygon far outside its picture of 10 x 8"),
        (change(*POLYGON, to=[[1, 2, 5, 2, 5, 5, 1]]), "has a polygon of 7 numbers, which are no pairs"),
        (change(*POLYGON, to=[[1, 2, "5", 2, 5, 5]]), "not in COCO's format .annotation number 1: TypeError"),
        (change("annotations", 1, "segmentation", "size", to=[10, 8]), r"has a mask of size \[10, 8\], its"),
        (change(*RUNS, to=[0, 81]), "has a mask whose run lengths are damaged"),
        (change(*RUNS, to=[-1, 81]), "has a mask whose run lengths are damaged"),
        (change(*RUNS, to="999999"), "has a mask whose run lengths are damaged"),
        (change(*RUNS, to="\u00e9\u00e9"), "has a mask whose run lengths are damaged"),
        (change(*RUNS, to=5), "has a mask whose run lengths are damaged"),
        (change(*POLYGON, to="abc"), "has a segmentation that is neither run lengths nor a list of polygons"),
        (change(*POLYGON, to=[1, 2, 5, 2, 5, 5]), "has a segmentation that is neither run lengths nor a list"),
        (change(*POLYGON, to=[[1, 2, 5, 2, 5, 5], [float("nan")] * 4]), "has a polygon whose numbers are not finite"),
        (change(*POLYGON, to=[[0, 0, 10, 8] * 1000]), "has an outline that crosses its picture 4000 times"),
        (change("annotations", 2, "segmentation", to=[[float("nan")] * 6]), "has a polygon whose numbers are not"),
        (change("annotations", 2, "segmentation", to={"size": [8, 10], "counts": [81]}), "run lengths are damaged"),
        (change("annotations", 2, "iscrowd", to="0"), "has iscrowd '0', which is neither 0 nor 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_when_the_file_is_read(
    folder: Path, edit: Callable[[dict], None], sentence: str
) -> None:
    content = annotations()
    edit(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        opened(folder, content)
    assert "own.json" in str(caught.value) and "official" not in str(caught.value)


def test_crowds_alone_are_no_objects(folder: Path) -> None:
    content = annotations()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(ValueError, match=r"own\.json holds no objects"):
        opened(folder, content)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "[]", "3", "null"])
def test_files_that_are_no_annotations_are_refused(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"own\.json is (no JSON|not in COCO's format)"):
        opened(folder, text)


def test_a_file_or_picture_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*absent\.json"):
        CocoFormat(folder, folder / "absent.json")
    (folder / "sub" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures are missing, the first is .*sub/b\.png: give"):
        opened(folder, annotations())
    content = annotations()
    content["images"][0]["file_name"] = "long" * 200
    with pytest.raises(FileNotFoundError, match="1 of 2 pictures are missing"):
        opened(folder, content)


def test_a_claim_of_another_size_is_refused_before_a_mask_of_that_size_is_drawn(folder: Path) -> None:
    content, side = annotations(), 10**9
    content["images"][1] |= {"height": side, "width": side}
    content["annotations"][0]["segmentation"] = [[0, 0, side, 0, side, side]]
    with pytest.raises(ValueError, match=rf"a\.png has 10 x 8 pixels, its annotation says {side} x {side}: give the"):
        opened(folder, content)


def test_a_picture_that_was_exchanged_since_is_refused_when_it_is_read(folder: Path) -> None:
    dataset = opened(folder, annotations())
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(folder / "a.png")
    with pytest.raises(ValueError, match=r"a\.png has 10 x 9 pixels, its annotation says 10 x 8"):
        dataset[0]


def test_scenes_written_as_files_are_the_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["scenes", str(tmp_path), "--number", "2", "--split", "val", "--size", "96", "--workers", "0"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    dataset, scenes = CocoFormat(tmp_path / "images", tmp_path / "annotations.json"), Scenes("val", 2, size=96)
    assert dataset.categories == scenes.categories
    for item in range(2):
        (image, target), (drawn, truth) = dataset[item], scenes[item]
        assert torch.equal(image, drawn) and target["image_id"] == truth["image_id"]
        assert torch.equal(target["labels"], truth["labels"]) and torch.equal(target["masks"], truth["masks"])
        assert torch.allclose(target["boxes"], truth["boxes"], atol=1e-2)


@pytest.mark.skipif(not VAL100.is_dir(), reason="../shared/data/coco-val100, 100 pictures of COCO, is not there")
def test_pictures_of_coco_read_the_same_as_own_data() -> None:
    official = Coco(VAL100)
    own = CocoFormat(VAL100 / "val2017", VAL100 / "annotations" / "instances_val2017.json")
    assert len(official) == len(own) == 100 and len(own.categories) == 81 and official.no_masks == own.no_masks == ""
    for item in (0, 17, 99):
        (image, target), (same, other) = official[item], own[item]
        assert torch.equal(image, same) and torch.equal(target["boxes"], other["boxes"])
        assert torch.equal(target["masks"], other["masks"])
        names, others = (
            [data.categories[label] for label in one["labels"]] for data, one in ((official, target), (own, other))
        )
        assert names == others
        for box, mask in zip(target["boxes"], target["masks"]):
            rows, columns = np.nonzero(mask.numpy())
            assert [columns.min(), rows.min()] >= (box[:2] - 1).tolist() and rows.max() <= box[3] + 1
