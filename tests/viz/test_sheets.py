"""Text from outside is drawn as it is written, whatever it holds, in every figure and every widget."""

import ast
import io
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import odam_chapters
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings, strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from odam_chapters import charts, pictures
from odam_chapters.attention.plots import show_by_edge
from odam_chapters.attributes import plots as attribute_plots
from odam_chapters.crowds import plots as crowd_plots
from odam_chapters.crowds.pair_widget import PairPicker, show_pair
from odam_chapters.errors import plots as error_plots
from odam_chapters.errors.plots import Case
from odam_chapters.errors.widget import MistakeBrowser
from odam_chapters.odam_train.plots import show_cosines, show_gaps, show_trade_off
from odam_chapters.odam_train.sweep import read_outcomes
from odam_chapters.study import plots as study_plots
from odam_chapters.study.items import STUDIES
from odam_chapters.timing import Cost
from planted import PlantedCrowd, PlantedDetector, crowd_map, planted_image
from study_items import METHODS, make_ranked
from torch import Tensor

import odam_lib
import odam_lib.viz.sheets as sheets
from odam_lib import explain
from odam_lib.files import data_root
from odam_lib.metrics.intervals import Estimate
from odam_lib.viz import plots
from odam_lib.viz.drawing import to_png
from odam_lib.viz.sheets import LONGEST_NAME, Sheet, make_legible
from odam_lib.viz.widgets import InstancePicker, static_figure

SOURCES = [
    path for package in (odam_lib, odam_chapters) for path in sorted(Path(package.__file__).parent.rglob("*.py"))
]
HOSTILE = (
    "_$x_{$ \\$5 <b> \ud800 \uffff a\x00b\nbreak\r\t \u202egnp",
    "日本語 سيارة कार 🚗 %s {0} \\x _" + "a\u0301" * 400,
    "",
)
"""Names that mean something to a formula, a page or a terminal, or that fonts and encodings lack, all at once."""


def renamed(detector: type[PlantedDetector], name: str) -> PlantedDetector:
    """A planted detector all of whose classes have one name."""

    class Renamed(detector):
        def trace(self, image: Tensor, layer: str | None = None):
            trace = super().trace(image, layer)
            return replace(trace, candidates=replace(trace.candidates, categories=(name,) * 5))

    return Renamed()


def figures(name: str) -> dict[str, Callable[[], Figure]]:
    """Every figure of the library, with one name wherever a text from outside can stand."""
    image, detector = planted_image(), renamed(PlantedDetector, name)
    maps = explain(detector, image)
    found, raster = maps.detections, torch.stack([crowd_map(row) for row in range(4)])
    heat, shares, interval = torch.rand(4, *image.shape[-2:]), (0.1, 0.3), {name: (0.2, 0.4)}
    box = found.boxes[0]
    case = Case(image, box, box + 3, image[0] > 0.7, name, {name: heat[0]}, {name: "x1"})
    lines = [{"method": name, "metric": "m", "mean": 0.5, "low": 0.4, "high": 0.6}]
    cost = {name: {name: {10: Cost(0.5, 1, True), 100: Cost(5.0, 1, False)}}}
    pair = (torch.rand(30), torch.rand(30), torch.rand(30) > 0.5)
    couple = found.boxes[:2]
    trace, cells = detector.trace(image), maps.maps[0][0]
    asked, of_condition = replace(make_ranked(1)[0], asked=name), {name: Estimate(0.3, *interval[name])}
    outcomes = read_outcomes(data_root() / "evaluation" / "odam-train-fcos.csv")
    return {
        "show_detections": lambda: plots.show_detections(image, found),
        "show_map": lambda: plots.show_map(image, maps),
        "show_maps": lambda: plots.show_maps(image, maps, title=name),
        "show_methods": lambda: pictures.show_methods(image, {name: maps}, "x1", name),
        "show_average_maps": lambda: pictures.show_average_maps({name: torch.rand(1, 9, 9)}, ["x1"], title=name),
        "show_columns": lambda: pictures.show_columns(image, found, {name: heat}, name),
        "show_shares": lambda: charts.show_shares({name: (1, 3)}, interval, name, name, (0.5, name)),
        "show_estimates": lambda: charts.show_estimates({name: Estimate(0.3, *interval[name])}, name, name),
        "show_by_edge": lambda: show_by_edge({name: {"x1": Estimate(0.3, *interval[name])}}, name, name, name),
        "show_table": lambda: charts.show_table(torch.rand(2, 2), [name, name], name, name),
        "show_intervals": lambda: charts.show_intervals(lines, {"m": name}, name),
        "show_pairs": lambda: charts.show_pairs({name: pair}, name),
        "show_mean_curves": lambda: charts.show_mean_curves(
            {name: {name: ((0, 1), (0.1, 0.2))}}, {name: (name, name)}, name
        ),
        "show_part_bars": lambda: charts.show_part_bars({name: [0.5, 0.2]}, [name, name], name),
        "show_steps": lambda: charts.show_steps([name, name], {name: [0.5, 0.2]}, name, name),
        "show_growth": lambda: charts.show_growth(cost[name], lambda one: one.seconds, name, name, (1.0, name), name),
        "show_cost_ratios": lambda: charts.show_cost_ratios(cost, {name: (10, 1.0)}, name),
        "show_suppression": lambda: crowd_plots.show_suppression(image, couple, {name: couple}, name),
        "show_candidates": lambda: crowd_plots.show_candidates(image, couple, name),
        "show_couples": lambda: crowd_plots.show_couples([(image, couple)], [name], name),
        "show_couple_maps": lambda: crowd_plots.show_couple_maps([(image, couple, heat[:2])], [[name] * 3], name),
        "show_thresholds": lambda: crowd_plots.show_thresholds(
            {name: torch.rand(2, 2)}, [0.0, 0.5], [0.6, 1.0], (0.0, 1.0), name
        ),
        "show_gallery": lambda: error_plots.show_gallery([case], name),
        "show_gallery of nothing": lambda: error_plots.show_gallery([], name),
        "show_evidence": lambda: error_plots.show_evidence([case], name),
        "show_ninths": lambda: error_plots.show_ninths([case], name),
        "show_things": lambda: error_plots.show_things([replace(case, things={0: (name, image[0] > 0.7)})], name),
        "show_covering": lambda: error_plots.show_covering(
            [((name, name), torch.rand(2), torch.rand(2, 5, 2))], shares
        ),
        "show_cells": lambda: attribute_plots.show_cells(trace, [(name, found[0], cells)], name, image[:1] > 0.5),
        "show_cells of nothing": lambda: attribute_plots.show_cells(trace, [], name),
        "show_scaling": lambda: attribute_plots.show_scaling((1, 2), {name: (1.0, 2.0)}, {name: 1.0}, name),
        "show_moves": lambda: attribute_plots.show_moves({name: Estimate(0.1, 0.0, 0.2)}, name),
        "show_first_order": lambda: attribute_plots.show_first_order(torch.rand(3), torch.rand(3), name, name),
        "show_trade_off": lambda: show_trade_off([replace(outcome, variant=name) for outcome in outcomes], name),
        "show_cosines": lambda: show_cosines({name: torch.rand(3, 3)}, torch.tensor([0, 0, 1]), name),
        "show_gaps": lambda: show_gaps({name: {0.5: Estimate(0.1, 0.0, 0.2)}}, name),
        "static_figure": lambda: static_figure(image, found, maps[0], 0),
        "show_pair": lambda: show_pair(image, found, raster, 0, 1),
        "show_question": lambda: study_plots.show_question(STUDIES["trust"], asked, METHODS, name),
        "show_readers": lambda: study_plots.show_readers({name: {name: of_condition}}, name, {name: (0.5, name)}),
        "show_by_odi": lambda: study_plots.show_by_odi({name: {name: {0.5: (of_condition[name], 9)}}}, name),
        "show_power": lambda: study_plots.show_power({name: {9: of_condition[name]}}, 0.8, name),
    }


def test_the_figures_above_are_all_there_are() -> None:
    made = {
        node.name
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("show_")
    }
    # show_locations shows places of attention and no name, the others our own scenes with their names.
    assert made - {"show_locations", "show_leak", "show_experiment", "show_changed"} <= figures("a").keys()


def test_every_figure_is_drawn_on_a_sheet() -> None:
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        makes = "from matplotlib.figure import" in source and re.search(r"\bFigure\(", source)
        assert "pyplot" not in source and (path.name == "sheets.py" or not makes), path
    assert all(isinstance(draw(), Sheet) for draw in figures("a").values())


@pytest.mark.parametrize("kind", figures("a"))
def test_no_name_breaks_a_figure_or_warns(kind: str) -> None:
    for name in HOSTILE:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="constrained_layout not applied")
            assert to_png(figures(name)[kind]()).startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", figures("a"))
def test_a_formula_is_drawn_letter_for_letter(kind: str) -> None:
    """A text that would be a formula fills as many pixels as one in which other letters stand for the dollars."""

    def texts(name: str) -> list[tuple[str, tuple[float, ...]]]:
        figure = figures(name)[kind]()
        to_png(figure)
        found = [text for text in figure.findobj(matplotlib.text.Text) if name in text.get_text()]
        return [(text.get_text().replace(name, ""), text.get_window_extent().bounds[2:]) for text in found]

    formula, plain = texts("$a^b$"), texts("0a^b0")  # a dollar is as wide as a figure
    assert [text for text, _ in formula] == [text for text, _ in plain]
    for (_, one), (_, other) in zip(formula, plain):
        assert one == pytest.approx(other, abs=3)
    assert formula or kind in ("show_gallery of nothing",)


def test_numbers_at_an_axis_stay_formulas_where_names_do_not() -> None:
    figure = figures("$a$")["show_cost_ratios"]()
    to_png(figure)
    panel = figure.axes[0]
    assert any("mathdefault" in tick.get_text() for tick in panel.get_xticklabels())
    assert all(tick.get_parse_math() for tick in panel.get_xticklabels())
    assert not any(text.get_parse_math() for text in (panel.title, panel.xaxis.label, *panel.get_yticklabels()))


def test_a_users_tex_does_not_read_names() -> None:
    with matplotlib.rc_context({"text.usetex": True}):
        figure = Sheet(2, 1)
        figure.text(0.5, 0.5, "\\input{/etc/passwd}")
        assert to_png(figure).startswith(b"\x89PNG")


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_legible_text_is_one_short_line_that_every_encoding_of_unicode_holds(text: str) -> None:
    shown = make_legible(text)
    assert len(shown) <= LONGEST_NAME and len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert make_legible(shown) == shown


def test_legible_text_shows_what_it_does_not_hold() -> None:
    assert make_legible("street lamp") == "street lamp" and make_legible("日本 سيارة कार") == "日本 سيارة कार"
    assert make_legible("a\nb\x07\ud800\u202ec") == r"a\nb\x07\ud800\u202ec"
    assert make_legible("y" * 100) == "y" * (LONGEST_NAME - 1) + "…"


@pytest.fixture
def rare_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A font of this machine that alone has one letter: a black square."""
    pen = TTGlyphPen(None)
    for step, point in enumerate(((0, 0), (0, 900), (900, 900), (900, 0))):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord("日"): "square"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": square})
    font.setupHorizontalMetrics({".notdef": (500, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": "Rare Letters", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=900, usWinAscent=900, usWinDescent=100)
    font.setupPost()
    font.save(tmp_path / "rare.ttf")
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", list(manager.ttflist))
    monkeypatch.setattr(sheets, "_families", {})
    manager.addfont(tmp_path / "rare.ttf")
    return "日"


def test_a_letter_is_drawn_in_a_font_that_has_it(rare_font: str) -> None:
    figure = Sheet(1, 1)
    figure.text(0.5, 0.5, rare_font, fontsize=40, ha="center", va="center")
    picture = np.asarray(matplotlib.image.imread(io.BytesIO(to_png(figure))))[..., 0]
    assert picture[30:50, 30:50].max() == 0  # the square; any other font draws a frame


def test_the_widgets_of_any_name_can_be_shown_and_sent() -> None:
    image = planted_image()
    for name in HOSTILE:
        for widget in (
            InstancePicker(renamed(PlantedDetector, name), image),
            PairPicker(renamed(PlantedCrowd, name), image),
            MistakeBrowser([name], lambda number, name=name: Case(image, None, None, None, name)),
        ):
            repr(widget).encode("utf-8")
            assert "image/png" in widget._repr_mimebundle_()[0]
            json.dumps(widget._about, ensure_ascii=False).encode("utf-8")
