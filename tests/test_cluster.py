"""Ray: what is refused before any work, by name and within seconds; what nodes are compared by."""

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import ModuleType, SimpleNamespace

import pytest

from odam_lib import cluster
from odam_lib.cluster import connect, measure_versions
from odam_lib.command import command


@contextmanager
def listening(said: bytes | None) -> Iterator[int]:
    """A port where somebody listens who says this to each who comes, or nothing; yields its number."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        opened = []

        def answer() -> None:
            while True:
                try:
                    opened.append(server.accept()[0])
                except OSError:
                    return
                opened[-1].sendall(said or b"")

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        for one in opened:
            one.close()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    @command
    def main() -> None:
        with connect():
            pass

    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: Ray is not installed: pip install 'odam_lib[cluster]'.\n"


@pytest.mark.parametrize("said", ["nobody", "", "HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_that_does_not_answer_is_told_within_ten_seconds(said: str) -> None:
    start = time.monotonic()
    with listening(said.encode()) as port:
        port = free_port() if said == "nobody" else port
        with pytest.raises(ConnectionError, match=rf"Nobody answers as Ray does at 127\.0\.0\.1:{port}.*: check the"):
            with connect(f"127.0.0.1:{port}"):
                pass
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("address", ["", "head", "head:", ":6379", "ray://head:10001", "head:99999999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"The address is {address!r}: give 'local', 'auto', or HOST:PORT")):
        with connect(address):
            pass


def test_no_cluster_on_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionError, match="Nobody answers"):
        with connect("auto"):
            pass


@pytest.mark.parametrize("kind", [RuntimeError, ConnectionError, ValueError, Exception])
def test_whatever_keeps_ray_from_starting_is_one_sentence(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("The current node timed out\n during startup.")

    ray = SimpleNamespace(is_initialized=lambda: False, init=fail)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(
        ConnectionError, match=r"^Ray at local cannot be used: The current node timed out during startup"
    ):
        with connect():
            pass


def measured_in(process: int, everywhere: dict[str, str], there: dict[str, str]) -> Callable[[object], dict[str, str]]:
    return lambda weights: everywhere | (there if os.getpid() == process else {})


def test_a_node_of_another_version_or_other_weights_is_refused_by_name(
    ray_here: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(weights=["fcos-scenes"]) as ray:  # every node has what there is here
        assert ray is ray_here and ray.cluster_resources()["CPU"] == 2
    here, name = measure_versions(["fcos-scenes"]), re.escape(socket.gethostname())
    for what, other in (("odam_lib", "of source 01234567"), ("torch", "1.0"), ("weights of fcos-scenes", "01234567")):
        monkeypatch.setattr(cluster, "measure_versions", measured_in(os.getpid(), here, {what: other}))
        told = rf"The node {name} \(.*\) has another {what} \({re.escape(here[what])}\) than there is here \({other}\)"
        with pytest.raises(RuntimeError, match=told):
            with connect(weights=["fcos-scenes"]):
                pass


def test_a_node_without_the_package_is_refused_by_name(ray_here: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = os.getpid()

    def absent(weights: object) -> dict[str, str]:
        if os.getpid() != driver:
            raise ModuleNotFoundError("No module named 'odam_lib'")
        return {}

    monkeypatch.setattr(cluster, "measure_versions", absent)
    with pytest.raises(RuntimeError, match="has no odam_lib, or another version of it: install the same one"):
        with connect():
            pass


def test_a_process_has_one_connection(ray_here: ModuleType) -> None:
    with connect() as ray:
        with connect() as again:
            assert again is ray
    assert ray_here.is_initialized()
    host, port = ray_here.get_runtime_context().gcs_address.rsplit(":", 1)
    with pytest.raises(RuntimeError, match=rf"connected with Ray at {host}:{port} already: leave the address out"):
        with connect(f"{host}:{port}"):
            pass


def test_versions_change_with_the_source_and_the_weights(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure_versions(["fcos-scenes", "absent"])
    assert before == measure_versions(["fcos-scenes", "absent"]) and before["weights of absent"] == "missing"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "fcos-scenes.safetensors").write_bytes(b"other")
    (tmp_path / "one.py").write_text("a = 1", encoding="utf-8")
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    monkeypatch.setattr(cluster, "__file__", str(tmp_path / "cluster.py"))
    after = measure_versions(["fcos-scenes"])
    assert after["weights of fcos-scenes"] != before["weights of fcos-scenes"]
    assert after["odam_lib"] != before["odam_lib"] and after["torch"] == before["torch"]
