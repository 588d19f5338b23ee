"""Training: exact resumption, bad settings, bad losses, the schedule, half precision."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.datasets.cached import Cached
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import build_detector, load_detector
from odam_lib.training import CHECKPOINT, LOG, Settings, learning_rate, train

SMALL = Settings(number=8, epochs=3, batch_size=2, size=64, precision="float32")


class Dots(Dataset):
    """Eight pictures with one object each; killed or spoiled at a chosen item for the tests."""

    def __init__(self, spoiled: int | None = None) -> None:
        self.spoiled = spoiled

    def __len__(self) -> int:
        return SMALL.number

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(item))
        image[:, 20:40, 10 + item : 30 + item] = 0
        if item == self.spoiled:
            image[0, 0, 0] = float("nan")
        boxes = torch.tensor([[10.0 + item, 20.0, 30.0 + item, 40.0]])
        return image, {"boxes": boxes, "labels": torch.tensor([1 + item % 8]), "image_id": 100 + item}


def test_killed_and_started_again_it_ends_with_the_same_weights(tmp_path) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    program = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_training import Dots, SMALL
        from odam_lib.training import train

        class Deadly(Dots):
            reads = 0
            def __getitem__(self, item):
                self.reads += 1
                if self.reads == 14:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__getitem__(item)

        train(SMALL, Deadly(), Path({str(tmp_path / "killed")!r}), "cpu", checkpoint_every=2, progress=False)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    assert torch.load(tmp_path / "killed" / CHECKPOINT, weights_only=True)["step"] == 6
    resumed = train(SMALL, Dots(), tmp_path / "killed", "cpu", checkpoint_every=2, progress=False)
    whole = train(SMALL, Dots(), tmp_path / "whole", "cpu", checkpoint_every=100, progress=False)
    for ours, theirs in zip(resumed.model.state_dict().values(), whole.model.state_dict().values()):
        assert torch.equal(ours, theirs)
    assert (tmp_path / "killed" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_training_learns(tmp_path) -> None:
    settings = Settings(number=8, epochs=20, batch_size=4, precision="bfloat16", learning_rate=1e-3)
    train(settings, Dots(), tmp_path, "cpu", progress=False)
    rows = torch.load(tmp_path / CHECKPOINT, weights_only=True)["rows"]
    first, last = (
        sum(value for name, value in row.items() if "_" in name or name == "classification")
        for row in (rows[0], rows[-1])
    )
    assert last < 0.8 * first


def test_another_run_in_the_folder_is_refused_by_name(tmp_path) -> None:
    one_step = Settings(number=2, epochs=1, batch_size=2, precision="float32")

    class Two(Dots):
        def __len__(self) -> int:
            return 2

    train(one_step, Two(), tmp_path, "cpu", progress=False)
    other = Settings(number=2, epochs=1, batch_size=2, precision="float32", learning_rate=1.0)
    with pytest.raises(ValueError, match=r"another run \(learning_rate 0.002 instead of 1.0\)"):
        train(other, Two(), tmp_path, "cpu", progress=False)


def test_a_loss_that_is_not_finite_stops_with_the_images(tmp_path) -> None:
    with pytest.raises(FloatingPointError, match=r"images were .*103"):
        train(SMALL, Dots(spoiled=3), tmp_path, "cpu", progress=False)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1"),
        ({"number": 3}, "do not fill a batch"),
        ({"clip": 0.0}, "clip is 0"),
        ({"backbone_rate": -1.0}, "backbone_rate is -1"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_bad_settings_are_refused(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Settings(**settings)


def test_a_data_set_of_another_length_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="has 8 items, the settings say 16"):
        train(Settings(number=16), Dots(), tmp_path, "cpu")


def test_a_start_from_another_detector_takes_over_what_fits(tmp_path) -> None:
    """With a rate of almost nothing the shared parameters are still those of the start after training."""
    settings = replace(SMALL, detector="retinanet-scenes", start="fcos-scenes", epochs=1, learning_rate=1e-12)
    ours = train(settings, Dots(), tmp_path, "cpu", progress=False).model.state_dict()
    theirs = load_detector("fcos-scenes", "cpu").model.state_dict()
    kernels = [name for name in theirs if name.startswith("backbone.") and theirs[name].dim() == 4]
    assert len(kernels) > 20
    for name in kernels:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)


def test_the_backbone_learns_at_its_own_rate(tmp_path) -> None:
    settings = replace(SMALL, epochs=1, backbone_rate=1e-9)
    trained = dict(train(settings, Dots(), tmp_path, "cpu", progress=False).model.named_parameters())
    torch.manual_seed(settings.seed)
    moved = {
        name: float((trained[name] - start).abs().max())
        for name, start in build_detector(settings.detector).model.named_parameters()
    }
    assert max(value for name, value in moved.items() if name.startswith("backbone.")) < 1e-9
    assert min(value for name, value in moved.items() if name.endswith("conv.0.weight")) > 1e-6


def test_the_schedule_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [learning_rate(SMALL, step) for step in range(SMALL.steps)]
    assert max(rates) == pytest.approx(SMALL.learning_rate, rel=0.05)
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.1 * SMALL.learning_rate


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
