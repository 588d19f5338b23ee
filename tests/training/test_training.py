"""Training: exact resumption, bad settings, bad losses, the schedule, half precision."""

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.cached import Cached
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.export import export
from odam_lib.detectors.weights import read_card, save_weights
from odam_lib.detectors.zoo import build_detector, load_detector
from odam_lib.files import data_root
from odam_lib.training import DetectorSettings, detector as training, train_detector
from odam_lib.training.command import main
from odam_lib.training.loop import anneal
from odam_lib.training.runs import CHECKPOINT, LOG

SMALL = DetectorSettings(number=8, epochs=3, batch_size=2, size=64, precision="float32")


class Dots(Dataset):
    """Eight pictures with one object each; killed, or spoiled at a chosen item at the second look, for the tests."""

    def __init__(self, spoiled: int | None = None) -> None:
        self.spoiled = spoiled
        self.seen: set[int] = set()

    def __len__(self) -> int:
        return SMALL.number

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(item))
        image[:, 20:40, 10 + item : 30 + item] = 0
        if item == self.spoiled and item in self.seen:
            image[0, 0, 0] = float("nan")
        self.seen.add(item)
        boxes = torch.tensor([[10.0 + item, 20.0, 30.0 + item, 40.0]])
        return image, {"boxes": boxes, "labels": torch.tensor([1 + item % 8]), "image_id": 100 + item}


def test_of_two_runs_in_one_folder_the_second_stops(tmp_path) -> None:
    others = [SMALL, replace(SMALL, seed=1)]

    class Meanwhile(Dots):
        def __getitem__(self, item: int) -> tuple[Tensor, dict]:
            while (tmp_path / CHECKPOINT).exists() and others:
                with pytest.raises(BlockingIOError, match=r"Another run is writing .*checkpoint\.pt: wait until"):
                    train_detector(others.pop(), Dots(), tmp_path, "cpu", progress=False)
            return super().__getitem__(item)

    train_detector(SMALL, Meanwhile(), tmp_path, "cpu", checkpoint_every=2, progress=False)
    assert not others


def test_a_data_set_is_drawn_by_one_run_and_a_stopped_one_leaves_nothing(tmp_path) -> None:
    path, drawn = tmp_path / "dots.pt", []

    class Meanwhile(Dots):
        def __getitem__(self, item: int) -> tuple[Tensor, dict]:
            if not drawn:
                drawn.append(item)
                with pytest.raises(BlockingIOError, match=r"Another run is writing .*dots\.pt"):
                    Cached(Dots(), path, workers=0)
            return super().__getitem__(item)

    assert len(Cached(Meanwhile(), path, workers=0)) == 8 and drawn
    assert [each.name for each in tmp_path.iterdir()] == ["dots.pt"]


def test_killed_and_started_again_it_ends_with_the_same_weights(tmp_path) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    program = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_training import Dots, SMALL
        from odam_lib.training import train_detector

        class Deadly(Dots):
            reads = 0
            def __getitem__(self, item):
                self.reads += 1
                if self.reads == 22:  # each is looked at once before the first step
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__getitem__(item)

        train_detector(SMALL, Deadly(), Path({str(tmp_path / "killed")!r}), "cpu", checkpoint_every=2, progress=False)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    assert torch.load(tmp_path / "killed" / CHECKPOINT, weights_only=True)["step"] == 6
    resumed = train_detector(SMALL, Dots(), tmp_path / "killed", "cpu", checkpoint_every=2, progress=False)
    whole = train_detector(SMALL, Dots(), tmp_path / "whole", "cpu", checkpoint_every=100, progress=False)
    for ours, theirs in zip(resumed.model.state_dict().values(), whole.model.state_dict().values()):
        assert torch.equal(ours, theirs)
    assert (tmp_path / "killed" / LOG).read_text(encoding="utf-8") == (tmp_path / "whole" / LOG).read_text(
        encoding="utf-8"
    )


def test_training_learns(tmp_path) -> None:
    settings = DetectorSettings(number=8, epochs=12, batch_size=4, precision="bfloat16", learning_rate=1e-3)
    train_detector(settings, Dots(), tmp_path, "cpu", progress=False)
    rows = torch.load(tmp_path / CHECKPOINT, weights_only=True)["rows"]
    first, last = (
        sum(value for name, value in row.items() if "_" in name or name == "classification")
        for row in (rows[0], rows[-1])
    )
    assert last < 0.8 * first


def test_another_run_in_the_folder_is_refused_by_name(tmp_path) -> None:
    one_step = DetectorSettings(number=2, epochs=1, batch_size=2, precision="float32")

    class Two(Dots):
        def __len__(self) -> int:
            return 2

    train_detector(one_step, Two(), tmp_path, "cpu", progress=False)
    other = DetectorSettings(number=2, epochs=1, batch_size=2, precision="float32", learning_rate=1.0)
    with pytest.raises(ValueError, match=r"another run \(learning_rate 0.002 instead of 1.0\)"):
        train_detector(other, Two(), tmp_path, "cpu", progress=False)


def test_a_loss_that_is_not_finite_stops_with_the_images(tmp_path) -> None:
    with pytest.raises(FloatingPointError, match=r"images were .*103"):
        train_detector(SMALL, Dots(spoiled=3), tmp_path, "cpu", progress=False)


def test_a_gradient_that_is_not_finite_stops_before_the_weights_take_it(tmp_path, monkeypatch) -> None:
    def endless(parameters: list, largest: float) -> Tensor:
        return torch.tensor(float("inf"))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", endless)
    with pytest.raises(FloatingPointError, match=r"at step 0 \(norm of the gradient inf\); the images were 10"):
        train_detector(SMALL, Dots(), tmp_path, "cpu", checkpoint_every=1, progress=False)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1"),
        ({"number": 3}, "do not fill a batch"),
        ({"clip": 0.0}, "clip is 0"),
        ({"backbone_rate": -1.0}, "backbone_rate is -1"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"detector": "yolo"}, "detector is 'yolo': choose among fcos, "),
        ({"dataset": "town"}, "dataset is 'town': choose among mixed, "),
        ({"odam_weight": -0.5}, "odam_weight is -0.5"),
        ({"odam_weight": float("nan")}, "odam_weight is nan"),
        ({"odam_from": 1.0}, "odam_from is 1.0"),
        ({"odam_from": 0.5, "odam_until": 0.5}, "odam_until is 0.5"),
        ({"odam_order": "third"}, "order is 'third'"),
        ({"accumulate": 3}, "16 cannot be taken in 3 equal parts"),
        ({"frozen": "backbone.stem"}, "backbone.stem would stay at random weights"),
    ],
)
def test_bad_settings_are_refused(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        DetectorSettings(**settings)


def test_a_data_set_of_another_length_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="has 8 items, the settings say 16"):
        train_detector(DetectorSettings(number=16), Dots(), tmp_path, "cpu")


def test_a_data_set_without_boxes_is_refused(tmp_path) -> None:
    class Empty(Dots):
        def __getitem__(self, item: int) -> tuple[Tensor, dict]:
            image, target = super().__getitem__(item)
            return image, target | {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}

    with pytest.raises(ValueError, match="No picture of the data set has a box"):
        train_detector(SMALL, Empty(), tmp_path, "cpu", progress=False)


class Wrong(Dots):
    """The last picture, 107, has its image or its target edited."""

    def __init__(self, edit: Callable[[Tensor, dict], tuple]) -> None:
        super().__init__()
        self.edit = edit

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        image, target = super().__getitem__(item)
        return self.edit(image, target) if item + 1 == len(self) else (image, target)


def box(*edges: float) -> Callable[[Tensor, dict], tuple]:
    return lambda image, target: (image, target | {"boxes": torch.tensor([edges], dtype=torch.float32)})


def labels(*values: float) -> Callable[[Tensor, dict], tuple]:
    return lambda image, target: (image, target | {"labels": torch.tensor(values)})


@pytest.mark.parametrize("detector", ["fcos", "retinanet", "faster-rcnn", "detr"])
@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (labels(9), r"107 .* an object of the label 9 \(box 17, 20, 37, 40\), and labels go from 1 \(person\) to 8"),
        (labels(0), r"107 .* an object of the label 0 .*, 0 being the background"),
        (labels(-1), "107 .* an object of the label -1"),
        (labels(1, 2), r"107 .* as labels a torch.int64 \[2\], no tensor \[1\]"),
        (labels(1.0), "107 .* as labels a torch.float32"),
        (box(17, 20, 17, 40), "107 .* has the box 17, 20, 17, 40, which has no width or no height"),
        (box(17, 20, 37, 20.001), "107 .* has the box 17, 20, 37, 20.001, which has no width or no height"),
        (box(37.5, 20, 17, 40), "107 .* has the box 37.5, 20, 17, 40, whose corners are swapped"),
        (box(17, float("nan"), 37, 40), "107 .* has the box 17, nan, 37, 40, whose numbers are not finite"),
        (box(17, 20, float("inf"), 40), "107 .* has the box 17, 20, inf, 40, whose numbers are not finite"),
        (box(117, 20, 137, 40), "107 .* has the box 117, 20, 137, 40, outside its 64 x 64 pixels"),
        (box(0, 0, 1e9, 1e9), "107 .* has the box .*, outside its 64 x 64 pixels"),
        (lambda image, target: (image, target | {"boxes": target["boxes"].double()}), "107 .* boxes a torch.float64"),
        (lambda image, target: (image, target | {"boxes": torch.zeros(0)}), "107 .* as boxes a torch.float32 .0., no"),
        (lambda image, target: (image * 255, target), r"107 .* The image's values span \[0, 25"),
        (lambda image, target: ((image * 255).byte(), target), "107 .* The image is .*uint8"),
        (lambda image, target: (image * float("nan"), target), "107 .*(NaN|nan)"),
        (lambda image, target: (image.double(), target), "107 .* image a torch.float64"),
        (lambda image, target: (image[:1], target), r"107 .* shape \[1, 64, 64\]"),
        (lambda image, target: (image, {"boxes": target["boxes"]}), "Item 7 .*KeyError: 'labels'"),
        (lambda image, target: image, "Item 7 of the data set is no pair"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_the_first_step_by_every_detector_alike(
    detector: str, edit: Callable, sentence: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(training.ARCHITECTURES, detector, lambda *_: pytest.fail("the detector was made"))
    with pytest.raises((TypeError, ValueError), match=sentence):
        train_detector(replace(SMALL, detector=detector), Wrong(edit), tmp_path, "cpu", progress=False)
    assert not list(tmp_path.iterdir())


def test_a_data_set_whose_labels_mean_something_else_is_refused(tmp_path) -> None:
    dots = Dots()
    dots.categories = ("__background__", "dog", "person")
    with pytest.raises(ValueError, match="The label 1 is 'dog' in the data set and 'person' to the detector"):
        train_detector(SMALL, dots, tmp_path, "cpu", progress=False)


def test_pictures_out_of_range_are_refused_before_they_are_kept_as_bytes(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"Picture 107 .* The image's values span \[0, 25"):
        Cached(Wrong(lambda image, target: (image * 255, target)), tmp_path / "kept.pt", workers=0)
    assert not list(tmp_path.iterdir())


class Couples(Dots):
    """Two overlapping objects, none in every other picture."""

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        image, target = super().__getitem__(item)
        boxes = torch.cat([target["boxes"], target["boxes"] + 4])[: 2 * (item % 2)]
        return image, target | {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)}


@pytest.mark.parametrize("name", ["fcos", "faster-rcnn"])
def test_odam_train_lowers_its_losses(name: str, tmp_path) -> None:
    """On the same pictures, with batches that hold background alone, and more than without it."""
    rows = {}
    for weight in (1e-9, 5.0):
        settings = replace(
            SMALL,
            detector=name,
            dataset="crowd",
            epochs=8,
            odam_weight=weight,
            learning_rate=3e-4,
            odam_negatives="all",
        )
        folder = tmp_path / str(weight)
        folder.mkdir()
        train_detector(settings, Couples(), folder, "cpu", progress=False)
        kept = torch.load(folder / CHECKPOINT, weights_only=True)["rows"]
        rows[weight] = sum(row["consistency"] + row["separation"] for row in kept[-3:]) / weight
    assert rows[5.0] < 0.8 * rows[1e-9]


def test_odam_train_may_begin_later_and_end_earlier(tmp_path) -> None:
    # A seed whose first batch holds an object, for only the first and the last steps are logged.
    settings = replace(SMALL, dataset="crowd", odam_weight=1.0, odam_from=0.5, learning_rate=1e-4, seed=2)
    plain = replace(settings, odam_weight=0.0, odam_from=0.0)
    rows = []
    for number, each in enumerate((settings, plain, replace(settings, odam_from=0.0, odam_until=0.5))):
        folder = tmp_path / str(number)
        folder.mkdir()
        train_detector(each, Couples(), folder, "cpu", progress=False)
        rows.append(torch.load(folder / CHECKPOINT, weights_only=True)["rows"])
    first, last = rows[0][0], rows[0][-1]
    assert (first["consistency"], first["separation"]) == (0, 0) and last["consistency"] > 0
    assert {name: first[name] for name in rows[1][0]} == rows[1][0]
    early, late = rows[2][0], rows[2][-1]
    assert early["consistency"] > 0 and (late["consistency"], late["separation"]) == (0, 0)


def test_a_step_in_parts_has_the_mean_of_their_losses(tmp_path) -> None:
    logged = {}
    for parts in (1, 2):
        settings = replace(SMALL, accumulate=parts, start="fcos-scenes", frozen="backbone", epochs=1, batch_size=8)
        folder = tmp_path / str(parts)
        folder.mkdir()
        train_detector(settings, Dots(), folder, "cpu", progress=False)
        logged[parts] = torch.load(folder / CHECKPOINT, weights_only=True)["rows"][0]
    # The parts of FCOS's losses are divided by their own positives, hence no equality to the last digit.
    assert logged[2] == pytest.approx(logged[1], rel=0.05) and logged[2]["classification"] > 0


def test_frozen_modules_stay_and_are_read_from_their_detector(tmp_path, monkeypatch) -> None:
    settings = replace(SMALL, start="fcos-scenes", frozen="backbone.stem,backbone.stages.stage1", epochs=1)
    trained = train_detector(settings, Dots(), tmp_path, "cpu", progress=False)
    start = load_detector("fcos-scenes", "cpu").model.state_dict()
    same = {name for name, value in trained.model.state_dict().items() if torch.equal(value, start[name])}
    assert {name for name in start if name.startswith(("backbone.stem.", "backbone.stages.stage1."))} <= same
    assert not any(name.startswith(("backbone.stages.stage2.0.body.0", "head.")) for name in same)
    (tmp_path / "weights").mkdir()
    for file in (data_root() / "weights").glob("fcos-scenes.*"):
        shutil.copy(file, tmp_path / "weights")
    trained.name = "fcos-crowd"
    trained.model.head.classification_head = build_detector("fcos-crowd").model.head.classification_head
    path = save_weights(trained, {}, tmp_path / "weights", settings.start, settings.frozen_modules)
    assert path.stat().st_size < 0.95 * (tmp_path / "weights" / "fcos-scenes.safetensors").stat().st_size
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    loaded = load_detector("fcos-crowd", "cpu").model.state_dict()
    for name, value in trained.model.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-3)
    card = tmp_path / "weights" / "fcos-crowd.json"
    card.write_text(
        card.read_text(encoding="utf-8").replace(read_card("fcos-scenes")["sha256"], "0" * 64), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="go with others of fcos-scenes"):
        load_detector("fcos-crowd", "cpu")


def test_an_interrupted_checkpoint_leaves_the_one_before(tmp_path, monkeypatch) -> None:
    written = torch.save
    calls = []

    def broken(state: dict, path: Path) -> None:
        calls.append(state["step"])
        written(state, path)
        if len(calls) == 2:
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="no space left"):
        train_detector(SMALL, Dots(), tmp_path, "cpu", checkpoint_every=2, progress=False)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 2
    assert not [path for path in tmp_path.iterdir() if path.name not in (CHECKPOINT, LOG)]
    monkeypatch.setattr(torch, "save", written)
    train_detector(SMALL, Dots(), tmp_path, "cpu", progress=False)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == SMALL.steps


def test_another_architecture_in_the_folder_is_refused_by_name(tmp_path) -> None:
    train_detector(replace(SMALL, epochs=1), Dots(), tmp_path, "cpu", progress=False)
    with pytest.raises(ValueError, match=r"another run \(detector fcos instead of retinanet\)"):
        train_detector(replace(SMALL, epochs=1, detector="retinanet"), Dots(), tmp_path, "cpu", progress=False)


def test_a_start_from_another_detector_takes_over_what_fits(tmp_path) -> None:
    """With a rate of almost nothing the shared parameters are still those of the start after training."""
    settings = replace(SMALL, detector="retinanet", start="fcos-scenes", epochs=1, learning_rate=1e-12)
    ours = train_detector(settings, Dots(), tmp_path, "cpu", progress=False).model.state_dict()
    theirs = load_detector("fcos-scenes", "cpu").model.state_dict()
    kernels = [name for name in theirs if name.startswith("backbone.") and theirs[name].dim() == 4]
    assert len(kernels) > 20
    for name in kernels:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)


def test_the_backbone_learns_at_its_own_rate(tmp_path) -> None:
    settings = replace(SMALL, epochs=1, backbone_rate=1e-9)
    trained = dict(train_detector(settings, Dots(), tmp_path, "cpu", progress=False).model.named_parameters())
    torch.manual_seed(settings.seed)
    moved = {
        name: float((trained[name] - start).abs().max())
        for name, start in build_detector(settings.name).model.named_parameters()
    }
    assert max(value for name, value in moved.items() if name.startswith("backbone.")) < 1e-9
    assert min(value for name, value in moved.items() if name.endswith("conv.0.weight")) > 1e-6


def test_the_schedule_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [SMALL.learning_rate * anneal(SMALL.steps, step) for step in range(SMALL.steps)]
    assert max(rates) == pytest.approx(SMALL.learning_rate, rel=0.05)
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.1 * SMALL.learning_rate


def test_every_step_has_the_rate_of_the_schedule_also_after_an_interruption(tmp_path, monkeypatch) -> None:
    """Each group its own; ``torch``'s schedule knows only the number of the step."""
    seen = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW) -> None:
        seen.append([group["lr"] for group in self.param_groups])
        if len(seen) == 9:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    settings = replace(SMALL, backbone_rate=0.5)
    with pytest.raises(KeyboardInterrupt):
        train_detector(settings, Dots(), tmp_path, "cpu", checkpoint_every=4, progress=False)
    assert len(seen) == 9
    train_detector(settings, Dots(), tmp_path, "cpu", progress=False)
    for number, rates in zip((*range(9), *range(8, settings.steps)), seen, strict=True):
        peaks = torch.tensor([0.5, 1, 0.5, 1]) * settings.learning_rate  # kernels, then biases; first of the backbone
        assert rates == pytest.approx((peaks * anneal(settings.steps, number)).tolist(), rel=1e-6), number


def test_the_schedule_by_hand() -> None:
    assert [anneal(40, step) for step in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert anneal(40, 4) == 1 and anneal(40, 22) == pytest.approx(0.5) and anneal(40, 40) == pytest.approx(0)
    assert anneal(1, 0) == 1


def test_the_cache_returns_what_it_was_filled_with(tmp_path) -> None:
    scenes = Scenes("train", 3, size=64)
    for _ in range(2):  # filled, then read
        cached = Cached(scenes, tmp_path / "scenes.pt", workers=0)
        for item in range(3):
            (ours, target), (theirs, truth) = cached[item], scenes[item]
            torch.testing.assert_close(ours, theirs)
            assert torch.equal(target["boxes"], truth["boxes"]) and torch.equal(target["labels"], truth["labels"])
    with pytest.raises(ValueError, match="holds 3 items, the data set has 4"):
        Cached(Scenes("train", 4, size=64), tmp_path / "scenes.pt")


def command_line(monkeypatch, folder: Path, *words: str) -> dict:
    """Run ``python -m odam_lib.training`` and read the card that it leaves."""
    monkeypatch.setattr(sys, "argv", ["training", "--output", str(folder), "--device", "cpu", *words])
    main()
    (card,) = folder.glob("*.json")
    return json.loads(card.read_text(encoding="utf-8"))


def test_the_card_tells_how_to_train_the_same_weights(tmp_path, monkeypatch) -> None:
    words = "--detector fcos --dataset crowd --start fcos-scenes --frozen backbone --number 4 --batch-size 2 --epochs 1"
    (tmp_path / "first").mkdir()
    card = command_line(monkeypatch, tmp_path / "first", *words.split(), "--odam-weight", "0.5", "--held-out", "2")
    assert card["name"] == "fcos-crowd-odam" and card["shares"]["modules"] == ["backbone"]
    program, _, module, *again = card["command"].split()
    assert (program, module) == ("python", "odam_lib.training")
    (tmp_path / "second").mkdir()
    other = command_line(monkeypatch, tmp_path / "second", *again, "--held-out", "2")
    assert other["sha256"] == card["sha256"] and {"AP50", "parameters", "hours", "seed"} <= card.keys()


def test_training_on_crowdhuman_by_path(tmp_path, monkeypatch) -> None:
    (tmp_path / "people").mkdir()
    for split in ("train", "val"):
        export(Scenes(split, 2, "crowd", 96), tmp_path / "people", workers=0)
        (tmp_path / "people" / "annotations.odgt").rename(tmp_path / "people" / f"annotation_{split}.odgt")
        shutil.copytree(tmp_path / "people" / "images", tmp_path / "people" / "Images", dirs_exist_ok=True)
    words = f"--dataset crowdhuman --root {tmp_path / 'people'} --number 2 --batch-size 2 --epochs 1 --held-out 1"
    (tmp_path / "run").mkdir()
    card = command_line(monkeypatch, tmp_path / "run", *words.split(), "--odam-weight", "1")
    assert card["name"] == "fcos-crowdhuman-odam" and card["data"] == "2 pictures of CrowdHuman"
    with pytest.raises(SystemExit):
        command_line(monkeypatch, tmp_path / "run", *words.replace("--number 2", "--number 3").split())


def test_a_bad_argument_is_told_before_any_work(tmp_path, monkeypatch, capsys) -> None:
    for words, sentence in (
        ("--odam-weight -1", "odam_weight is -1.0"),
        ("--dataset crowdhuman --root /nowhere", "/nowhere"),
        ("--batch-size 0", "batch_size is 0"),
    ):
        with pytest.raises(SystemExit):
            command_line(monkeypatch, tmp_path / "new", *words.split())
        assert sentence in capsys.readouterr().err
    with pytest.raises(NotImplementedError, match="cannot be trained by Odam-Train"):
        train_detector(replace(SMALL, detector="detr", odam_weight=1.0), Dots(), tmp_path, "cpu", progress=False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_an_accelerator_the_first_losses_are_those_of_the_processor(tmp_path) -> None:
    logged = []
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        folder.mkdir()
        settings = replace(SMALL, dataset="crowd", start="fcos-scenes", epochs=1, odam_weight=1.0)
        train_detector(settings, Couples(), folder, device, progress=False)
        logged.append(torch.load(folder / CHECKPOINT, weights_only=True)["rows"][0])
    assert logged[1] == pytest.approx(logged[0], rel=1e-2)


def test_a_trained_detector_is_as_one_that_was_loaded(tmp_path) -> None:
    """Nothing that training put into the modules stays there: maps on windows would not trust them."""
    trained = train_detector(replace(SMALL, epochs=1, precision="bfloat16"), Dots(), tmp_path, "cpu", progress=False)
    assert not any("forward" in vars(module) or module._forward_hooks for module in trained.model.modules())
    assert trained.trace(Dots()[0][0]).windows
