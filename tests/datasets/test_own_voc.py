"""A folder of VOC's XML files: own classes and names of pictures; what cannot be right is refused by its file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from odam_lib.datasets.voc import VocFormat


def xml(*objects: tuple[str, tuple, int], size: tuple = (10, 8)) -> str:
    entries = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
        + "</bndbox></object>"
        for name, box, difficult in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{entries}</annotation>"


COW, PLOUGH = ("cow", (1, 1, 10, 8), 0), ("plough", (2.5, 3, 6, 5), 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "xml").mkdir()
    for name in ("field 1.png", "field 2.JPG"):
        Image.new("RGB", (10, 8)).save(tmp_path / name, format="png")
    (tmp_path / "xml" / "field 1.xml").write_text(xml(PLOUGH, ("tractor", (1, 1, 2, 2), 1)), encoding="utf-8")
    (tmp_path / "xml" / "field 2.xml").write_text(xml(COW), encoding="utf-8")
    return tmp_path


def test_classes_are_those_of_the_files_and_pixels_count_from_1(folder: Path) -> None:
    dataset = VocFormat(folder, folder / "xml")
    assert dataset.categories == ("__background__", "cow", "plough", "tractor") and len(dataset) == 2
    assert dataset.names == ["field 1", "field 2"] and dataset.no_masks
    image, target = dataset[0]
    assert image.shape == (3, 8, 10) and target["image_id"] == 0 and "masks" not in target
    assert target["boxes"].tolist() == [[1.5, 2, 6, 5]] and target["labels"].tolist() == [2]
    assert target["ignored"].tolist() == [[0, 0, 2, 2]] and target["ignored_labels"].tolist() == [3]
    assert dataset[1][1]["boxes"].tolist() == [[0, 0, 10, 8]]
    with pytest.raises(IndexError, match="there are 2"):
        dataset[2]


def test_given_classes_set_the_numbering_and_refuse_others(folder: Path) -> None:
    dataset = VocFormat(folder, folder / "xml", ["tractor", "plough", "horse", "cow"])
    assert dataset.categories[1:] == ("tractor", "plough", "horse", "cow") and dataset[1][1]["labels"].tolist() == [4]
    with pytest.raises(ValueError, match=r"field 2\.xml has an object of the class 'cow', which is none of tractor"):
        VocFormat(folder, folder / "xml", ["tractor", "plough"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<annotation>", "is not VOC's annotation"),
        ("\x00\x01", "is not VOC's annotation"),
        ('<?xml version="1.0" encoding="nobodys"?><annotation/>', "is not VOC's annotation"),
        ("<annotation/>", "is not VOC's annotation"),
        (xml(COW, size=(0, 8)), "is not VOC's annotation .size 0 x 8"),
        (xml(("cow", (1, 1, 2, ""), 0)), "is not VOC's annotation"),
        (xml(("", (1, 1, 2, 2), 0)), "an object '' has no name"),
        (xml(("cow", (1, "nan", 2, 2), 0)), "whose numbers are not finite"),
        (xml(("cow", (6, 1, 2, 2), 0)), "a negative side"),
        (xml(("cow", (60, 1, 70, 2), 0)), "far outside its picture of 10 x 8"),
    ],
)
def test_what_cannot_be_right_is_refused_when_the_file_is_read(folder: Path, content: str, sentence: str) -> None:
    (folder / "xml" / "field 2.xml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"field 2\.xml.*{sentence}") as caught:
        VocFormat(folder, folder / "xml")
    assert "official" not in str(caught.value)


def spoil(folder: Path) -> None:
    (folder / "field 1.png").unlink()


def empty(folder: Path) -> None:
    for path in (folder / "xml").iterdir():
        path.write_text(xml(), encoding="utf-8")


def double(folder: Path) -> None:
    (folder / "field 1.jpeg").write_bytes(b"")


def clear(folder: Path) -> None:
    for path in (folder / "xml").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (spoil, r"1 of 2 pictures are missing, the first is .*field 1\.jpg: give"),
        (empty, "hold no objects"),
        (double, r"field 1\.jpeg and field 1\.png: leave one"),
        (clear, r"no annotations \(\*\.xml\) in .*xml"),
    ],
)
def test_folders_that_cannot_be_right_are_refused(folder: Path, edit: Callable[[Path], None], sentence: str) -> None:
    edit(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        VocFormat(folder, folder / "xml")


def test_a_picture_of_another_size_or_damaged_is_refused(folder: Path) -> None:
    before = (folder / "field 2.JPG").read_bytes()
    Image.new("RGB", (8, 10)).save(folder / "field 2.JPG", format="png")
    with pytest.raises(ValueError, match=r"field 2\.JPG has 8 x 10 pixels, its annotation says 10 x 8: give"):
        VocFormat(folder, folder / "xml")
    (folder / "field 2.JPG").write_bytes(before)
    (folder / "field 1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"field 1\.png cannot be read as a picture"):
        VocFormat(folder, folder / "xml")
