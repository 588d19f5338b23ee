"""The built site and the page of ``make demo``, opened from a folder with the network blocked."""

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
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from jinja2 import Environment

if "CI" not in os.environ:
    for needed in ("playwright", "axe_playwright_python", "sphinx"):
        pytest.importorskip(needed, reason=f"{needed} is not installed: pip install odam_lib[site,dev]")
from drawn import CLOSE, draw_by_python, find_violations, read_canvas

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
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what ``make demo`` writes, of few maps."""
    name, folder = "00_quickstart", tmp_path_factory.mktemp("demo")
    few = {"ATTRIBUTES": ["class"], "MAX_OBJECTS": 1, "OUTPUT_DIR": str(folder / "maps"), "DEVICE": "cpu"}
    notebooks.to_html(notebooks.run(notebooks.kept(name)[0], few, folder / f"{name}.ipynb"), folder / f"{name}.html")
    return folder


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address at which this machine serves a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def explained() -> HeatMaps:
    """What the first page's figure shows, and the quickstart's."""
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
        assert find_violations(page) == []


def test_every_column_of_a_table_has_a_heading(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if "_static" not in path.parts}
    assert sum(page.count("<th ") for page in pages.values()) > 100
    empty = re.compile(r"<th[^>]*>\s*(<p>\s*</p>\s*)?</th>")
    assert [str(path.relative_to(site)) for path, page in pages.items() if empty.search(page)] == []


@pytest.mark.parametrize("served", [False, True], ids=["file", "server"])
@pytest.mark.parametrize(("made", "name"), [("site", "index"), ("site", NOTEBOOK), ("demo", "00_quickstart")])
def test_a_click_shows_the_map_that_explain_computed(
    made: str,
    name: str,
    served: bool,
    explained: HeatMaps,
    browser: Any,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder: Path = request.getfixturevalue(made)
    path = folder / f"{name}.html"
    sent = re.search(r'"_picture": {"bytes": "([^"]+)"}', path.read_text(encoding="utf-8"))
    (tmp_path / "sent.jpg").write_bytes(base64.b64decode(sent[1]))
    picture = load_image(tmp_path / "sent.jpg")
    with serve(folder) as server, opened(browser, f"{server}/{name}.html" if served else path.as_uri()) as page:
        objects, shown = page.locator(".odam-objects"), page.locator(".odam-map")
        for row, attribute in ((2, "class"), (1, "x1")):
            page.get_by_role("button", name=attribute, exact=True).click()
            left, top, right, bottom = explained.detections.boxes[row].tolist()
            frame, (height, width) = objects.bounding_box(), explained.detections.image_size
            place = {"x": 0.5 * (left + right) / width * frame["width"]}
            place["y"] = (0.9 * bottom + 0.1 * top) / height * frame["height"]
            objects.click(position=place)
            shown.and_(
                page.locator(f'[data-object="{row}"][data-attribute="{attribute}"][aria-busy="false"]')
            ).wait_for()
            drawn = draw_by_python(picture, explained, row, attribute)
            assert (read_canvas(shown.locator("canvas")) - drawn).abs().max() <= CLOSE


def test_the_page_of_the_demo_is_accessible_and_leads_to_files(demo: Path, browser: Any) -> None:
    with opened(browser, (demo / "00_quickstart.html").as_uri()) as page:
        assert find_violations(page) == []
        links = page.locator(".jp-RenderedMarkdown a:not([href^='#'])").evaluate_all(
            "(all) => all.map((one) => one.href)"
        )
    assert len(links) > 3 and all(Path(unquote(urlsplit(link).path)).is_file() for link in links)


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
