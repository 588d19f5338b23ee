"""The cells of the notebooks, and their execution here: a kernel costs seconds to start."""

import tomllib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats

from odam_lib.files import data_root

ROOT: Path = data_root().parent
ANSWERS = Path(__file__).parent / "answers"
LISTED: dict[str, dict] = tomllib.loads((ROOT / "tests" / "notebooks.toml").read_text(encoding="utf-8"))
TAUGHT = [name for name in LISTED if (ANSWERS / f"{name}.toml").exists()]
"""Notebooks whose exercises have answers; these are held to the rules of prose and of cells, too."""


def cells_of(name: str) -> list[nbformat.NotebookNode]:
    """All cells of a notebook."""
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells


def markdown_of(name: str) -> list[str]:
    """The sources of a notebook's text."""
    return [cell.source for cell in cells_of(name) if cell.cell_type == "markdown"]


def code_of(name: str) -> list[str]:
    """The sources of a notebook's code cells."""
    return [cell.source.replace("%matplotlib inline\n", "") for cell in cells_of(name) if cell.cell_type == "code"]


def open_shell() -> InteractiveShell:
    """What executes cells as a kernel would, but here."""
    shell = InteractiveShell(user_ns={})
    select_figure_formats(shell, {"png"})
    return shell


def run_cell(shell: InteractiveShell, source: str) -> str:
    """Execute a cell, up to an error.

    Returns:
        What it printed.
    """
    with redirect_stdout(StringIO()) as stream:
        result = shell.run_cell(source)
    result.raise_error()
    return stream.getvalue()


def run_cells(name: str, parameters: dict[str, Any]) -> list[str]:
    """Execute a notebook's cells with other parameters, up to the first error.

    Returns:
        What each cell after that of the parameters printed.
    """
    first, *cells = code_of(name)
    shell = open_shell()
    run_cell(shell, first)
    assert parameters.keys() <= shell.user_ns.keys()
    shell.user_ns |= parameters
    try:
        return [run_cell(shell, source) for source in cells]
    finally:
        shell.user_ns.clear()  # a shell is never forgotten, nor 80 MB of a notebook's own
