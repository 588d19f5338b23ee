"""The picker as a reader meets it: JupyterLab in Chromium, with real clicks and keys."""

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
from drawn import CLOSE, draw_by_python, read_canvas
from notebook_page import NotebookPage, open_page
from planted import PlantedDetector, planted_image
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor

from odam_lib import ODAM, explain

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PLANTED = Path(__file__).parents[1] / "planted.py"
HEIGHT, WIDTH = 96, 128
ONLY = {0: (80, 12), 1: (30, 36), 2: (55, 60), 3: (110, 70)}
"""A point of the picture at which a first click selects each object."""
CELLS = {
    "show": (
        "from planted import PlantedDetector, PlantedTrace, planted_image\n"
        "from odam_lib.viz.widgets import InstancePicker\n"
        "picker = InstancePicker(PlantedDetector(), planted_image())\n"
        "picker"
    ),
    "read": "print(picker.selected, picker.attribute, picker.smoothing, picker.opacity)",
    "set": "picker.selected, picker.attribute = 2, 'y2'",
    "break": "targets, PlantedTrace.targets = PlantedTrace.targets, None",
    "mend": "PlantedTrace.targets = targets",
    "empty": "InstancePicker(PlantedDetector(), planted_image(), score_threshold=0.99)",
}


class Notebook(NotebookPage):
    """An open notebook whose first cell shows a picker."""

    patience = 30_000

    def __init__(self, page: Page) -> None:
        super().__init__(page, list(CELLS))
        self.picker = page.locator(".odam-picker").first
        self.objects = self.picker.locator(".odam-objects")
        self.map = self.picker.locator(".odam-map")
        self.explained = explain(PlantedDetector(), planted_image())

    def control(self, name: str) -> Locator:
        """A drop-down, or the slider, by its label."""
        role = "slider" if name == "opacity" else "combobox"
        return self.picker.get_by_role(role, name=name)

    def click(self, x: float, y: float) -> None:
        """Click a point given in pixels of the image, whatever size it is shown at."""
        box = self.objects.bounding_box()
        self.objects.click(position={"x": x / WIDTH * box["width"], "y": y / HEIGHT * box["height"]})

    def expect_map(self, row: int, attribute: str) -> None:
        """The large map, its caption and its pixels are those of one object and attribute."""
        expect(self.map).to_have_attribute("data-object", str(row))
        expect(self.map).to_have_attribute("data-attribute", attribute)
        expect(self.map).to_have_attribute("aria-busy", "false")
        drawn = draw_by_python(planted_image(), self.explained, row, attribute)
        assert (self.pixels() - drawn).abs().max() <= CLOSE

    def pixels(self) -> Tensor:
        return read_canvas(self.map.locator("canvas"))

    def snap(self, name: str) -> None:
        """Save a screenshot if somebody wants to look at it."""
        if folder := os.environ.get("ODAM_SCREENSHOTS"):
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def jupyter(lab: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a notebook that holds the cells above."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(PLANTED, folder)
    with lab(folder, "picker", CELLS) as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser: Browser, jupyter: str) -> Notebook:
    notebook = Notebook(open_page(browser, jupyter, height=900, timeout=15_000, until_idle=40_000))
    notebook.run("show")
    return notebook


@pytest.fixture
def notebook(opened: Notebook) -> Notebook:
    """The notebook with object 3's class map shown, in a wide window."""
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    opened.picker.scroll_into_view_if_needed()
    opened.control("object").select_option("3")
    opened.control("attribute").select_option("class")
    opened.expect_map(3, "class")
    return opened


def test_a_click_shows_the_map_of_the_object_clicked(notebook: Notebook) -> None:
    seen = []
    for row, point in ONLY.items():
        notebook.click(*point)
        notebook.expect_map(row, "class")
        expect(notebook.objects.get_by_role("option", selected=True)).to_have_attribute("data-row", str(row))
        seen.append(notebook.pixels())
        notebook.snap(f"object-{row}")
    assert all((one - other).abs().max() > 0.2 for one, other in itertools.combinations(seen, 2))


def test_clicks_at_one_place_go_through_the_boxes_there_from_small_to_large(notebook: Notebook) -> None:
    for row in (1, 2, 0, 1):
        notebook.click(*ONLY[1])
        notebook.expect_map(row, "class")
    notebook.click(*ONLY[2])
    notebook.expect_map(2, "class")
    notebook.click(*ONLY[1])
    notebook.expect_map(1, "class")


def test_a_click_beside_every_box_changes_nothing(notebook: Notebook) -> None:
    notebook.click(110, 20)
    notebook.click(*ONLY[3])
    notebook.expect_map(3, "class")


def test_the_pointer_shows_what_a_click_would_select(notebook: Notebook) -> None:
    box = notebook.objects.bounding_box()
    notebook.objects.hover(position={"x": 30 / WIDTH * box["width"], "y": 36 / HEIGHT * box["height"]})
    hovered = notebook.objects.locator(".odam-hover")
    expect(hovered).to_have_attribute("data-row", "1")
    expect(hovered.locator(".odam-label")).to_have_text("1 dog 0.85")
    notebook.page.mouse.move(0, 0)
    expect(hovered).to_have_count(0)


def test_objects_and_attributes_can_be_chosen_by_keyboard(notebook: Notebook) -> None:
    keyboard = notebook.page.keyboard
    notebook.control("opacity").focus()
    keyboard.press("Tab")
    for key, row in [("ArrowUp", 2), ("Home", 0), ("ArrowLeft", 0), ("ArrowDown", 1), ("End", 3), ("ArrowLeft", 2)]:
        keyboard.press(key)
        notebook.expect_map(row, "class")
        expect(notebook.objects.locator(f"[data-row='{row}']")).to_be_focused()
    notebook.snap("keyboard")
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Enter")
    notebook.expect_map(2, "x1")
    expect(notebook.picker.locator(".odam-strip button[aria-pressed=true]")).to_be_focused()


def test_attributes_are_chosen_in_the_strip_and_the_edge_is_marked(notebook: Notebook) -> None:
    for attribute in ("x1", "y1", "x2", "y2", "combined"):
        notebook.picker.get_by_role("button", name=attribute, exact=True).click()
        notebook.expect_map(3, attribute)
        expect(notebook.map.locator(f".odam-edge-{attribute}")).to_have_count(int(attribute != "combined"))
        notebook.snap(f"attribute-{attribute}")


def test_clicks_are_right_in_a_narrow_window(notebook: Notebook) -> None:
    wide = notebook.objects.bounding_box()
    notebook.page.set_viewport_size({"width": 640, "height": 900})
    expect(notebook.picker).to_be_visible()
    notebook.page.wait_for_function(
        "() => { const [one, two] = document.querySelectorAll('.odam-picker figure');"
        "return one.getBoundingClientRect().bottom <= two.getBoundingClientRect().top; }"
    )
    narrow = notebook.objects.bounding_box()
    assert narrow["width"] < wide["width"]
    assert narrow["height"] / narrow["width"] == pytest.approx(HEIGHT / WIDTH, rel=0.01)
    for row in (0, 1, 2):
        notebook.click(*ONLY[row])
        notebook.expect_map(row, "class")
    notebook.snap("narrow")


def test_python_sees_the_choice_and_the_page_sees_pythons(notebook: Notebook) -> None:
    notebook.click(*ONLY[1])
    notebook.expect_map(1, "class")
    expect(notebook.run("read")).to_have_text("1 class adaptive 0.8")
    notebook.run("set")
    notebook.expect_map(2, "y2")
    expect(notebook.control("object")).to_have_value("2")
    expect(notebook.run("read")).to_have_text("2 y2 adaptive 0.8")


def test_opacity_and_smoothing_redraw_the_map(notebook: Notebook) -> None:
    before = notebook.pixels()
    notebook.control("opacity").fill("0.3")
    expect(notebook.map).to_have_attribute("data-opacity", "0.3")
    assert (
        notebook.pixels() - draw_by_python(planted_image(), notebook.explained, 3, "class", 0.3)
    ).abs().max() <= CLOSE
    notebook.control("smoothing").select_option("none")
    expect(notebook.map).to_have_attribute("data-smoothing", "none")
    bare = explain(PlantedDetector(), planted_image(), method=ODAM(smoothing=None))
    assert (notebook.pixels() - draw_by_python(planted_image(), bare, 3, "class", 0.3)).abs().max() <= CLOSE
    notebook.control("smoothing").select_option("adaptive")
    notebook.control("opacity").fill("0.8")
    expect(notebook.map).to_have_attribute("data-opacity", "0.8")
    expect(notebook.map).to_have_attribute("aria-busy", "false")
    assert notebook.pixels().equal(before)


def test_an_error_is_a_line_in_the_widget_until_the_next_success(notebook: Notebook) -> None:
    alert = notebook.picker.locator("[role=alert]")
    notebook.run("break")
    notebook.control("smoothing").select_option("fixed")
    expect(alert).to_contain_text("The map could not be drawn: ")
    alert.scroll_into_view_if_needed()
    notebook.snap("error")
    notebook.run("mend")
    notebook.control("smoothing").select_option("adaptive")
    expect(alert).to_have_text("")
    notebook.expect_map(3, "class")


def test_without_objects_there_is_a_sentence(notebook: Notebook) -> None:
    empty = notebook.run("empty").locator(".odam-picker")
    expect(empty).to_contain_text("There is no object to explain")
    expect(empty.get_by_role("combobox")).to_have_count(0)
    assert empty.locator("img").evaluate_all("(images) => images.map((image) => image.naturalWidth)") == [WIDTH]
    empty.scroll_into_view_if_needed()
    notebook.snap("empty")


def test_text_is_legible_in_the_dark_theme(notebook: Notebook) -> None:
    page = notebook.page
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    for entry in ("Theme", "JupyterLab Dark"):
        page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()
    expect(page.locator("body[data-jp-theme-light=false]")).to_be_attached()
    notebook.click(*ONLY[2])
    notebook.expect_map(2, "class")
    notebook.snap("dark")
    for text in (".odam-controls label > span", ".odam-controls select", "figcaption", ".odam-strip button"):
        colour = notebook.picker.locator(text).first.evaluate("(node) => getComputedStyle(node).color")
        assert min(map(float, re.findall(r"[\d.]+", colour)[:3])) > 150, f"{text} is {colour} on a dark ground"
