"""What lies at a path is read from it, with its parts; what is not understood is said with what is."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from handmade_datasets import NUMBERS, WRITERS, draw, write_coco, write_json, write_voc, write_yolo

from odam_lib.datasets.coco import Coco
from odam_lib.datasets.opening import open_dataset, open_parts


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp(name) for name in WRITERS}
    for name, write in WRITERS.items():
        write(made[name])
    return made


@pytest.mark.parametrize(
    ("path", "usual"),
    [("coco", 1), ("voc", 1), ("crowdhuman", 1), ("yolo", 1), ("yolo/images/val", 1), ("yolo/data.yaml", 1),
     ("json/people.json", 3)],
)  # fmt: skip
def test_a_path_says_what_it_is(path: str, usual: int, places: dict[str, Path]) -> None:
    """Of data with parts the held-out one is taken, all of other data."""
    name, _, below = path.partition("/")
    dataset = open_dataset(str(places[name] / below))
    assert len(dataset) == usual and "person" in dataset.categories and isinstance(dataset.no_masks, str)
    ((_, _, boxes),) = draw("val")
    assert boxes in [dataset[item][1]["boxes"].tolist() for item in range(usual)]


@pytest.mark.parametrize("name", ["coco", "voc", "crowdhuman", "yolo"])
def test_a_part_is_taken_by_its_name(name: str, places: dict[str, Path]) -> None:
    for split, number in NUMBERS.items():
        dataset = open_dataset(str(places[name]), split=split)
        assert [dataset[item][1]["boxes"].tolist() for item in range(number)] == [each for *_, each in draw(split)]
        assert len(dataset) == number


def test_so_many_pictures_are_the_first(places: dict[str, Path]) -> None:
    place = str(places["json"] / "people.json")
    whole, two = open_dataset(place), open_dataset(place, number=2)
    assert len(two) == 2 and two.categories == whole.categories and two.no_masks == whole.no_masks
    assert all(torch.equal(two[item][0], whole[item][0]) for item in range(2))
    with pytest.raises(IndexError, match="Picture 2 does not exist"):
        two[2]
    for number, sentence in ((4, "has 3 pictures here, not 4: ask for fewer"), (0, "number of pictures is 0")):
        with pytest.raises(ValueError, match=sentence):
            open_dataset(place, number=number)


def test_data_without_parts_is_parted_by_its_order(places: dict[str, Path]) -> None:
    place = str(places["json"] / "people.json")
    train, held_out = open_parts(place, 2, 1)
    ids = [[one[item][1]["image_id"] for item in range(len(one))] for one in (train, held_out)]
    assert ids == [[1, 2], [3]]
    with pytest.raises(ValueError, match="its 3 pictures are not enough for 2 and 2"):
        open_parts(place, 2, 2)
    with pytest.raises(ValueError, match=r"has no parts train and val: leave out the split 'train'"):
        open_dataset(place, split="train")


def test_parts_of_own_data_number_their_classes_alike(places: dict[str, Path], tmp_path: Path) -> None:
    """In VOC's layout the classes are those that occur; here one occurs in each part alone."""
    write_voc(tmp_path)
    folder = (tmp_path / "VOCdevkit" / "VOC2007").rename(tmp_path / "own")
    lists = folder / "ImageSets" / "Main"
    for name, split in {"trainval": "train", "test": "val"}.items():
        (lists / f"{name}.txt").rename(lists / f"{split}.txt")
    path = folder / "Annotations" / f"{(lists / 'val.txt').read_text(encoding='utf-8')}.xml"
    path.write_text(path.read_text(encoding="utf-8").replace("person", "angel"), encoding="utf-8")
    train, held_out = open_parts(str(folder), 2, 1)
    assert train.categories == held_out.categories == ("__background__", "angel", "person")
    assert set(train[0][1]["labels"].tolist()) == {2} and set(held_out[0][1]["labels"].tolist()) == {1}
    assert len(open_dataset(str(folder))) == 1
    (lists / "val.txt").write_text("nobody", encoding="utf-8")
    with pytest.raises(ValueError, match=r"val\.txt lists nobody, of which there is no annotation"):
        open_dataset(str(folder), split="val")


def test_own_data_may_lie_as_cocos_does(tmp_path: Path) -> None:
    """With its own classes, its own names of files, and the pictures below images/ or in one folder."""
    write_coco(tmp_path)
    for split in NUMBERS:
        path = tmp_path / "annotations" / f"instances_{split}2017.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["categories"] = [{"id": 1, "name": "angel"}]
        path.unlink()
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "images").mkdir()
    (tmp_path / "train2017").rename(tmp_path / "images" / "train")
    shutil.copytree(tmp_path / "val2017", tmp_path / "images", dirs_exist_ok=True)
    train, held_out = open_parts(str(tmp_path), 2, 1)
    assert (
        len(train) == 2
        and len(held_out) == 1
        and train.categories == held_out.categories == ("__background__", "angel")
    )
    assert len(open_dataset("coco", tmp_path)) == 1


def test_scenes_that_were_written_are_opened_by_their_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "images")
    (tmp_path / "images" / "people.json").rename(tmp_path / "annotations.json")
    assert len(open_dataset(str(tmp_path))) == 3


def test_a_yaml_as_exporters_write_it_names_its_parts(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    for name in ("train", "valid"):
        for kind in ("images", "labels"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / kind / name.removesuffix("id")).rename(tmp_path / name / kind)
    shutil.rmtree(tmp_path / "images")
    shutil.rmtree(tmp_path / "labels")
    path = tmp_path / "data.yaml"
    path.write_text("train: ../train/images\nval: ../valid/images\nnames: [person]", encoding="utf-8")
    for place in (tmp_path, path):
        train, held_out = open_parts(str(place), 2, 1)
        assert (len(train), len(held_out)) == (2, 1) and len(open_dataset(str(place))) == 1
    path.write_text("train: pictures\nval: valid/images\nnames: [person]", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"pictures, which .*data\.yaml names, is no folder in images/"):
        open_parts(str(path), 2, 1)
    path.write_text("val: valid/images\nnames: [person]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.yaml names no folder of pictures as train"):
        open_dataset(str(path))


def test_what_cannot_be_understood_says_what_can(places: dict[str, Path], tmp_path: Path) -> None:
    understood = r"a JSON in COCO's format, a data\.yaml of YOLO, or a folder in the layout of COCO .*CrowdHuman .*VOC"
    (tmp_path / "text.txt").write_text("nothing", encoding="utf-8")
    for path in (tmp_path, tmp_path / "text.txt"):
        with pytest.raises(ValueError, match=f"is no data set of a known format: give {understood}"):
            open_dataset(str(path))
    with pytest.raises(ValueError, match=f"Unknown data set .*absent': choose one of scenes, .*{understood}"):
        open_dataset(str(tmp_path / "absent"))
    shutil.copytree(places["yolo"], tmp_path, dirs_exist_ok=True)
    shutil.copytree(places["coco"], tmp_path, dirs_exist_ok=True)
    with pytest.raises(ValueError, match="holds data in the formats coco and yolo: name one as the data set"):
        open_dataset(str(tmp_path))
    assert len(open_dataset("yolo", tmp_path)) == 1 and len(open_dataset("coco", tmp_path)) == 1
    with pytest.raises(ValueError, match="is a folder already: give no root"):
        open_dataset(str(places["voc"]), root=tmp_path)
    with pytest.raises(ValueError, match="are the annotations already: give no others"):
        open_dataset(str(places["json"] / "people.json"), annotations=tmp_path)
    with pytest.raises(ValueError, match="Unknown split 'test': choose one of train, val, or none"):
        open_dataset("scenes", split="test")


def test_objects_of_coco_without_a_side_are_not_learnt(tmp_path: Path) -> None:
    """Two of train2017 are such; in val2017 they count, as COCO's evaluation has it."""
    write_coco(tmp_path)
    for split in NUMBERS:
        path = tmp_path / "annotations" / f"instances_{split}2017.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["annotations"][0]["bbox"][2] = 0
        path.write_text(json.dumps(content), encoding="utf-8")
    for split, lost in {"train": 1, "val": 0}.items():
        target = Coco(tmp_path, split)[0][1]
        assert len(target["boxes"]) == len(draw(split)[0][2]) - lost == len(target["masks"])
        assert len(target["ignored"]) == 1 + lost
    with pytest.raises(ValueError, match="Unknown split 'test'"):
        Coco(tmp_path, "test")
    shutil.rmtree(tmp_path / "train2017")
    with pytest.raises(FileNotFoundError, match="train2017 is missing: root must be the folder"):
        open_parts("coco", 1, 1, tmp_path)
