"""The page about pictures and mistakes as a file; one is clicked in ``browser/test_figure.py``."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from planted import BOXES, PlantedDetector, planted_image
from torch import Tensor

from odam_lib.datasets.categories import relabel
from odam_lib.datasets.coco import CocoFormat
from odam_lib.detectors.identity import hash_image
from odam_lib.images import load_image, to_uint8
from odam_lib.viz import report
from odam_lib.viz.report import report_mistakes, report_pictures

CODE = "<img src=x onerror=alert(1)>&\u202e"


class Renamed(PlantedDetector):
    """All of whose classes have a name that means something to a page."""

    model = torch.nn.Linear(1, 1)

    def make_trace(self, image: Tensor, layer: str):
        trace = super().make_trace(image, layer)
        return replace(trace, candidates=replace(trace.candidates, categories=("", *[CODE] * 4)))


class Planted(PlantedDetector):
    model = torch.nn.Linear(1, 1)  # of which there is a hash


class Pictures:
    """The planted picture some times, whose objects are what is found, but for the person, who is called a dog.

    Args:
        number: of pictures.
        crowds: of the car's class; where the dog, which is missing there, may be overlooked.
    """

    categories, no_masks = PlantedDetector.categories, ""

    def __init__(self, number: int, crowds: Tensor) -> None:
        self.number, self.crowds = number, crowds

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        boxes = torch.tensor([BOXES[0], BOXES[2], (100.0, 2.0, 110.0, 12.0)], dtype=torch.float32)
        target = {"boxes": boxes, "labels": torch.tensor([2, 3, 4]), "image_id": 70 + item}
        return planted_image(), target | {"ignored": self.crowds, "ignored_labels": torch.full((len(self.crowds),), 4)}


def cells(page: str) -> list[list[str]]:
    """The rows of all tables as text."""
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_the_table_holds_what_was_found_and_what_it_depends_on(tmp_path: Path) -> None:
    Image.fromarray(to_uint8(planted_image())).save(tmp_path / "one.png")
    report_pictures(Planted(), [tmp_path / "one.png"], tmp_path / "report.html", score_threshold=0.7)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    rows = cells(page)
    assert ["0", "person", "0.950", "8.0", "8.0", "88.0", "88.0"] in rows
    assert ["2", "bicycle", "0.750", "16.0", "16.0", "60.0", "64.0"] in rows and "car" not in {row[1] for row in rows}
    facts = {row[0]: row[1] for row in rows if len(row) == 2}
    assert facts["sha256 of the file"] == hashlib.sha256((tmp_path / "one.png").read_bytes()).hexdigest()
    assert facts["hash of its pixels"] == hash_image(load_image(tmp_path / "one.png"))
    assert facts["least score"] == "0.7" and facts["layer"] == "grid" and "torch 2" in facts["versions"]
    assert re.fullmatch("[0-9a-f]{8}", facts["hash of its weights"])
    assert "<nav" not in page and page.count('class="odam-figure"') == 1


def test_names_of_files_and_classes_are_text(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number} <b onclick=x>&amp;.png" for number in range(2)]
    for path in paths:
        Image.fromarray(to_uint8(planted_image())).save(path)
    report_pictures(Renamed(), paths, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    html = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "0 &lt;b onclick=x&gt;&amp;amp;.png" in html and "&lt;img src=x onerror=alert(1)&gt;&amp;\\u202e" in html
    assert set(re.findall(r"<img [^>]*", html)) == set(re.findall(r'<img alt="" src="data:[^>]*', html))
    assert "<b " not in html and "\u202e" not in page
    assert (
        re.findall(r'href="#([^"]+)"', html) == re.findall(r'<section id="([^"]+)"', html) == ["picture-1", "picture-2"]
    )


def test_mistakes_are_counted_shown_and_named(tmp_path: Path) -> None:
    report_mistakes(Planted(), Pictures(2, torch.zeros(0, 4)), "mine", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    rows = cells(page)
    for counted in (["correct", "2"], ["misclassified", "2"], ["background", "2"], ["missed", "4"], ["data", "mine"]):
        assert counted in rows
    assert ["0", "person", "0.950", "misclassified", "dog", "1.00", "8.0", "8.0", "88.0", "88.0"] in rows
    assert "2 of 2 pictures have a wrong detection." in page
    assert [row[1] for row in rows if row[0] == "image_id"] == ["70", "71"]
    assert ["missed", "dog, car"] in rows


def test_pictures_of_a_data_set_have_the_names_of_their_files(tmp_path: Path) -> None:
    names = ["one.png", "in/2 <b onclick=x>&amp;\u202e.png"]
    (tmp_path / "in").mkdir()
    for name in names:
        Image.fromarray(to_uint8(planted_image())).save(tmp_path / name)
    images = [{"id": 7 + row, "file_name": name, "height": 96, "width": 128} for row, name in enumerate(names)]
    objects = [{"image_id": 7 + row, "category_id": 1, "bbox": [100, 2, 10, 10]} for row in range(2)]
    classes = [{"id": 1, "name": CODE}, {"id": 2, "name": "car"}]
    content = {"images": images, "annotations": objects, "categories": classes}
    (tmp_path / "own.json").write_text(json.dumps(content), encoding="utf-8")
    dataset = relabel(CocoFormat(tmp_path, tmp_path / "own.json"), Planted().categories)
    report_mistakes(Planted(), dataset, "mine", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = ["one.png", "in/2 &lt;b onclick=x&gt;&amp;amp;\\u202e.png"]
    assert re.findall("<h2>(.*?)</h2>", page) == [*shown, "Settings"]
    assert re.findall('<a href="#picture-.">.*?>([^<]*)</a>', page) == shown
    assert "<b " not in page and "\u202e" not in page and page.count("<img ") == 2
    assert not any(cell == "" for row in cells(page) for cell in row)


def test_what_a_data_set_ignores_is_no_mistake(tmp_path: Path) -> None:
    around = torch.tensor([[90.0, 50.0, 128.0, 96.0]])
    report_mistakes(Planted(), Pictures(1, around), "mine", tmp_path / "report.html")
    counts = {row[0]: row[1] for row in cells((tmp_path / "report.html").read_text(encoding="utf-8")) if len(row) == 2}
    assert counts["background"] == "0"


def test_a_page_ends_after_so_many_pictures_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_PICTURES", 2)
    report_mistakes(Planted(), Pictures(3, torch.zeros(0, 4)), "mine", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "3 of 3 pictures have a wrong detection, of which the first 2 are shown." in page
    assert page.count('class="odam-figure"') == 2 and ["background", "3"] in cells(page)
    with pytest.raises(ValueError, match="There are 3 pictures: a page shows 1 to 2, make several pages"):
        report_pictures(Planted(), ["absent.png"] * 3, tmp_path / "report.html")


def test_a_page_without_objects_says_so(tmp_path: Path) -> None:
    Image.fromarray(to_uint8(planted_image())).save(tmp_path / "one.png")
    report_pictures(Planted(), [tmp_path / "one.png"], tmp_path / "report.html", score_threshold=1)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 objects in 1 picture." in page and "Nothing was found." in page
