"""A notebook that is open in JupyterLab, as the tests of all widgets drive it."""

import re
from collections.abc import Sequence

from playwright.sync_api import Browser, Locator, Page, expect


def open_page(browser: Browser, address: str, height: int, timeout: int, until_idle: int = 60_000) -> Page:
    """A page of 1280 pixels on a notebook whose kernel waits; times in milliseconds."""
    page = browser.new_page(viewport={"width": 1280, "height": height})
    page.set_default_timeout(timeout)
    page.goto(address)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=until_idle)
    return page


class NotebookPage:
    """An open notebook.

    Args:
        page: on which it is.
        names: of its cells, in order.

    Attributes:
        patience: milliseconds that a cell may take.
    """

    patience = 60_000

    def __init__(self, page: Page, names: Sequence[str]) -> None:
        self.page, self.names = page, list(names)

    def run(self, name: str) -> Locator:
        """Run a cell to its end; returns its output area."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(self.names.index(name))
        prompt = cell.locator(".jp-InputArea-prompt")
        before = prompt.inner_text()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        expect(prompt).not_to_have_text(before)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=self.patience)
        return cell.locator(".jp-OutputArea-output")
