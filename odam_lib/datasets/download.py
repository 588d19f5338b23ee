"""Fetch MS COCO 2017 and PASCAL VOC 2007 from their makers, checked by hash.

``python -m odam_lib.datasets.download coco-val2017`` writes below ``$ODAM_DATASETS``, by default
``~/.cache/odam_lib/datasets``. An interrupted download goes on where it stopped when it is started again. The archives
stay in ``archives/`` there and may be deleted once the data set is unpacked; an archive put there by hand is used
instead of the network, if its hash is right.
"""

import argparse
import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from odam_lib.command import command
from odam_lib.datasets.unpack import unpack
from odam_lib.files import output_folder, owned, sha256, user_path, write_whole

ARCHIVES = "archives"
# What an interruption loses at most.
CHUNK = 1 << 16
SECONDS_WITHOUT_DATA = 30


@dataclass(frozen=True)
class Archive:
    """A file of a data set as its makers publish it.

    Attributes:
        url: where it is.
        sha256: of the file, hexadecimal.
        size: of the file in bytes.
        only: the members that are needed; all if empty.
    """

    url: str
    sha256: str
    size: int
    only: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """Its name without folders."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        archives: what to fetch.
        holds: paths that must exist after unpacking, relative to the data set's folder.
        by_hand: what the user must get, and where, if it cannot be fetched; there are no archives then.
    """

    archives: tuple[Archive, ...]
    holds: tuple[str, ...]
    by_hand: str = ""


_COCO = "http://images.cocodataset.org"
_VOC = "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007"
_VOC_HOLDS = tuple(
    f"VOCdevkit/VOC2007/{part}"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationObject")
)
# Neither COCO nor VOC publishes hashes. Sizes and sha256 are those that TensorFlow Datasets recorded
# (url_checksums/coco.txt, voc.txt); torchvision's prototype data sets (_builtin/coco.py, voc.py) state the same hashes.
_COCO_PICTURES = {
    "val2017": ("4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05", 815_585_330),
    "train2017": ("69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929", 19_336_861_798),
}


def _coco(part: str) -> Source:
    pictures = Archive(f"{_COCO}/zips/{part}.zip", *_COCO_PICTURES[part])
    annotations = Archive(
        f"{_COCO}/annotations/annotations_trainval2017.zip",
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        252_907_541,
        only=(f"annotations/instances_{part}.json",),  # the rest is 0.8 GB of other annotations
    )
    return Source((pictures, annotations), (part, *annotations.only))


SOURCES: dict[str, Source] = {
    "coco-val2017": _coco("val2017"),
    "coco-train2017": _coco("train2017"),
    "voc2007-test": Source(
        (
            Archive(
                f"{_VOC}/VOCtest_06-Nov-2007.tar",
                "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
                451_020_800,
            ),
        ),
        _VOC_HOLDS,
    ),
    "voc2007-trainval": Source(
        (
            Archive(
                f"{_VOC}/VOCtrainval_06-Nov-2007.tar",
                "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
                460_032_000,
            ),
        ),
        _VOC_HOLDS,
    ),
    "crowdhuman": Source(
        (),
        ("Images",),
        by_hand="annotation_train.odgt, annotation_val.odgt, CrowdHuman_train01.zip, CrowdHuman_train02.zip, "
        "CrowdHuman_train03.zip and CrowdHuman_val.zip from www.crowdhuman.org/download.html (for non-commercial "
        "research and education only)",
    ),
}


def datasets_folder() -> Path:
    """Where data sets are kept unless said otherwise: ``$ODAM_DATASETS``, else ``~/.cache/odam_lib/datasets``."""
    return user_path(os.environ.get("ODAM_DATASETS") or "~/.cache/odam_lib/datasets")


def dataset_root(name: str, root: str | Path | None = None) -> Path:
    """The folder of a data set that is there, in the layout of its archives.

    Args:
        name: a key of ``SOURCES``.
        root: the user's folder; ``None`` for the one that :func:`fetch` makes by default.

    Raises:
        FileNotFoundError: it is not there or has another layout; says what is missing and how to get it.
    """
    source = SOURCES[name]
    place = user_path(root) if root is not None else datasets_folder() / name
    if root is None and not place.is_dir():
        raise FileNotFoundError(f"{name} is not at {place}: {_how_to_get(name)} and unpack into that folder.")
    for needed in source.holds:
        if not (place / needed).exists():
            raise FileNotFoundError(
                f"{place / needed} is missing: root must be the folder that the official archives were unpacked "
                f"into, which holds {', '.join(source.holds)}."
            )
    return place


def _how_to_get(name: str) -> str:
    source = SOURCES[name]
    if source.by_hand:
        return f"get {source.by_hand}"
    urls = " and ".join(archive.url for archive in source.archives)
    return f"fetch it by `python -m odam_lib.datasets.download {name}`, or get {urls}"


def fetch(name: str, folder: str | Path | None = None, base_url: str | None = None) -> Path:
    """Download a data set's official archives, check their hashes and unpack them; does nothing if it is there.

    Args:
        name: ``coco-val2017`` (1.1 GB), ``coco-train2017`` (19.6 GB), ``voc2007-test`` or ``voc2007-trainval`` (0.5 GB
            each).
        folder: where to; the data set gets a folder of its own name in it. ``None``: :func:`datasets_folder`.
        base_url: of a mirror that has the archives under their official names; the hashes must agree all the same.

    Returns:
        The data set's folder, the ``root`` of :class:`~odam_lib.datasets.coco.Coco` or
        :class:`~odam_lib.datasets.voc.Voc`.

    Raises:
        ValueError: unknown name, a data set to be got by hand that is not there, an archive whose hash is not the
            expected one, or one with a harmful member.
        FileExistsError: the data set's folder exists and lacks a part.
        ConnectionError: an archive could not be fetched; says how to go on or where to put it.
        BlockingIOError: another run is fetching the same data set into this folder.
        OSError: the disk is full, or ``folder`` cannot be written.
        ModuleNotFoundError: requests is not installed.
    """
    if name not in SOURCES:
        raise ValueError(f"Unknown data set {name!r}: choose among {', '.join(SOURCES)}.")
    source = SOURCES[name]
    parent = user_path(folder) if folder is not None else datasets_folder()
    root = parent / name
    if source.by_hand and _missing(root, source):
        raise ValueError(f"{name} cannot be fetched: {_how_to_get(name)} and unpack into {root}.")
    if root.exists():
        if missing := _missing(root, source):
            raise FileExistsError(f"{root} exists but lacks {missing}: delete it or choose another folder.")
        return root
    output_folder(parent)
    _refuse_full_disk(source, parent)
    try:
        with owned(root):
            archives = [_download(archive, output_folder(parent / ARCHIVES), base_url) for archive in source.archives]
            _unpack_whole(name, archives, root)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC, f"The disk of {parent} became full: free some space and start again to go on"
        ) from error
    return root


def _refuse_full_disk(source: Source, parent: Path) -> None:
    # What is unpacked is about as large as the archives: pictures do not compress.
    needed = sum(
        archive.size * (1 if (parent / ARCHIVES / archive.filename).exists() else 2) for archive in source.archives
    )
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"{parent} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: choose another"
        )


def _unpack_whole(name: str, archives: list[Path], root: Path) -> None:
    source = SOURCES[name]
    with write_whole(root) as aside:
        aside.mkdir()
        for archive, path in zip(source.archives, archives):
            unpack(path, aside, archive.only)
        if missing := _missing(aside, source):
            raise ValueError(f"The archives of {name} lack {missing}: fetch the official ones.")


def _missing(root: Path, source: Source) -> str:
    return ", ".join(needed for needed in source.holds if not (root / needed).exists())


def _download(archive: Archive, folder: Path, base_url: str | None) -> Path:
    """The archive with the right hash, fetched unless it lies there; what comes is kept as ``.part`` until it is."""
    path = folder / archive.filename
    if path.is_file() and sha256(path) == archive.sha256:
        return path
    url = f"{base_url.rstrip('/')}/{archive.filename}" if base_url else archive.url
    part = path.with_name(f"{path.name}.part")
    wrong = _fetch(archive, url, part, path)
    if not wrong and (found := sha256(part)) != archive.sha256:
        wrong = f"its sha256 is {found}, not {archive.sha256}"
    if wrong:
        part.unlink()
        raise ValueError(f"{url} is not the expected archive and was deleted ({wrong}): fetch it again.")
    os.replace(part, path)
    return path


def _fetch(archive: Archive, url: str, part: Path, path: Path) -> str:
    """Ask for what an interrupted download has not brought yet; returns what was wrong with what came, or nothing."""
    try:
        import requests
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Fetching data sets needs requests: pip install 'odam_lib[data]'.") from error
    have = part.stat().st_size if part.exists() else 0
    if have == archive.size:
        return ""
    if have > archive.size:
        have = 0
    # Bytes as they are stored: a range of a re-encoded body would not fit what is there.
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS_WITHOUT_DATA) as response:
            response.raise_for_status()
            have = have if response.status_code == 206 else 0
            progress = tqdm(total=archive.size, initial=have, desc=path.name, unit="B", unit_scale=True)
            with part.open("ab" if have else "wb") as opened, progress:
                for chunk in response.iter_content(CHUNK):
                    have += len(chunk)
                    if have > archive.size:
                        return f"it is larger than its {archive.size} bytes"
                    opened.write(chunk)
                    progress.update(len(chunk))
        # With a length, requests itself tells an interrupted file from a smaller one.
        if have < archive.size and "Content-Length" not in response.headers:
            raise requests.ConnectionError(f"{have} of {archive.size} bytes came")
    except requests.RequestException as error:
        raise ConnectionError(
            f"{url} could not be fetched ({error}): start again to go on from what came, or put the file at {path}."
        ) from error
    return ""


@command
def main() -> None:
    """Fetch a data set from its makers, check its hashes and unpack it."""
    parser = argparse.ArgumentParser(prog="python -m odam_lib.datasets.download", description=main.__doc__)
    parser.add_argument("name", choices=tuple(SOURCES), help="the data set")
    parser.add_argument("--folder", help="where to; by default $ODAM_DATASETS, else ~/.cache/odam_lib/datasets")
    parser.add_argument("--base-url", help="a mirror that has the archives under their official names")
    arguments = parser.parse_args()
    print(fetch(arguments.name, arguments.folder, arguments.base_url))


if __name__ == "__main__":
    main()
