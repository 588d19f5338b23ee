"""The page of a figure as a file; clicks are tested in ``browser/test_figure.py``."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planted import PlantedDetector, planted_image

from odam_lib import ODAM, HeatMaps, explain
from odam_lib.viz.fragments import read_fragment
from odam_lib.viz.front_ends import NOTHING_FOUND
from odam_lib.viz.standalone import LARGEST, make_standalone, write_figure


@pytest.fixture(scope="module")
def explained() -> HeatMaps:
    return explain(PlantedDetector(), planted_image())


def repeated(heat_maps: HeatMaps, count: int, side: int) -> HeatMaps:
    """The first detection so many times, with maps of noise, which no format compresses."""
    noise = torch.rand(5, side, side, generator=torch.Generator().manual_seed(0))
    return replace(
        heat_maps,
        maps=(noise,) * count,
        reasons=heat_maps.reasons[:1] * count,
        grids=heat_maps.grids[:1] * count,
        detections=heat_maps.detections[[0] * count],
    )


def test_the_page_asks_for_nothing_and_runs_its_own_script_only(explained: HeatMaps, tmp_path: Path) -> None:
    page = write_figure(planted_image(), explained, tmp_path / "figure.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=(?!["']?x|"data:,")|@import|\burl\(|^import |\bfetch\(""", page, re.MULTILINE)
    assert re.search(r"default-src 'none'; img-src blob: data:; script-src 'sha256-[^']+'; style-src 'sha256-", page)
    assert page.count("<script") == 2 == page.count("</script>")
    assert read_fragment(tmp_path / "figure.html") in page


def test_names_of_any_kind_end_neither_script_nor_comment(explained: HeatMaps, tmp_path: Path) -> None:
    plain = write_figure(planted_image(), explained, tmp_path / "figure.html").read_text(encoding="utf-8")
    name = "</script><!-- & \u2028 \u2029 \ud800 ]]> <img onerror=x>"
    hostile = replace(explained, detections=replace(explained.detections, categories=(name,) * 5))
    page = write_figure(planted_image(), hostile, tmp_path / "figure.html").read_text(encoding="utf-8")
    assert re.sub("[^<>&]", "", page) == re.sub("[^<>&]", "", plain)
    data = re.search(r'<script type="application/json">(.*?)</script>', page)[1]
    assert json.loads(data)["values"]["_about"]["objects"][1]["label"].startswith("1 </script><!-- & ")


def test_the_first_objects_are_shown_where_not_all_fit(explained: HeatMaps, tmp_path: Path) -> None:
    many = repeated(explained, 40, 100)
    image = torch.rand(3, 640, 640, generator=torch.Generator().manual_seed(0))
    page = write_figure(image, many, tmp_path / "figure.html")
    assert 0.6 * LARGEST < page.stat().st_size < LARGEST
    about = make_standalone(image, many).values["_about"]
    shown = len(about["objects"])
    assert 1 < shown < 40 and f"The first {shown} of 40 objects" in about["sentence"]


def test_without_detections_there_is_a_picture_and_a_sentence(explained: HeatMaps) -> None:
    empty = make_standalone(planted_image(), explained[[]])
    assert empty.values["selected"] == -1 and not empty.table and empty.values["_about"]["sentence"] == NOTHING_FOUND


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"selected": 4}, IndexError, "4"),
        ({"attribute": "logit"}, ValueError, "There is no map of 'logit' in the figure: choose one of class"),
        ({"opacity": 2}, ValueError, "The opacity is 2"),
    ],
)
def test_what_does_not_exist_is_refused_and_nothing_written(
    explained: HeatMaps, options: dict, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        write_figure(planted_image(), explained, tmp_path / "figure.html", **options)
    assert not list(tmp_path.iterdir())


def test_maps_that_cannot_be_shown_and_files_without_a_figure_are_refused(explained: HeatMaps, tmp_path: Path) -> None:
    signed = replace(explained, maps=tuple(-one for one in explained.maps))
    with pytest.raises(ValueError, match="explain with a rectified method"):
        make_standalone(planted_image(), signed)
    with pytest.raises(ValueError, match="There is no map of 'x1'"):
        make_standalone(
            planted_image(), explain(PlantedDetector(), planted_image(), attributes=("class",), method=ODAM())
        )
    (tmp_path / "other.html").write_text("<p>no figure</p>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other.html holds no figure: give a file that write_figure wrote"):
        read_fragment(tmp_path / "other.html")
