"""Build the web site from the repository's pages and stored notebooks: ``python tools/build_site.py --help``."""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from urllib.parse import unquote, urlsplit

import nbformat
from nbformat import NotebookNode
from odam_chapters import errors
from odam_chapters.attention import LocationPicker
from odam_chapters.crowds import PairPicker, open_crowds, set_thresholds, tables
from odam_chapters.errors.plots import Case
from sweeps.plan import read_notebook

from notebooks import ROOT, described, listed, without_widgets
from odam_lib import explain, load_detector, load_image, photo
from odam_lib.command import command
from odam_lib.datasets import Scenes
from odam_lib.viz.fragments import read_fragment
from odam_lib.viz.standalone import write_figure

PLACE = ROOT / "build" / "site"
PICTURE, DETECTOR, QUICKSTART = "person", "yolov3-tiny", "notebooks/00_quickstart.ipynb"
MISTAKES = "notebooks/04_error_modes.ipynb"
PLACES, PAIRS = "notebooks/05_detr_attention_vs_odam.ipynb", "notebooks/07_odam_nms_in_crowds.ipynb"
LARGEST = 2_000_000
"""Bytes of the first page with all that it loads."""

RENAMED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "data/README.md": "data/index.md",
    "data/evaluation/README.md": "data/evaluation.md",
    "data/photos/README.md": "data/photos.md",
    "data/scenes/README.md": "data/scenes.md",
    "notebooks/README.md": "paper/claims.md",
    "notebooks/answers.md": "paper/answers.md",
    "notebooks/tables.md": "paper/tables.md",
    "notebooks/glossary.md": "paper/glossary.md",
}
"""Pages of the site by what they are in the repository, beside docs/, notebooks and sources."""

LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".yml": "yaml", ".cff": "yaml"}
PICTURES = {".png", ".jpg", ".svg"}


@dataclass(frozen=True)
class Site:
    """What the site is put together from: its pages, by their files in the repository.

    Attributes:
        pages: files of the site by files of the repository, both relative and with slashes.
        absent: notebooks that are left out, to which links lead to the page of the series instead.
    """

    pages: Mapping[str, str]
    absent: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> "Site":
        """The site with the notebooks of these names."""
        docs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
        notebooks = {f"notebooks/{name}.ipynb" for name in listed()}
        shown = {f"notebooks/{name}.ipynb" for name in names}
        own = {file: file.removeprefix("docs/") for file in docs} | {file: file for file in shown}
        return cls(RENAMED | own, frozenset(notebooks - shown))

    def page_of(self, file: str) -> str:
        """The page or picture of the site that shows a file of the repository.

        Raises:
            FileNotFoundError: there is no such file, or it is none that a page can show.
        """
        if file in self.absent:
            return "series.md"
        if file in self.pages:
            return self.pages[file]
        if (ROOT / file / "README.md").is_file():
            return self.page_of(f"{file}/README.md")
        place = PurePosixPath(file)
        if not (ROOT / file).is_file() or place.suffix not in (*LANGUAGES, *PICTURES, ""):
            raise FileNotFoundError(f"{file} is no file that the site can show: mend the link to it.")
        return file if place.suffix in PICTURES else f"code/{file}.md"


def slug(heading: str) -> str:
    """A heading's anchor, from the heading or from its anchor in Jupyter."""
    return re.sub(r"[^\w\- ]", "", unquote(heading).strip().lower()).replace(" ", "-")


def rewrite(text: str, origin: str, site: Site) -> tuple[str, set[str]]:
    """Markdown of the repository as Markdown of the site, and the files of the repository that it links to.

    Args:
        text: of a page, or of a cell.
        origin: the file that holds it.
        site: says where each page went.

    Raises:
        FileNotFoundError: a link leads nowhere; names the page.
    """
    here, linked = site.page_of(origin), set[str]()

    def follow(found: re.Match[str]) -> str:
        target = found["target"]
        if target is None or urlsplit(target).scheme:  # code, or another site
            return found[0]
        path, _, anchor = target.partition("#")
        file = normpath(str(PurePosixPath(origin).parent / unquote(path))) if path else origin
        try:
            page = site.page_of(file)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{origin}: {error}") from error
        linked.add(file)
        kept = f"#{slug(anchor)}" if anchor and file not in site.absent else ""
        return f"]({relpath(page, str(PurePosixPath(here).parent)) if path else ''}{kept})"

    return re.sub(
        r"^```.*?^```|`[^`\n]*`|\]\((?P<target>[^)\s]+)\)", follow, text, flags=re.DOTALL | re.MULTILINE
    ), linked


def show_code(file: str) -> str:
    """A page that shows a text file of the repository."""
    text = (ROOT / file).read_text(encoding="utf-8")
    fence = "`" * max(4, *(len(run) + 1 for run in re.findall(r"`+", text)), 4)
    language = LANGUAGES.get(PurePosixPath(file).suffix, "text")
    return f"---\norphan: true\n---\n\n# `{file}`\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def list_series(names: Iterable[str]) -> str:
    """The table of the notebooks."""
    rows = [
        f"| [{name}](../notebooks/{name}.ipynb) | {listed()[name]['question']} | {listed()[name]['activity']} |"
        for name in names
    ]
    return "\n".join(["| notebook | question | what you do |", "|---|---|---|", *rows])


def draw_figure(place: Path) -> Path:
    """The page of the figure that the first page begins with, and the quickstart shows in place of its picker."""
    detector, image = load_detector(DETECTOR, "cpu"), photo(PICTURE)
    maps = explain(detector, image, detector.detect(image, score_threshold=0.5))
    return write_figure(image, maps, place)


def draw_mistakes(place: Path) -> Path:
    """The page of notebook 04's browser of mistakes, as that notebook makes it."""
    set_to = read_notebook(ROOT / MISTAKES).defaults
    detector, threshold = load_detector(set_to["DETECTOR"], "cpu"), set_to["SCORE_THRESHOLD"]
    scenes = list(Scenes("distractors", set_to["PICTURES"], seed=set_to["SEED"]))
    judged = [errors.judge(detector, *scene, threshold)[1:] for scene in scenes]
    sorts = [errors.sort_mistakes(*one, scene[1]) for one, scene in zip(judged, scenes)]

    def case(spot: tuple[int, int]) -> Case:
        scene = scenes[spot[0]]
        return errors.make_case(*scene, errors.judge(detector, *scene, threshold), spot[1])

    return errors.browse(errors.list_places(judged, sorts), case).write_figure(place)


def draw_places(place: Path) -> Path:
    """The page of notebook 05's picker of places, as that notebook makes it."""
    set_to = read_notebook(ROOT / PLACES).defaults
    detector, image = load_detector(set_to["DETECTOR"], "cpu"), load_image(ROOT / set_to["IMAGE"])
    return LocationPicker(detector.trace(image), image).write_figure(place)


def draw_pairs(place: Path) -> Path:
    """The page of notebook 07's picker of pairs, as that notebook makes it."""
    set_to = read_notebook(ROOT / PAIRS).defaults
    low, high = set_thresholds(set_to["DETECTOR"], set_to["LOW"], set_to["HIGH"])
    _, trained = tables.FAMILIES[set_to["DETECTOR"]]
    item = set_to["PICTURE"]
    image, _ = open_crowds(set_to["DATASET"], set_to["ROOT"], set_to["SEED"], PICTURE=item + 1)[item]
    return PairPicker(load_detector(trained, "cpu"), image, score_threshold=0.5, low=low, high=high).write_figure(place)


LIVE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    QUICKSTART: ("InstancePicker", draw_figure),
    MISTAKES: ("MistakeBrowser", draw_mistakes),
    PLACES: ("LocationPicker", draw_places),
    PAIRS: ("PairPicker", draw_pairs),
}
"""By page, the picker that a figure stands for, and what makes the figure."""


def with_figure(notebook: NotebookNode, picker: str, figure: str) -> NotebookNode:
    """A notebook with the stored picture of a picker replaced by a figure in which one can choose."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "".join(output.get("data", {}).get("text/plain", "")).startswith(f"{picker}("):
                output["data"] = NotebookNode({"text/html": figure})
    return notebook


def gather(names: Sequence[str], folder: Path) -> None:
    """Write what Sphinx reads: pages with their links led to one another, notebooks, pictures, sources, the figure.

    What has not changed since the last time is left alone, so that Sphinx need not read it again.
    """
    site = Site.of(names)
    figures = {
        origin: read_fragment(draw(folder.with_name(f"{picker}.html")))
        for origin, (picker, draw) in LIVE.items()
        if origin in site.pages or origin == QUICKSTART
    }
    files: dict[str, str | bytes] = {"figure.html": figures[QUICKSTART]}
    linked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "odam_lib").rglob("*.py")}
    for origin, page in site.pages.items():
        if origin == "README.md":  # the site has a first page of its own
            continue
        lead = partial(rewrite, origin=origin, site=site)
        if page.endswith(".ipynb"):
            notebook = described(without_widgets(nbformat.read(ROOT / origin, as_version=4)))
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source, more = lead(cell.source)
                    linked |= more
            if origin in figures:
                notebook = with_figure(notebook, LIVE[origin][0], figures[origin])
            files[page] = nbformat.writes(notebook)
        else:
            text = (ROOT / origin).read_text(encoding="utf-8").replace("<!-- notebooks -->", list_series(names))
            files[page], more = lead(text)
            linked |= more
    for file in linked:
        place = site.page_of(file)
        if place not in files and place != "index.md":
            files[place] = show_code(file) if place.startswith("code/") else (ROOT / file).read_bytes()
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path, whole = folder / name, content.encode() if isinstance(content, str) else content
        if not path.is_file() or path.read_bytes() != whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole)


class _Links(HTMLParser):
    """The addresses in a page: what it loads, what it links to, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded, self.linked, self.anchors = set[str](), set[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value for key, value in attrs if value is not None}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if "src" in given:
            self.loaded.add(given["src"])
        if "href" in given:
            loads = tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "modulepreload")
            (self.loaded if loads else self.linked).add(given["href"])


def check_links(folder: Path) -> int:
    """Follow every address of every page within the site.

    Returns:
        How many addresses of other sites pages link to, which are not followed.

    Raises:
        ValueError: an address leads nowhere, or a page would load something of another site.
    """
    pages = {}
    for path in folder.rglob("*.html"):
        if "_static" not in path.parts and path.name != "404.html":  # a template of the theme; served at any depth
            pages[path] = _Links()
            pages[path].feed(path.read_text(encoding="utf-8"))
    wrong, elsewhere = set[str](), set[str]()
    for path, page in pages.items():
        for address in page.loaded | page.linked:
            parts, name = urlsplit(address), path.relative_to(folder)
            if parts.scheme in ("data", "mailto"):
                continue
            if parts.scheme or parts.netloc:
                elsewhere.add(address)
                if address in page.loaded:
                    wrong.add(f"{name} would load {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.add(f"{name} leads to {address}, which is missing")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.add(f"{name} leads to {address}, which has no such heading")
    if wrong:
        raise ValueError(f"{len(wrong)} addresses lead nowhere: {'; '.join(sorted(wrong)[:20])}.")
    return len(elsewhere)


def weigh(page: Path) -> int:
    """Bytes of a page with all that it loads."""
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    places = {urlsplit(address).path for address in links.loaded if not address.startswith("data:")}
    files = {(page.parent / unquote(place)).resolve() for place in places}
    return sum(path.stat().st_size for path in {page, *files} if path.is_file())


def build(names: Sequence[str], place: Path) -> Path:
    """Build the site with these notebooks, without a warning, and check it.

    Returns:
        The folder of its pages.

    Raises:
        RuntimeError: Sphinx had a warning, which it has printed.
        ValueError: a link leads nowhere, or the first page is too large.
    """
    pages = place / "html"
    gather(names, place / "source")
    shutil.rmtree(pages, ignore_errors=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-b", "html", "-j", "2", "-q", "-W", "--keep-going"),
            *("-c", ROOT / "docs", "-d", place / "doctrees", place / "source", pages),
        ],
        check=False,
    )
    if done.returncode:
        raise RuntimeError("The site was not built: Sphinx says above what is to be mended.")
    elsewhere, size = check_links(pages), weigh(pages / "index.html")
    print(f"links:  all within the site lead somewhere; {elsewhere} to other sites were not followed")
    print(f"first page: {size / 1e6:.2f} MB with all that it loads")
    if size > LARGEST:
        raise ValueError(f"The first page has {size / 1e6:.2f} MB with all that it loads: keep it under 2.")
    return pages


@command
def main() -> None:
    """Command line: build the site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(listed()), help="these notebooks instead of all")
    arguments = parser.parse_args()
    pages = build(arguments.only or list(listed()), PLACE)
    print(f"site:   {(pages / 'index.html').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
