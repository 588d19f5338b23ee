"""The code of the notebooks, and its execution here: a kernel costs seconds to start."""

from pathlib import Path
from typing import Any

import nbformat

from odam_lib.files import data_root

ROOT: Path = data_root().parent


def code_of(name: str) -> list[str]:
    """The sources of a notebook's code cells."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    return [cell.source.replace("%matplotlib inline\n", "") for cell in notebook.cells if cell.cell_type == "code"]


def run_cells(name: str, parameters: dict[str, Any]) -> None:
    """Execute a notebook's cells with other parameters, up to the first that raises."""
    first, *cells = code_of(name)
    names: dict[str, Any] = {}
    exec(first, names)
    assert parameters.keys() <= names.keys()
    names |= parameters
    for source in cells:
        exec(source, names)
