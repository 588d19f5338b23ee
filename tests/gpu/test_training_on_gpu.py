"""Training on an accelerator: the losses of the processor, half precision, resuming, processes that talk by nccl."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compared import DEVICE
from odam_chapters.costs.explaining import time_training_steps
from torch import Tensor
from torch.utils.data import Dataset

from odam_lib.detectors.zoo import ARCHITECTURES
from odam_lib.training import DetectorSettings, runs, train_detector
from odam_lib.training.distributed import processes, world_size
from odam_lib.training.runs import CHECKPOINT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
SMALL = DetectorSettings(
    dataset="crowd", number=8, epochs=2, batch_size=2, size=96, precision="float32", learning_rate=1e-4, odam_cap=10**4
)


class Couples(Dataset):
    """Eight pictures of two overlapping objects; reading one of them more often than allowed fails."""

    def __init__(self, reads: int = 10**9) -> None:
        self.reads = reads

    def __len__(self) -> int:
        return SMALL.number

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        self.reads -= 1
        if self.reads < 0:
            raise InterruptedError
        image = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(item))
        boxes = torch.tensor([[10.0, 20, 50, 70 + item], [20.0 + item, 20, 60, 70]])
        return image, {"boxes": boxes, "labels": torch.ones(2, dtype=torch.int64), "image_id": item}


def rows(settings: DetectorSettings, folder: Path, device: str = DEVICE) -> list[dict[str, float]]:
    """What a training logs at every step."""
    folder.mkdir(exist_ok=True)
    train_detector(settings, Couples(), folder, device, checkpoint_every=1, progress=False)
    return torch.load(folder / CHECKPOINT, weights_only=True)["rows"]


@pytest.fixture(autouse=True)
def every_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LOG_EVERY", 1)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name.count("_") == 0])
def test_first_losses_are_those_of_the_processor(name: str, tmp_path: Path) -> None:
    """Of Faster R-CNN, which samples at random, only that they are of the same size."""
    settings = replace(SMALL, detector=name, odam_weight=0.0 if name == "detr" else 0.5, epochs=1, number=8)
    ours, theirs = (rows(settings, tmp_path / device, device)[0] for device in (DEVICE, "cpu"))
    assert ours == pytest.approx(theirs, rel=0.5 if name == "faster-rcnn" else 1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["fcos", "fcos-groupnorm", "retinanet", "faster-rcnn", "detr"])
def test_in_half_precision_losses_are_nearly_the_same(name: str, tmp_path: Path) -> None:
    settings = replace(SMALL, detector=name, epochs=1)
    ours, theirs = (
        rows(replace(settings, precision=precision), tmp_path / precision)[0] for precision in ("bfloat16", "float32")
    )
    assert ours == pytest.approx(theirs, rel=0.3 if name == "faster-rcnn" else 0.05, abs=0.05)


def test_stopped_and_started_again_it_goes_on(tmp_path: Path) -> None:
    settings = replace(SMALL, odam_weight=0.5)
    whole = rows(settings, tmp_path / "whole")
    (tmp_path / "stopped").mkdir()
    with pytest.raises(InterruptedError):
        train_detector(
            settings,
            Couples(reads=settings.number + 12),
            tmp_path / "stopped",
            DEVICE,
            checkpoint_every=1,
            progress=False,
        )
    done = torch.load(tmp_path / "stopped" / CHECKPOINT, weights_only=True)["step"]
    resumed = rows(settings, tmp_path / "stopped")
    assert 0 < done < settings.steps == len(resumed)
    assert resumed[done] == pytest.approx(whole[done], rel=0.1)  # sums in no fixed order, enlarged by AdamW


@pytest.mark.parametrize("order", ["first", "second"])
def test_odam_train_steps_are_taken(order: str) -> None:
    steps = time_training_steps("fcos", 128, 2, 20, 1, device=DEVICE)
    assert steps.positives > 0 and steps.ratio(order) > 0


def together(folder: str) -> None:
    """What a process runs that torchrun started."""
    runs.LOG_EVERY = 1
    with processes(torch.device(DEVICE)) as device:
        assert torch.distributed.get_backend() == "nccl" and world_size() == 1
        rows(SMALL, Path(folder) / "together", str(device))


def test_one_process_that_talks_by_nccl_trains_as_one_alone(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", __file__, str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=200,
        encoding="utf-8",
    )
    assert ended.returncode == 0, ended.stderr
    ours = torch.load(tmp_path / "together" / CHECKPOINT, weights_only=True)["rows"]
    assert ours[0] == pytest.approx(rows(SMALL, tmp_path / "alone")[0], rel=1e-2)


if __name__ == "__main__":
    together(sys.argv[1])
