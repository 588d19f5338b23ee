"""Where the bundled data lies; files that are written whole or not at all, and by one run at a time.

A run that is killed leaves at most hidden files beside what it was writing: ``.NAME.part``, half written, and the empty
``.NAME.run`` and ``.NAME.write``, which it had locked. The system gives locks free when their owner dies, whatever the
way, and the next run that owns the name removes the files.
"""

import csv
import errno
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor


try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
else:

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""What systems say of a file that another one has locked."""


PATIENCE = 60.0
"""Seconds that one waits for another to write the same file."""


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


def sha256(path: Path) -> str:
    """The hash of a file's content, as 64 digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def owned(path: str | Path) -> Iterator[None]:
    """Keep a file for one run while the block lasts: no other run owns it, and it is known that it can be written.

    To be entered before any work, and before what the file holds is read. What killed runs left beside it is removed.

    Args:
        path: the file, or a folder that is to be made whole; its folder is made if it is missing.

    Raises:
        BlockingIOError: another run owns it.
        FileExistsError: a folder or a device is there.
        PermissionError: it, or its folder, cannot be written.
    """
    path = output_file(path)
    with _locked(path, "run", 0):
        with _locked(path, "write", PATIENCE):
            _remove(_aside(path))
        yield


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
    """Yield a path beside ``path`` to write to; it replaces ``path`` only if the block ends without an error.

    Raises:
        FileExistsError: a folder or a device is at ``path``.
        PermissionError: it, or its folder, cannot be written.
        BlockingIOError: another process was writing the same file for a minute.
        OSError: the disk is full, for instance; names ``path``.
    """
    path = _replaceable(path)
    with _locked(path, "write", PATIENCE):
        aside = _aside(path)
        with naming(path):
            _remove(aside)
            try:
                yield aside
                os.replace(aside, path)
            finally:
                _remove(aside)


def open_rows(path: Path, mode: Literal["rt", "wt"]) -> TextIOWrapper:
    """Rows as text; those whose name ends in ``.gz`` are compressed."""
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, mode, newline="", encoding="utf-8")


def write_rows(path: str | Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> None:
    """Write rows as CSV, whole or not at all, compressed if the name ends in ``.gz``.

    The columns are the keys of the first row unless they are given.

    Raises:
        ValueError: a row has another column, or there is neither a row nor a column.
        OSError: the file cannot be written; names it.
    """
    if not rows and not columns:
        raise ValueError(f"There is no row to write to {path}: nothing was found.")
    with write_whole(path) as aside, open_rows(aside, "wt") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_tensors(path: str | Path, tensors: "Mapping[str, Tensor]", about: Mapping[str, str] | None = None) -> None:
    """Write tensors, and text that goes with them, to one safetensors file, whole or not at all."""
    from safetensors.torch import save

    # Not save_file, which writes to a hidden file of its own first and leaves it when it is killed.
    content = save(dict(tensors), None if about is None else dict(about))
    with write_whole(path) as aside:
        aside.write_bytes(content)


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


def output_folder(path: str | Path) -> Path:
    """Make ``path`` if it is missing and prove that files can be written to it, before any work is done.

    Raises:
        PermissionError: it cannot be made or written.
    """
    folder = user_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(bytes(4096))  # an empty file has room on a full disk
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


def output_file(path: str | Path) -> Path:
    """The path with links followed, once it is known that a file can be written there; its folder is made.

    Raises:
        FileExistsError: a folder or a device is there.
        PermissionError: it, or its folder, cannot be written.
    """
    path = _replaceable(path)
    output_folder(path.parent)
    return path


def _not_writable(folder: Path, error: OSError) -> PermissionError:
    return PermissionError(f"The output folder {folder} cannot be written ({error.strerror}): choose another one.")


def _replaceable(path: str | Path) -> Path:
    """The path with links followed, so that a file has one name, if a file there may be replaced."""
    path = user_path(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(f"{path} is a folder or a device, not a file: give another path.")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is protected against writing: give another path, or allow it.")
    return Path(os.path.realpath(path))


def _aside(path: Path) -> Path:
    """What a file is called until it is whole; the suffix stays, since it tells some writers the format."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


_HELD: set[int] = set()
"""Files that this process has locked. A child that is forked must not keep them when their owner dies."""


def _forget() -> None:
    for file in _HELD:
        os.close(file)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def _locked(path: Path, kind: str, patience: float) -> Iterator[None]:
    """Hold the lock of one kind on a file, or say after so many seconds that another holds it."""
    beside = path.with_name(f".{path.name}.{kind}")
    until = time.monotonic() + patience
    while (file := _try_lock(beside)) is None:
        if time.monotonic() >= until:
            raise BlockingIOError(f"Another run is writing {path}: wait until it has ended, or give another path.")
        time.sleep(0.01)
    _HELD.add(file)
    try:
        yield
    finally:
        if file in _HELD:  # not in a child
            _HELD.remove(file)
            with suppress(OSError):  # Windows removes no open file: there an empty one stays
                beside.unlink()
            os.close(file)


def _try_lock(path: Path) -> int | None:
    """The open file, locked, or nothing if another one has it."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _not_writable(path.parent, error) from error
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass  # who had it before has removed it since it was opened: it is no lock any more
        except OSError as error:
            os.close(file)
            if error.errno in BUSY:
                return None
            raise _not_writable(path.parent, error) from error
        os.close(file)
