"""The code of the notebooks, and its execution here: a kernel costs seconds to start."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats

from odam_lib.files import data_root

ROOT: Path = data_root().parent


def code_of(name: str) -> list[str]:
    """The sources of a notebook's code cells."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    return [cell.source.replace("%matplotlib inline\n", "") for cell in notebook.cells if cell.cell_type == "code"]


def run_cells(name: str, parameters: dict[str, Any]) -> list[str]:
    """Execute a notebook's cells with other parameters, as a kernel would but here, up to the first error.

    Returns:
        What each cell after that of the parameters printed.
    """
    first, *cells = code_of(name)
    shell = InteractiveShell(user_ns={})
    select_figure_formats(shell, {"png"})
    shell.run_cell(first).raise_error()
    assert parameters.keys() <= shell.user_ns.keys()
    shell.user_ns |= parameters
    printed = []
    for source in cells:
        with redirect_stdout(StringIO()) as stream:
            result = shell.run_cell(source)
        result.raise_error()
        printed.append(stream.getvalue())
    return printed
