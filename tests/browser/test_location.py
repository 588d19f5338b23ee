"""The place picker as a reader meets it: JupyterLab in Chromium, with a real click and keys."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
pytest.importorskip("transformers")
from notebook_page import NotebookPage, open_page
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HEIGHT, WIDTH = 160, 256
CELLS = {
    "show": (
        "import torch\n"
        "from odam_chapters.attention.widget import LocationPicker\n"
        "from odam_lib.datasets.scenes import CATEGORIES\n"
        "from odam_lib.detectors.detr import build_small_detr\n"
        "torch.manual_seed(0)\n"
        "image = torch.rand(3, 160, 256)\n"
        "picker = LocationPicker(build_small_detr('untrained', CATEGORIES).trace(image), image)\n"
        "picker"
    ),
    "read": "print(picker.row, picker.column, *map(round, picker.location))",
}


def test_a_click_chooses_a_place_and_arrow_keys_move_it(
    browser: Browser, lab: Callable, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with lab(tmp_path_factory.mktemp("lab"), "location", CELLS) as address:
        page = open_page(browser, address, height=900, timeout=40_000)
        run = NotebookPage(page, list(CELLS)).run

        def expect_cell(row: int, column: int) -> None:
            for name, value in (("data-row", row), ("data-column", column), ("aria-busy", "false")):
                expect(shown).to_have_attribute(name, str(value), timeout=20_000)

        run("show")
        widget = page.locator(".odam-location")
        chooser, shown = widget.get_by_role("application"), widget.locator(".odam-map")
        expect_cell(8, 13)  # the middle; the detector sees 256 x 410 pixels, a cell is 10 pixels of the picture
        box = chooser.bounding_box()
        chooser.click(position={"x": 60 / WIDTH * box["width"], "y": 41 / HEIGHT * box["height"]})
        expect_cell(4, 6)
        expect(chooser).to_be_focused()
        for key, cell in [("ArrowRight", (4, 7)), ("ArrowDown", (5, 7)), ("ArrowLeft", (5, 6)), ("ArrowUp", (4, 6))]:
            page.keyboard.press(key)
            expect_cell(*cell)
        chooser.click(position={"x": 1, "y": 1})
        page.keyboard.press("ArrowUp")  # there is no cell above
        expect_cell(0, 0)
        page.keyboard.press("ArrowDown")
        expect_cell(1, 0)
        expect(widget.locator("[role=alert]")).to_have_text("")
        expect(widget.locator("figcaption").last).to_contain_text("encoder attention from (0, 10)")
        if folder := os.environ.get("ODAM_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "location.png")
        run("read")
        expect(page.locator(".jp-OutputArea-output").last).to_contain_text("1 0 0 10")
