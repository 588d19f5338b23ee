"""``python -m odam_lib.evaluation`` end to end on scenes written as files, and its errors."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade_pictures import on_disk

from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.export import export
from odam_lib.evaluation.command import main
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.store import read_rows

QUICK = ["--device", "cpu", "--methods", "ODAM", "--steps", "1", "--objects", "5"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenes as files, with other numbers than the detector's classes and one class that it does not know."""
    export(Scenes("val", 2), tmp_path, workers=0)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    last = len(content["categories"]) + 1
    for category in content["categories"]:
        category["id"] = last - category["id"]
    for annotation in content["annotations"]:
        annotation["category_id"] = last - annotation["category_id"]
    content["categories"].append({"id": 50, "name": "unicorn"})
    unicorn = {"image_id": content["images"][1]["id"], "category_id": 50, "bbox": [0, 0, 9, 9]}
    content["annotations"].append(unicorn | {"segmentation": [[0, 0, 9, 0, 9, 9]]})
    path.write_text(json.dumps(content), encoding="utf-8")
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    (tmp_path / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def rows(path: Path) -> list[dict[str, object]]:
    return [row | {"seconds": ""} for row in on_disk(path)]


def test_scenes_from_files_are_judged_as_scenes(folder: Path, capsys: pytest.CaptureFixture) -> None:
    own = ["--dataset", "coco", "--root", str(folder / "images"), "--annotations"]
    main([str(folder / "scenes.sqlite"), *QUICK])
    assert "Left out" not in capsys.readouterr().out
    main([str(folder / "whole.sqlite"), *QUICK, *own, str(folder / "annotations.json")])
    printed = capsys.readouterr().out
    assert "Left out: causes, all causes." in printed and "fcos-scenes cannot detect: unicorn" in printed
    main([str(folder / "bare.sqlite"), *QUICK, *own, str(folder / "boxes.json")])
    printed = capsys.readouterr().out
    assert "Left out: VEA, VEA best, pointing mask, energy mask, ODI mask" in printed and "boxes.json" in printed
    scenes, whole, boxes = (rows(folder / f"{name}.sqlite") for name in ("scenes", "whole", "bare"))
    assert len(scenes) >= 5 and len(scenes) == len(whole) == len(boxes)
    for known, row, box in zip(scenes, whole, boxes):
        assert set(box) < set(row) < set(known) and all(box[name] == row[name] for name in box)
        if row["image_id"] == scenes[0]["image_id"]:  # in the second picture the unicorn is another object
            assert all(row[name] == known[name] for name in row)
    found, true = Evaluation.load(folder / "whole.sqlite"), Evaluation.load(folder / "scenes.sqlite")
    assert (found.objects, found.undetected) == (true.objects + 1, true.undetected + 1)


def test_a_higher_threshold_leaves_more_undetected(folder: Path, capsys: pytest.CaptureFixture) -> None:
    counts = []
    for threshold in ("0.5", "1.0"):
        path = folder / f"{threshold}.sqlite"
        main([str(path), *QUICK, "--objects", "1", "--score-threshold", threshold, "--dataset", "coco",
              "--root", str(folder / "images"), "--annotations", str(folder / "boxes.json")])  # fmt: skip
        counts.append(len(rows(path)))
        assert read_rows(path)[0]["settings"]["score_threshold"] == float(threshold)
    assert counts[0] >= 1 and counts[1] == 0 and "0 of " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dataset", "pascal"], "Unknown data set 'pascal': choose one of scenes, coco"),
        (["--dataset", "coco", "--root", "absent"], "absent/annotations/instances_val2017.json is missing"),
        (["--dataset", "coco", "--annotations", "absent.json"], "There is no annotation file absent.json"),
        (["--dataset", "coco", "--setting", "crowd"], "The setting is 'crowd', but the data set 'coco' has none"),
        (["--root", "here"], "The data set 'scenes' is bundled"),
        (["--detector", "nobody"], "Unknown detector 'nobody'"),
        (["--objects", "0"], "give at least one method and one object"),
        (["--steps", "0"], "steps is 0"),
        (["--score-threshold", "2"], "score threshold is 2"),
        (["--layer", "nowhere"], "has no layer 'nowhere'"),
        (["--device", "tpu9"], "device 'tpu9' is not usable"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "rows.sqlite"), *QUICK, *arguments])
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and sentence in printed.splitlines()[-1] and "error: " in printed.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def unknown(content: dict) -> None:
    for category in content["categories"]:
        category["name"] += " of another kind"


def nameless(content: dict) -> None:
    content["categories"] = []


@pytest.mark.parametrize(
    ("edit", "sentence"), [(unknown, "The detector knows none of the data set's classes"), (nameless, "categories")]
)
def test_data_that_cannot_be_used_is_refused(
    folder: Path, edit: Callable[[dict], None], sentence: str, capsys: pytest.CaptureFixture
) -> None:
    content = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
    edit(content)
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    own = ["--dataset", "coco", "--root", str(folder / "images"), "--annotations", str(folder / "boxes.json")]
    with pytest.raises(SystemExit):
        main([str(folder / "rows.sqlite"), *QUICK, *own])
    assert sentence in capsys.readouterr().err and not (folder / "rows.sqlite").exists()


def test_the_module_runs_as_a_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "odam_lib.evaluation", "--help"],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert run.returncode == 0 and "--annotations" in run.stdout and "Warning" not in run.stderr
