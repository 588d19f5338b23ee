"""A Chromium and a JupyterLab for the tests of the widgets."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _chromium(runner: Any) -> str:
    """The path of a Chromium: the system's, else Playwright's own; without one the tests are skipped, but not in CI."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), runner.chromium.executable_path)
    if not Path(found).is_file():
        missing = f"There is no Chromium ({', '.join(names)}): install one or run `playwright install chromium`."
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # the tests that need it are skipped where it is not installed

    with sync_playwright() as runner:
        opened = runner.chromium.launch(executable_path=_chromium(runner), args=CHROMIUM_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def _lab(folder: Path, name: str, sources: Mapping[str, str]) -> Iterator[str]:
    """A JupyterLab of its own, ended whatever happens; the address of a notebook that holds some cells.

    Args:
        folder: what it serves.
        name: of the notebook, which is written there.
        sources: the cells' source by the cell's name.
    """
    cells = [
        {"id": key, "cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
        for key, source in sources.items()
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    quiet = folder / "home" / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")
    with (folder / "jupyter.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
                *(f"--ServerApp.root_dir={folder}", "--ServerApp.terminals_enabled=False"),
            ],
            env=os.environ
            | {variable: str(folder / "home" / place) for variable, place in places.items()}
            | {"JUPYTER_TOKEN": token},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_up(server, f"http://127.0.0.1:{port}/api/status?token={token}", folder / "jupyter.log")
        yield f"http://127.0.0.1:{port}/lab/tree/{name}.ipynb?token={token}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def _wait_until_up(server: subprocess.Popen, address: str, log: Path, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-3000:]}") from error
            time.sleep(0.1)


@pytest.fixture(scope="session")
def lab() -> Callable[[Path, str, Mapping[str, str]], AbstractContextManager[str]]:
    """:func:`_lab`, for the tests to call."""
    return _lab
