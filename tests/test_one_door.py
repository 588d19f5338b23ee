"""Every command line takes every data set by the same words, and the same pictures give the same numbers by each."""

import json
import sys
from pathlib import Path

import pytest
from handmade_datasets import IGNORED, SIDE, WRITERS
from handmade_pictures import on_disk
from odam_chapters.crowds.results import CrowdResults, main as collect_crowds
from odam_chapters.crowds.rules import CLASSICAL

from odam_lib.evaluation.command import main as evaluate
from odam_lib.training.command import main as train

WORDS = {
    "scenes": "--dataset scenes --setting crowd",
    "crowd": "--dataset crowd",
    "coco": "--dataset coco --root {coco}",
    "coco by path": "--dataset {coco}",
    "voc": "--dataset voc --root {voc}",
    "voc by path": "--dataset {voc}",
    "crowdhuman": "--dataset crowdhuman --root {crowdhuman}",
    "crowdhuman by path": "--dataset {crowdhuman}",
    "json": "--dataset coco --annotations {json}/{part}.json",
    "json by path": "--dataset {json}/{part}.json",
    "yolo": "--dataset yolo --root {yolo}",
    "yolo by path": "--dataset {yolo}",
    "data.yaml": "--dataset {yolo}/data.yaml",
}
DRAWN = ("scenes", "crowd")
LABELS = ("yolo", "yolo by path", "data.yaml")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, write in WRITERS.items():
        made[name] = tmp_path_factory.mktemp(name)
        write(made[name])
    return made


def words(name: str, places: dict[str, Path], part: str = "held_out") -> list[str]:
    return [word.format(**places, part=part) for word in WORDS[name].split()]


def run(monkeypatch: pytest.MonkeyPatch, main, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments), "--device", "cpu"])
    main()


@pytest.fixture(scope="module")
def seen() -> dict[tuple, object]:
    """What came out by an earlier name of the same pictures."""
    return {}


@pytest.mark.parametrize("name", WORDS)
def test_a_picture_is_evaluated(
    name: str, places: dict[str, Path], seen: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.sqlite"
    quick = ["--detector", "fcos-crowd", "--methods", "ODAM", "--steps", "1", "--objects", "1"]
    run(monkeypatch, evaluate, path, *quick, *words(name, places))
    rows = [[row[key] for key in ("object", "score", "deletion", "energy box")] for row in on_disk(path)]
    assert rows and all(score > 0.5 for _, score, *_ in rows)
    assert rows == seen.setdefault(("rows", name in DRAWN), rows)


@pytest.mark.parametrize("name", WORDS)
def test_two_steps_are_trained(
    name: str, places: dict[str, Path], seen: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = ["--number", "2", "--batch-size", "1", "--epochs", "1", "--held-out", "1", "--size", str(SIDE)]
    run(monkeypatch, train, "--output", tmp_path, *quick, *words(name, places, "people"))
    (card,) = (json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json"))
    kind = WORDS[name].split()[1] if name != "scenes" else "crowd"
    assert card["name"] == f"fcos-{'own' if '{' in kind else kind}"
    # Neither the format nor the words matter to the weights, but the classes do.
    classes = tuple(card.get("categories", ("__background__", "person")))
    assert card["sha256"] == seen.setdefault(("weights", classes, name in DRAWN), card["sha256"])
    assert card["AP50"] == seen.setdefault(("AP50", classes, name in (*DRAWN, *LABELS)), card["AP50"])


@pytest.mark.parametrize("name", WORDS)
def test_a_crowd_is_sifted(
    name: str, places: dict[str, Path], seen: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    path, bundle = tmp_path / "crowds.sqlite", tmp_path / "crowds.safetensors.xz"
    few = ["--bundle", bundle, "--pictures", "1", "--detectors", "fcos-crowd-odam"]
    if name in LABELS:
        with pytest.raises(SystemExit):
            run(monkeypatch, collect_crowds, path, *few, *words(name, places))
        assert "cannot mark what is to be ignored, which measuring in crowds needs" in capsys.readouterr().err
        assert not path.exists()
        return
    run(monkeypatch, collect_crowds, path, *few, *words(name, places))
    (picture,) = CrowdResults.load(bundle).pictures("fcos-crowd-odam", CLASSICAL)
    kept = picture.boxes.tolist(), picture.scores.tolist(), picture.truth.tolist()
    assert all(map(len, kept)) and kept == seen.setdefault(("kept", name in DRAWN), kept)
    assert picture.ignored.tolist() == ([] if name in DRAWN else [IGNORED])
