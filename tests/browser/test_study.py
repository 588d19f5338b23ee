"""The questionnaires as a person meets them: JupyterLab in Chromium, with real clicks, drags and keys."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install odam_lib[dev]")
from notebook_page import NotebookPage, open_page
from odam_chapters.study.collecting import read_pointings, read_rankings
from odam_chapters.study.items import DISCRIMINATION, EDGES, MODELS, PHOTOGRAPHS, TRUST
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ITEMS = Path(__file__).parents[1] / "study_items.py"
HEIGHT, WIDTH = 60, 80
QUESTIONS = 4
CELLS = {
    "keep": (
        "from odam_chapters.study.answers import AnswerFile\n"
        "from odam_chapters.study.items import DISCRIMINATION, EDGES, MODELS, PHOTOGRAPHS, TRUST\n"
        "from odam_chapters.study.widget import Questionnaire\n"
        "from study_items import make_pairs, make_pointed, make_ranked\n"
        "file = AnswerFile('answers.sqlite')\n"
        f"for make, studies in ((make_ranked, (TRUST, EDGES)), (make_pairs, [MODELS]),\n"
        "                      (make_pointed, (DISCRIMINATION, PHOTOGRAPHS))):\n"
        "    for study in studies:\n"
        f"        file.keep(study, make({QUESTIONS}))"
    ),
    "trust": "Questionnaire(file, TRUST)",
    "discrimination": "Questionnaire(file, DISCRIMINATION)",
    "edges": "Questionnaire(file, EDGES)",
    "models": "Questionnaire(file, MODELS)",
    "photographs": "Questionnaire(file, PHOTOGRAPHS)",
    "fill": (
        "def full(*arguments): raise OSError('the disk is full')\nrecord, AnswerFile.record = AnswerFile.record, full"
    ),
    "empty": "AnswerFile.record = record",
    "kill": "import os; os.kill(os.getpid(), 9)",
}


class Answering:
    """A questionnaire in a cell's output."""

    def __init__(self, notebook: NotebookPage, cell: str) -> None:
        self.page, self.name = notebook.page, cell
        self.root = notebook.run(cell).locator(".odam-study")
        expect(self.root).to_have_attribute("data-screen", "consent")

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name).click()

    def begin(self) -> str:
        """Agree; returns the number."""
        self.press("I agree: begin")
        self.expect_question(0)
        found = re.search(r"Your number is (\d{8})", self.root.locator(".odam-number").inner_text())
        assert found
        return found[1]

    def expect_question(self, place: int) -> None:
        expect(self.root).to_have_attribute("data-place", str(place))
        expect(self.root.locator(".odam-number")).to_contain_text(f"{place} of {QUESTIONS} answered, all saved")
        loaded = "(images) => images.every((image) => image.complete && image.naturalWidth > 0)"
        self.page.wait_for_function(loaded, arg=self.root.locator("img").element_handles())

    def snap(self, name: str) -> None:
        """Save a screenshot if somebody wants to look at it."""
        if folder := os.environ.get("ODAM_SCREENSHOTS"):
            self.root.scroll_into_view_if_needed()
            self.page.screenshot(path=Path(folder) / f"study-{self.name}-{name}.png")


@pytest.fixture(scope="module")
def opened(
    browser: Browser, lab: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NotebookPage, Path]]:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ITEMS, folder)
    with lab(folder, "study", CELLS) as address:
        notebook = NotebookPage(open_page(browser, address, height=1100, timeout=20_000), list(CELLS))
        notebook.run("keep")
        yield notebook, folder / "answers.sqlite"


def rank(page: Page, root, order: str) -> None:
    """Click the maps from the best to the worst."""
    for letter in order:
        root.get_by_role("button", name=re.compile(f"map {letter}:")).click()


def test_a_ranking_is_given_by_clicks_and_keys_and_survives_a_killed_kernel(opened) -> None:
    notebook, path = opened
    form = Answering(notebook, "trust")
    form.snap("consent")
    number = form.begin()
    save = form.root.get_by_role("button", name="Save and go on")
    rank(form.page, form.root, "BAD")
    expect(save).to_be_disabled()
    rank(form.page, form.root, "A")  # takes its place away: D moves up
    rank(form.page, form.root, "CA")
    form.snap("ranked")
    save.click()
    form.expect_question(1)

    form.root.get_by_role("button", name=re.compile("map A:")).focus()
    for key in ("Enter", "Tab", "1", "Tab", "Space", "Tab", "2"):
        form.page.keyboard.press(key)
    expect(form.root.get_by_role("button", name="map D: place 2")).to_be_visible()
    form.press("Pause")
    expect(form.root).to_have_attribute("data-screen", "paused")
    form.press("Go on")
    form.expect_question(1)
    rank(form.page, form.root, "DCBA")
    notebook.run("fill")
    save.click()
    expect(form.root.get_by_role("alert")).to_contain_text("the disk is full")
    notebook.run("empty")
    save.click()  # what was given is still there
    form.expect_question(2)
    expect(form.root.locator("[role=alert]")).to_have_text("")

    rank(form.page, form.root, "DC")  # given by half, and never saved
    cell = notebook.page.locator(".jp-Notebook .jp-CodeCell").nth(list(CELLS).index("kill"))
    cell.locator(".cm-content").click()
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.get_by_role("button", name="Ok").click(timeout=30_000)
    expect(notebook.page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    kept = read_rankings([path], TRUST)
    shown = [one.shown for one in kept]
    ranks = [[one.ranks[condition] for condition in one.shown] for one in kept]
    assert [one.person for one in kept] == [int(number)] * 2 and len(set(shown)) == 2
    assert ranks == [[4, 1, 3, 2], [4, 3, 2, 1]]  # of the places A to D

    notebook.run("keep")
    form = Answering(notebook, "trust")
    form.root.get_by_role("textbox", name="your number").fill("12")
    form.press("Go on where I stopped")
    expect(form.root.get_by_role("alert")).to_contain_text("Nobody with the number 12 began")
    form.root.get_by_role("textbox", name="your number").fill(number)
    form.page.keyboard.press("Enter")
    for place in range(2, QUESTIONS):
        form.expect_question(place)
        rank(form.page, form.root, "ABCD")
        form.press("Save and go on")
    expect(form.root).to_have_attribute("data-screen", "done")
    form.snap("done")
    kept = read_rankings([path], TRUST)
    assert len(kept) == QUESTIONS and len({one.item for one in kept}) == QUESTIONS
    assert all(one.seconds > 0 for one in kept)


def test_an_object_is_pointed_at_by_click_key_or_drag(opened) -> None:
    notebook, path = opened
    form = Answering(notebook, "discrimination")
    form.begin()
    objects, save = form.root.locator(".odam-objects"), form.root.get_by_role("button", name="Save and go on")

    def at(x: float, y: float) -> dict[str, float]:
        box = objects.bounding_box()
        return {"x": x / WIDTH * box["width"], "y": y / HEIGHT * box["height"]}

    objects.click(position=at(40, 30))
    expect(save).to_be_disabled()
    form.root.get_by_role("radio", name="4").check()
    form.snap("chosen")
    save.click()
    form.expect_question(1)
    form.root.get_by_role("radio", name="1").check()
    objects.get_by_role("option").first.focus()
    form.page.keyboard.press("End")
    save.click()
    form.expect_question(2)
    for name, corners in (("fits", ((31, 6), (51, 54))), ("fits nothing", ((2, 2), (10, 10)))):
        objects.scroll_into_view_if_needed()
        box = objects.bounding_box()
        first, last = ((box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]) for x, y in corners)
        form.page.mouse.move(*first)
        form.page.mouse.down()
        form.page.mouse.move(*last, steps=4)
        form.page.mouse.up()
        expect(form.root.locator(".odam-drawn")).to_be_visible()
        expect(objects.get_by_role("option", selected=True)).to_have_count(0)
        form.root.get_by_role("radio", name="5").check()
        form.snap(name)
        save.click()
        form.root.locator(".odam-drawn:visible").wait_for(state="detached")
    expect(form.root).to_have_attribute("data-screen", "done")
    kept = read_pointings([path], DISCRIMINATION)
    assert [(one.chosen, one.right, one.confidence) for one in kept] == [
        (1, True, 4), (2, False, 1), (1, True, 5), (-1, False, 5)
    ]  # fmt: skip
    assert len({one.condition for one in kept}) == 4 and kept[0].drawn is None
    assert kept[2].drawn == pytest.approx((31, 6, 51, 54), abs=1)


def test_photographs_are_answered_by_arrow_keys_alone_and_not_mixed_with_drawings(opened) -> None:
    notebook, path = opened
    before = read_pointings([path], DISCRIMINATION)
    form = Answering(notebook, "photographs")
    form.begin()
    for place in range(QUESTIONS):
        form.expect_question(place)
        form.root.get_by_role("option").first.focus()
        for key in ("ArrowRight", "ArrowRight", "Tab", "Space", "ArrowLeft", "Tab", "Enter"):
            form.page.keyboard.press(key)  # the second object; of how sure, 5 is left of 1
    expect(form.root).to_have_attribute("data-screen", "done")
    kept = read_pointings([path], PHOTOGRAPHS)
    assert [(one.chosen, one.confidence) for one in kept] == [(1, 5)] * QUESTIONS
    assert read_pointings([path], DISCRIMINATION) == before


def test_of_two_models_one_is_chosen_by_one_click_or_key(opened) -> None:
    notebook, path = opened
    form = Answering(notebook, "models")
    form.begin()
    save = form.root.get_by_role("button", name="Save and go on")
    expect(save).to_be_disabled()
    rank(form.page, form.root, "B")
    expect(save).to_be_enabled()
    rank(form.page, form.root, "A")  # another mind
    expect(form.root.get_by_role("button", name="map B: place 2")).to_be_visible()
    form.snap("chosen")
    save.click()
    form.expect_question(1)
    for keys in (("Tab", "Tab", "Enter", "Tab", "Enter"), ("Tab", "2", "Tab", "Tab", "Enter")):  # B both times
        for key in keys:
            form.page.keyboard.press(key)
        expect(form.root.locator("h4")).to_be_focused()
    form.expect_question(3)
    rank(form.page, form.root, "A")
    save.click()
    expect(form.root).to_have_attribute("data-screen", "done")
    kept = read_rankings([path], MODELS)
    assert [[one.ranks[condition] for condition in one.shown] for one in kept] == [[1, 2], [2, 1], [2, 1], [1, 2]]


def test_edges_are_ranked_and_everything_can_be_deleted(opened) -> None:
    notebook, path = opened
    form = Answering(notebook, "edges")
    number = form.begin()
    expect(form.root.locator(".odam-edge-x1, .odam-box").first).to_be_visible()
    for _ in range(2):  # by keys alone: after each question the focus is above the next one
        for key in ("Tab", "1", "Tab", "2", "Tab", "3", "Tab", "4", "Tab", "Enter"):
            form.page.keyboard.press(key)
        expect(form.root.locator("h4")).to_be_focused()
    form.expect_question(2)
    assert [list(one.ranks.values()) for one in read_rankings([path], EDGES)] == [[1, 2, 3, 4]] * 2
    for _ in range(2, QUESTIONS):
        rank(form.page, form.root, "DABC")
        form.press("Save and go on")
    expect(form.root).to_have_attribute("data-screen", "done")
    assert len(read_rankings([path], EDGES)) == QUESTIONS
    form.press("Delete my answers")
    assert len(read_rankings([path], EDGES)) == QUESTIONS
    form.press("Really delete all of them?")
    expect(form.root).to_have_attribute("data-screen", "consent")
    expect(form.root).to_contain_text(f"Everything that was kept of number {number} is deleted.")
    assert read_rankings([path], EDGES) == []
