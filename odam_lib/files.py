"""Where the bundled data lies, and files that are written whole or not at all."""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def data_root() -> Path:
    """The folder of bundled pictures and weights: ``$ODAM_DATA``, else ``data/`` of the checkout.

    It is found from this package, never from the working directory, so that notebooks run from anywhere.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = Path(os.environ.get("ODAM_DATA") or Path(__file__).resolve().parent.parent / "data")
    if not root.is_dir():
        raise FileNotFoundError(
            f"The bundled data folder {root} does not exist: install odam_lib from a clone "
            "(pip install -e .) or set ODAM_DATA to the clone's data folder."
        )
    return root


def from_root(path: str | Path) -> Path:
    """A path of the user's; a relative one starts at the checkout, not at the working directory."""
    return data_root().parent / Path(path).expanduser()


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """While a file is written: an error of the disk says which one it was and what to do, which a full disk's does not.

    Raises:
        OSError: with the number of the error that came; one about another file stays as it is.
    """
    try:
        yield
    except OSError as error:
        # What has no number is not the system's; a file elsewhere is one that was read.
        if error.errno is None or (error.filename and Path(error.filename).parent != Path(path).parent):
            raise
        kind = type(OSError(error.errno, ""))
        said = kind(
            f"{path} cannot be written ({os.strerror(error.errno)}): free some space there, or choose another place."
        )
        said.errno = error.errno
        raise said from error


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it replaces ``path`` only if the block ends without an error.

    Raises:
        OSError: it cannot be written; names ``path``.
    """
    path = Path(path)
    with naming(path):
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
    """Write one row or more as CSV, whole or not at all; the keys of the first are the columns.

    Raises:
        ValueError: there is no row.
        OSError: the file cannot be written; names it.
    """
    if not rows:
        raise ValueError(f"There is no row to write to {path}: nothing was found.")
    with write_whole(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


Kind = Callable[[str], Any]


def read_rows(path: Path, what: str, made_by: str, kinds: Mapping[str, Kind] | Kind) -> list[dict[str, Any]]:
    """The rows of a CSV file.

    Args:
        path: of the file.
        what: the rows are, as a user calls them.
        made_by: what writes such files.
        kinds: what turns the text of each column into its value, by column; or one for whatever columns there are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has other columns, is no text in UTF-8, or a value that cannot be.
    """
    if not path.exists():
        raise FileNotFoundError(f"There are no {what} at {path}: check the path, or make them by {made_by}.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            of = dict.fromkeys(columns, kinds) if callable(kinds) else kinds
            if columns == list(of) and columns:
                # A row that is too short has None as a value, one that is too long as a key.
                return [{name: of[name](text) for name, text in _complete(row).items()} for row in reader]
    except (ValueError, KeyError, TypeError, csv.Error):
        pass
    raise ValueError(f"{path} holds no {what}, or is damaged: delete it and make it again by {made_by}.")


def _complete(row: Mapping[Any, Any]) -> Mapping[str, str]:
    if None in row or None in row.values():
        raise ValueError("The row has another length than the heading.")
    return row


def truth_of(text: str) -> bool:
    """A truth value as CSV holds it; a ``KeyError`` for anything else."""
    return {"True": True, "False": False}[text]


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: of the file.
        remedy: what to do where it is missing or damaged.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON in UTF-8, or holds something else than an object.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {remedy}.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, it holds no JSON: {remedy}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged, it holds no JSON object: {remedy}.")
    return found


def output_file(path: str | Path) -> Path:
    """Make the folder of ``path`` if it is missing and prove that a file can be written there, before any work is done.

    Raises:
        PermissionError: it cannot.
        IsADirectoryError: ``path`` is a folder.
    """
    output_folder(Path(path).parent)
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file.")
    return Path(path)


def output_folder(path: str | Path) -> Path:
    """Make ``path`` if it is missing and prove that files can be written to it, before any work is done.

    Raises:
        PermissionError: it cannot be made or written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))  # an empty file has room on a full disk
            probe.flush()
    except OSError as error:
        raise PermissionError(
            f"The output folder {folder} cannot be written ({error.strerror}): choose another one."
        ) from error
    return folder
