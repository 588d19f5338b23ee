"""Labels in YOLO's format: shares become pixels, segments become masks, and each bad line is named."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from odam_lib.datasets.yolo import YoloFormat

HEIGHT, WIDTH = 10, 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in ("images/val", "labels/val"):
        (tmp_path / part).mkdir(parents=True)
    for name in ("a.png", "b.jpg", "val/c.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.4\n\n0 0.25 0.5 0.5 1\n", encoding="utf-8")
    (tmp_path / "labels" / "val" / "c.txt").write_text("0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("cow\nplough\n", encoding="utf-8")
    return tmp_path


def test_shares_of_the_sides_become_pixels(root: Path) -> None:
    dataset = YoloFormat(root)
    assert dataset.categories == ("__background__", "cow", "plough") and dataset.names == ["a", "b", "val/c"]
    image, target = dataset[0]
    assert image.shape == (3, HEIGHT, WIDTH) and target["image_id"] == 0
    assert torch.allclose(target["boxes"], torch.tensor([[5.0, 3, 15, 7], [0, 0, 10, 10]]))
    assert target["labels"].tolist() == [2, 1] and target["ignored"].shape == (0, 4)
    assert dataset[1][1]["boxes"].shape == (0, 4)  # a picture without a label file has no objects
    assert torch.allclose(dataset[2][1]["boxes"], torch.tensor([[2.0, 2, 10, 6]]))
    assert dataset.no_masks == f"Line 1 of {root / 'labels' / 'a.txt'} is a box, no segment"
    assert all("masks" not in dataset[item][1] for item in range(3))


def test_segments_alone_are_masks(root: Path) -> None:
    dataset = YoloFormat(root, split="val")
    assert dataset.names == ["val/c"] and dataset.no_masks == ""
    expected = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    expected[0, 2:6, 2:10] = True
    assert torch.equal(dataset[0][1]["masks"], expected)


def test_pictures_are_turned_as_their_tag_says(root: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(root / "images" / "b.jpg", exif=turned)
    assert YoloFormat(root)[1][0].shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "nc: 2\nnames: [cow, plough]\n"),
        ("data.yaml", "names:\n  1: plough\n  0: cow\n"),
        ("labels/classes.txt", "\ufeffcow\nplough\n\n"),
    ],
)
def test_names_are_read_from_where_tools_leave_them(root: Path, name: str, text: str) -> None:
    (root / "classes.txt").unlink()
    (root / name).write_text(text, encoding="utf-8")
    assert (
        YoloFormat(root).categories == YoloFormat(root, root / name).categories == ("__background__", "cow", "plough")
    )
    assert YoloFormat(root, ["x", "y", "z"]).categories == ("__background__", "x", "y", "z")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("names: 3", "has no names, a list or a mapping"),
        ("names: {1: cow, 2: plough}", "has no names, a list or a mapping"),
        ("- cow", "has no names, a list or a mapping"),
        ("names: [cow", "is no YAML"),
        ("names: [cow, no]", "has the category False, which is no name"),
        ("names: [cow, cow]", "has two categories of the name 'cow'"),
        ("names: []", "has no categories"),
    ],
)
def test_names_that_cannot_be_right_are_refused(root: Path, text: str, sentence: str) -> None:
    (root / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"data\.yaml {sentence}"):
        YoloFormat(root)


def test_yaml_without_pyyaml_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "data.yaml").write_text("names: [cow, plough]", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"data\.yaml is read by pyyaml, .* pip install 'odam_lib\[notebooks\]'"
    ):
        YoloFormat(root)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("2 0.5 0.5 0.5 0.4", "has the class 2, there are 2, counted from 0"),
        ("-1 0.5 0.5 0.5 0.4", "has the class -1"),
        ("0.5 0.5 0.5 0.5 0.4", "has the class 0.5"),
        ("nan 0.5 0.5 0.5 0.4", "has the class nan"),
        ("0 0.5 0.5 0.5", "has 3 numbers after the class"),
        ("0 0.5 0.5 0.5 0.4 0.9", "has 5 numbers after the class"),
        ("0", "has 0 numbers after the class"),
        ("cow 0.5 0.5 0.5 0.4", "is no list of numbers"),
        ("0 0.5 nan 0.5 0.4", "has the number nan, which is no share"),
        ("0 0.5 inf 0.5 0.4", "has the number inf, which is no share"),
        ("0 0.5 0.5 -0.5 0.4", "has the number -0.5, which is no share"),
        ("0 120 80 40 40", "has the number 120, which is no share"),
        ("0 0.1 0.2 0.5 0.2 0.5 nan", "has the number nan, which is no share"),
    ],
)
def test_a_line_that_cannot_be_right_is_named(root: Path, line: str, sentence: str) -> None:
    (root / "labels" / "b.txt").write_text(f"0 0.5 0.5 0.5 0.4\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"Line 2 of .*b\.txt {sentence}"):
        YoloFormat(root)


def test_files_that_do_not_belong_together_are_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"images/train is missing: root must hold images/ and labels/"):
        YoloFormat(root, split="train")
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.txt with the names"):
        YoloFormat(root, root / "absent.txt")
    (root / "labels" / "b.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"b\.txt is no text"):
        YoloFormat(root)
    (root / "labels" / "b.txt").write_text("", encoding="utf-8")
    (root / "labels" / "d.txt").write_text("", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"1 of 4 label files have no picture in .*, the first is .*d\.txt"):
        YoloFormat(root)
    (root / "labels" / "d.txt").unlink()
    Image.new("RGB", (2, 2)).save(root / "images" / "b.png")
    with pytest.raises(ValueError, match="has two pictures 'b' of one label file"):
        YoloFormat(root)
    (root / "classes.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has none of data\.yaml, classes\.txt, labels/classes\.txt"):
        YoloFormat(root)


def test_labels_without_an_object_are_refused(root: Path) -> None:
    (root / "labels" / "val" / "c.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="hold no objects"):
        YoloFormat(root, split="val")
