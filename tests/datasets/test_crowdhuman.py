"""CrowdHuman: people and what is to be ignored are told apart as its evaluation does; nothing is lost or made up."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from odam_lib.datasets import download
from odam_lib.datasets.crowdhuman import BOXES, CATEGORIES, CrowdHuman
from odam_lib.datasets.download import fetch
from odam_lib.datasets.scenes import Scenes, render
from odam_lib.datasets.scenes.export import export
from odam_lib.metrics.crowds import CrowdPicture

HEIGHT, WIDTH = 30, 40
NAMES = ("273271,c9db000d5146c15", "282555,5d4e50008a1f2f5e", "273275,e5b2b0005ec3a1b2")


def gtbox(full: list, visible: list, head: list, **others: Any) -> dict[str, Any]:
    return {"tag": "person", "fbox": full, "vbox": visible, "hbox": head, "extra": {"box_id": 0}, **others}


def annotations() -> list[dict[str, Any]]:
    """A crowd with all kinds of boxes, one person without head_attr and extra, and a picture without people."""
    crowd = [
        gtbox([-4, 2, 20, 35], [0, 2, 16, 28], [3, 2, 6, 7], head_attr={"ignore": 0, "occ": 0, "unsure": 0}),
        gtbox([20, 5, 10, 20], [22, 5, 8, 9], [22, 5, 4, 4], head_attr={"ignore": 1}),
        gtbox([30, 1, 9, 12], [30, 1, 9, 12], [30, 1, 9, 12], tag="mask", extra={"ignore": 1}, head_attr={}),
        gtbox([2, 20, 5, 9], [2, 20, 5, 8], [3, 20, 2, 2], extra={"box_id": 3, "occ": 1, "ignore": 1}),
        gtbox([1, 1, 8, 8], [1, 1, 8, 8], [1, 1, 8, 8], tag="mask"),
    ]
    alone = {"tag": "person", "fbox": [1.5, 2, 10, 20], "vbox": [1.5, 2, 10, 18], "hbox": [4, 2, 5, 5]}
    return [{"ID": name, "gtboxes": gtboxes} for name, gtboxes in zip(NAMES, (crowd, [alone], []))]


def annotation_file(root: Path, split: str = "val") -> Path:
    return root / f"annotation_{split}.odgt"


def write(root: Path, records: list[dict[str, Any]]) -> None:
    annotation_file(root).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def change(root: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    records = annotations()
    edit(records)
    write(root, records)


def picture_file(root: Path, item: int) -> Path:
    return root / "Images" / f"{NAMES[item]}.jpg"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures of the validation split in the official layout, the second one grey."""
    (tmp_path / "Images").mkdir()
    rng = np.random.default_rng(0)
    for item in range(3):
        values = rng.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(values if item != 1 else values[..., 0]).save(picture_file(tmp_path, item), quality=100)
    write(tmp_path, annotations())
    return tmp_path


def test_pictures_and_full_boxes_are_those_of_the_files_in_the_files_order(root: Path) -> None:
    dataset = CrowdHuman(root, "val")
    assert dataset.names == list(NAMES)
    assert [dataset[item][1]["image_id"] for item in range(len(dataset))] == [0, 1, 2]
    for item in range(3):
        stored = np.asarray(Image.open(picture_file(root, item)).convert("RGB"))
        image = dataset[item][0]
        assert image.dtype == torch.float32 and image.shape == (3, HEIGHT, WIDTH)
        assert ((image * 255).round().byte().permute(1, 2, 0).numpy() == stored).all()
    target = dataset[0][1]
    # Not clipped: the first person's left arm and feet are outside.
    assert target["boxes"].tolist() == [[-4, 2, 16, 37], [20, 5, 30, 25]]
    assert [CATEGORIES[label] for label in target["labels"]] == ["person", "person"]
    assert dataset[1][1]["boxes"].tolist() == [[1.5, 2, 11.5, 22]]


def test_masks_and_boxes_marked_ignore_are_no_people_but_are_kept(root: Path) -> None:
    target = CrowdHuman(root, "val")[0][1]
    # A mask without the mark is ignored too.
    assert target["ignored"].tolist() == [[30, 1, 39, 13], [2, 20, 7, 29], [1, 1, 9, 9]]
    assert target["ignored_labels"].tolist() == [1, 1, 1]


def test_the_kind_of_box_decides_the_boxes_and_ignored_heads_are_ignored_among_heads_only(root: Path) -> None:
    visible = CrowdHuman(root, "val", "visible")[0][1]
    assert visible["boxes"].tolist() == [[0, 2, 16, 30], [22, 5, 30, 14]]
    assert visible["ignored"].tolist() == [[30, 1, 39, 13], [2, 20, 7, 28], [1, 1, 9, 9]]
    head = CrowdHuman(root, "val", "head")[0][1]
    assert head["boxes"].tolist() == [[3, 2, 9, 9]] and head["labels"].tolist() == [1]
    assert head["ignored"].tolist() == [[22, 5, 26, 9], [30, 1, 39, 13], [3, 20, 5, 22], [1, 1, 9, 9]]
    assert head["ignored_labels"].tolist() == [1, 1, 1, 1]


def test_all_kinds_of_boxes_of_the_same_people_come_together(root: Path) -> None:
    target = CrowdHuman(root, "val")[0][1]
    assert target["full_boxes"].tolist() == target["boxes"].tolist()
    assert target["visible_boxes"].tolist() == [[0, 2, 16, 30], [22, 5, 30, 14]]
    assert target["head_boxes"].tolist() == [[3, 2, 9, 9], [22, 5, 26, 9]]
    assert target["head_ignored"].tolist() == [False, True]
    heads = CrowdHuman(root, "val", "head")[0][1]
    assert heads["full_boxes"].tolist() == [[-4, 2, 16, 37]] and heads["head_ignored"].tolist() == [False]


@pytest.mark.parametrize(("size", "region"), [([0, 20], [20, 5, 20, 25]), ([10, -3], [20, 5, 30, 5])])
def test_a_person_without_extent_is_ignored_as_a_region_that_covers_nothing(
    root: Path, size: list[int], region: list[int]
) -> None:
    change(root, lambda records: records[0]["gtboxes"][1].update(fbox=[20, 5, *size]))
    target = CrowdHuman(root, "val")[0][1]
    assert target["boxes"].tolist() == [[-4, 2, 16, 37]] and len(target["labels"]) == 1
    assert target["ignored"].tolist()[0] == region and len(target["ignored_labels"]) == 4
    # The measures of crowds take it.
    CrowdPicture(torch.zeros(0, 4), torch.zeros(0), target["boxes"], target["ignored"])
    assert CrowdHuman(root, "val", "visible")[0][1]["boxes"].shape == (2, 4)


def test_a_head_without_extent_is_marked_and_its_person_stays(root: Path) -> None:
    change(root, lambda records: records[0]["gtboxes"][0].update(hbox=[3, 2, -1, 7]))
    target = CrowdHuman(root, "val")[0][1]
    assert target["boxes"].shape == (2, 4) and target["head_ignored"].tolist() == [True, True]
    assert target["head_boxes"].tolist()[0] == [3, 2, 3, 9]


@pytest.mark.parametrize("box", BOXES)
def test_a_picture_without_people_has_empty_tensors_of_the_right_shape_and_type(root: Path, box: str) -> None:
    target = CrowdHuman(root, "val", box)[2][1]
    assert {key: (tuple(value.shape), value.dtype) for key, value in target.items() if torch.is_tensor(value)} == {
        **dict.fromkeys(["boxes", "full_boxes", "visible_boxes", "head_boxes", "ignored"], ((0, 4), torch.float32)),
        **dict.fromkeys(["labels", "ignored_labels"], ((0,), torch.int64)),
        "head_ignored": ((0,), torch.bool),
    }


def test_splits_share_the_folder_of_pictures(root: Path) -> None:
    annotation_file(root, "train").write_text(json.dumps(annotations()[1]) + "\n", encoding="utf-8")
    training = CrowdHuman(root)
    assert training.names == [NAMES[1]] and torch.equal(training[0][0], CrowdHuman(root, "val")[1][0])


def test_png_copies_are_read_too(root: Path) -> None:
    before = CrowdHuman(root, "val")[0][0]
    with Image.open(picture_file(root, 0)) as picture:
        picture.save(root / "Images" / f"{NAMES[0]}.png")
    picture_file(root, 0).unlink()
    assert torch.equal(CrowdHuman(root, "val")[0][0], before)


def test_pictures_are_turned_by_their_exif_tag_as_opencv_does(root: Path) -> None:
    before = CrowdHuman(root, "val")[0][0]
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    picture = Image.fromarray((before * 255).round().byte().permute(1, 2, 0).numpy())
    picture.save(root / "Images" / f"{NAMES[0]}.png", exif=turned)
    assert torch.equal(CrowdHuman(root, "val")[0][0], before.flip(1, 2))


def test_a_damaged_picture_is_noticed_when_asked_for(root: Path) -> None:
    picture_file(root, 1).write_bytes(b"no picture")
    dataset = CrowdHuman(root, "val")
    assert dataset[0][0].shape == (3, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=rf"{NAMES[1]}\.jpg cannot be read as a picture"):
        dataset[1]


@pytest.mark.parametrize("item", [3, -1])
def test_there_are_no_items_beyond(root: Path, item: int) -> None:
    with pytest.raises(IndexError, match=f"Picture {item} does not exist: there are 3, counted from 0"):
        CrowdHuman(root, "val")[item]


def test_unknown_splits_and_kinds_of_boxes_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown split 'test': choose one of train, val"):
        CrowdHuman(tmp_path, "test")
    with pytest.raises(ValueError, match="Unknown kind of box 'fbox': choose one of full, visible, head"):
        CrowdHuman(tmp_path, "val", "fbox")


def test_missing_pictures_are_counted(root: Path) -> None:
    for item in (1, 2):
        picture_file(root, item).unlink()
    with pytest.raises(FileNotFoundError, match=rf"2 of 3 pictures are missing, the first is .*{NAMES[1]}\.jpg"):
        CrowdHuman(root, "val")


def test_a_wrong_root_or_a_missing_annotation_file_names_what_is_missing(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"annotation_train\.odgt is missing: get it from www\.crowdhuman\.org"):
        CrowdHuman(root, "train")
    for wrong in (root / "Images", root / "nowhere"):
        with pytest.raises(FileNotFoundError, match=rf"{wrong / 'Images'} is missing: root must be the folder"):
            CrowdHuman(wrong, "val")


def test_the_default_folder_and_the_fetching_command_say_what_to_get_by_hand(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    parent = root / "datasets"
    monkeypatch.setenv("ODAM_DATASETS", str(parent))
    with pytest.raises(FileNotFoundError) as caught:
        CrowdHuman(split="val")
    monkeypatch.setattr(sys, "argv", ["download", "crowdhuman"])
    with pytest.raises(SystemExit):
        download.main()
    for sentence in (str(caught.value), capsys.readouterr().err):
        for part in ("get annotation_train.odgt", "CrowdHuman_val.zip", "www.crowdhuman.org", "non-commercial"):
            assert part in sentence
        assert str(parent / "crowdhuman") in sentence and "fetch it by" not in sentence
    assert not parent.exists()
    parent.mkdir()
    (parent / "crowdhuman").symlink_to(root)
    assert len(CrowdHuman(split="val")) == 3 and fetch("crowdhuman") == parent / "crowdhuman"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"annotation_val\.odgt is empty"),
        ("{\n", r"Line 1 of .*annotation_val\.odgt is no JSON"),
        (json.dumps(annotations()[0]) + "\n\n" + json.dumps(annotations()[1]), "Line 2 of .* is no JSON"),
        ("[]\n", "Line 1 of .* is not CrowdHuman's annotation of a picture"),
        ('{"ID": "a"}\n', r"Line 1 of .* is not CrowdHuman's .*\(KeyError 'gtboxes'\)"),
        ('{"gtboxes": []}\n', r"Line 1 of .* is not CrowdHuman's .*\(KeyError 'ID'\)"),
        ('{"ID": "a", "gtboxes": [7]}\n', r"Line 1 of .* is not CrowdHuman's"),
        ('{"ID": null, "gtboxes": []}\n', r"Line 1 of .* is not CrowdHuman's .*the ID is None"),
        ('{"ID": "", "gtboxes": []}\n', r"Line 1 of .* is not CrowdHuman's .*the ID is ''"),
        ('{"ID": "../a", "gtboxes": []}\n', r"Line 1 of .* has the ID \.\./a, a file outside the folder of pictures"),
        ('{"ID": "/a", "gtboxes": []}\n', r"Line 1 of .* has the ID /a, a file outside the folder of pictures"),
        ('{"ID": "a", "gtboxes": {}}\n', r"Line 1 of .* is not CrowdHuman's .*gtboxes are of the type dict"),
        ("[" * 100_000, r"Line 1 of .* is no JSON"),
    ],
)
def test_lines_that_are_not_crowdhumans_are_refused(root: Path, content: str, message: str) -> None:
    annotation_file(root).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        CrowdHuman(root, "val")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda gtbox: gtbox.pop("tag"), r"\(KeyError 'tag'\)"),
        (lambda gtbox: gtbox.pop("hbox"), r"\(KeyError 'hbox'\)"),
        (lambda gtbox: gtbox.update(extra=None), r"is not CrowdHuman's annotation of a picture \(AttributeError"),
        (lambda gtbox: gtbox.update(vbox=5), r"is not CrowdHuman's annotation of a picture \(TypeError"),
        (lambda gtbox: gtbox.update(fbox=[1, 2, 3]), rf"picture {NAMES[1]}, has the box \[1, 2, 3\], not 4 numbers"),
        (lambda gtbox: gtbox.update(vbox=[1, 2, 3, "4"]), r"is not CrowdHuman's annotation of a picture \(TypeError"),
        (lambda gtbox: gtbox.update(vbox=[1, 2, float("inf"), 3]), r"has the box .*inf.*, whose numbers are not"),
        (lambda gtbox: gtbox.update(vbox=[1, 2, 10**400, 3]), r"is not CrowdHuman's .*OverflowError"),
        (lambda gtbox: gtbox.update(fbox=[1e30, 2, 3, 4]), "has the box 1e.30, 2 to 1e.30, 6, far outside"),
        (lambda gtbox: gtbox.update(fbox=[1, 2, 3, 10**9]), "has the box 1, 2 to 4, 1e.09, far outside"),
        (
            lambda gtbox: gtbox.update(hbox=[1, 2, 3, float("nan")]),
            r"has the box .*nan\], whose numbers are not",
        ),
    ],
)
def test_boxes_that_are_not_crowdhumans_name_their_line(root: Path, edit: Callable, message: str) -> None:
    change(root, lambda records: edit(records[1]["gtboxes"][0]))
    with pytest.raises(ValueError, match=rf"Line 2 of .*annotation_val\.odgt.*{message}"):
        CrowdHuman(root, "val")


def test_exported_crowds_are_read_back_after_renaming(tmp_path: Path) -> None:
    scenes = Scenes("demo", 3, "crowd", 128)
    export(scenes, tmp_path, workers=0)
    (tmp_path / "images").rename(tmp_path / "Images")
    (tmp_path / "annotations.odgt").rename(annotation_file(tmp_path))
    dataset = CrowdHuman(tmp_path, "val")
    assert len(dataset) == 3
    for item, (image, target) in enumerate(dataset[item] for item in range(3)):
        drawn, truth = scenes[item]
        assert torch.equal(image, drawn) and torch.equal(target["labels"], torch.ones_like(truth["labels"]))
        # CrowdHuman's boxes are whole pixels.
        assert len(target["boxes"]) and torch.equal(target["boxes"], truth["boxes"].round())
        people = render(scenes.scene(item)).instances
        assert target["visible_boxes"].tolist() == [list(one.box_visible) for one in people]
        assert target["head_boxes"].tolist() == [[round(edge) for edge in one.box_head] for one in people]
        assert not target["head_ignored"].any() and not len(target["ignored"])
