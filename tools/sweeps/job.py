"""One notebook run within its limits, and what came of it."""

import base64
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import nbformat
from nbformat import NotebookNode
from PIL import Image

from notebooks import to_html, with_palette
from odam_lib.files import read_json, write_whole
from sweeps.processes import MARK, kill_marked, measure_memory

Verdict = Literal["failed", "timed out", "out of memory", "waiting", "ok"]
EXECUTED, PAGE, THUMBNAIL, OUTCOME, LOG = "notebook.ipynb", "notebook.html", "first.png", "outcome.json", "log.txt"
"""What a job's folder holds; ``outcome.json`` is written last."""
GROWING = ".growing.ipynb"
TOOLS = Path(__file__).resolve().parent.parent
EVERY = 0.2
"""Seconds between two looks at a job."""
SAID = 600
"""Characters of a sentence or an answer that are kept."""
WIDTH = 480
"""Pixels of a thumbnail."""
OF_MEMORY = ("MemoryError", "OutOfMemoryError")
EXERCISE = re.compile(r"open: |(True|False)$")
"""What exercises print, and checks of one."""
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Limits:
    """What a job may use.

    Attributes:
        seconds: from its start.
        memory: bytes, of all its processes; ``None`` for any.
        cpus, gpus: how many, or a share of one; no GPU is hidden from it for ``None``.
    """

    seconds: float
    memory: int | None = None
    cpus: float = 1
    gpus: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        verdict: how it ended.
        sentence: why it did not end well.
        answer: the last that the notebook printed, exercises aside.
        seconds: how long it ran.
        memory: most bytes that it held, as seen between its cells' many steps.
        machine: where.
        files: what of ``EXECUTED``, ``PAGE``, ``THUMBNAIL``, ``LOG`` there is to look at.
    """

    verdict: Verdict
    sentence: str = ""
    answer: str = ""
    seconds: float = 0.0
    memory: int = 0
    machine: str = ""
    files: tuple[str, ...] = ()


def read_outcome(folder: Path) -> Outcome | None:
    """What an earlier sweep left in a job's folder; nothing if it did not come to an end, or if it is damaged."""
    try:
        return Outcome(**{name: tuple(v) if isinstance(v, list) else v for name, v in _read(folder).items()})
    except (OSError, ValueError, TypeError):
        return None


def _read(folder: Path) -> dict[str, Any]:
    return read_json(folder / OUTCOME, "run the sweep again")


def run_job(source: str, parameters: Mapping[str, Any], folder: str, limits: Limits) -> Outcome:
    """Run a notebook in a process that is killed with its kernel at its limits, and keep all that it came to.

    Args:
        source: the notebook's file.
        parameters: handed to it.
        folder: for what comes of it; emptied first.
        limits: of the run.
    """
    place = Path(folder)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if not Path(source).is_file():
        return Outcome("failed", f"{source} is not on {platform.node()}: a cluster needs it at the same path.")
    order = {"source": source, "parameters": dict(parameters), "output": str(place / GROWING)}
    started, peak, ended = time.monotonic(), 0, ""
    mark = uuid4().hex
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, int(limits.cpus))), MARK: mark}
    if limits.gpus == 0:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with (place / LOG).open("wb") as log:
        with subprocess.Popen(
            [sys.executable, "-c", "from sweeps.child import main; main()"],
            cwd=TOOLS,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            bufsize=0,
            start_new_session=True,
        ) as child:
            try:
                with suppress(BrokenPipeError):  # it has ended, and says why in its log
                    child.stdin.write(json.dumps(order).encode() + b"\n")
                while child.poll() is None and not ended:
                    time.sleep(EVERY)
                    memory = measure_memory(child.pid)
                    peak = max(peak, memory)
                    if time.monotonic() - started > limits.seconds:
                        ended = "timed out"
                    elif limits.memory and memory > limits.memory:
                        ended = "out of memory"
            finally:
                kill_marked(mark)
    took = time.monotonic() - started
    outcome = replace(_conclude(place, Path(source).parent, ended, child.returncode, limits), seconds=took, memory=peak)
    with write_whole(place / OUTCOME) as aside:
        aside.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return outcome


def _conclude(place: Path, beside: Path, ended: str, status: int, limits: Limits) -> Outcome:
    """Keep the executed copy, whole, with its page and its first picture; say how it ended."""
    notebook = _keep_copy(place, beside)
    answer, error = ("", ("", "")) if notebook is None else (find_answer(notebook), find_error(notebook))
    where = "" if notebook is None else find_place(notebook)
    if ended == "timed out":
        said = f"It was ended after {limits.seconds / 60:g} minutes, the limit of --minutes{where}."
    elif ended:
        said = f"It was ended when it held more than {(limits.memory or 0) / 1e9:g} GB, the limit of --memory{where}."
    elif status == 0 and notebook is not None:
        ended, said = "ok", ""
    elif error[0]:
        ended, said = "out of memory" if error[0] in OF_MEMORY else "failed", ": ".join(filter(None, error))
    else:
        ended, said = "failed", _last_words(place / LOG) or f"The process ended with status {status}."
    files = tuple(name for name in (EXECUTED, PAGE, THUMBNAIL, LOG) if (place / name).is_file())
    return Outcome(ended, cut(said), answer, machine=platform.node(), files=files)


def _keep_copy(place: Path, beside: Path) -> NotebookNode | None:
    """The notebook as far as it was executed; nothing if it never began, or was killed while it was written."""
    growing = place / GROWING
    try:
        notebook = nbformat.read(growing, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    finally:
        growing.unlink(missing_ok=True)
    with write_whole(place / EXECUTED) as aside, aside.open("w", encoding="utf-8") as file:
        nbformat.write(notebook, file)
    if picture := find_picture(notebook):
        with write_whole(place / THUMBNAIL) as aside:
            aside.write_bytes(picture)
    to_html(notebook, place / PAGE, beside)
    return notebook


def _outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def find_picture(notebook: NotebookNode) -> bytes:
    """The first picture that a notebook shows, small, as PNG; nothing if there is none."""
    for output in _outputs(notebook):
        if text := output.get("data", {}).get("image/png"):
            written = io.BytesIO()
            with suppress(OSError, ValueError, Image.DecompressionBombError):  # no picture, whatever it says
                with Image.open(io.BytesIO(base64.b64decode(text))) as opened:
                    picture = opened.convert("RGBA")
                picture.thumbnail((WIDTH, WIDTH))
                picture.save(written, "png")
                return with_palette(written.getvalue())
    return b""


def find_answer(notebook: NotebookNode) -> str:
    """The last lines that a notebook printed, except exercises' replies and a lone True or False."""
    answer = ""
    for cell in notebook.cells:
        printed = "".join(one.text for one in cell.get("outputs", []) if one.get("name") == "stdout")
        lines = [line.strip() for line in COLOURS.sub("", printed).splitlines() if line.strip()]
        if lines and not any(EXERCISE.match(line) for line in lines):
            answer = "\n".join(lines[-3:])
    return cut(answer)


def find_error(notebook: NotebookNode) -> tuple[str, str]:
    """Name and words of the error that ended a notebook; empty if none did."""
    error = ("", "")
    for output in _outputs(notebook):
        if output.output_type == "error":
            error = output.ename, " ".join(COLOURS.sub("", output.evalue).split())
    return error


def find_place(notebook: NotebookNode) -> str:
    """Which cell was being executed, as the end of a sentence."""
    for cell in notebook.cells:
        if cell.metadata.get("papermill", {}).get("status") == "running":
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            return f", in the cell {first.strip()!r}"
    return ""


def _last_words(log: Path) -> str:
    """The sentence with which a command line of ours ended, else the last line of another one."""
    lines = COLOURS.sub("", log.read_text(encoding="utf-8", errors="replace")).strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1]


def cut(text: str) -> str:
    """As much of a text as a page has room for."""
    return text if len(text) <= SAID else f"{text[: SAID - 1]}…"
