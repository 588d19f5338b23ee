"""Notebooks run over combinations of parameters: what is refused or skipped, how runs end, what the page shows."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import psutil
import pytest
from cells import ROOT
from PIL import Image
from sweeps import command, plan
from sweeps.job import EXECUTED, PAGE, THUMBNAIL, Outcome, find_answer, find_picture, read_outcome, run_job
from sweeps.page import ORDER, make_page

import notebooks as tool

HOSTILE = "\"></td><script>broken()</script><img src=x onerror=broken()>'&amp;"
PARAMETERS = 'NAME = "a"  # str: text\nNUMBER = 1\nSHARE = 0.5\nMANY = [1, 2]\nOUTPUT_DIR = "runs"'
WORK = """
import os, subprocess, sys, time
from pathlib import Path
folder = Path(OUTPUT_DIR)
folder.mkdir(parents=True)
if NAME in ("hangs", "dies", "grows"):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "begun").write_text(f"{os.getpid()} {sleeper.pid}", encoding="utf-8")
    (folder / "begun").rename(folder / "pids")
if NAME == "hangs":
    time.sleep(600)
if NAME == "dies":
    os.kill(os.getpid(), 9)
if NAME == "grows":
    held = b"1" * 900_000_000
    time.sleep(600)
if NAME == "fails":
    raise ValueError("the \\x1b[31mthing\\x1b[0m is\\nwrong: mend it")
"""


def write_notebook(path: Path, *sources: str) -> Path:
    """A notebook of these code cells, the first of which holds the parameters."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata.tags = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A notebook that runs in no time, or ends badly if it is told to."""
    shows = "from PIL import Image\nImage.new('RGB', (900, 90 * NUMBER), 'red')"
    return write_notebook(
        tmp_path / "tiny.ipynb", PARAMETERS, "print('so far')", WORK, shows, "print('said', NAME, NUMBER)"
    )


def sweep(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["notebooks.py", "sweep", *map(str, arguments)])
    tool.main()


def jobs(path: Path, *given: list[str]) -> list[plan.Job]:
    return plan.plan([plan.read_notebook(path)], given, {})


@pytest.mark.slow
def test_two_notebooks_with_other_parameters_end_with_a_page_and_are_not_run_again(
    tmp_path: Path, ray_here: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    names = ("00_quickstart", "09_your_own_detector")
    given = [*names, "--set", "test", "-p", "SCORE_THRESHOLD", "0.6", "-p", "DEVICE", "cpu"]
    sweep(*given, "--output", tmp_path, monkeypatch=monkeypatch)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "2 runs: 2 ok" in page
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert len(folders) == 2
    shares = []
    for folder in folders:
        executed = nbformat.read(folder / EXECUTED, as_version=4)
        injected = next(
            cell.source for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", [])
        )
        shares.append((folder.name[:2], "SCORE_THRESHOLD = 0.6" in injected))
        assert f"{folder.name}/{PAGE}" in page and "What we saw" in (folder / PAGE).read_text(encoding="utf-8")
        assert max(Image.open(folder / THUMBNAIL).size) <= 480 and f"{folder.name}/{THUMBNAIL}" in page
        assert len(list((folder / "figures").glob("*.png"))) >= 3
        assert read_outcome(folder).answer.splitlines()[-1] in page
    assert sorted(shares) == [("00", True), ("09", True)]

    def work(*_: object, **__: object) -> None:
        pytest.fail("Ray was asked for.")

    monkeypatch.setattr(command, "connect", work)
    sweep(*given, "--output", tmp_path, monkeypatch=monkeypatch)
    assert "2 runs, 2 of them done before" in capsys.readouterr().out
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page


def test_a_run_that_ends_badly_is_told_first_leaves_no_process_and_the_others_go_on(
    tiny: Path, ray_here: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    output = tiny.parent / "out"
    names = ["well", "grows", "fails", "dies", HOSTILE]
    with pytest.raises(SystemExit) as ended:
        sweep(tiny, "-p", "NAME", *names, "--memory", "0.8", "--output", output, monkeypatch=monkeypatch)
    assert ended.value.code == 2
    said = f"error: 3 of 5 runs did not end well: {output / 'index.html'} shows them first.\n"
    assert capsys.readouterr().err == said
    planned = jobs(tiny, ["NAME", *names])
    found = {job.varied["NAME"]: read_outcome(output / job.key) for job in planned}
    verdicts = ["ok", "out of memory", "failed", "failed", "ok"]
    assert {name: one.verdict for name, one in found.items()} == dict(zip(names, verdicts))
    assert found["well"].answer == "said well 1" and found["fails"].answer == "so far"
    assert found["fails"].sentence == "ValueError: the thing is wrong: mend it"
    assert "Kernel died" in found["dies"].sentence and "0.8 GB" in found["grows"].sentence
    for job in planned:
        assert (output / job.key / EXECUTED).is_file() and (output / job.key / PAGE).is_file(), job
        assert not list((output / job.key).glob(".*"))
    pids = " ".join(path.read_text(encoding="utf-8") for path in output.glob("*/figures/pids")).split()
    assert len(pids) == 4 and not any(is_alive(int(pid)) for pid in pids)
    page = (output / "index.html").read_text(encoding="utf-8")
    assert [text for text in texts_of(page) if text in ORDER] == sorted(verdicts, key=ORDER.index)


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tiny.parent / "out"
    pids, now = output / "figures" / "pids", time.monotonic
    monkeypatch.setattr("sweeps.job.time.monotonic", lambda: now() + 1000 * pids.is_file())
    given = {"NAME": "hangs", "OUTPUT_DIR": str(pids.parent)}
    outcome = run_job(str(tiny), given, str(output), command.Limits(900))
    assert outcome.verdict == "timed out" and outcome.seconds > 900 and outcome.answer == "so far"
    said = "It was ended after 15 minutes, the limit of --minutes, in the cell 'import os, subprocess, sys, time'."
    assert outcome.sentence == said
    assert not any(is_alive(int(pid)) for pid in pids.read_text(encoding="utf-8").split())


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def test_a_worker_that_is_killed_takes_its_notebook_along(tiny: Path) -> None:
    output = tiny.parent / "out"
    pids = output / "figures" / "pids"
    given = {"NAME": "hangs", "OUTPUT_DIR": str(pids.parent)}
    code = f"from sweeps.job import *; run_job({str(tiny)!r}, {given!r}, {str(output)!r}, Limits(600))"
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT / "tools")
    try:
        assert eventually(pids.is_file, 120)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    started = [int(pid) for pid in pids.read_text(encoding="utf-8").split()]
    assert eventually(lambda: not any(map(is_alive, started)), 20)


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("5", "a", "5"),
        ("5", 1, 5),
        ("5", 0.5, 5.0),
        ("-1e-3", 0.5, -1e-3),
        ("x", 1, "x"),
        ("[3, 4]", [1], [3, 4]),
        ("True", False, True),
        ("1+1j", 1, "1+1j"),
        ("(1, 2)", [1], "(1, 2)"),
        ("(" * 500, 1, "(" * 500),
    ],
)
def test_a_value_is_read_as_the_notebooks_own_is_written(text: str, default: Any, value: Any) -> None:
    read = plan.read_value(text, default)
    assert read == value and type(read) is type(value)


def test_all_combinations_are_planned_in_the_order_given(tiny: Path) -> None:
    other = write_notebook(tiny.parent / "other.ipynb", PARAMETERS)
    planned = plan.plan(
        [plan.read_notebook(path) for path in (tiny, other)], [["NUMBER", "2", "1"], ["SHARE", "0", "1"]], {}
    )
    varied = [(2, 0.0), (2, 1.0), (1, 0.0), (1, 1.0)]
    assert [(job.notebook, *job.varied.values()) for job in planned] == [
        (name, *values) for name in ("tiny", "other") for values in varied
    ]


@pytest.mark.parametrize(
    ("notebook", "given", "said"),
    [
        ("03_is_the_map_right", [["SEEDS", "0"]], "03_is_the_map_right has no parameter SEEDS: it has DETECTOR, "),
        ("03_is_the_map_right", [["SEED", "0", "x"]], "03_is_the_map_right: SEED is 'x': give a whole number from 0"),
        ("03_is_the_map_right", [["SEED", "0", "00"]], "03_is_the_map_right SEED=0 is asked for twice"),
        ("03_is_the_map_right", [["SEED", "0"], ["SEED", "1"]], "SEED is given twice"),
        ("03_is_the_map_right", [["SEED"]], "SEED has no value"),
        ("03_is_the_map_right", [["OUTPUT_DIR", "x"]], "OUTPUT_DIR is set by the sweep"),
        ("03_is_the_map_right", [["DETECTOR", "fcos-scenes", "yolo"]], "DETECTOR is 'yolo': choose among fcos-scenes"),
        (
            "07_odam_nms_in_crowds",
            [["LOW", "0.1", "0.7"], ["HIGH", "0.2"]],
            "LOW is 0.7 and HIGH is 0.2: give 0 <= LOW",
        ),
    ],
)
def test_what_a_notebook_does_not_take_is_told_before_any_work(notebook: str, given: list, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        jobs(tool.kept(notebook)[0], *given)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_notebook_without_rules_takes_what_is_like_its_own(tiny: Path) -> None:
    for given, said in ((["NUMBER", "0.5"], "NUMBER is 0.5: give int, as 1"), (["MANY", "3"], "MANY is 3: give list")):
        with pytest.raises(ValueError, match=said):
            jobs(tiny, given)


def test_a_run_is_another_one_if_its_notebook_a_value_a_file_or_weights_are_others(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny.parent / "file.txt"

    def key(*given: list[str]) -> str:
        plan._hash.cache_clear()
        (job,) = jobs(tiny, *given)
        return job.key

    file.write_text("one", encoding="utf-8")
    keys = [key(), key(["NUMBER", "2"]), key(["NAME", "fcos"]), key(["NAME", str(file)])]
    file.write_text("two", encoding="utf-8")
    keys.append(key(["NAME", str(file)]))
    assert key(["NUMBER", "1"]) == keys[0] and key() == keys[0]
    monkeypatch.setattr(plan, "read_card", lambda name: {"sha256": f"new {name}"})
    assert key() == keys[0]
    keys.append(key(["NAME", "fcos"]))
    notebook = nbformat.read(tiny, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="of an earlier run")]
    nbformat.write(notebook, tiny)
    assert key() == keys[0]
    notebook.cells[-1].source += "  # changed"
    nbformat.write(notebook, tiny)
    keys.append(key())
    assert len(set(keys)) == 7


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ((None, 1, 1), "No machine has 1 GPUs, 1 CPUs: ask for less"),
        ((None, 5, 0), "No machine has 0 GPUs, 5 CPUs: ask for less"),
        ((9 * 10**9, 1, 0), "No machine has 0 GPUs, 1 CPUs, 9 GB: ask for less"),
    ],
)
def test_a_run_that_no_machine_could_take_is_not_waited_for(needs: tuple, said: str) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 4.0, "memory": 8e9}}, {"Alive": False, "Resources": {"GPU": 8.0}}]
    with pytest.raises(ValueError, match=said):
        command.choose_gpus(nodes, command.Limits(60, *needs))


def test_a_run_gets_a_gpu_where_there_is_one() -> None:
    limits = command.Limits(60)
    assert command.choose_gpus([{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}}], limits) == 1
    assert command.choose_gpus([{"Alive": True, "Resources": {"CPU": 4.0}}], limits) == 0


class Tags(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def texts_of(page: str) -> list[str]:
    parser = Tags()
    parser.feed(page)
    return parser.texts


def test_what_notebooks_and_users_say_is_text_on_the_page() -> None:
    def page(text: str) -> Tags:
        job = plan.Job(text, Path(text), {text: text}, {}, True, (), text)
        outcome = Outcome("failed", text, text, 1.0, 1, text, (EXECUTED, PAGE, THUMBNAIL))
        parser = Tags()
        parser.feed(make_page(text, [job], {job.key: outcome}))
        return parser

    hostile, harmless = page(HOSTILE), page("harmless")
    assert hostile.found == harmless.found and len(hostile.texts) == len(harmless.texts)
    assert hostile.texts.count(HOSTILE) == harmless.texts.count("harmless") >= 3


def test_the_answer_is_what_was_printed_last_but_for_exercises() -> None:
    def printed(*texts: str) -> nbformat.NotebookNode:
        cells = [
            nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("stream", name="stdout", text=text)])
            for text in texts
        ]
        return nbformat.v4.new_notebook(cells=cells)

    assert find_answer(printed("first", "1\n2\n\n3\n4\n", "open: try it\n", "True\n")) == "2\n3\n4"
    assert find_answer(printed("open: try it")) == "" == find_answer(printed())
    assert len(find_answer(printed("x" * 10**5))) == 600


def test_a_picture_that_is_none_is_left_out() -> None:
    output = nbformat.v4.new_output("display_data", data={"image/png": "bm8gcGljdHVyZQ=="})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    assert find_picture(notebook) == b""
