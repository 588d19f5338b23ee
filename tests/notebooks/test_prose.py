"""What a reader reads: short texts, short cells, folds that render everywhere, and terms that are explained."""

import re
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location

import nbformat
import pytest
from cells import LISTED, ROOT, TAUGHT, code_of, markdown_of

WORDS = {"00_quickstart": 800, "07_odam_nms_in_crowds": 1500}
MOST_WORDS, WORDS_IN_CELL = 1600, 90
FOLD = re.compile(r"<details>(.*?)</details>", re.DOTALL)
RAW = re.compile(r"`|\*|\$|\]\(")
"""Marks of Markdown, which some readers leave as they are within HTML."""
GLOSSARY = ROOT / "notebooks" / "glossary.md"
LINK = re.compile(r"\[([^\]]+)\]\(glossary\.md(?:#([\w-]+))?\)")
spec = spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
assert spec and spec.loader
tool = module_from_spec(spec)
spec.loader.exec_module(tool)


def lengths_of(name: str) -> list[int]:
    """Lines of the code cells, without those of the parameters and the imports."""
    return sorted(len([line for line in source.splitlines() if line.strip()]) for source in code_of(name)[2:])


def terms() -> dict[str, str]:
    """What the glossary explains, by anchor: a pattern of the ways in which the term is written, in lower case.

    Headings are in lower case, since some readers make anchors of them as they are.
    """
    found = {}
    for entry in GLOSSARY.read_text(encoding="utf-8").split("\n## ")[1:]:
        also = re.search(r"^\*Also: (.+)\.\*$", entry, re.MULTILINE)
        ways = [entry.split("\n", 1)[0], *(also[1].lower().split(", ") if also else ())]
        written = "|".join(map(re.escape, sorted(ways, key=len, reverse=True)))
        found[ways[0].replace(" ", "-")] = rf"(?<![\w-])(?:{written})(?![\w-])"
    return found


def prose_of(name: str) -> str:
    """The text of a notebook in lower case, without headings, code, formulas and pictures."""
    text = "\n\n".join(markdown_of(name))
    for noise in (
        r"(?s)<pre>.*?</pre>",
        r"<code>.*?</code>",
        r"(?s)!\[.*?\]\(.*?\)",
        r"(?m)^#+ .*$",
        r"`[^`\n]*`",
        r"\$[^$]*\$",
    ):
        text = re.sub(noise, " ", text)
    return text.lower()


@pytest.mark.parametrize("name", TAUGHT)
def test_a_notebook_has_no_more_words_than_are_read(name: str) -> None:
    counts = [len(text.split()) for text in markdown_of(name)]
    assert sum(counts) <= WORDS.get(name, MOST_WORDS), sum(counts)
    assert [text for text, count in zip(markdown_of(name), counts) if count > WORDS_IN_CELL] == []


@pytest.mark.parametrize("name", TAUGHT)
def test_cells_are_short(name: str) -> None:
    lengths = lengths_of(name)
    assert lengths[len(lengths) // 2] <= 5 and lengths[int(0.9 * (len(lengths) - 1))] <= 10 and lengths[-1] <= 15


@pytest.mark.parametrize("name", TAUGHT)
def test_one_cell_checks_what_a_reader_sets_before_anything_else(name: str) -> None:
    _, _, first, *others = code_of(name)
    call = "output = setup(chapter.PARAMETERS, globals())"
    assert first.startswith(call) and not any("setup(" in source for source in others)


@pytest.mark.parametrize("name", TAUGHT)
def test_no_loop_is_there_to_be_skipped(name: str) -> None:
    assert not any(
        re.search(r"\[\w+ ?: ?\w+ \+ 1\]:$", line) for source in code_of(name) for line in source.splitlines()
    )


@pytest.mark.parametrize("name", TAUGHT)
def test_folds_are_written_so_that_they_render_everywhere(name: str) -> None:
    for text in markdown_of(name):
        assert text.count("<details>") == text.count("</details>") == len(FOLD.findall(text))
        for fold in FOLD.findall(text):
            assert fold.startswith("<summary>") and not RAW.search(
                re.sub(r"<(code|pre)>.*?</\1>", "", fold, flags=re.DOTALL)
            )
            assert "`" not in fold and "\n\n" not in fold, fold


@pytest.mark.parametrize("name", TAUGHT)
def test_folds_render_in_the_web_page(name: str, tmp_path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    wanted = [fold for text in markdown_of(name) for fold in FOLD.findall(text)]
    notebook.cells = [cell for cell in notebook.cells if "<details>" in cell.source]
    tool.to_html(notebook, tmp_path / "page.html")
    shown = FOLD.findall((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(shown) == len(wanted) > 0
    for fold in shown:
        plain = re.sub(r"<(code|pre)>.*?</\1>", "", fold, flags=re.DOTALL)
        assert "`" not in fold and not re.search(r"(?<!\w)\*|\*(?!\w)|&lt;", plain), fold


@pytest.mark.parametrize("name", LISTED)
def test_every_link_to_the_glossary_leads_to_a_term(name: str) -> None:
    anchors = terms().keys()
    for text, anchor in LINK.findall("\n".join(markdown_of(name))):
        assert not anchor or anchor in anchors, (text, anchor)


def unlinked(name: str) -> Iterator[str]:
    """Terms whose first use in a notebook is no link."""
    known = terms()
    for anchor, written in known.items():
        text = re.sub(rf"\[[^\]]+\]\(glossary\.md#(?!{anchor}\))[\w-]+\)", " ", prose_of(name))
        for other, longer in known.items():
            text = re.sub(longer, " ", text) if anchor in other and anchor != other else text
        first, link = re.search(written, text), re.search(rf"\[[^\]]*\]\(glossary\.md#{anchor}\)", text)
        if first and (not link or first.start() < link.start()):
            yield f"{anchor}: ...{text[max(first.start() - 40, 0) : first.end() + 20]}..."


@pytest.mark.parametrize("name", TAUGHT)
def test_a_term_is_linked_where_it_is_used_first(name: str) -> None:
    assert list(unlinked(name)) == []


def test_terms_are_in_the_order_of_the_alphabet_and_short() -> None:
    assert list(terms()) == sorted(terms())
    for entry in GLOSSARY.read_text(encoding="utf-8").split("\n## ")[1:]:
        assert 8 <= len(entry.split("\n", 1)[1].split()) <= 90, entry


def test_every_notebook_has_a_row_among_the_answers() -> None:
    page = (ROOT / "notebooks" / "answers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d\d)[^\]]*\]\((\w+)\.ipynb\) \|", page, re.MULTILINE)
    assert [name for _, name in rows] == list(LISTED)
    for page in ("README.md", "notebooks/answers.md"):
        assert "glossary.md" in (ROOT / page).read_text(encoding="utf-8"), page


@pytest.mark.parametrize("name", TAUGHT)
def test_the_head_of_a_notebook_leads_to_the_answers(name: str) -> None:
    assert "](answers.md)" in "\n".join(markdown_of(name)[:2])
