"""Tensors in a file that knows whether it is as it was written: checkpoints of trainings, data sets drawn once."""

import errno
import hashlib
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from odam_lib.files import write_whole

# ``torch.save`` writes a zip archive, which ends with the length of its comment, 0. The seal is that comment: the
# sha256 of everything before its length. The file stays one that ``torch.load`` reads.
_LENGTH = (64).to_bytes(2, "little")
_SEAL = len(_LENGTH) + 64


def save_sealed(content: Mapping[str, Any], path: Path) -> None:
    """Write what ``torch.save`` takes, with its seal, whole or not at all.

    Raises:
        OSError: it cannot be written; names the path.
    """
    with write_whole(path) as aside:
        try:
            torch.save(dict(content), aside)
        except RuntimeError:  # torch does not tell what the disk said: ask it once more
            with aside.open("ab") as opened:
                opened.write(bytes(1 << 20))
            raise
        seal = _seal(aside, len(_LENGTH))
        with aside.open("r+b") as opened:
            opened.seek(-len(_LENGTH), os.SEEK_END)
            opened.write(seal)


def load_sealed(
    path: Path, keys: Sequence[str], device: str | torch.device = "cpu", mapped: bool = False
) -> dict[str, Any]:
    """Read what :func:`save_sealed` wrote.

    Args:
        path: of the file.
        keys: what it must hold.
        device: where tensors go.
        mapped: leave them in the file until they are used.

    Raises:
        OSError: it cannot be read.
        ValueError: a byte of it was altered, it is cut off, or it is another file.
    """
    try:
        with path.open("rb") as opened:
            opened.seek(-_SEAL, os.SEEK_END)
            seal = opened.read()
        if seal == _seal(path, _SEAL):
            found = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
            if isinstance(found, dict) and found.keys() >= set(keys):
                return found
    except (ValueError, RuntimeError, UnpicklingError):
        pass
    except OSError as error:
        if error.errno != errno.EINVAL:  # which says that the file is shorter than a seal
            raise
    raise ValueError(
        f"{path} is damaged, or another version or program wrote it: delete it, and what it holds is made again."
    )


def _seal(path: Path, end: int) -> bytes:
    """The seal of a file without so many bytes at its end."""
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        with memoryview(content)[:-end] as body:
            return _LENGTH + hashlib.sha256(body).hexdigest().encode()
