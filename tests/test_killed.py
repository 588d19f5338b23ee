"""Killed with -9 at any replacement of a file or end of a transaction and started again, a run ends as if undisturbed.

This file is also the program that is killed: it imports everything once, and forks a process for each kill.
"""

import hashlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WHOLE = "whole"


def evaluated(folder: Path, objects: int = 99) -> None:
    """Three pictures, two methods."""
    import torch
    from planted import BOXES, PlantedDetector, planted_image

    from odam_lib.evaluation.judges import Localization
    from odam_lib.evaluation.runs import evaluate
    from odam_lib.explainers.controls import BoxFill, RandomMap

    class Pictures:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, item: int) -> tuple[torch.Tensor, dict[str, Any]]:
            boxes = torch.tensor(BOXES[: 4 - item]).float()
            masks = torch.zeros(len(boxes), 96, 128, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
                mask[y1:y2, x1:x2] = True
            labels = torch.arange(1, 1 + len(boxes))
            return planted_image(), {"boxes": boxes, "labels": labels, "masks": masks, "image_id": item}

    methods = {"fill": BoxFill(), "noise": RandomMap()}
    evaluate(PlantedDetector(), Pictures(), methods, [Localization()], objects, path=folder / "rows.sqlite")


def read_evaluated(folder: Path) -> Any:
    from odam_lib.evaluation.rows import Evaluation

    found = Evaluation.load(next(folder.glob("rows.*[!n]")))  # not the JSON beside a CSV
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in found.rows]
    return str((rows, found.objects, found.undetected))


def begun(folder: Path) -> None:
    """Rows that are copied before the evaluation goes on from them, as a notebook does."""
    from odam_lib.evaluation.store import begin_with

    bundled = folder.parent / "bundled"
    if folder.name == WHOLE:
        evaluated(bundled, 3)
    begin_with(bundled / "rows.sqlite", folder / "rows.sqlite")
    evaluated(folder)


def written(folder: Path) -> None:
    """A CSV and a JSON of the rows, in place of older ones."""
    from odam_lib.evaluation.kept import write_csv
    from odam_lib.evaluation.store import read_rows

    finished = folder.parent / "finished"
    if folder.name == WHOLE:
        evaluated(finished)
    about, rows = read_rows(finished / "rows.sqlite")
    write_csv(about, rows, folder / "rows.csv.gz")


@dataclass
class Crowds:
    number: int
    categories = ("__background__", "person")

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, item: int) -> tuple[None, dict[str, Any]]:
        import torch

        boxes = torch.tensor([[0.0, 0, 10, 20 + item]])
        return None, {"boxes": boxes, "labels": torch.tensor([1]), "image_id": item}


def collected(folder: Path) -> None:
    """Results of two detectors on two crowds."""
    from odam_chapters.crowds import results as crowd_results

    from odam_lib.detections import Detections
    from odam_lib.kernels.nms import Kept

    def keep(detector: str, pictures: Any, used: Any, threshold: float) -> Iterator[Any]:
        import torch

        score, zero = torch.tensor([0.5 + 0.0625 * crowd_results.DETECTORS.index(detector)]), torch.tensor([0])
        for _, target in pictures:
            names = ("__background__", "person")
            found = Detections(
                target["boxes"], score, zero + 1, score.expand(1, 2), zero, zero, (64, 64), names, "here"
            )
            yield found, {name: Kept(zero, score) for name in used}, target

    stubs = {"open_from": lambda _, number: Crowds(number), "keep": keep, "load_detector": lambda name, device: name,
             "make_rules": lambda name: {"NMS": None}, "_versions": lambda name: [{"detector": name}]}  # fmt: skip
    with patch.multiple(crowd_results, **stubs):
        with patch.object(sys, "argv", ["crowd_results", str(folder / "results.sqlite"), "--pictures", "2",
                                                "--detectors", *crowd_results.DETECTORS[:2],
                                                "--bundle", str(folder / "results.safetensors.xz")]):  # fmt: skip
            crowd_results.main()


def read_collected(folder: Path) -> Any:
    from odam_chapters.crowds.results import CrowdResults

    found = CrowdResults.load(folder / "results.safetensors.xz")
    return str((found.truth, found.sifted, found.about))


def stored(folder: Path) -> None:
    """A notebook and its figure, in place of older ones."""
    import nbformat

    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    name = "00_quickstart"
    place, title = folder / "notebooks" / f"{name}.ipynb", folder / "notebooks" / "figures" / f"{name}.png"
    if not place.exists():
        title.parent.mkdir(parents=True)
        place.write_text("{}", encoding="utf-8")
        title.write_bytes(b"old")
    assert place.read_text(encoding="utf-8") == "{}" or nbformat.read(place, 4).cells[0].source == "new"
    assert title.read_bytes() == b"old" or Image.open(title).mode == "P"

    def run(source: Path, parameters: dict[str, object], output: Path) -> nbformat.NotebookNode:
        output.with_suffix("").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(output.with_suffix("") / f"{name}.png")
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("new", id="a")])

    with patch.multiple(tool, ROOT=folder, run=run), patch.object(sys, "argv", ["store", "store", "--only", name]):
        tool.main()


def read_stored(folder: Path) -> Any:
    return {str(path.relative_to(folder)): path.read_bytes().hex() for path in (folder / "notebooks").rglob("*.*")}


def trained(folder: Path) -> None:
    """Three checkpoints with their log."""
    import torch

    from odam_lib.training import DetectorSettings, runs

    settings = DetectorSettings(number=2, batch_size=1, epochs=2)
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    run = runs.Run(folder, settings)
    with run.own(), patch.object(runs, "LOG_EVERY", 1):
        for step in range(run.resume(model, optimizer), 3):
            optimizer.zero_grad()
            model(torch.ones(1, 1)).backward()
            optimizer.step()
            run.log(step, 0.1, {"loss": step / 7})
            run.save(step + 1, model, optimizer)


def read_trained(folder: Path) -> Any:
    import torch

    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return str((state["step"], state["model"], state["rows"], (folder / "log.csv").read_text(encoding="utf-8")))


def fetched(folder: Path) -> None:
    """A data set unpacked from an archive that is there."""
    from odam_lib.datasets import download

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("Images/1.jpg", b"picture")
    (folder / "archives").mkdir(exist_ok=True)
    (folder / "archives" / "all.zip").write_bytes(content.getvalue())
    known = download.Archive("none://all.zip", hashlib.sha256(content.getvalue()).hexdigest(), content.tell())
    with patch.dict(download.SOURCES, {"crowdhuman": download.Source((known,), ("Images",))}):
        download.fetch("crowdhuman", folder)


def read_fetched(folder: Path) -> Any:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("[!.]*"))


WORKS = {
    "evaluate": (evaluated, read_evaluated),
    "begin_with": (begun, read_evaluated),
    "write_csv": (written, read_evaluated),
    "crowd_results": (collected, read_collected),
    "notebooks.py store": (stored, read_stored),
    "training": (trained, read_trained),
    "fetch": (fetched, read_fetched),
}


def in_child(work: Callable[[], None]) -> int:
    """Do some work in a forked process; returns how it ended, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = io.StringIO()
    try:
        with redirect_stdout(told), redirect_stderr(told):
            work()
    except BaseException as error:
        print(f"{told.getvalue()}\n{error!r}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


@contextmanager
def deadly(call: int, after: bool) -> Iterator[None]:
    """Kill the process before or after the so-manieth replacement of a file or end of a transaction."""
    from odam_lib.row_store import RowStore

    calls = iter(range(10**6))

    def dying(do: Callable[..., None]) -> Callable[..., None]:
        def done(*arguments: Any) -> None:
            now = next(calls) == call
            if now and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            do(*arguments)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)

        return done

    with patch.object(os, "replace", dying(os.replace)), patch.object(RowStore, "_commit", dying(RowStore._commit)):
        yield


def killed_everywhere(work: Callable[[Path], None], read: Callable[[Path], Any], folder: Path) -> dict[str, Any]:
    """What an undisturbed run left; what those left that were killed and started again, and what of it is hidden."""
    (folder / WHOLE).mkdir(parents=True)
    assert in_child(lambda: work(folder / WHOLE)) == 0
    resumed, hidden, call, alive = [], [], 0, 0
    while not alive:
        for after in (False, True):
            place = folder / f"{call}-{after}"
            place.mkdir()

            def die(place: Path = place, death: Any = deadly(call, after)) -> None:
                with death:
                    work(place)

            if in_child(die) == 0:
                alive += 1
                continue
            assert in_child(lambda place=place: work(place)) == 0
            resumed.append(read(place))
            hidden += [str(path.relative_to(folder)) for path in place.rglob(".*") if work is not fetched]
            hidden += [str(path.relative_to(folder)) for path in place.rglob(".*.part*")]
        call += 1
    return {"whole": read(folder / WHOLE), "resumed": resumed, "hidden": hidden}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_replacement_and_started_again_it_ends_as_an_undisturbed_run(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    moments = {"evaluate": 5, "begin_with": 4, "write_csv": 2, "crowd_results": 6, "notebooks.py store": 2}
    moments |= {"training": 6, "fetch": 1}
    assert {name: len(one["resumed"]) // 2 for name, one in found.items()} == moments
    for name, one in found.items():
        assert one["resumed"] == [one["whole"]] * len(one["resumed"]), name
        assert not one["hidden"], name


if __name__ == "__main__":
    import jupyter_client.kernelspec  # noqa: F401  (what children would import again and again)
    import nbformat  # noqa: F401
    import odam_chapters.equations  # noqa: F401
    import torch

    import odam_lib.datasets.download
    import odam_lib.evaluation.runs
    import odam_lib.training  # noqa: F401

    torch.set_num_threads(1)
    slow = {"HTMLExporter": None, "IPythonRenderer": object, "MarkdownWithMath": object}  # to import, and not used
    for name in ("papermill", "nbconvert", "nbconvert.filters", "nbconvert.filters.markdown_mistune"):
        sys.modules[name] = SimpleNamespace(**slow)
    print(json.dumps({name: killed_everywhere(*of, Path(sys.argv[1]) / name) for name, of in WORKS.items()}))
