"""Rows that were measured before, for an evaluation to go on from."""

import shutil
from pathlib import Path

from odam_lib.evaluation.rows import read_rows, settings_path
from odam_lib.files import open_rows, owned, write_whole


def begin_with(rows: Path, path: Path) -> None:
    """Copy rows that were kept elsewhere, if there are any, so that an evaluation goes on from them.

    Args:
        rows: CSV that :func:`~odam_lib.evaluation.runs.evaluate` made; its ``.json`` lies beside it.
        path: where the evaluation will keep its own. What is there stays if it went on from these rows, else it is
            replaced.

    Raises:
        ValueError: the rows cannot be read, or their settings would lie where those of ``path`` do.
        OSError: ``path`` cannot be written, see :func:`~odam_lib.files.owned`.
    """
    if not rows.is_file():
        return
    if settings_path(rows).resolve() == settings_path(path).resolve():
        raise ValueError(f"{path} would share its settings with {rows}, which are to stay as they are: give another.")
    read_rows(rows)
    with owned(path), owned(settings_path(path)):
        if _goes_on(path, rows):
            return
        with write_whole(settings_path(path)) as aside:
            shutil.copyfile(settings_path(rows), aside)
        with write_whole(path) as aside, open_rows(rows, "rt") as kept, open_rows(aside, "wt") as copy:
            shutil.copyfileobj(kept, copy)


def _goes_on(path: Path, rows: Path) -> bool:
    """Whether a path holds whole rows, and among them all of some others."""
    try:
        read_rows(path)
        with open_rows(path, "rt") as ours, open_rows(rows, "rt") as theirs:
            return set(theirs) <= set(ours)
    except (ValueError, OSError):
        return False
