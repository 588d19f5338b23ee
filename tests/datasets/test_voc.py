"""VOC 2007: boxes count from 0, difficult objects are apart, masks belong to their objects."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from odam_lib.datasets.voc import CATEGORIES, Voc

HEIGHT, WIDTH = 30, 40
OBJECTS = {
    "000001": [("dog", (1, 1, 10, 12), 0), ("person", (5, 20, 39, 30), 0)],
    "000002": [("cow", (1, 1, 5, 5), 1), ("tvmonitor", (11, 6, 20, 25), 0), ("tvmonitor", (21, 6, 40, 25), 0)],
    "000003": [],
}
"""Name, first and last pixel counted from 1, difficult."""


def xml(objects: list[tuple[str, tuple[int, int, int, int], int]]) -> str:
    def box(corners: tuple[int, int, int, int]) -> str:
        return "<bndbox>" + "".join(
            f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners)
        ) + "</bndbox>"  # fmt: skip

    # A part comes before the object's own box here, so that confusing the two is noticed.
    part = f"<part><name>head</name>{box((2, 2, 3, 3))}</part>"
    entries = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult>{part}{box(corners)}</object>"
        for name, corners, difficult in objects
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC2007</folder>{size}{entries}</annotation>"


def segmentation(objects: list[tuple[str, tuple[int, int, int, int], int]]) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (_, (x1, y1, x2, y2), difficult) in enumerate(objects, start=1):
        values[y1 - 1 : y2, x1 - 1 : x2] = 255
        values[y1 : y2 - 1, x1 : x2 - 1] = 255 if difficult else number
    return values


def draw(root: Path, name: str, values: np.ndarray) -> None:
    picture = Image.fromarray(values).convert("P")
    picture.putdata(values.ravel().tolist())
    # A palette as VOC's: reading colours instead of indices must be noticed.
    picture.putpalette([(37 * value) % 256 for value in range(768)])
    picture.save(root / "VOCdevkit" / "VOC2007" / "SegmentationObject" / f"{name}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures in the official layout, the first two of them segmented."""
    place = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in (
        "JPEGImages",
        "Annotations",
        "ImageSets/Main",
        "ImageSets/Segmentation",
        "SegmentationObject",
    ):
        (place / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, objects in OBJECTS.items():
        picture = Image.fromarray(rng.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8))
        picture.save(place / "JPEGImages" / f"{name}.jpg", quality=100)
        (place / "Annotations" / f"{name}.xml").write_text(xml(objects), encoding="utf-8")
        if objects:
            draw(tmp_path, name, segmentation(objects))
    (place / "ImageSets" / "Main" / "test.txt").write_text("000001\n000002\n000003\n", encoding="utf-8")
    (place / "ImageSets" / "Segmentation" / "test.txt").write_text("000001\n000002\n", encoding="utf-8")
    return tmp_path


def test_boxes_cover_first_to_last_pixel_and_labels_are_the_classes(root: Path) -> None:
    dataset = Voc(root)
    image, target = dataset[0]
    stored = np.asarray(Image.open(root / "VOCdevkit" / "VOC2007" / "JPEGImages" / "000001.jpg"))
    assert image.dtype == torch.float32
    assert ((image * 255).round().byte().permute(1, 2, 0).numpy() == stored).all()
    assert target["boxes"].tolist() == [[0, 0, 10, 12], [4, 19, 39, 30]]
    assert [dataset.categories[label] for label in target["labels"]] == ["dog", "person"]
    assert target["image_id"] == 1 and "masks" not in target
    assert len(CATEGORIES) == 21 and list(CATEGORIES[1:]) == sorted(CATEGORIES[1:])


def test_difficult_objects_are_kept_apart(root: Path) -> None:
    _, target = Voc(root)[1]
    assert target["labels"].tolist() == [20, 20]
    assert target["ignored"].tolist() == [[0, 0, 5, 5]]
    assert [CATEGORIES[label] for label in target["ignored_labels"]] == ["cow"]


def test_masks_belong_to_their_objects_difficult_ones_counted(root: Path) -> None:
    dataset = Voc(root, with_masks=True)
    assert dataset.names == ["000001", "000002"]
    for _, target in (dataset[item] for item in range(2)):
        assert target["masks"].shape == (2, HEIGHT, WIDTH) and target["masks"].dtype == torch.bool
        for box, mask in zip(target["boxes"], target["masks"]):
            rows, columns = torch.nonzero(mask, as_tuple=True)
            # One pixel of void all round.
            assert [columns.min() - 1, rows.min() - 1, columns.max() + 2, rows.max() + 2] == box.tolist()


def test_a_picture_without_objects_has_empty_tensors(root: Path) -> None:
    _, target = Voc(root)[2]
    assert [target[key].shape for key in ("boxes", "labels", "ignored")] == [(0, 4), (0,), (0, 4)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({2: 0}, "object 2 has no mask"),
        ({2: 3, 3: 2}, "the mask of object 2 lies outside its box"),
        ({3: 4}, "it has an object 4, the annotation has 3"),
    ],
)
def test_masks_that_do_not_fit_are_counted_and_can_be_left_out(
    root: Path, changes: dict[int, int], problem: str
) -> None:
    values = segmentation(OBJECTS["000002"])
    draw(root, "000002", np.vectorize(lambda value: changes.get(value, value))(values).astype(np.uint8))
    with pytest.raises(ValueError, match=rf"1 of 2 segmentations .*000002 \({problem}\).*leave_out=\['000002'\]"):
        Voc(root, with_masks=True)
    assert Voc(root, with_masks=True, leave_out=["000002"]).names == ["000001"]


def test_a_segmentation_of_another_size_is_refused(root: Path) -> None:
    draw(root, "000001", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    with pytest.raises(ValueError, match=r"000001 \(its shape is \[30, 41\], the annotation says \[30, 40\]\)"):
        Voc(root, with_masks=True)


def test_leaving_out_an_unknown_name_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="'000009' cannot be left out"):
        Voc(root, leave_out=["000009"])


@pytest.mark.parametrize(
    ("folder", "suffix", "kind"),
    [("JPEGImages", "jpg", "pictures"), ("Annotations", "xml", "annotations")],
)
def test_missing_files_are_counted(root: Path, folder: str, suffix: str, kind: str) -> None:
    for name in ("000002", "000003"):
        (root / "VOCdevkit" / "VOC2007" / folder / f"{name}.{suffix}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"2 of 3 {kind} are missing, the first is .*000002\.{suffix}"):
        Voc(root)


def test_missing_segmentations_are_counted_where_masks_are_wanted(root: Path) -> None:
    (root / "VOCdevkit" / "VOC2007" / "SegmentationObject" / "000001.png").unlink()
    assert len(Voc(root)) == 3
    with pytest.raises(FileNotFoundError, match=r"1 of 2 segmentations are missing, the first is .*000001\.png"):
        Voc(root, with_masks=True)


def test_a_wrong_root_names_what_is_missing(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"VOC2007/JPEGImages is missing: root must be the folder"):
        Voc(root / "VOCdevkit")


def test_a_split_that_is_not_there_or_unknown_is_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Main/val\.txt is missing"):
        Voc(root, split="val")
    with pytest.raises(ValueError, match="Unknown split 'validation': choose one of test, trainval, train, val"):
        Voc(root, split="validation")


def test_a_data_set_not_fetched_names_the_archive_of_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODAM_DATASETS", str(tmp_path))
    for split, archive in (("test", "voc2007-test"), ("val", "voc2007-trainval")):
        with pytest.raises(FileNotFoundError, match=f"python -m odam_lib.datasets.download {archive}"):
            Voc(split=split)


@pytest.mark.parametrize(
    "content",
    ["<annotation>", "<annotation/>", xml([("dog", (1, 1, 2, "x"), 0)])],
)
def test_annotations_that_are_not_vocs_are_refused(root: Path, content: str) -> None:
    (root / "VOCdevkit" / "VOC2007" / "Annotations" / "000002.xml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"000002\.xml is not VOC's annotation"):
        Voc(root)


def test_a_class_that_voc_does_not_have_is_refused(root: Path) -> None:
    changed = xml([("unicorn", (1, 1, 2, 2), 0)])
    (root / "VOCdevkit" / "VOC2007" / "Annotations" / "000002.xml").write_text(changed, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"000002\.xml has an object of the class 'unicorn', which is none of aeroplane"
    ):
        Voc(root)
