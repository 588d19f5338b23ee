"""The picker without Python: a page opened from a file, without a network, in Chromium."""

import base64
import importlib.util
import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch
from PIL import Image

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
from drawn import CLOSE, draw_by_python, draw_pair_by_python, find_violations, read_canvas
from odam_chapters.attention.widget import LocationPicker, render_encoder
from odam_chapters.crowds.pair_widget import PairPicker
from odam_chapters.errors.plots import Case, show_evidence
from odam_chapters.errors.widget import MistakeBrowser
from planted import PlantedCrowd, PlantedDetector, planted_image
from playwright.sync_api import Browser, Page, expect
from torch import Tensor

from odam_lib import HeatMaps, explain
from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.detr import build_small_detr
from odam_lib.files import data_root
from odam_lib.images import load_image, to_uint8
from odam_lib.viz.drawing import to_png
from odam_lib.viz.report import report_pictures
from odam_lib.viz.sheets import make_legible
from odam_lib.viz.standalone import LARGEST, write_figure
from odam_lib.viz.widgets import SHOWN, InstancePicker

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

HEIGHT, WIDTH = 96, 128
ONLY = {0: (80, 12), 1: (30, 36), 2: (55, 60), 3: (110, 70)}
"""A point of the picture at which a first click selects each object."""
CODE = "</script><script>window.hacked=1</script><!--<img src=x onerror='window.hacked=2'>\u2028&lt;b&gt;]]>\\\"'"

spec = importlib.util.spec_from_file_location("notebooks", data_root().parent / "tools" / "notebooks.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope="module")
def explained() -> HeatMaps:
    return explain(PlantedDetector(), planted_image())


class Opened:
    """A page with one figure, which may ask for no file but itself.

    Args:
        browser: that opens it.
        path: of the page.
        options: of the browser's context.

    Attributes:
        picture: the picture as the page holds it, ``Tensor[3, H, W]``.
        asked: addresses that the page asked for.
    """

    def __init__(self, browser: Browser, path: Path, **options: object) -> None:
        context = browser.new_context(viewport={"width": 1000, "height": 800}, offline=True, **options)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(8_000)
        self.asked, self.errors = list[str](), list[str]()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.opened = path.as_uri()
        self.page.goto(self.opened)
        self.objects = self.page.locator(".odam-objects, .odam-places").first
        self.map = self.page.locator(".odam-map").first
        sent = re.findall(r'"_picture": {"bytes": "([^"]+)"}', path.read_text(encoding="utf-8"))
        jpeg = path.with_suffix(".jpg")
        jpeg.write_bytes(base64.b64decode(sent[0]))
        self.picture = load_image(jpeg)

    def click(self, x: float, y: float) -> None:
        """Click a point given in pixels of the planted picture."""
        box = self.objects.bounding_box()
        self.objects.click(position={"x": x / WIDTH * box["width"], "y": y / HEIGHT * box["height"]})

    def expect_map(self, heat_maps: HeatMaps, row: int, attribute: str, opacity: float = 0.8) -> Tensor:
        for name, value in (("data-object", row), ("data-attribute", attribute), ("aria-busy", "false")):
            expect(self.map).to_have_attribute(name, str(value))
        expect(self.map).to_have_attribute("data-opacity", str(opacity))
        pixels = read_canvas(self.map.locator("canvas"))
        assert (pixels - draw_by_python(self.picture, heat_maps, row, attribute, opacity)).abs().max() <= CLOSE
        return pixels

    def close(self) -> None:
        """Leave the page, which has asked for nothing, complained of nothing, and is accessible."""
        assert find_violations(self.page) == []
        assert [one for one in self.asked if not one.startswith(("blob:", "data:"))] == [self.opened]
        assert self.errors == []
        self.page.context.close()


@pytest.fixture(scope="module")
def figure(browser: Browser, explained: HeatMaps, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path = write_figure(planted_image(), explained, tmp_path_factory.mktemp("page") / "figure.html", selected=3)
    opened = Opened(browser, path)
    yield opened
    opened.close()


def test_a_click_shows_the_map_that_explain_computed(figure: Opened, explained: HeatMaps) -> None:
    figure.expect_map(explained, 3, "class")
    seen = []
    for row, point in ONLY.items():
        figure.click(*point)
        seen.append(figure.expect_map(explained, row, "class"))
        expect(figure.page.locator("figcaption[aria-live=polite]")).to_have_text(
            f"{row} {explained.detections.names()[row]} {explained.detections.scores[row]:.2f}: class"
        )
    assert all((one - other).abs().max() > 0.2 for one, other in itertools.combinations(seen, 2))
    figure.click(*ONLY[1])
    figure.click(*ONLY[1])  # the same place again: what lies behind
    figure.expect_map(explained, 2, "class")


def test_buttons_and_the_slider_draw_at_once(figure: Opened, explained: HeatMaps) -> None:
    figure.page.get_by_role("combobox", name="object").select_option("1")
    for attribute in SHOWN[::-1]:
        figure.page.get_by_role("button", name=attribute, exact=True).click()
        figure.expect_map(explained, 1, attribute)
    figure.page.get_by_role("slider", name="opacity").fill("0.3")
    figure.expect_map(explained, 1, "class", 0.3)
    figure.page.get_by_role("slider", name="opacity").fill("0.8")
    expect(figure.page.get_by_role("combobox")).to_have_count(2)  # one smoothing needs no choice


def test_everything_can_be_reached_by_keyboard(figure: Opened, explained: HeatMaps) -> None:
    keyboard = figure.page.keyboard
    figure.page.get_by_role("slider", name="opacity").focus()
    keyboard.press("Tab")
    for key, row in [("Home", 0), ("ArrowDown", 1), ("End", 3), ("ArrowLeft", 2)]:
        keyboard.press(key)
        figure.expect_map(explained, row, "class")
        expect(figure.objects.locator(f"[data-row='{row}']")).to_be_focused()
    for key in ("Tab", "Tab", "Enter"):
        keyboard.press(key)
    figure.expect_map(explained, 2, "x1")
    figure.page.get_by_role("button", name="class", exact=True).click()


def test_a_finger_chooses_too_and_the_dark_page_is_dark(browser: Browser, explained: HeatMaps, tmp_path: Path) -> None:
    path = write_figure(planted_image(), explained, tmp_path / "figure.html")
    opened = Opened(browser, path, has_touch=True, color_scheme="dark")
    opened.page.set_viewport_size({"width": 390, "height": 800})
    box = opened.objects.bounding_box()
    opened.objects.tap(position={"x": 110 / WIDTH * box["width"], "y": 70 / HEIGHT * box["height"]})
    opened.expect_map(explained, 3, "class")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    for text in (".odam-controls label > span", "figcaption", ".odam-strip button"):
        colour = opened.page.locator(text).first.evaluate("(node) => getComputedStyle(node).color")
        assert min(map(float, re.findall(r"[\d.]+", colour)[:3])) > 150, f"{text} is {colour} on a dark ground"
    opened.close()


@pytest.mark.slow
def test_names_are_text_and_the_first_click_is_quick(browser: Browser, tmp_path: Path) -> None:
    class Renamed(PlantedDetector):
        def make_trace(self, image: Tensor, layer: str):
            trace = super().make_trace(image, layer)
            return replace(trace, candidates=replace(trace.candidates, categories=("", *[CODE] * 4)))

    noise = torch.rand(3, 900, 1200, generator=torch.Generator().manual_seed(0))
    heat_maps = explain(Renamed(), noise)
    path = write_figure(noise, heat_maps, tmp_path / "hostile.html")
    assert (
        path.stat().st_size < LARGEST
        and CODE[:9] not in path.read_text(encoding="utf-8").split("<body>")[1].split("</script>")[0]
    )
    opened = Opened(browser, path)
    opened.expect_map(heat_maps, 0, "class")
    took = opened.page.evaluate(
        """async () => {
            const root = document.querySelector(".odam-figure").shadowRoot;
            const [option, map] = [root.querySelector("[data-row='3']"), root.querySelector(".odam-map")];
            const begun = performance.now();
            root.querySelector("select").value = "3";
            root.querySelector("select").dispatchEvent(new Event("change"));
            while (map.dataset.object !== "3") await new Promise(requestAnimationFrame);
            return performance.now() - begun;
        }"""
    )
    print(f"from a choice to its map: {took:.0f} ms, {path.stat().st_size / 1e3:.0f} kB")
    assert took < 500  # 100 ms are wanted; others may use this machine
    opened.expect_map(heat_maps, 3, "class")
    assert opened.page.locator(".odam-label").first.text_content().startswith("0 </script><script>window.hacked")
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator(".odam-picker").locator("script, a, img[src='x']").count() == 0
    opened.close()


def test_every_picture_of_a_report_can_be_clicked(browser: Browser, explained: HeatMaps, tmp_path: Path) -> None:
    class Planted(PlantedDetector):
        model = torch.nn.Linear(1, 1)  # of which there is a hash

    for name in ("one", "two"):
        Image.fromarray(to_uint8(planted_image())).save(tmp_path / f"{name}.png")
    report_pictures(Planted(), [tmp_path / "one.png", tmp_path / "two.png"], tmp_path / "report.html")
    opened = Opened(browser, tmp_path / "report.html")
    opened.expect_map(explained, 0, "class")
    opened.page.get_by_role("link", name="two.png").click()
    opened.objects, opened.map = opened.page.locator(".odam-objects").nth(1), opened.page.locator(".odam-map").nth(1)
    expect(opened.objects).to_be_in_viewport()
    opened.click(*ONLY[3])
    opened.expect_map(explained, 3, "class")
    expect(opened.page.locator(".odam-map").first).to_have_attribute("data-object", "0")
    opened.close()


def test_pairs_are_chosen_without_python(browser: Browser, tmp_path: Path) -> None:
    path = PairPicker(PlantedCrowd(), planted_image(), first=0, second=1, low=0.6).write_figure(tmp_path / "pairs.html")
    opened = Opened(browser, path)
    words = opened.page.locator("tbody b")
    expect(words).to_have_text(["duplicate", "two objects", "kept"])
    expect(opened.page.get_by_role("slider")).to_have_count(0)
    opened.click(5, 40)
    expect(opened.page.locator(".odam-close").nth(1)).to_have_attribute("data-object", "2")
    expect(words).to_have_text(["duplicate", "duplicate", "kept"])
    opened.page.get_by_role("button", name="first").click()
    opened.objects.locator("[data-row='0']").focus()
    opened.page.keyboard.press("End")
    expect(opened.page.locator(".odam-close").first).to_have_attribute("data-object", "3")
    for place, drawn in enumerate(draw_pair_by_python(opened.picture, 3, 2)):
        pixels = read_canvas(opened.page.locator(".odam-close canvas").nth(place))
        assert (pixels - drawn).abs().max() <= CLOSE
    opened.close()


def test_places_are_chosen_without_python(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    trace = build_small_detr("untrained", CATEGORIES).trace(planted_image())
    opened = Opened(browser, LocationPicker(trace, planted_image()).write_figure(tmp_path / "places.html"))
    for choose, (row, column) in [
        (lambda: opened.click(1, 1), (0, 0)),
        (lambda: opened.page.keyboard.press("ArrowRight"), (0, 1)),
        (lambda: opened.page.keyboard.press("ArrowDown"), (1, 1)),
    ]:
        choose()
        for name, value in (("data-row", row), ("data-column", column), ("aria-busy", "false")):
            expect(opened.map).to_have_attribute(name, str(value))
        drawn = render_encoder(opened.picture, trace, row, column)
        assert (read_canvas(opened.map.locator("canvas")) - drawn).abs().max() <= CLOSE
    opened.close()


def test_mistakes_are_browsed_without_python(browser: Browser, tmp_path: Path) -> None:
    def case(number: int) -> Case:
        return Case(planted_image(), torch.tensor([8.0, 8, 30 + 30 * number, 90]), None, None, f"{CODE}{number}:\nbed")

    page = MistakeBrowser([f"{number} {CODE}" for number in range(3)], case, 1).write_figure(tmp_path / "mistakes.html")
    opened, drawn = Opened(browser, page), []
    for number in range(3):
        (tmp_path / "drawn.png").write_bytes(to_png(show_evidence([case(number)], "Why was it wrong?")))
        drawn.append(load_image(tmp_path / "drawn.png"))
    picture, told = opened.page.locator(".odam-mistakes img"), opened.page.locator("figcaption[aria-live=polite]")
    expect(picture).to_have_attribute("data-mistake", "1")
    for number in (2, 0, 1):
        opened.page.get_by_role("combobox", name="mistake").select_option(str(number))
        expect(picture).to_have_attribute("data-mistake", str(number))
        expect(told).to_contain_text(f"{make_legible(CODE, 200)}{number}: bed")
        shown = read_canvas(picture)
        errors = [float((shown - one).abs().mean()) for one in drawn]
        assert errors[number] < 0.004 and min(errors[:number] + errors[number + 1 :]) > 2 * errors[number]
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator(".odam-picker").locator("script, a, img[src='x']").count() == 0
    opened.close()


def test_an_exported_notebook_shows_the_figure_live(browser: Browser, tmp_path: Path) -> None:
    picker = InstancePicker(PlantedDetector(), planted_image(), smoothing="none")
    picker.write_figure(tmp_path / "picker.html")
    data, metadata = picker._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", json.loads(json.dumps(data)), metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("picker", outputs=[output])])
    tool.to_html(notebook, tmp_path / "page.html")
    opened = Opened(browser, tmp_path / "page.html")
    opened.click(*ONLY[2])
    opened.expect_map(picker._explain(picker.detections), 2, "class")
    opened.page.context.close()
    kept = tool.stored(notebook).cells[0].outputs[0]
    assert set(kept["data"]) == {"text/plain", "image/png"} and kept["metadata"] == {}
