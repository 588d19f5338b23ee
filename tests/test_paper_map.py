"""The map of the paper, its tables and the README's claims are of today's rows, and their links lead somewhere."""

import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from odam_lib.files import data_root
from odam_lib.metrics.intervals import Estimate

ROOT = data_root().parent
sys.path.insert(0, str(ROOT / "tools"))

import paper_map  # noqa: E402
import paper_measures  # noqa: E402

LINKED = [Path(name) for name in ("README.md", "notebooks/README.md", "notebooks/tables.md")]
LINKED += [Path("docs") / name for name in ("own_detector.md", "study.md")]


def slug(heading: str) -> str:
    """A heading's anchor on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def list_anchors(path: Path) -> set[str]:
    if path.suffix == ".md":
        return {
            slug(line.lstrip("#")) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
        }
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines()]
    return {re.sub(r"^#+ +", "", line).strip().replace(" ", "-") for line in lines if re.match(r"#+ ", line)}


def test_map_tables_and_claims_are_of_todays_rows() -> None:
    for path, text in paper_map.write_all().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: python tools/paper_map.py write"


@pytest.mark.parametrize("page", LINKED, ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    found = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert found
    for target in found:
        if "://" in target:
            continue
        path, _, anchor = unquote(target).partition("#")
        place = (ROOT / page.parent / path) if path else ROOT / page
        assert place.exists(), target
        assert not anchor or anchor in list_anchors(place), target


def test_every_notebook_links_to_the_map() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert "](README.md)" in "".join(cells[0]["source"]) + "".join(cells[1]["source"]), path.name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 170


@pytest.mark.parametrize(
    ("found", "expect", "n", "margin", "verdict"),
    [
        ((0.2, 0.1, 0.3), "more", 30, 0, "reproduced"),
        ((0.2, 0.1, 0.3), "less", 30, 0, "contradicted"),
        ((0.2, 0.1, 0.3), "more", 29, 0, "cannot tell"),
        ((0.2, -0.1, 0.3), "less", 300, 0, "cannot tell"),
        ((-0.2, -0.3, -0.1), "less", 300, 0, "reproduced"),
        ((0.2, -0.1, 0.3), "alike", 300, 0.3, "reproduced"),
        ((0.2, -0.1, 0.4), "alike", 300, 0.3, "cannot tell"),
        ((-0.5, -0.6, -0.4), "alike", 300, 0.3, "contradicted"),
        ((float("nan"),) * 3, "more", 300, 0, "cannot tell"),
    ],
)
def test_a_verdict_asks_for_the_whole_interval(found, expect: str, n: int, margin: float, verdict: str) -> None:
    assert paper_measures.judge(Estimate(*found), expect, n, margin) == verdict


def test_verdicts_that_differ_are_counted() -> None:
    numbers = [paper_measures.Number("a", "1", 30, one) for one in ("reproduced", "contradicted", "reproduced", "")]
    assert paper_map.conclude({}, numbers) == "in part: 2 reproduced, 1 contradicted"
    assert paper_map.conclude({}, numbers[::2]) == "reproduced"
    assert paper_map.conclude({"verdict": "not done"}, numbers) == "not done"


def test_what_was_not_measured_is_said_and_other_mistakes_are_not_hidden() -> None:
    missing = {"measures": [{"kind": "columns", "file": "absent", "of": ["x"], "column": "y"}]}
    assert paper_map.conclude(missing, paper_map.answer(missing)) == "not measured yet"
    with pytest.raises(ValueError, match="0 headings of notebook 03"):
        paper_map.link("03#no such words", "notebooks/")
    with pytest.raises(ValueError, match="There is no nothing at"):
        paper_map.link("odam_lib/kernels/odam.py:nothing", "")


def test_lower_is_better_also_in_points_of_curves_and_differences() -> None:
    assert [paper_measures.direction(name) for name in ("deletion@0.167", "ODI box > 0.6", "MR", "VEA@0.10")] == [
        *("less", "less", "less", "more")
    ]
