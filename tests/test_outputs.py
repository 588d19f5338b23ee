"""Every command line that writes says before any work that it cannot: where, and what to do."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from odam_lib.files import data_root, owned

ROOT = data_root().parent


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nothing(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody load a detector, draw a scene or run a notebook."""

    def work(*arguments: object, **options: object) -> None:
        pytest.fail("Work began.")

    for name in ("load_detector", "tqdm", "run", "rows"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, work)
    monkeypatch.setattr("odam_lib.detectors.zoo.load_detector", work)


FILES = {
    "odam_lib.evaluation.command": ["--objects", "1"],
    "odam_chapters.crowds.results": ["--pictures", "2"],
    "odam_chapters.errors.survey": ["--detectors", "fcos-scenes", "--number", "1"],
    "odam_chapters.odam_train.sweep": ["--pictures", "2"],
    "odam_chapters.judging.leaks": ["--number", "1"],
    "odam_chapters.judging.own_masks": ["--root", "absent"],
    "insertion_causes": ["absent"],
}
"""Commands whose first argument is the file to write, with other arguments."""
STORES = ("odam_lib.evaluation.command", "odam_chapters.crowds.results", "odam_chapters.errors.survey")


def refused(module: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing(module, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("case", ["a folder", "below a file", "a device", "of another run"])
def test_an_output_that_cannot_be_written(
    name: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module = tool(name) if name == "insertion_causes" else importlib.import_module(name)
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    path, sentence = {
        "a folder": (tmp_path / "a.csv", "is a folder or a device, not a file: give another path"),
        "below a file": (tmp_path / "file" / "a.csv", "cannot be written"),
        "a device": (Path("/dev/null"), "is a folder or a device, not a file: give another path"),
        "of another run": (tmp_path / f"b{'.sqlite' if name in STORES else '.csv'}", "Another run is writing"),
    }[case]
    arguments = [str(path), *FILES[name]]
    if name == "odam_sweep":
        arguments += ["--folder", str(tmp_path / "runs")]
    if case == "of another run":
        with owned(path):
            refused(module, arguments, monkeypatch)
    else:
        refused(module, arguments, monkeypatch)
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "in_the_way", ["runs/00_quickstart.ipynb", "notebooks/00_quickstart.ipynb", "notebooks/figures"]
)
def test_a_notebook_that_cannot_be_stored_is_not_run(
    in_the_way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module = tool("notebooks")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / in_the_way).parent.mkdir(parents=True)
    (tmp_path / in_the_way).touch() if in_the_way.endswith("figures") else (tmp_path / in_the_way).mkdir()
    refused(module, ["store", "--only", "00_quickstart"], monkeypatch)
    assert in_the_way.split("/")[-1] in capsys.readouterr().err
