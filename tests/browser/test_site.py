"""The built site, opened from a folder with the network blocked."""

import base64
import inspect
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import pytest
from jinja2 import Environment

if "CI" not in os.environ:
    for needed in ("playwright", "axe_playwright_python", "sphinx"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: pip install odam_lib[site,dev]")
from axe_playwright_python.sync_playwright import Axe
from drawn import CLOSE, draw_by_python, read_canvas

from odam_lib import HeatMaps, explain, load_detector, photo
from odam_lib.files import data_root
from odam_lib.images import load_image

ROOT = data_root().parent
sys.path.insert(0, str(ROOT / "tools"))

import build_site  # noqa: E402

import notebooks  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
NOTEBOOK = "notebooks/00_quickstart"
PAGES = ("index", NOTEBOOK, "reference/training")
LOOKS = ((390, "light"), (1440, "dark"))
PACKAGES = ("", "kernels", "detectors", "explainers", "metrics", "evaluation", "training", "datasets", "viz")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site's pages, with one notebook, as of a repository whose address is known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODAM_REPOSITORY", "https://github.com/someone/odam")
        return build_site.build(["00_quickstart"], tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    """The address at which this machine serves the site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def explained() -> HeatMaps:
    """What the first page's figure shows."""
    detector, image = load_detector(build_site.DETECTOR, "cpu"), photo(build_site.PICTURE)
    return explain(detector, image, detector.detect(image, score_threshold=0.5))


@contextmanager
def opened(browser: Any, address: str, width: int = 820, scheme: str = "light") -> Iterator[Any]:
    """A page; whatever it asks of another site, or cannot load, or complains of, fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=address.startswith("file:")
    )
    page, wrong, own = context.new_page(), list[str](), ("data:", "blob:", re.match("file:|http://[^/]*/", address)[0])
    page.on("request", lambda one: None if one.url.startswith(own) else wrong.append(one.url))
    page.on("requestfailed", lambda one: wrong.append(one.url))
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        page.goto(address)
        yield page
        assert wrong == []
    finally:
        context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_no_network_fits_and_is_accessible(
    name: str, width: int, scheme: str, site: Path, browser: Any
) -> None:
    with opened(browser, (site / f"{name}.html").as_uri(), width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Axe would ask for style sheets again, which no page from a folder may.
        found = Axe().run(page, options={"preload": False}).response["violations"]
    grave = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]
    assert grave == []


@pytest.mark.parametrize("name", PAGES[:2])
@pytest.mark.parametrize("served", [False, True], ids=["file", "server"])
def test_a_click_shows_the_map_that_explain_computed(
    name: str, served: bool, site: Path, server: str, explained: HeatMaps, browser: Any, tmp_path: Path
) -> None:
    path = site / f"{name}.html"
    sent = re.search(r'"_picture": {"bytes": "([^"]+)"}', path.read_text(encoding="utf-8"))
    (tmp_path / "sent.jpg").write_bytes(base64.b64decode(sent[1]))
    picture = load_image(tmp_path / "sent.jpg")
    with opened(browser, f"{server}/{name}.html" if served else path.as_uri()) as page:
        objects, shown = page.locator(".odam-objects"), page.locator(".odam-map")
        page.get_by_role("button", name="x1", exact=True).click()
        for row in (2, 1):
            left, top, right, bottom = explained.detections.boxes[row].tolist()
            frame, (height, width) = objects.bounding_box(), explained.detections.image_size
            place = {"x": 0.5 * (left + right) / width * frame["width"]}
            place["y"] = (0.9 * bottom + 0.1 * top) / height * frame["height"]
            objects.click(position=place)
            shown.and_(page.locator(f'[data-object="{row}"][data-attribute="x1"][aria-busy="false"]')).wait_for()
            drawn = draw_by_python(picture, explained, row, "x1")
            assert (read_canvas(shown.locator("canvas")) - drawn).abs().max() <= CLOSE


def test_formulas_are_drawn_and_folds_open(site: Path, browser: Any) -> None:
    with opened(browser, (site / f"{NOTEBOOK}.html").as_uri()) as page:
        formula = page.locator("math", has_text="ReLU").first.bounding_box()
        assert formula["width"] > 100 and "$" not in page.locator("article p", has_text="ReLU").first.inner_text()
        fold = page.locator("details", has_text="Hint").first
        closed = fold.bounding_box()["height"]
        fold.locator("summary").click()
        assert fold.bounding_box()["height"] > closed + 10


def test_search_finds_a_page_by_its_words(site: Path, browser: Any) -> None:
    """What it cannot do from a folder is to show some text of each page that it found."""
    page = browser.new_page(offline=True)
    page.goto(f"{(site / 'search.html').as_uri()}?q=Grad-CAM")
    page.locator("#search-results li a", has_text="Glossary").first.wait_for()
    page.close()


def test_a_notebook_can_be_run_where_the_repository_is_known(site: Path) -> None:
    page = (site / f"{NOTEBOOK}.html").read_text(encoding="utf-8")
    assert (
        'href="https://colab.research.google.com/github/someone/odam/blob/main/notebooks/00_quickstart.ipynb"' in page
    )
    assert 'href="https://mybinder.org/v2/gh/someone/odam/main?labpath=notebooks%2F00_quickstart.ipynb"' in page
    template = Environment().from_string((ROOT / "docs/_templates/run.html").read_text(encoding="utf-8"))
    elsewhere = template.render(pagename=NOTEBOOK, on_github="", pathto=lambda name: f"{name}.html")
    assert re.findall('href="([^"]*)"', elsewhere) == ["install.html"]


def test_the_reference_has_every_public_name(site: Path) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    anchors = set(re.findall('id="(odam_lib[^"]*)"', pages))
    for package in PACKAGES:
        module = import_module(f"odam_lib.{package}".rstrip("."))
        for name in dir(module):
            found = getattr(module, name)
            home = getattr(found, "__module__", "") if inspect.isfunction(found) or inspect.isclass(found) else ""
            if home.startswith("odam_lib.") and home != "odam_lib.lazy":
                assert f"{home}.{found.__qualname__}" in anchors, f"{name} of {module.__name__}"


def test_an_exported_notebook_needs_no_network(browser: Any, tmp_path: Path) -> None:
    name = "07_odam_nms_in_crowds"
    page = tmp_path / f"{name}.html"
    notebooks.to_html(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4), page)
    with opened(browser, page.as_uri()) as shown:
        assert shown.locator("math[display=block]").first.bounding_box()["width"] > 300
        assert not any("$" in text for text in shown.locator(".jp-RenderedMarkdown").all_inner_texts())
        unloaded = "[...document.images].filter((image) => !image.naturalWidth || image.alt.length < 20).length"
        assert shown.evaluate(unloaded) == 0
