"""Several processes train as one does on the same global batch; a port in use is named."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from odam_lib.training import DetectorSettings, runs, train_detector
from odam_lib.training.distributed import SyncedBatchNorm2d, processes, rank, sum_over_processes, world_size

STEPS = 4


class Couples(Dataset):
    """Eight pictures of two overlapping objects."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, item: int) -> tuple[Tensor, dict]:
        image = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(item))
        boxes = torch.tensor([[10.0, 20, 50, 70 + item], [20.0 + item, 20, 60, 70]])[: 1 + (item != 5)]
        return image, {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64), "image_id": item}


def trained(folder: str) -> None:
    settings = DetectorSettings(
        dataset="crowd",
        number=8,
        epochs=STEPS // 2,
        batch_size=4,
        precision="float32",
        learning_rate=1e-4,
        odam_weight=0.5,
        odam_cap=10**4,
    )
    train_detector(settings, Couples(), Path(folder), "cpu", progress=False)


def normed(folder: str) -> None:
    """Two processes with one half of a batch each: what goes out, and what comes back."""
    norm, inputs, weights = norm_and_batch(SyncedBatchNorm2d)
    mine = inputs[rank() :: world_size()].requires_grad_()
    ((norm(mine) * weights[rank() :: world_size()]).sum()).backward()
    kept = {"gradient": mine.grad, "weight": sum_over_processes(norm.weight.grad), "running": norm.running_var}
    torch.save(kept, Path(folder) / f"{rank()}.pt")


def both(folder: str) -> None:
    """What every process of :func:`together` runs; they meet once, for a second meeting at one port may fail."""
    with processes(torch.device("cpu")):
        normed(folder)
        trained(folder)


def waiting(folder: str) -> None:
    """The first process waits for the second one, which sleeps."""
    with processes(torch.device("cpu")):
        sum_over_processes(torch.zeros(1))
        (Path(folder) / str(os.getpid())).touch()
        if rank():
            time.sleep(600)
        sum_over_processes(torch.zeros(1))


def norm_and_batch(kind: type[nn.BatchNorm2d]) -> tuple[nn.BatchNorm2d, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = kind(3)
    nn.init.uniform_(norm.weight, 0.5, 2, generator=generator)
    return norm, torch.randn(6, 3, 5, 4, generator=generator) * 3 + 1, torch.randn(6, 3, 5, 4, generator=generator)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left; one start for all, for each imports everything."""
    folder = tmp_path_factory.mktemp("two")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *(__file__, "both", str(folder)),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        encoding="utf-8",
    )
    assert ended.returncode == 0, ended.stderr
    return folder


def losses(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open(encoding="utf-8") as opened:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(opened)]


def test_two_processes_have_the_losses_of_one(together: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runs, "LOG_EVERY", 1)
    trained(str(tmp_path))
    ours, theirs = losses(together), losses(tmp_path)
    assert len(ours) == STEPS and {"consistency", "separation"} <= set(ours[0])
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    for mine, other in zip(ours, theirs):  # AdamW enlarges what rounding does to small gradients
        assert mine == pytest.approx(other, rel=1e-2)


def test_a_shared_norm_is_the_norm_of_the_whole_batch(together: Path) -> None:
    norm, inputs, weights = norm_and_batch(nn.BatchNorm2d)
    inputs.requires_grad_()
    (norm(inputs) * weights).sum().backward()
    for number in range(2):
        kept = torch.load(together / f"{number}.pt")
        torch.testing.assert_close(kept["gradient"], inputs.grad[number::2], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(kept["weight"], norm.weight.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(kept["running"], norm.running_var)


def test_a_port_in_use_is_named(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ended = subprocess.run(
            [sys.executable, __file__, "both", str(tmp_path)],
            env=os.environ | alone,
            capture_output=True,
            text=True,
            timeout=120,
            encoding="utf-8",
        )
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: The processes cannot meet at 127.0.0.1:" + port) and "--master-port" in last


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_processes_end_when_torchrun_is_killed(tmp_path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    launcher = subprocess.Popen([*command, "waiting", str(tmp_path)], env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        ids = until(lambda: [int(path.name) for path in tmp_path.iterdir()], lambda found: len(found) == 2, 120)
        assert all(map(alive, ids))
    finally:
        launcher.kill()
        launcher.wait()
    try:
        until(lambda: [one for one in ids if alive(one)], lambda left: not left, 30)
    finally:
        for one in filter(alive, ids):
            os.kill(one, signal.SIGKILL)


def until(look: Callable[[], list[int]], right: Callable[[list[int]], bool], seconds: float) -> list[int]:
    """What one sees once it is right."""
    end = time.monotonic() + seconds
    while not right(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended may still be listed where nobody asks for its status."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z")


def test_alone_there_is_nothing_to_share() -> None:
    assert (rank(), world_size()) == (0, 1)
    assert sum_over_processes(torch.tensor([2.0])).tolist() == [2.0]


if __name__ == "__main__":
    runs.LOG_EVERY = 1
    {"both": both, "waiting": waiting}[sys.argv[1]](sys.argv[2])
