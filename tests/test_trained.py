"""A detector that a user trained is taken, by the folder of its run, wherever a detector's name is."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from handmade_datasets import SIDE, write_json
from odam_chapters.crowds.results import CrowdResults, main as collect_crowds
from odam_chapters.crowds.rules import CLASSICAL, name_detectors
from odam_chapters.parameters import Loadable
from safetensors.torch import save_file
from torchvision.ops import box_iou

from odam_lib import load_detector
from odam_lib.cluster import measure_versions
from odam_lib.datasets.opening import open_dataset
from odam_lib.detectors.trained import describe_detector, read_run
from odam_lib.detectors.weights import halve, name_weights, read_card, save_weights
from odam_lib.detectors.zoo import ARCHITECTURES, build_detector
from odam_lib.evaluation.command import main as evaluate
from odam_lib.evaluation.rows import Evaluation
from odam_lib.files import data_root, sha256
from odam_lib.report import main as report
from odam_lib.row_store import read_store
from odam_lib.training.command import main as train
from odam_lib.training.runs import CHECKPOINT

FILE, CARD = "fcos-own.safetensors", "fcos-own.json"


def run(main: Callable, *arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["command", *map(str, arguments), "--device", "cpu"])
        main()


def train_in(place: Path, data: Path) -> None:
    few = ["--number", 2, "--batch-size", 1, "--epochs", 1, "--held-out", 1, "--learning-rate", 1e-6, "--size", SIDE]
    run(train, "--dataset", data / "people.json", "--output", place, "--start", "fcos-crowd", *few)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    write_json(place)
    return place


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps so small that what it starts from still finds people."""
    place = tmp_path_factory.mktemp("runs") / "mine"
    train_in(place, data)
    return place


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_it_finds_what_the_trained_model_finds(trained: Path, data: Path) -> None:
    kept = torch.load(trained / CHECKPOINT, weights_only=True)["model"]
    there = ARCHITECTURES["fcos"]("there", ("__background__", "person"))
    there.model.load_state_dict(kept)
    there.model.eval()
    image, _ = open_dataset(str(data / "people.json"))[0]
    in_memory = there.detect(image, 0.5)
    there.model.load_state_dict(halve(kept))
    written = there.detect(image, 0.05)
    for place in (trained, trained / FILE, str(trained), os.path.relpath(trained)):
        detector = load_detector(place, "cpu")
        found = detector.detect(image, 0.05)
        assert len(found) and detector.name == "mine/fcos-own" and detector.categories == there.categories
        assert torch.equal(found.boxes, written.boxes) and torch.equal(found.scores, written.scores)
        torch.testing.assert_close(found.boxes[: len(in_memory)], in_memory.boxes, rtol=0, atol=0.5)
        assert name_weights(detector) == read_card(trained / FILE)["sha256"] == sha256(trained / FILE)
    with torch.no_grad():
        next(detector.model.parameters()).flatten()[0] += 1
    assert len(name_weights(detector)) == 8


def test_its_rows_and_its_report_say_which_weights_they_are_of(trained: Path, data: Path, tmp_path: Path) -> None:
    path, own = tmp_path / "rows.sqlite", data / "held_out.json"
    quick = ["--methods", "ODAM", "--steps", 1, "--objects", 1, "--score-threshold", 0.3]
    for _ in range(2):  # the second goes on from it
        run(evaluate, path, "--detector", trained, "--dataset", own, *quick)
    assert len(Evaluation.load(path).rows) > 0
    with read_store(path, "odam_lib.evaluation") as kept:
        assert (kept.settings["detector"], kept.settings["weights"]) == ("mine/fcos-own", sha256(trained / FILE))
    run(report, "--detector", trained, "--dataset", own, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What does mine/fcos-own get wrong?" in page and str(trained) not in page
    assert load_detector(trained, "cpu").source(torch.zeros(3, 8, 8)).split()[2].rstrip(")") in page
    other = Path(shutil.copytree(trained, tmp_path / "mine"))
    detector = load_detector(other, "cpu")
    with torch.no_grad():
        detector.model.head.regression_head.bbox_reg.bias += 1
    about = {key: value for key, value in read_card(other / FILE).items() if key not in ("name", "sha256")}
    detector.name = "fcos-own"
    save_weights(detector, about, other)
    with pytest.raises(SystemExit):  # another run of the same name
        run(evaluate, path, "--detector", other, "--dataset", own, *quick)


def test_a_crowd_is_sifted(trained: Path, data: Path, tmp_path: Path) -> None:
    rows, bundle = tmp_path / "crowds.sqlite", tmp_path / "crowds.safetensors.xz"
    few = ["--dataset", data / "held_out.json", "--pictures", 1, "--detectors", trained, "fcos-crowd"]
    run(collect_crowds, rows, "--bundle", bundle, *few)
    found = CrowdResults.load(bundle)
    ours, theirs = (found.pictures(name, CLASSICAL)[0].boxes for name in ("mine/fcos-own", "fcos-crowd"))
    assert found.about["mine/fcos-own"]["versions"] == [{"detector": "mine/fcos-own", "sha256": sha256(trained / FILE)}]
    assert (box_iou(theirs, ours).amax(dim=1) > 0.9).float().mean() > 0.7  # it has hardly moved from there
    other = shutil.copytree(trained, tmp_path / "mine")
    with pytest.raises(ValueError, match="are both called mine/fcos-own: rename"):
        name_detectors([str(trained), str(other)])
    edit(other / CARD, categories=["__background__", "dog", "cat"])
    with pytest.raises(ValueError, match=r"mine finds dog, cat .*crowds are of people"):
        name_detectors([str(other)])


def test_a_training_starts_from_another_and_keeps_what_it_froze(trained: Path, data: Path, tmp_path: Path) -> None:
    few = ["--number", 2, "--batch-size", 1, "--epochs", 1, "--held-out", 1, "--size", SIDE]
    start = ["--start", trained, "--frozen", "backbone"]
    run(train, "--dataset", data / "people.json", "--output", tmp_path / "next", *start, *few)
    ours, theirs = (load_detector(place, "cpu").model.state_dict() for place in (tmp_path / "next", trained))
    same = {key for key in ours if torch.equal(ours[key], theirs[key])}
    assert {key for key in ours if key.startswith("backbone.")} <= same < ours.keys()


def test_the_same_command_mends_what_was_damaged_and_no_other_takes_its_place(
    copy: Path, data: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = sha256(copy / FILE)
    (copy / FILE).write_bytes(b"damaged")
    (copy / CARD).unlink()
    train_in(copy, data)
    assert sha256(copy / FILE) == whole and load_detector(copy, "cpu").name == "copy/fcos-own"
    (copy / CHECKPOINT).unlink()
    with pytest.raises(SystemExit):
        train_in(copy, data)
    assert (
        "fcos-own.safetensors is of an earlier training, whose checkpoint.pt is gone: choose" in capsys.readouterr().err
    )
    assert sha256(copy / FILE) == whole


def test_it_sees_pictures_and_scores_as_it_was_trained_to(copy: Path) -> None:
    detector = load_detector(copy, "cpu")
    model = detector.model
    model.transform.min_size, model.transform.image_mean = (128,), [0.5, 0.5, 0.5]
    model.score_thresh, model.detections_per_img = 0.4, 3
    detector.name = "fcos-own"
    save_weights(detector, describe_detector(detector, "fcos"), copy)
    again = load_detector(copy, "cpu").model
    assert again.transform.min_size == (128,) and again.transform.image_mean == [0.5, 0.5, 0.5]
    assert again.score_thresh == 0.4 and again.detections_per_img == 3


@pytest.mark.parametrize("architecture", ["faster-rcnn", "detr", "retinanet", "fcos-groupnorm"])
def test_every_architecture_comes_back(architecture: str, tmp_path: Path) -> None:
    made = ARCHITECTURES[architecture]("made", ("__background__", "dog", "cat"))
    made.model.eval()
    made.model.load_state_dict(halve(made.model.state_dict()))
    save_weights(made, describe_detector(made, architecture), tmp_path)
    loaded, image = load_detector(tmp_path, "cpu"), torch.rand(3, 64, 64)
    assert (loaded.categories, loaded.layers) == (made.categories, made.layers)
    assert loaded.detect(image, 0.0).source.endswith(made.detect(image, 0.0).source.split()[-1])
    assert torch.equal(loaded.detect(image, 0.0).scores, made.detect(image, 0.0).scores)


def test_what_half_precision_cannot_hold_is_kept_whole() -> None:
    state = {"large": torch.tensor([1e6, 1.0]), "small": torch.tensor([0.1]), "count": torch.tensor(70_000)}
    kept = halve(state)
    assert kept["large"].tolist() == [1e6, 1.0] and kept["small"].dtype == torch.float16 and kept["count"] == 70_000


def edit(card: Path, **changed: object) -> None:
    about = json.loads(card.read_text(encoding="utf-8")) | changed
    card.write_text(json.dumps({key: value for key, value in about.items() if value is not None}), encoding="utf-8")


def of_another_network(place: Path) -> None:
    save_file({"other": torch.zeros(3)}, place / FILE)
    edit(place / CARD, sha256=sha256(place / FILE))


def cut(place: Path) -> None:
    content = (place / FILE).read_bytes()
    (place / FILE).write_bytes(content[: len(content) // 2])


def setting(name: str, value: object) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        about: Mapping = json.loads((place / CARD).read_text(encoding="utf-8"))
        edit(place / CARD, inference=about["inference"] | {name: value})

    return change


def edited(**changed: object) -> Callable[[Path], None]:
    return lambda place: edit(place / CARD, **changed)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "not ended": (
        lambda place: (place / FILE).unlink(),
        "has not ended, there is a checkpoint and no weights: start it",
    ),
    "nothing": (shutil.rmtree, "There is no folder or file .*copy"),
    "empty": (
        lambda place: [path.unlink() for path in place.iterdir()],
        "There are no weights in .*copy: give a folder",
    ),
    "two": (
        lambda place: shutil.copy(place / FILE, place / "b.safetensors"),
        "several trainings .b.safetensors, fcos-own",
    ),
    "transformers": (lambda place: (place / "config.json").touch(), "model of transformers: give 'hf:.*copy'"),
    "cut off": (cut, r"fcos-own\.safetensors are damaged .*command of its training again"),
    "no tensors": (lambda place: (place / FILE).write_bytes(b"no tensors"), r"fcos-own\.safetensors are damaged"),
    "of another network": (of_another_network, r"fcos-own\.safetensors are those of another network: give the command"),
    "no card": (lambda place: (place / CARD).unlink(), r"fcos-own\.safetensors has no card fcos-own\.json beside it"),
    "no JSON": (
        lambda place: (place / CARD).write_bytes(b"\xff{"),
        r"fcos-own\.json is damaged, it holds no JSON: give",
    ),
    "newer": (edited(format=2, architecture={}), "is of the format 2, and this version of odam_lib knows 1: install"),
    "older": (edited(format=None), r"fcos-own\.json does not say 'format', as those of older versions"),
    "no settings": (edited(inference=None), r"fcos-own\.json does not say 'inference'"),
    "no hash": (edited(sha256=None), r"fcos-own\.json is damaged, 'sha256' is missing"),
    "categories": (edited(categories=["dog"]), r"fcos-own\.json is damaged, its categories are \['dog'\]"),
    "more categories": (edited(categories=["__background__", "a", "b"]), "are those of another network"),
    "architecture": (edited(architecture="swin"), "detector 'swin', which this version does not know: it knows fcos, "),
    "another architecture": (edited(architecture="detr"), "are those of another network"),
    "size": (setting("transform.min_size", 5), r"fcos-own\.json is damaged, its 'transform.min_size' cannot be 5"),
    "no size": (setting("transform.min_size", []), r"its 'transform.min_size' cannot be \[\]"),
    "threshold": (setting("score_thresh", 2), "its 'score_thresh' cannot be 2"),
    "half a detection": (setting("detections_per_img", 1.5), "its 'detections_per_img' cannot be 1.5"),
    "what it lacks": (setting("roi_heads.score_thresh", 0.5), "its 'roi_heads.score_thresh' cannot be 0.5"),
    "what nobody has": (setting("forward", 0.5), "its 'forward' cannot be 0.5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_ended_training_is_refused_in_one_sentence(case: str, copy: Path) -> None:
    spoil, said = REFUSED[case]
    spoil(copy)
    with pytest.raises((ValueError, FileNotFoundError), match=said) as refused:
        load_detector(copy, "cpu")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_none_of_weights_is_refused(copy: Path) -> None:
    with pytest.raises(ValueError, match=r"log\.csv is no file of weights"):
        load_detector(copy / "log.csv", "cpu")
    with pytest.raises(FileNotFoundError, match=r"There is no folder or file runs.absent"):
        load_detector("runs/absent", "cpu")
    with pytest.raises(ValueError, match=r"Unknown detector 'absent': .* or give the folder of a training"):
        load_detector("absent", "cpu")
    assert build_detector("fcos-scenes").file is None


def test_nodes_are_asked_for_the_file(copy: Path) -> None:
    file = str(read_run(copy).file)
    assert os.path.isabs(file) and measure_versions([file])[f"weights of {file}"] == sha256(copy / FILE)[:8]
    shutil.rmtree(copy)
    assert measure_versions([file])[f"weights of {file}"] == "missing"


def test_a_sweep_runs_again_what_was_trained_anew(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(data_root().parent / "tools")
    from sweeps.plan import plan, read_notebook

    notebook = read_notebook(data_root().parent / "notebooks" / "03_is_the_map_right.ipynb")

    def job() -> Any:
        (found,) = plan([notebook], [["DETECTOR", str(copy)]], {})
        return found

    before = job()
    assert before.weights == (str(copy / FILE),) and job().key == before.key
    detector = load_detector(copy, "cpu")
    with torch.no_grad():
        next(detector.model.parameters()).flatten()[0] += 1
    detector.name = "fcos-own"
    save_weights(detector, describe_detector(detector, "fcos"), copy)
    assert job().key != before.key


def test_a_notebook_takes_an_absolute_folder(copy: Path) -> None:
    Loadable()("DETECTOR", str(copy), {})
    with pytest.raises(ValueError, match=r"DETECTOR is 'runs/own': choose among .*the absolute path of a training"):
        Loadable()("DETECTOR", "runs/own", {})
    with pytest.raises(ValueError, match=r"choose among .*hf:NAME\.$"):
        Loadable(trained=False)("DETECTOR", str(copy), {})
    (copy / FILE).unlink()
    with pytest.raises(ValueError, match=r"^DETECTOR: The training in .*copy has not ended"):
        Loadable()("DETECTOR", str(copy), {})
