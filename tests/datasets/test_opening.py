"""One door to all data sets: each kind by its paths, and what does not go together is refused."""

import json
from pathlib import Path

import pytest
from PIL import Image

from odam_lib.datasets.coco import Coco, CocoFormat
from odam_lib.datasets.opening import open_dataset
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.voc import VocFormat
from odam_lib.datasets.yolo import YoloFormat
from odam_lib.files import data_root

XML = """<annotation><size><width>4</width><height>4</height></size><object><name>cow</name><bndbox><xmin>1</xmin>
<ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>"""
VAL100 = data_root().parent.parent / "shared" / "data" / "coco-val100"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """One picture, annotated in every format."""
    for folder in ("images", "labels", "JPEGImages", "Annotations", "flat"):
        (tmp_path / folder).mkdir()
    for name in ("images/a.png", "JPEGImages/a.jpg", "flat/a.png", "a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    for name in ("Annotations/a.xml", "flat/a.xml"):
        (tmp_path / name).write_text(XML, encoding="utf-8")
    (tmp_path / "labels" / "a.txt").write_text("0 0.25 0.25 0.5 0.5", encoding="utf-8")
    (tmp_path / "names.txt").write_text("cow", encoding="utf-8")
    content = {
        "images": [{"id": 5, "file_name": "a.png", "height": 4, "width": 4}],
        "categories": [{"id": 3, "name": "cow"}],
        "annotations": [{"image_id": 5, "category_id": 3, "bbox": [0, 0, 2, 2]}],
    }
    (tmp_path / "own.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "root", "annotations", "expected"),
    [
        ("coco", "images", "own.json", CocoFormat),
        ("coco", "", "own.json", CocoFormat),
        ("voc", ".", "", VocFormat),
        ("voc", "flat", "", VocFormat),
        ("voc", "", "flat", VocFormat),
        ("voc", "images", "Annotations", VocFormat),
        ("yolo", ".", "names.txt", YoloFormat),
        ("yolo", "images", "names.txt", YoloFormat),
    ],
)
def test_every_format_tells_the_same_object(
    place: Path, kind: str, root: str, annotations: str, expected: type
) -> None:
    dataset = open_dataset(kind, root and place / root, annotations and str(place / annotations))
    assert type(dataset) is expected and dataset.categories == ("__background__", "cow") and dataset.no_masks
    image, target = dataset[0]
    assert image.shape == (3, 4, 4) and target["boxes"].tolist() == [[0, 0, 2, 2]] and target["labels"].tolist() == [1]
    assert set(target) == {"boxes", "labels", "image_id", "file_name", "ignored", "ignored_labels"}
    assert target["file_name"] == ("a.jpg" if (kind, root) == ("voc", ".") else "a.png")


def test_a_part_of_yolos_pictures_is_opened_by_its_folder(place: Path) -> None:
    for folder in ("images/val", "labels/val"):
        (place / folder).mkdir()
    Image.new("RGB", (4, 4)).save(place / "images" / "val" / "b.png")
    (place / "labels" / "val" / "b.txt").write_text("0 0.5 0.5 0.5 0.5", encoding="utf-8")
    assert open_dataset("yolo", place, place / "names.txt").names == ["a", "val/b"]
    assert open_dataset("yolo", place / "images" / "val", place / "names.txt").names == ["val/b"]


def test_scenes_are_those_held_out() -> None:
    dataset = open_dataset("scenes", setting="beach")
    assert isinstance(dataset, Scenes) and dataset.setting == "beach" and dataset.scene(0).seed == 10**9


@pytest.mark.skipif(not VAL100.is_dir(), reason="../shared/data/coco-val100, 100 pictures of COCO, is not there")
def test_coco_by_its_folder_has_cocos_labels() -> None:
    dataset = open_dataset("coco", VAL100)
    assert isinstance(dataset, Coco) and len(dataset.categories) == 91 and "masks" in dataset[0][1]


@pytest.mark.skipif(not (data_root() / "photos" / "annotations.json").is_file(), reason="no photographs are bundled")
def test_photographs_are_bundled() -> None:
    dataset = open_dataset("photos")
    assert len(dataset) >= 1 and dataset[0][0].shape[0] == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("pascal",),
            "Unknown data set 'pascal': choose one of scenes, coco, voc, crowdhuman, yolo, photos, a set",
        ),
        (("scenes", "here"), "The data set 'scenes' is bundled: give no root"),
        (("photos", "", "here"), "The data set 'photos' is bundled: give no root"),
        (("coco", "", "", "crowd"), "The setting is 'crowd', but the data set 'coco' has none"),
        (("yolo",), "'yolo' is always your own: give as root"),
        (
            ("coco", "absent"),
            r"absent/annotations/instances_val2017\.json is missing: .* for data of your own, the JSON",
        ),
        (("voc", "absent"), r"no annotations \(\*\.xml\) in absent"),
        (("yolo", "absent"), "absent/images is missing"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        open_dataset(*arguments)


def test_published_data_that_is_not_there_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODAM_DATASETS", str(tmp_path))
    for kind, name in (("coco", "coco-val2017"), ("voc", "voc2007-test")):
        with pytest.raises(FileNotFoundError, match=f"python -m odam_lib.datasets.download {name}"):
            open_dataset(kind)
