"""Archives unpacked without trusting them."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO


@dataclass(frozen=True)
class _Member:
    name: str
    kind: str
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, only: tuple[str, ...] = ()) -> None:
    """Unpack a ``.zip`` or ``.tar`` archive; nothing is written unless every member is harmless.

    Args:
        archive: the file.
        folder: an existing folder to write to.
        only: names of the members to write; all of them if empty.

    Raises:
        ValueError: a member is a link or a device, or would be written outside ``folder``; or ``archive`` is neither
            a zip nor a tar archive.
    """
    with _members(archive) as members:
        for member in members:
            _refuse_harmful(archive, member)
        for member in members:
            target = folder / member.name
            if member.kind == "file" and (not only or member.name in only):
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("xb") as written:
                    shutil.copyfileobj(source, written)


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield [_Member(one.filename, _zip_kind(one), partial(zipped.open, one)) for one in zipped.infolist()]
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            yield [_Member(one.name, _tar_kind(one), partial(_open_file, tar, one)) for one in tar.getmembers()]
    else:
        raise ValueError(f"{archive} is neither a zip nor a tar archive: delete it and fetch it again.")


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    # Zips made on Windows store no Unix mode.
    if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return "folder" if info.is_dir() else "file"
    return "link" if stat.S_ISLNK(mode) else "device"


def _open_file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    opened = tar.extractfile(member)
    assert opened is not None  # as for every member that is a file
    return opened


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "device"


def _refuse_harmful(archive: Path, member: _Member) -> None:
    harm = f"is a {member.kind}" if member.kind in ("link", "device") else ""
    # Backslashes and drive letters only matter on Windows, but the archive is no better elsewhere.
    for path in (PurePosixPath(member.name), PureWindowsPath(member.name)):
        if path.anchor:
            harm = "has an absolute path"
        elif ".." in path.parts:
            harm = "leads out of the folder"
    if harm:
        raise ValueError(
            f"The member {member.name!r} of {archive} {harm}: nothing was unpacked; "
            "do not use this archive, fetch the official one."
        )
