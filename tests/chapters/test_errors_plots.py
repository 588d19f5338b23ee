"""Figures of mistakes and the browser: each drawn thing stands where it belongs."""

import io

import numpy as np
import pytest
import torch
from odam_chapters.errors import widget
from odam_chapters.errors.plots import (
    Case,
    show_covering,
    show_evidence,
    show_gallery,
    show_ninths,
    show_things,
    zoom,
)
from odam_chapters.errors.widget import MistakeBrowser
from PIL import Image

from odam_lib.viz.sheets import MOST_ROWS


def case(**changes) -> Case:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[10:20, 30:50] = True
    heat = torch.zeros(40, 60)
    heat[15, 40] = 1
    facts = {
        "image": torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0)),
        "box": torch.tensor([5.0, 6.0, 25.0, 30.0]),
        "true_box": torch.tensor([5.0, 6.0, 15.0, 30.0]),
        "distractor": mask,
        "caption": "mislocalised: bed 0.90",
        "maps": {"wrong: right edge (x2)": heat, "best: left edge (x1)": heat},
        "edges": {"wrong: right edge (x2)": "x2", "best: left edge (x1)": "x1"},
    }
    return Case(**(facts | changes))


def test_the_outline_of_a_distractor_lies_on_its_pixels() -> None:
    panel = show_gallery([case()], "One mistake").axes[0]
    points = np.concatenate([path.vertices for path in panel.collections[0].get_paths()])
    assert points.min(axis=0) == pytest.approx([30, 10], abs=1) and points.max(axis=0) == pytest.approx([50, 20], abs=1)
    corners = [patch.get_bbox().extents.tolist() for patch in panel.patches]
    assert corners == [[5, 6, 15, 30], [5, 6, 25, 30]]


def test_evidence_has_a_heading_over_each_map_and_one_thick_edge_in_it() -> None:
    figure = show_evidence([case()], "The wrong edge's map lies on it")
    titles = [panel.get_title() for panel in figure.axes[:3]]
    assert titles == ["mislocalised: bed 0.90", "wrong: right edge (x2)", "best: left edge (x1)"]
    ends = [panel.lines[0].get_xdata()[0] for panel in figure.axes[1:3]]
    assert ends == [25.0, 5.0] and not figure.axes[0].lines
    assert [panel.get_xlim()[1] for panel in figure.axes[:3]] == [60, 39, 39]  # the maps from close by


def test_a_close_up_keeps_the_scale_of_the_whole_map() -> None:
    heat = torch.zeros(40, 60)
    heat[15, 20], heat[39, 59] = 1, 4  # the maximum lies outside the close-up
    panels = show_evidence([case(maps={"all": heat}, edges={})], "Scale").axes
    dim = panels[1].images[0].get_array()
    alone = show_evidence([case(maps={"all": heat.clamp(max=1)}, edges={})], "Scale").axes[1].images[0].get_array()
    assert np.abs(dim.astype(float) - alone).max() > 0


def test_the_legend_explains_only_what_is_drawn() -> None:
    legend = show_gallery([case(true_box=None, distractor=None)], "Background").legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["said"]


@pytest.mark.parametrize("show", [show_gallery, show_evidence])
def test_of_no_case_the_figure_says_so(show) -> None:
    assert "no example" in show([], "Duplicates").texts[0].get_text()


def test_figures_of_many_mistakes_stop_at_a_number_that_they_state() -> None:
    number, scores = MOST_ROWS + 2, torch.rand(1, 3, 2)
    curves = [(("car", "truck"), torch.tensor([0.8, 0.1]), scores)] * number
    plain = [case(distractor=None, maps={}, edges={})] * number
    for figure, panels in (
        (show_gallery(plain, "Gallery"), 1),
        (show_evidence(plain, "Evidence"), 1),
        (show_covering(curves, (0.1,)), 2),
    ):
        shown = [panel for panel in figure.axes if panel.get_title()]
        assert len(shown) == panels * MOST_ROWS
        assert f"The first {MOST_ROWS} of {number} mistakes" in figure.get_suptitle()


def test_the_close_up_shows_both_boxes_and_keeps_everything_in_place() -> None:
    whole = case()
    part = zoom(whole, 0.25)
    assert torch.equal(part.image, whole.image[:, 0:36, 0:36])
    assert part.box.tolist() == [5, 6, 25, 30] and part.maps["best: left edge (x1)"].shape == (36, 36)
    assert part.distractor.shape == (36, 36) and part.edges == whole.edges
    right = zoom(case(box=torch.tensor([40.0, 20, 50, 30]), true_box=None), 0.1)
    assert right.image.shape == (3, 12, 12) and right.box.tolist() == [1, 1, 11, 11] and right.true_box is None
    assert right.maps["wrong: right edge (x2)"][15 - 19, 40 - 39] == 0


def test_the_parts_of_a_box_are_numbered_in_reading_order() -> None:
    panel = show_ninths([case()], "Parts").axes[0]
    places = {text.get_text(): text.get_position() for text in panel.texts}
    assert list(places) == [str(number) for number in range(9)]
    across, down = places["5"][0] - places["4"][0], places["7"][1] - places["4"][1]
    assert (across, down) == pytest.approx((20 / 3, 24 / 3))
    assert places["4"] == pytest.approx((15 - 2, 18 - 3))  # so many columns and rows of pixels are cut off
    assert "no example" in show_ninths([], "Parts").texts[0].get_text()


def test_things_bear_their_numbers_in_their_middle() -> None:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[10:21, 30:51] = True
    panel = show_things([case(things={3: ("ottoman", mask)})], "Whose fault?").axes[0]
    number, names = panel.texts
    assert (number.get_text(), *number.get_position()) == ("3", 40, 15) and names.get_text() == "3 ottoman"
    assert "no example" in show_things([], "Whose fault?").texts[0].get_text()


def test_the_curves_of_covering_start_where_nothing_is_hidden() -> None:
    scores = torch.rand(2, 2 + 3, 2, generator=torch.Generator().manual_seed(0))
    figure = show_covering([(("car", "truck"), torch.tensor([0.8, 0.1]), scores)], (0.1, 0.3))
    said, true = figure.axes
    assert "car" in said.get_title() and "truck" in true.get_title()
    mean, own, others = (line.get_ydata() for line in said.lines)
    assert mean == pytest.approx([0.8, *scores[:, 2:, 0].mean(dim=1).tolist()])
    assert own == pytest.approx([0.8, *scores[:, 0, 0].tolist()])
    assert others == pytest.approx([0.8, *scores[:, 1, 0].tolist()])
    assert true.lines[2].get_ydata() == pytest.approx([0.1, *scores[:, 1, 1].tolist()])
    assert "no example" in show_covering([], (0.1,)).texts[0].get_text()


def test_the_browser_shows_what_is_selected_and_draws_it_once() -> None:
    asked = []

    def drawn(number: int) -> Case:
        asked.append(number)
        return case(caption=f"number {number}")

    browser = MistakeBrowser(["0 first", "1 second"], drawn)
    first = browser._picture
    browser.selected = 1
    second = browser._picture
    browser.selected = 0
    assert first == browser._picture != second and asked == [0, 1]
    still = browser._repr_mimebundle_()[0]["image/png"]
    assert isinstance(still, str) and Image.open(io.BytesIO(first)).width > 300


def test_a_page_of_mistakes_holds_the_first_that_fit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = MistakeBrowser([f"number {row}" for row in range(4)], lambda number: case(), 3)
    whole = browser.standalone()
    assert list(whole.table) == ["0", "1", "2", "3"] and whole.values["selected"] == 3
    assert not whole.values["_about"]["sentence"]
    told = "mislocalised: bed 0.90. wrong: right edge (x2). best: left edge (x1)"
    assert whole.table["2"]["_shown"] == {"selected": 2, "told": told}
    monkeypatch.setattr("odam_lib.viz.standalone.MOST_OF_MAPS", len(whole.table["0"]["_picture"]) * 3)
    part = browser.standalone()
    assert list(part.table) == ["0", "1"] and part.values["selected"] == 0
    assert part.values["_about"]["captions"] == ["number 0", "number 1"]
    assert part.values["_about"]["sentence"].startswith("The first 2 of 4 mistakes: ")
    nothing = MistakeBrowser([], lambda number: case()).standalone()
    assert list(nothing.table) == ["-1"] and nothing.values["selected"] == -1


def test_the_first_mistakes_of_each_sort_are_browsed() -> None:
    asked = []
    places = {"bad box": [(4, 1), (5, 0), (6, 2)], "duplicate": [(4, 3)], "wrong name": []}
    browser = widget.browse(places, lambda place: asked.append(place) or case(), 2)
    assert browser._about["captions"] == ["0: scene 4, box 1", "1: scene 5, box 0", "2: scene 4, box 3"]
    browser.selected = 2
    assert asked == [(4, 1), (4, 3)]


def test_an_error_is_shown_and_raised() -> None:
    def fails(number: int) -> Case:
        if number:
            raise RuntimeError("no such picture")
        return case()

    browser = MistakeBrowser(["0", "1"], fails)
    with pytest.raises(RuntimeError):
        browser.selected = 1
    assert "no such picture" in browser.error
    browser.selected = 0
    assert browser.error == ""


def test_no_mistake_is_a_sentence_and_bad_choices_are_refused() -> None:
    assert "0 mistakes" in repr(MistakeBrowser([], lambda number: case()))
    with pytest.raises(ValueError, match="no mistake 3"):
        MistakeBrowser(["0"], lambda number: case(), selected=3)
    with pytest.raises(ValueError, match="same caption"):
        MistakeBrowser(["0", "0"], lambda number: case())
