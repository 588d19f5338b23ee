"""The pair picker as a reader meets it: JupyterLab in Chromium, with real clicks and keys."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
from drawn import CLOSE, draw_pair_by_python, read_canvas
from notebook_page import NotebookPage, open_page
from planted import planted_image
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PLANTED = Path(__file__).parents[1] / "planted.py"
HEIGHT, WIDTH = 96, 128
CELLS = {
    "show": (
        "from planted import PlantedCrowd, planted_image\n"
        "import odam_chapters.crowds.decisions as decisions\n"
        "import odam_chapters.crowds.pair_widget as pairs\n"
        "picker = pairs.PairPicker(PlantedCrowd(), planted_image())\n"
        "picker"
    ),
    "reset": (
        "with picker.hold_trait_notifications():\n"
        "    picker.first, picker.second, picker.active = 0, 1, 'second'\n"
        "    picker.iou_threshold, picker.low, picker.high = 0.5, 0.2, 0.8"
    ),
    "read": "print(picker.first, picker.second, picker.active, picker.iou_threshold, picker.low, picker.high)",
    "set": "picker.first, picker.low = 3, 0.1",
    "break": "kernel, decisions.odam_nms = decisions.odam_nms, None",
    "mend": "decisions.odam_nms = kernel",
    "one": "pairs.PairPicker(PlantedCrowd(), planted_image(), score_threshold=0.9)",
}


class Notebook(NotebookPage):
    """An open notebook whose first cell shows a picker of pairs."""

    def __init__(self, page: Page) -> None:
        super().__init__(page, list(CELLS))
        self.picker = page.locator(".odam-pairs").first
        self.objects = self.picker.locator(".odam-objects")

    def click(self, x: float, y: float) -> None:
        """Click a point given in pixels of the image, whatever size it is shown at."""
        box = self.objects.bounding_box()
        self.objects.click(position={"x": x / WIDTH * box["width"], "y": y / HEIGHT * box["height"]})

    def expect_pair(self, first: int, second: int) -> None:
        """Boxes, drop-downs and maps are those of the two."""
        for place, (role, row) in enumerate({"first": first, "second": second}.items()):
            expect(self.picker.locator(".odam-close").nth(place)).to_have_attribute("data-object", str(row))
            expect(self.picker.get_by_role("combobox", name=role)).to_have_value(str(row))
            expect(self.objects.locator(f"[data-row='{row}']")).to_have_attribute("aria-selected", "true")
        expect(self.objects.get_by_role("option", selected=True)).to_have_count(2)
        expect(self.picker.locator("table")).to_have_attribute("aria-busy", "false")
        for place, drawn in enumerate(draw_pair_by_python(planted_image(), first, second)):
            pixels = read_canvas(self.picker.locator(".odam-close canvas").nth(place))
            assert (pixels - drawn).abs().max() <= CLOSE

    def expect_decisions(self, *words: str) -> None:
        """Of NMS, Odam-NMS and Soft-NMS."""
        expect(self.picker.locator("tbody b")).to_have_text(list(words))

    def snap(self, name: str) -> None:
        """Save a screenshot if somebody wants to look at it."""
        if folder := os.environ.get("ODAM_SCREENSHOTS"):
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=Path(folder) / f"pairs-{name}.png")


@pytest.fixture(scope="module")
def opened(browser: Browser, lab: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(PLANTED, folder)
    with lab(folder, "pairs", CELLS) as address:
        notebook = Notebook(open_page(browser, address, height=1000, timeout=20_000))
        notebook.run("show")
        yield notebook


@pytest.fixture
def notebook(opened: Notebook) -> Notebook:
    """The notebook with the pair 0 and 1, T_l 0.2 and T_h 0.8, in which a click chooses the second."""
    opened.run("reset")
    opened.picker.scroll_into_view_if_needed()
    opened.expect_pair(0, 1)
    return opened


def test_a_click_replaces_the_one_whose_turn_it_is(notebook: Notebook) -> None:
    notebook.expect_decisions("duplicate", "duplicate", "kept")
    notebook.snap("begin")
    notebook.click(5, 40)
    notebook.expect_pair(0, 2)
    notebook.picker.get_by_role("button", name="first").click()
    notebook.click(110, 70)
    notebook.expect_pair(3, 2)
    notebook.expect_decisions("two objects", "two objects", "kept")
    expect(notebook.picker.locator("tr[data-rule='Odam-NMS']")).to_contain_text("different labels never suppress")
    expect(notebook.run("read")).to_have_text("3 2 first 0.5 0.2 0.8")


def test_a_second_click_takes_the_one_behind_and_none_is_taken_twice(notebook: Notebook) -> None:
    notebook.picker.get_by_role("button", name="first").click()
    notebook.click(30, 40)  # boxes 0, 1 and 2 are there; 1 is the second, 2 the smallest
    notebook.expect_pair(2, 1)
    notebook.click(30, 40)
    notebook.expect_pair(0, 1)
    notebook.click(30, 40)
    notebook.expect_pair(2, 1)
    notebook.click(68, 40)  # only the second is there
    notebook.expect_pair(2, 1)
    expect(notebook.picker.get_by_role("combobox", name="first").locator("option[value='1']")).to_be_disabled()


def test_a_pair_can_be_chosen_by_keyboard(notebook: Notebook) -> None:
    keyboard = notebook.page.keyboard
    notebook.picker.get_by_role("slider", name="T_h").focus()
    keyboard.press("Tab")
    for key, row in [("ArrowRight", 2), ("ArrowDown", 3), ("ArrowDown", 3), ("Home", 1), ("ArrowLeft", 1), ("End", 3)]:
        keyboard.press(key)
        notebook.expect_pair(0, row)
        expect(notebook.objects.locator(f"[data-row='{row}']")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    notebook.objects.locator("[data-row='0']").focus()
    keyboard.press("ArrowRight")
    notebook.expect_pair(1, 3)
    keyboard.press("End")
    notebook.expect_pair(2, 3)
    expect(notebook.run("read")).to_contain_text("2 3 first")


def test_a_slider_turns_the_decision_and_takes_the_other_bound_along(notebook: Notebook) -> None:
    notebook.picker.get_by_role("slider", name="T_l").fill("0.6")
    notebook.expect_decisions("duplicate", "two objects", "kept")
    expect(notebook.picker.locator("tr[data-rule='Odam-NMS']")).to_contain_text(
        "IoU 0.62 is over T_iou 0.5 but correlation 0.50 is not over T_l 0.6"
    )
    notebook.snap("slider")
    notebook.picker.get_by_role("slider", name="T_h").fill("0.4")
    notebook.expect_decisions("duplicate", "duplicate", "kept")
    expect(notebook.run("read")).to_have_text("0 1 second 0.5 0.4 0.4")
    notebook.picker.get_by_role("slider", name="T_iou").fill("0.7")
    notebook.expect_decisions("two objects", "duplicate", "kept")


def test_the_page_sees_pythons_choice(notebook: Notebook) -> None:
    notebook.run("set")
    notebook.expect_pair(3, 1)
    expect(notebook.picker.get_by_role("slider", name="T_l")).to_have_value("0.1")


def test_an_error_is_a_line_in_the_widget_until_the_next_success(notebook: Notebook) -> None:
    alert = notebook.picker.locator("[role=alert]")
    notebook.run("break")
    notebook.click(5, 40)
    expect(alert).to_contain_text("The pair could not be compared: ")
    notebook.snap("error")
    notebook.run("mend")
    notebook.click(110, 70)
    expect(alert).to_have_text("")
    notebook.expect_pair(0, 3)


def test_one_detection_is_a_picture_and_a_sentence(notebook: Notebook) -> None:
    alone = notebook.run("one").locator(".odam-pairs")
    expect(alone).to_contain_text("There is no pair: only one object was found.")
    expect(alone.get_by_role("combobox")).to_have_count(0)
    assert alone.locator("img").evaluate_all("(images) => images.map((image) => image.naturalWidth)") == [WIDTH]
