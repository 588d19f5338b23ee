"""Ray: work of many processes on this machine, or on a cluster that runs already. Needs the extra ``cluster``.

Nothing here asks the network for anything: Ray starts on this machine unless an address is given, without its
dashboard, and sends no statistics of its use.
"""

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from odam_lib.files import data_root, sha256

LOCAL, AUTO = "local", "auto"
PATIENCE = 8.0
"""Seconds that an address has to answer."""
NODE_PATIENCE = 60.0
"""Seconds that a node has to start a process and to say what is installed there."""


@contextmanager
def connect(
    address: str = LOCAL, cpus: int | None = None, gpus: int | None = None, weights: Sequence[str] = ()
) -> Iterator[ModuleType]:
    """Connect with Ray while the block lasts; where this process is connected already, that connection is used.

    Args:
        address: ``local`` starts Ray on this machine; ``auto`` is the cluster that this machine is part of, or that
            ``RAY_ADDRESS`` names; ``HOST:PORT`` is that of another head node.
        cpus, gpus: how many Ray shall count on this machine; ``None`` for what there is. A cluster knows its own.
        weights: names of bundled weights, and absolute paths of others, that every node must have as they are here.

    Yields:
        The module ``ray``.

    Raises:
        ModuleNotFoundError: Ray is not installed; names the extra.
        ValueError: an address of another form.
        ConnectionError: the address does not answer; known within 10 seconds.
        RuntimeError: a node has another version of this package, of PyTorch or of weights, and is named; or this
            process is connected with another Ray.
    """
    ray = _import_ray()
    if address != LOCAL:
        _check_answers(_locate(address))
    if ray.is_initialized():
        if address not in (LOCAL, AUTO):
            there = ray.get_runtime_context().gcs_address
            raise RuntimeError(f"This process is connected with Ray at {there} already: leave the address out.")
        _check_nodes(ray, weights)
        yield ray
        return
    options = {} if address != LOCAL else {"num_cpus": cpus, "num_gpus": gpus, "include_dashboard": False}
    try:
        ray.init(address, log_to_driver=False, logging_level="error", **options)
    except Exception as error:  # another version of Ray or Python, or no start in time, which Ray gives no type
        raise ConnectionError(
            f"Ray at {address} cannot be used: {' '.join(str(error).split())}; a cluster that asks for a token needs "
            "RAY_AUTH_MODE=token here."
        ) from error
    try:
        _check_nodes(ray, weights)
        yield ray
    finally:
        ray.shutdown()


def measure_versions(weights: Sequence[str] = ()) -> dict[str, str]:
    """What results depend on beside data: this package by its source, PyTorch, and weights by their hash.

    Args:
        weights: as for :func:`connect`.
    """
    here, source = Path(__file__).parent, hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        source.update(path.relative_to(here).as_posix().encode() + path.read_bytes())
    found = {"odam_lib": f"of source {source.hexdigest()[:8]}", "torch": version("torch")}
    for name in weights:
        path = Path(name) if os.path.isabs(name) else data_root() / "weights" / f"{name}.safetensors"
        found[f"weights of {name}"] = sha256(path)[:8] if path.is_file() else "missing"
    return found


def _import_ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ModuleNotFoundError("Ray is not installed: pip install 'odam_lib[cluster]'.", name="ray") from error
    return ray


def _locate(address: str) -> tuple[str, int]:
    """Host and port of the head node."""
    if address == AUTO:
        # Ray's own look-up, which has no public name: ray.init would take minutes to tell that nobody answers there.
        from ray._private.services import canonicalize_bootstrap_address

        address = canonicalize_bootstrap_address(address) or LOCAL
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host or int(port) > 65535:
        raise ValueError(f"The address is {address!r}: give 'local', 'auto', or HOST:PORT of the head node.")
    return host.strip("[]"), int(port)


def _check_answers(place: tuple[str, int]) -> None:
    """Raise ``ConnectionError`` unless a server of gRPC, which Ray's is, answers there.

    ``ray.init`` tries for minutes and then ends the whole process.
    """
    told = f"Nobody answers as Ray does at {place[0]}:{place[1]}"
    remedy = "check the address, and that the cluster runs (ray start --head), or leave it out"
    try:
        with socket.create_connection(place, PATIENCE / 2) as opened:
            opened.settimeout(PATIENCE / 2)
            opened.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))  # no settings
            answer = opened.recv(9)
    except OSError as error:
        raise ConnectionError(f"{told} ({error}): {remedy}.") from error
    if len(answer) < 4 or answer[3] != 4:  # settings come first in HTTP/2
        raise ConnectionError(f"{told}, but another server: {remedy}.")


def _check_nodes(ray: ModuleType, weights: Sequence[str]) -> None:
    """Raise ``RuntimeError`` for a node where results would be others."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    measure, here = ray.remote(num_cpus=0, max_retries=0)(measure_versions), measure_versions(weights)
    asked = {
        f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})": measure.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(weights)
        for node in ray.nodes()
        if node["Alive"]
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=NODE_PATIENCE)
    for node, answer in asked.items():
        try:
            _compare(node, ray.get(answer, timeout=0), here)
        except ray.exceptions.GetTimeoutError as error:
            raise RuntimeError(f"The node {node} started no process in {NODE_PATIENCE:g} s: look at it.") from error
        except ray.exceptions.RayError as error:  # the package is not there, or does not know this function
            raise RuntimeError(
                f"The node {node} has no odam_lib, or another version of it: install the same one on every node."
            ) from error


def _compare(node: str, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    for what, ours in here.items():
        if there.get(what) != ours:
            raise RuntimeError(
                f"The node {node} has another {what} ({there.get(what, 'unknown')}) than there is here ({ours}): "
                "install the same on every node."
            )
