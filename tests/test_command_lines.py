"""Every command line ends with one sentence and status 2 for what the user or the machine did, never by a traceback."""

import ast
import errno
import os
import runpy
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
import torch
from PIL import Image

from odam_lib.command import command
from odam_lib.files import data_root

ROOT = data_root().parent
FILES = [
    path
    for folder in ("odam_lib", "notebooks/odam_chapters", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
]
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
TINY = ["--number", "1", "--batch-size", "1", "--epochs", "1", "--size", "64"]
WRONG: dict[str, list[tuple[list[str], str]]] = {
    "notebooks/odam_chapters/crowds/results.py": [
        (["{text}/in.sqlite"], "cannot be written"),
        (["{text}", "--pictures", "1"], "text is no place for the rows of a run"),
        (["{new}", "--score-threshold", "2"], "The score threshold is 2.0"),
        (["{new}", "--pictures", "0"], "number of scenes is 0"),
        (["{new}.sqlite", "--detectors", "yolo"], "Unknown detector 'yolo': choose among fcos-crowd, "),
        (["{new}.sqlite", "--detectors", "{folder}"], "There are no weights in"),
        (["{new}", "--dataset", "{labels}", "--pictures", "1"], "YOLO's labels cannot mark what is to be ignored"),
        (["{new}", "--dataset", "{labels}", "--pictures", "2"], "has 1 pictures here, not 2"),
        (["{new}", "--dataset", "{folder}"], "folder is no data set of a known format: give a JSON in COCO's format"),
        (["{new}", "--dataset", "crowdhuman", "--root", "{new}"], "is missing"),
    ],
    "odam_lib/datasets/download.py": [(["coco-val2017", "--folder", "{text}/in"], "cannot be written")],
    "odam_lib/datasets/scenes/__main__.py": [
        (["{text}/in"], "cannot be written"),
        (["{new}", "--number", "0"], "number of scenes is 0"),
        (["{text}"], "cannot be written"),
        (["{new}", "--size", "8"], "at least 32 pixels"),
        (["{new}", "--number", "1", "--workers", "-1"], "number of workers is -1"),
    ],
    "odam_lib/detectors/zoo.py": [([], "fcos-scenes.json is missing: restore it")],
    "notebooks/odam_chapters/attention/claims.py": [
        (["{text}/in.csv"], "cannot be written"),
        (["{new}", "--scenes", "0"], "number of scenes is 0"),
        (["{new}", "--detector", "yolo"], "Unknown detector 'yolo'"),
    ],
    "notebooks/odam_chapters/costs/device.py": [
        (["--output", "{new}", "--device", "cpu"], "There is no accelerator to measure here"),
    ],
    "notebooks/odam_chapters/costs/scaling.py": [
        (["--pictures", "0"], "pictures"),
        (["--workers", "0"], "number of workers"),
    ],
    "notebooks/odam_chapters/crowds/embedding_training.py": [
        (["--output", "{text}/in"], "cannot be written"),
        (["--epochs", "0"], "epochs is 0"),
        (["--output", "{new}", "--device", "tpu9"], "device 'tpu9' is not usable"),
        (["--output", "{cached}", *TINY], "scenes-crowd-64-1-0.pt is damaged"),
    ],
    "notebooks/odam_chapters/errors/shortcut.py": [
        (["{text}/in.csv"], "cannot be written"),
        (["{new}", "--number", "0"], "number of scenes is 0"),
        (["{new}", "--setting", "forest"], "unknown setting 'forest'"),
        (["{new}", "--masks", "0"], "masks"),
    ],
    "notebooks/odam_chapters/errors/survey.py": [
        (["{text}/in.sqlite", "--detectors", "fcos-scenes"], "cannot be written"),
        (["{new}.sqlite", "--csv", "{text}/in.csv", "--detectors", "fcos-scenes"], "cannot be written"),
        (["{folder}", "--detectors", "fcos-scenes"], "is a folder"),
        (["{new}.sqlite", "--detectors", "yolo"], "Unknown detector 'yolo'"),
        (["{new}", "--detectors", "fcos-scenes", "--threshold", "nan"], "The score threshold is nan"),
    ],
    "notebooks/odam_chapters/framework.py": [
        (["{text}/in.png"], "cannot be written"),
        (["{new}", "--detector", "yolo"], "Unknown detector 'yolo'"),
    ],
    "notebooks/odam_chapters/rivals.py": [
        (["{text}/in.png"], "cannot be written"),
        (["{new}", "--detector", "yolo"], "Unknown detector 'yolo'"),
    ],
    "odam_lib/evaluation/__main__.py": [
        (["{text}/in.csv"], "cannot be written"),
        (["{text}", "--objects", "1"], "text is no place for the rows of a run"),
        (["{new}.sqlite", "--begin-with", "{new}"], "There are no rows to begin with"),
        (["{new}", "--address", "auto"], "are for --workers: give their number too"),
        (["{new}.sqlite", "--workers", "0"], "The number of workers is 0"),
        (["{new}.sqlite", "--workers", "2", "--address", "127.0.0.1:1"], "Nobody answers as Ray does at 127.0.0.1:1"),
        (["{new}.sqlite", "--begin-with", "{text}"], "text is no place for rows"),
        (["{new}.sqlite", "--detector", "yolo"], "Unknown detector 'yolo'"),
        (["{new}.sqlite", "--detector", "{folder}"], "There are no weights in"),
        (["{new}.sqlite", "--detector", "{cached}"], "The training in"),
        (["{new}", "--dataset", "coco", "--annotations", "{text}"], "text"),
        (["{new}", "--dataset", "{folder}"], "folder is no data set of a known format: give a JSON in COCO's format"),
        (["{new}", "--dataset", "{text}"], "text is no data set of a known format"),
        (["{new}", "--dataset", "{labels}", "--split", "val"], "has no parts train and val"),
        (["{new}", "--dataset", "{labels}", "--root", "{folder}"], "is a folder already: give no root"),
        (["{new}.sqlite", "--dataset", "{labels}"], "The detector knows none of the data set's classes"),
        (["{new}", "--dataset", "crowdhuman", "--root", "{new}"], "is missing"),
        (["{new}", "--dataset", "crowdhuman", "--annotations", "{text}"], "CrowdHuman's annotations lie in its root"),
        (["{new}", "--dataset", "beach", "--setting", "crowd"], "the setting 'crowd': give one of the two"),
    ],
    "odam_lib/evaluation/tables.py": [(["{new}"], "There are no rows"), (["{text}"], "text is no place for rows")],
    "notebooks/odam_chapters/odam_train/sweep.py": [
        (["{text}/in.csv", "--folder", "{new}"], "cannot be written"),
        (["{folder}", "--folder", "{new}"], "is a folder"),
        (["{new}", "--number", "3"], "3 pictures do not fill a batch"),
        (["{new}", "--device", "tpu9"], "device 'tpu9' is not usable"),
        (["{text}", "--folder", "{new}", "--pictures", "1", "--number", "16"], "text holds no outcomes"),
    ],
    "notebooks/odam_chapters/judging/leaks.py": [
        (["{text}/in.csv"], "cannot be written"),
        (["{new}", "--number", "0"], "number of scenes is 0"),
        (["{new}", "--detectors", "yolo"], "yolo.json is missing"),
    ],
    "notebooks/odam_chapters/judging/own_masks.py": [
        (["{text}/in.csv"], "cannot be written"),
        (["{new}", "--root", "{new}"], "is missing"),
        (["{new}", "--dataset", "{labels}"], "Every object needs a mask: Line 1 of"),
        (["{new}", "--score-threshold", "-1"], "The score threshold is -1"),
    ],
    "odam_lib/report.py": [
        (["{new}", "--out", "{text}/in.html"], "cannot be written"),
        (["{new}", "--out", "{folder}"], "is a folder"),
        (["{new}"], "There is no picture at"),
        (["{text}"], "text cannot be read as a picture"),
        (["{text}", "--detector", "yolo"], "Unknown detector 'yolo'"),
        (["{text}", "--detector", "{text}"], "text is no file of weights"),
        (["{text}", "--score-threshold", "2"], "The score threshold is 2.0"),
        (["{text}", "--layer", "roof"], "yolov3-tiny has no layer 'roof'"),
        (["{text}", "--number", "1"], "--number are of a data set"),
        ([], "Give pictures or --dataset, one of the two"),
        (["--dataset", "{text}"], "text"),
        (["--dataset", "photos", "--number", "0"], "0"),
    ],
    "odam_lib/training/__main__.py": [
        (["--output", "{text}/in"], "cannot be written"),
        (["--output", "{new}", "--device", "tpu9"], "device 'tpu9' is not usable"),
        (["--output", "{new}", "--held-out", "0"], "number of scenes is 0"),
        (["--output", "{new}", "--learning-rate", "nan"], "learning_rate is nan"),
        (["--output", "{new}", "--weight-decay", "inf"], "weight_decay is inf"),
        (["--output", "{new}", "--dataset", "crowdhuman", "--root", "{new}"], "is missing"),
        (["--output", "{new}", "--dataset", "coco", "--root", "{new}"], "is missing"),
        (["--output", "{new}", "--dataset", "{new}"], "or give a path that is there"),
        (["--output", "{new}", "--dataset", "{folder}"], "folder is no data set of a known format"),
        (["--output", "{new}", "--dataset", "shortcut", "--root", "{folder}"], "always streets: leave out --root"),
        (["--output", "{new}", "--dataset", "{labels}", *TINY, "--held-out", "1"], "are not enough for 1 and 1"),
        (["--output", "{cached}", *TINY], "scenes-mixed-64-1-0.pt is damaged"),
        (["--output", "{new}", *TINY, "--start", "yolo"], "Unknown detector 'yolo'"),
        (["--output", "{new}", *TINY, "--start", "{folder}"], "There are no weights in"),
    ],
    "tools/build_site.py": [(["--only", "00_quickstart"], "yolov3-tiny.safetensors is missing")],
    "tools/convert_yolo.py": [
        (["{new}", "{folder}", "--output", "{text}/in"], "cannot be written"),
        (["{text}", "{new}", "--output", "{folder}"], "is missing"),
    ],
    "tools/gpu_check.py": [(["--output", "{text}/in"], "cannot be written")],
    "tools/insertion_causes.py": [
        (["{text}/in.csv", "{folder}"], "cannot be written"),
        (["{folder}", "{folder}"], "is a folder"),
    ],
    "tools/paper_map.py": [(["check"], "No such file or directory")],
    "tools/notebooks.py": [
        (["run", "--only", "00_quickstart"], "00_quickstart.ipynb cannot be written (No space left"),
        (["sweep", "03_is"], "There is no notebook 03_is: choose all or among 00_quickstart"),
        (["sweep", "{new}.ipynb"], "new.ipynb: give the path of an .ipynb file"),
        (["sweep", "all", "-p", "SEEDS", "0"], "00_quickstart has no parameter SEEDS: it has IMAGE"),
        (["sweep", "00_quickstart", "-p", "DETECTOR", "yolov3-tiny", "yolo"], "DETECTOR is 'yolo': choose among"),
        (["sweep", "00_quickstart", "--minutes", "0"], "--minutes is 0.0: give a positive number"),
        (["sweep", "00_quickstart", "--memory", "-1"], "--memory is -1.0: give a positive number"),
        (["sweep", "00_quickstart", "--gpus", "1.5"], "--gpus is 1.5: give a share of one"),
        (["sweep", "00_quickstart", "--output", "{text}/in"], "cannot be written"),
        (["sweep", "00_quickstart", "--output", "{new}", "--address", "127.0.0.1:1"], "Nobody answers as Ray does"),
    ],
}


def write_labels(root: Path) -> None:
    """A box of YOLO's on one picture: neither parts nor masks nor anything to ignore, and a class nobody knows."""
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    Image.new("RGB", (8, 8)).save(root / "images" / "a.png")
    (root / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5", encoding="utf-8")
    (root / "classes.txt").write_text("unicorn", encoding="utf-8")


def test_every_command_line_is_told_about_here_and_ends_by_the_one_place() -> None:
    assert sorted(WRONG) == sorted(NAMES)
    for path in (
        *(ROOT / "odam_lib").rglob("*.py"),
        *(ROOT / "notebooks").rglob("*.py"),
        *(ROOT / "tools").glob("*.py"),
    ):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "main":
                assert [one.id for one in node.decorator_list] == ["command"], path  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "arguments", "said"), [(name, *case) for name, cases in WRONG.items() for case in cases]
)
def test_what_is_wrong_is_said_in_one_line(
    name: str, arguments: list[str], said: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    places = {one: tmp_path / one for one in ("text", "folder", "new", "cached", "labels")}
    places["text"].write_bytes(b"\xff\xfe no file of ours")
    places["folder"].mkdir()
    places["cached"].mkdir()
    write_labels(places["labels"])
    (places["cached"] / "checkpoint.pt").touch()
    for dataset in ("crowd", "mixed"):
        (places["cached"] / f"scenes-{dataset}-64-1-0.pt").write_bytes(b"cut off")
    if name in ("odam_lib/detectors/zoo.py", "tools/build_site.py", "tools/paper_map.py"):
        monkeypatch.setenv("ODAM_DATA", str(places["folder"]))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(papermill, "execute_notebook", full)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *(each.format(**places) for each in arguments)])
    with pytest.raises(SystemExit) as ended:
        if name.startswith("tools/"):
            monkeypatch.syspath_prepend(ROOT / "tools")  # as Python does for a script
            runpy.run_path(str(ROOT / name), run_name="__main__")
        else:
            runpy.run_module(name.removeprefix("notebooks/").removesuffix(".py").replace("/", "."), run_name="__main__")
    shown = capsys.readouterr().err
    last = shown.strip().splitlines()[-1]
    assert ended.value.code == 2 and last.startswith("error: ") and said in last, shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), "two lines"),
        (PermissionError(errno.EACCES, "Permission denied", "/some/where"), "/some/where: Permission denied"),
        (OSError("of ours"), "of ours"),
        (ModuleNotFoundError("No module named 'pooch'"), "No module named 'pooch'"),
        (FloatingPointError("not finite"), "not finite"),
        (NotImplementedError("no positives"), "no positives"),
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "killed by signal"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (OSError("Caught OSError in worker 0.\nOriginal Traceback (last):\n  x\nOSError: a.png: full"), "a.png: full"),
    ],
)
def test_what_the_machine_does_is_said_in_one_line(error: Exception, said: str, capsys) -> None:
    @command
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.startswith("error: ") and shown.count("\n") == 1
    assert said in shown and "Traceback" not in shown


def test_an_interruption_is_no_failure_and_a_mistake_in_the_code_keeps_its_traceback(capsys) -> None:
    def ended_by(error: BaseException) -> int:
        @command
        def main() -> None:
            raise error

        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert ended_by(KeyboardInterrupt()) == 130 and capsys.readouterr().err == "error: interrupted\n"
    for mistake in (KeyError("x"), TypeError("x"), AssertionError("x")):
        with pytest.raises(type(mistake)):
            ended_by(mistake)


PRINTING = """
from odam_lib.command import command

@command
def main():
    print("2 \\u00b1 1")

main()
"""


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_output_that_cannot_be_taken_is_said_too() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", PRINTING], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr == b"error: No space left on device\n"


def test_text_is_printed_under_a_c_locale() -> None:
    """A plus-minus sign has no place in ASCII."""
    there = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", PRINTING], env=there, capture_output=True)
    assert done.returncode == 0 and done.stdout.decode("utf-8") == "2 ± 1\n", done.stderr
