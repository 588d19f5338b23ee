"""Code that a notebook shows is the library's, whole and as it is today."""

import ast
import inspect
import tomllib
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from odam_lib.files import data_root

ROOT = data_root().parent
NAMES = list(tomllib.loads((ROOT / "tests" / "notebooks.toml").read_text(encoding="utf-8")))
SHOWN = ("print(inspect.getsource(", "))")


def code_cells(name: str) -> list[tuple[nbformat.NotebookNode, ast.Module]]:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, ast.parse(cell.source.replace("%matplotlib inline", ""))) for cell in cells]


def shown(name: str) -> Iterator[tuple[object, str]]:
    """What a notebook shows the source of, as its imports name it today, and what is stored below that cell."""
    known: dict[str, Any] = {}
    for cell, tree in code_cells(name):
        imports = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), name, "exec"), known)
        printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for line in cell.source.splitlines():
            if "getsource" in line:
                assert line.startswith(SHOWN[0]) and line.endswith(SHOWN[1]), f"show it whole: {line}"
                yield eval(line[len(SHOWN[0]) : -len(SHOWN[1])], known), printed


@pytest.mark.parametrize("name", NAMES)
def test_source_that_is_stored_is_todays_and_whole(name: str) -> None:
    """If this fails, run ``python tools/notebooks.py store --only NAME``."""
    for what, printed in shown(name):
        assert inspect.getsource(what) + "\n" in printed, what  # type: ignore[arg-type]


def test_the_papers_equations_are_shown() -> None:
    functions = {getattr(what, "__name__", "") for name in NAMES for what, _ in shown(name)}
    assert functions >= {"combine", "pair_losses", "are_duplicates", "energy_inside", "object_discrimination"}


@pytest.mark.parametrize("name", NAMES)
def test_all_imports_stand_in_one_cell_of_at_most_twelve_lines(name: str) -> None:
    statements = ast.Import | ast.ImportFrom
    importing = [cell for cell, tree in code_cells(name) if any(isinstance(one, statements) for one in tree.body)]
    assert len(importing) == 1
    assert len([line for line in importing[0].source.splitlines() if line.strip()]) <= 12
