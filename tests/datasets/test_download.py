"""Archives come whole, checked and harmless, or the folder is as it was."""

import errno
import hashlib
import io
import shutil
import stat
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from odam_lib.datasets import download, unpack
from odam_lib.datasets.coco import Coco
from odam_lib.datasets.download import SOURCES, Archive, Source, dataset_root, datasets_folder, fetch

NAME = "coco-val2017"
FILES = {"val2017/000000000001.jpg": b"picture" * 40_000, "annotations/instances_val2017.json": b"{}"}


@dataclass
class Mirror:
    """A server on this machine: its files, how many bytes it sends before it breaks off, and what it sent.

    It may know no ranges, never end, tell no length, or do something else before it sends.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    knows_ranges: bool = True
    endless: bool = False
    tells_length: bool = True
    meanwhile: Callable[[], None] = lambda: None
    sent: list[tuple[str, str | None, int]] = field(default_factory=list)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            if name not in state.files:
                self.send_error(404)
                return
            content = state.files[name]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.knows_ranges else 0
            self.send_response(206 if wanted and state.knows_ranges else 200)
            if state.tells_length and not state.endless:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            state.meanwhile()
            body = content[start:][: state.breaks_after]
            state.sent.append((name, wanted, len(body)))  # before the client can have all of it
            self.wfile.write(body)
            with suppress(OSError):  # the client goes
                while state.endless:
                    self.wfile.write(bytes(download.CHUNK))
                    state.sent[-1] = (name, wanted, state.sent[-1][2] + download.CHUNK)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def publish(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Archive]:
    """Make an archive's content all there is of the data set, with its right hash."""

    def publish(content: bytes) -> Archive:
        archive = Archive(f"{mirror.url}/all.zip", hashlib.sha256(content).hexdigest(), len(content))
        mirror.files["all.zip"] = content
        monkeypatch.setitem(SOURCES, NAME, replace(SOURCES[NAME], archives=(archive,)))
        return archive

    return publish


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_is_fetched_once(tmp_path: Path, mirror: Mirror, publish: Callable) -> None:
    publish(zipped(FILES))
    root = fetch(NAME, tmp_path)
    assert root == tmp_path / NAME and contents(root) == FILES
    assert root.stat().st_mode & 0o777 == 0o755
    assert fetch(NAME, tmp_path) == root and len(mirror.sent) == 1
    assert dataset_root(NAME, root) == root


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path, mirror: Mirror, publish: Callable) -> None:
    content = zipped(FILES)
    publish(content)
    mirror.breaks_after = 100_000
    with pytest.raises(ConnectionError, match=r"could not be fetched .*start again to go on .*archives/all\.zip"):
        fetch(NAME, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["archives", "all.zip.part"]
    came = (tmp_path / "archives" / "all.zip.part").read_bytes()
    assert 100_000 - download.CHUNK < len(came) <= 100_000 and content.startswith(came)
    mirror.breaks_after = None
    assert contents(fetch(NAME, tmp_path)) == FILES
    rest = len(content) - len(came)
    assert mirror.sent == [("all.zip", "bytes=0-", 100_000), ("all.zip", f"bytes={len(came)}-", rest)]


def test_a_server_without_ranges_sends_all_again(tmp_path: Path, mirror: Mirror, publish: Callable) -> None:
    content = zipped(FILES)
    publish(content)
    mirror.breaks_after, mirror.knows_ranges = 100_000, False
    with pytest.raises(ConnectionError):
        fetch(NAME, tmp_path)
    mirror.breaks_after = None
    assert contents(fetch(NAME, tmp_path)) == FILES
    assert [size for _, _, size in mirror.sent] == [100_000, len(content)]


def test_a_server_that_does_not_end_is_left_once_it_sent_too_much(
    tmp_path: Path, mirror: Mirror, publish: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(zipped(FILES))
    mirror.endless, largest = True, [0]
    copy = download.tqdm.update

    def update(bar: object, number: int) -> None:
        largest.append((tmp_path / "archives" / "all.zip.part").stat().st_size)
        copy(bar, number)

    monkeypatch.setattr(download.tqdm, "update", update)
    with pytest.raises(ValueError, match=r"all\.zip is not the expected archive and was deleted \(it is larger than"):
        fetch(NAME, tmp_path)
    assert not contents(tmp_path) and max(largest) <= len(mirror.files["all.zip"])
    mirror.endless = False
    assert contents(fetch(NAME, tmp_path)) == FILES


def test_a_server_that_tells_no_length_and_breaks_off_loses_nothing(
    tmp_path: Path, mirror: Mirror, publish: Callable
) -> None:
    content = zipped(FILES)
    publish(content)
    mirror.tells_length, mirror.breaks_after = False, 100_000
    with pytest.raises(ConnectionError, match=f"100000 of {len(content)} bytes came.*: start again to go on"):
        fetch(NAME, tmp_path)
    mirror.breaks_after = None
    assert contents(fetch(NAME, tmp_path)) == FILES
    assert mirror.sent[1] == ("all.zip", "bytes=100000-", len(content) - 100_000)


def test_of_two_that_fetch_one_data_set_the_second_stops(tmp_path: Path, mirror: Mirror, publish: Callable) -> None:
    publish(zipped(FILES))
    told: list[str] = []

    def second() -> None:
        with pytest.raises(BlockingIOError) as caught:
            fetch(NAME, tmp_path)
        told.append(str(caught.value))

    mirror.meanwhile = second
    assert contents(fetch(NAME, tmp_path)) == FILES and len(mirror.sent) == 1
    assert told == [f"Another run is writing {tmp_path / NAME}: wait until it has ended, or give another path."]


@pytest.mark.parametrize("size", [10, 10**6])
def test_what_killed_runs_left_is_used_or_removed(tmp_path: Path, mirror: Mirror, publish: Callable, size: int) -> None:
    publish(zipped(FILES))
    (tmp_path / f".{NAME}.part" / "val2017").mkdir(parents=True)
    (tmp_path / f".{NAME}.part" / "val2017" / "000000000001.jpg").write_bytes(b"half")
    (tmp_path / f".{NAME}.run").touch()
    (tmp_path / "archives").mkdir()
    mirror.breaks_after = 0
    (tmp_path / "archives" / "all.zip.part").write_bytes(mirror.files["all.zip"][:size] + bytes(max(0, size - 10**5)))
    with pytest.raises(ConnectionError):
        fetch(NAME, tmp_path)
    mirror.breaks_after = None
    assert contents(fetch(NAME, tmp_path)) == FILES
    assert sorted(each.name for each in tmp_path.iterdir()) == ["archives", NAME]
    assert [each.name for each in (tmp_path / "archives").iterdir()] == ["all.zip"]


def test_an_archive_put_there_by_hand_needs_no_network(tmp_path: Path, mirror: Mirror, publish: Callable) -> None:
    content = zipped(FILES)
    publish(content)
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "all.zip").write_bytes(content)
    assert contents(fetch(NAME, tmp_path)) == FILES and not mirror.sent


def test_a_wrong_hash_leaves_no_file_and_the_right_one_mends_it(
    tmp_path: Path, mirror: Mirror, publish: Callable
) -> None:
    content = zipped(FILES)
    publish(content)
    mirror.files["all.zip"] = content[:-1] + b"?"
    with pytest.raises(ValueError, match=r"all\.zip is not the expected archive and was deleted"):
        fetch(NAME, tmp_path)
    assert not contents(tmp_path) and not (tmp_path / NAME).exists()
    mirror.files["all.zip"] = content
    assert contents(fetch(NAME, tmp_path)) == FILES


def test_a_mirror_has_the_same_names_and_must_have_the_same_hashes(
    tmp_path: Path, mirror: Mirror, publish: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = publish(zipped(FILES))
    official = replace(archive, url="http://unreachable.invalid/deep/all.zip")
    monkeypatch.setitem(SOURCES, NAME, replace(SOURCES[NAME], archives=(official,)))
    mirror.files = {"copies/all.zip": mirror.files["all.zip"]}
    assert contents(fetch(NAME, tmp_path, base_url=f"{mirror.url}/copies/")) == FILES
    mirror.files["copies/all.zip"] = zipped({"other": b""})
    with pytest.raises(ValueError, match="not the expected archive"):
        fetch(NAME, tmp_path / "again", base_url=f"{mirror.url}/copies")


def test_a_file_the_server_does_not_have_says_where_to_put_it(
    tmp_path: Path, mirror: Mirror, publish: Callable
) -> None:
    publish(zipped(FILES))
    mirror.files.clear()
    with pytest.raises(ConnectionError, match=r"404.*put the file at .*archives/all\.zip"):
        fetch(NAME, tmp_path)


def tarred(member: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, first in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(first)
            archive.addfile(info, io.BytesIO(first))
        member.size = len(content) if member.isreg() else 0
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("val2017/1.jpg", b"first")
        info = zipfile.ZipInfo("val2017/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "harm"),
    [
        (zipped({**FILES, "/absolute": b"x"}), "absolute path"),
        (zipped({**FILES, "val2017/../../up": b"x"}), "leads out of the folder"),
        (zipped({**FILES, "val2017\\..\\..\\up": b"x"}), "leads out of the folder"),
        (zipped({**FILES, "C:\\absolute": b"x"}), "absolute path"),
        (zip_link(), "is a link"),
        (tarred(tar_member("/absolute")), "absolute path"),
        (tarred(tar_member("../up")), "leads out of the folder"),
        (tarred(tar_member("val2017/link", tarfile.SYMTYPE, "/etc")), "is a link"),
        (tarred(tar_member("val2017/link", tarfile.LNKTYPE, "../up")), "is a link"),
        (tarred(tar_member("val2017/null", tarfile.CHRTYPE)), "is a device"),
        (tarred(tar_member("val2017/pipe", tarfile.FIFOTYPE)), "is a device"),
    ],
)
def test_an_archive_with_a_harmful_member_writes_nothing(
    tmp_path: Path, publish: Callable, content: bytes, harm: str
) -> None:
    publish(content)
    folder = tmp_path / "deep" / "folder"
    with pytest.raises(ValueError, match=rf"{harm}: nothing was unpacked"):
        fetch(NAME, folder)
    assert list(contents(tmp_path)) == ["deep/folder/archives/all.zip"]
    assert [path.name for path in folder.iterdir()] == ["archives"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_unpacking_leaves_no_half_folder(
    tmp_path: Path, mirror: Mirror, publish: Callable, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    publish(zipped(FILES))
    copied = []

    def copy(source: io.BufferedReader, target: io.BufferedWriter) -> None:
        if copied:
            target.write(source.read(10))
            raise failure
        copied.append(target.write(source.read()))

    with monkeypatch.context() as patch:
        patch.setattr(unpack.shutil, "copyfileobj", copy)
        with pytest.raises(type(failure), match="free some space" if isinstance(failure, OSError) else None):
            fetch(NAME, tmp_path)
    assert copied and list(contents(tmp_path)) == ["archives/all.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["archives"]
    assert contents(fetch(NAME, tmp_path)) == FILES and len(mirror.sent) == 1


def test_a_disk_too_small_is_refused_before_anything_is_fetched(
    tmp_path: Path, mirror: Mirror, publish: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(zipped(FILES))
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(OSError, match=r"0\.0 GB free, 0\.0 GB are needed: choose another") as caught:
        fetch(NAME, tmp_path)
    assert caught.value.errno == errno.ENOSPC and not mirror.sent


def test_only_the_needed_members_are_unpacked(
    tmp_path: Path, publish: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = publish(zipped({**FILES, "annotations/captions.json": b"large"}))
    needed = replace(archive, only=tuple(FILES))
    monkeypatch.setitem(SOURCES, NAME, replace(SOURCES[NAME], archives=(needed,)))
    assert contents(fetch(NAME, tmp_path)) == FILES


def test_an_archive_without_a_needed_part_is_refused(tmp_path: Path, publish: Callable) -> None:
    publish(zipped({"val2017/1.jpg": b""}))
    with pytest.raises(ValueError, match=r"lack annotations/instances_val2017\.json"):
        fetch(NAME, tmp_path)
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_lost_a_part_is_neither_taken_nor_overwritten(
    tmp_path: Path, mirror: Mirror, publish: Callable
) -> None:
    publish(zipped(FILES))
    root = fetch(NAME, tmp_path)
    (root / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(FileExistsError, match=r"lacks annotations/instances_val2017\.json: delete it"):
        fetch(NAME, tmp_path)
    assert len(mirror.sent) == 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="Unknown data set 'coco': choose among coco-val2017, coco-train2017, voc"):
        fetch("coco")


def test_a_data_set_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODAM_DATASETS", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        Coco()
    for part in (
        str(tmp_path / NAME),
        "python -m odam_lib.datasets.download coco-val2017",
        *(archive.url for archive in SOURCES[NAME].archives),
    ):
        assert part in str(caught.value)
    monkeypatch.delenv("ODAM_DATASETS")
    assert datasets_folder() == Path.home() / ".cache" / "odam_lib" / "datasets"


def test_the_command_fetches_to_the_default_folder_and_fails_in_one_sentence(
    tmp_path: Path, mirror: Mirror, publish: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    publish(zipped(FILES))
    monkeypatch.setenv("ODAM_DATASETS", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["download", NAME])
    download.main()
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / NAME}\n" and "all.zip" in printed.err
    mirror.files.clear()
    monkeypatch.setattr(sys, "argv", ["download", NAME, "--folder", str(tmp_path / "other")])
    with pytest.raises(SystemExit):
        download.main()
    printed = capsys.readouterr()
    assert not printed.out and "could not be fetched" in printed.err and "Traceback" not in printed.err


def test_every_source_has_a_full_hash_and_a_size() -> None:
    archives = [archive for source in SOURCES.values() for archive in source.archives]
    assert all(isinstance(source, Source) and source.holds for source in SOURCES.values())
    assert all(len(bytes.fromhex(archive.sha256)) == 32 and archive.size > 10**8 for archive in archives)
    # COCO's annotations are in one archive for both parts.
    assert len({archive.sha256 for archive in archives}) == len({archive.url for archive in archives})
