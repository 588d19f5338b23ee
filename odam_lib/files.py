"""Where the bundled data lies, and files that are written whole or not at all."""

import csv
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


def user_path(path: str | Path) -> Path:
    """A path as a user gives it, with ``~`` for a home folder.

    Raises:
        TypeError: it is no path.
        ValueError: it begins with the home folder of a user who is not known.
    """
    try:
        return Path(path).expanduser()
    except TypeError as error:
        raise TypeError(f"The path is of the type {type(path).__name__}: give a str or a Path.") from error
    except RuntimeError as error:
        raise ValueError(f"There is no home folder for {path}: write the path out.") from error


def data_root() -> Path:
    """The folder of bundled pictures and weights: ``$ODAM_DATA``, else ``data/`` of the checkout.

    It is found from this package, never from the working directory, so that notebooks run from anywhere.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = user_path(os.environ.get("ODAM_DATA") or Path(__file__).resolve().parent.parent / "data")
    if not root.is_dir():
        raise FileNotFoundError(
            f"The bundled data folder {root} does not exist: install odam_lib from a clone "
            "(pip install -e .) or set ODAM_DATA to the clone's data folder."
        )
    return root


def from_root(path: str | Path) -> Path:
    """A path of the user's; a relative one starts at the checkout, not at the working directory."""
    return data_root().parent / user_path(path)


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it replaces ``path`` only if the block ends without an error."""
    path = user_path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_rows(path: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one row or more as CSV, whole or not at all; the keys of the first are the columns."""
    with write_whole(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def output_folder(path: str | Path) -> Path:
    """Make ``path`` if it is missing and prove that files can be written to it, before any work is done.

    Raises:
        PermissionError: it cannot be made or written.
    """
    folder = user_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"The output folder {folder} cannot be written ({error.strerror}): choose another one."
        ) from error
    return folder
