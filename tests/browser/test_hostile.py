"""Names and errors that would be code in a page are text in every widget: JupyterLab in Chromium."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
from notebook_page import NotebookPage, open_page
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HELPERS = [Path(__file__).parents[1] / name for name in ("planted.py", "study_items.py")]
CODE = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script>$\\href{javascript:hacked=3}{x}$"
CELLS = {
    "widgets": f"""
from dataclasses import replace
import torch
from IPython.display import display
from planted import PlantedCrowd, PlantedDetector, PlantedTrace, planted_image
from odam_chapters.errors.plots import Case
from odam_chapters.errors.widget import MistakeBrowser
from odam_chapters.crowds.pair_widget import PairPicker
from odam_chapters.study.answers import AnswerFile
from odam_chapters.study.items import TRUST
from odam_chapters.study.widget import Questionnaire
from study_items import make_ranked
from odam_lib.viz.widgets import InstancePicker

CODE = {CODE!r}

def renamed(kind):
    class Renamed(kind):
        def trace(self, image, layer=None):
            trace = super().trace(image, layer)
            return replace(trace, candidates=replace(trace.candidates, categories=("",) + (CODE,) * 4))
    return Renamed()

def case(number):
    if number:
        raise RuntimeError(CODE)
    return Case(planted_image(), None, torch.ones(4), None, CODE)

file = AnswerFile("answers.sqlite")
file.keep(TRUST, [replace(item, name=CODE + item.name, asked=CODE) for item in make_ranked(2)])
form = Questionnaire(file, TRUST, consent=(CODE,))
picker = InstancePicker(renamed(PlantedDetector), planted_image())
pairs = PairPicker(renamed(PlantedCrowd), planted_image())
mistakes = MistakeBrowser([CODE, CODE + "1"], case)
display(picker, pairs, mistakes, form)
""",
    "refuse": "for one in (picker, pairs, mistakes, form):\n    one.set_state({CODE: CODE})",
    "wrong": "picker.set_state({'selected': True})\nprint(picker.selected)",
}


def test_names_and_errors_are_text_in_every_widget(
    browser: Browser, lab: Callable, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lab")
    for helper in HELPERS:
        shutil.copy(helper, folder)
    with lab(folder, "hostile", CELLS) as address:
        page = open_page(browser, address, height=1400, timeout=40_000)
        run = NotebookPage(page, list(CELLS)).run

        run("widgets")
        widgets = page.locator(".odam-picker")
        expect(widgets).to_have_count(4)
        expect(widgets.nth(0).locator(".odam-map")).to_have_attribute("data-object", "0")
        expect(widgets.nth(1).locator("tbody tr")).to_have_count(3)
        mistakes = page.locator(".odam-mistakes")
        expect(mistakes.locator("img")).to_have_attribute("data-mistake", "0")
        form = page.locator(".odam-study")
        expect(form).to_contain_text(CODE)
        form.get_by_role("button", name="I agree: begin").click()
        expect(form.locator("figcaption")).to_have_text(CODE)
        mistakes.get_by_role("combobox").select_option("1")
        expect(mistakes.locator("[role=alert]")).to_contain_text(f"The mistake could not be drawn: {CODE}")
        if target := os.environ.get("ODAM_SCREENSHOTS"):
            page.screenshot(path=Path(target) / "hostile.png")
        run("refuse")
        for place in range(4):
            expect(widgets.nth(place).locator("[role=alert]")).to_contain_text("cannot be chosen")
        run("wrong")
        expect(widgets.nth(0).locator("[role=alert]")).to_contain_text("selected is True: give a whole number.")
        expect(widgets.nth(0).get_by_role("combobox", name="object")).to_have_value("0")
        widgets.nth(0).get_by_role("combobox", name="object").select_option("2")
        expect(widgets.nth(0).locator("[role=alert]")).to_have_text("")
        assert page.evaluate("window.hacked") is None
        assert widgets.locator("script, a, mjx-container, img[src='x']").count() == 0
