"""The site is put together with links that lead somewhere; what leads nowhere is told."""

import sys
from pathlib import Path

import pytest

from odam_lib.files import data_root

ROOT = data_root().parent
sys.path.insert(0, str(ROOT / "tools"))

import build_site  # noqa: E402

QUICKSTART = "notebooks/00_quickstart.ipynb"
SITE = build_site.Site.of(["00_quickstart"])


@pytest.mark.parametrize(
    ("link", "origin", "expected"),
    [
        (
            "../notebooks/00_quickstart.ipynb#2.-What-made-the-class%3F",
            "docs/series.md",
            f"{QUICKSTART}#2-what-made-the-class",
        ),
        ("glossary.md#grad-cam", QUICKSTART, "../paper/glossary.md#grad-cam"),
        ("01_explaining_attributes.ipynb#a-heading", QUICKSTART, "../series.md"),
        ("../odam_lib/kernels/odam.py", "notebooks/README.md", "../code/odam_lib/kernels/odam.py.md"),
        ("../data/evaluation", "notebooks/README.md", "../data/evaluation.md"),
        ("figures/00_quickstart.png", QUICKSTART, "figures/00_quickstart.png"),
        ("#7.-Keep-it", QUICKSTART, "#7-keep-it"),
        ("https://docs.ray.io", "docs/cluster.md", "https://docs.ray.io"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(link: str, origin: str, expected: str) -> None:
    assert build_site.rewrite(f"See [`it`]({link}).", origin, SITE)[0] == f"See [`it`]({expected})."


def test_code_is_left_alone() -> None:
    text = "`maps[0](absent.md)`\n\n```python\nmaps[0](absent.md)\n```\n"
    assert build_site.rewrite(text, QUICKSTART, SITE) == (text, set())


@pytest.mark.parametrize("link", ["absent.md", "../data/weights/yolov3-tiny.safetensors", "../data/weights"])
def test_a_link_that_no_page_can_show_names_its_page(link: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^{QUICKSTART}: .*mend the link"):
        build_site.rewrite(f"[it]({link})", QUICKSTART, SITE)


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ('<a href="absent.html">', "absent.html, which is missing"),
        ('<a href="other.html#absent">', "has no such heading"),
        ('<script src="https://example.org/x.js"></script>', "would load https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "would load //example.org/x.css"),
        ('<img src="absent.png">', "absent.png, which is missing"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(address: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(address, encoding="utf-8")
    (tmp_path / "other.html").write_text("<h1 id='here'>", encoding="utf-8")
    with pytest.raises(ValueError, match=wrong):
        build_site.check_links(tmp_path)


def test_links_to_other_sites_are_counted_only(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="https://example.org">', encoding="utf-8")
    assert build_site.check_links(tmp_path) == 1
