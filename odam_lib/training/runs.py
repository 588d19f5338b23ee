"""The files of a training: a checkpoint from which it goes on, and a log of its losses."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from torch import nn
from torch.optim import Optimizer

from odam_lib.detectors.trained import CHECKPOINT
from odam_lib.files import owned, user_path, write_rows
from odam_lib.sealed import load_sealed, save_sealed
from odam_lib.training.distributed import rank
from odam_lib.training.settings import TrainingSettings

LOG = "log.csv"
STATE = ("settings", "step", "rows", "seconds", "model", "optimizer")
"""What a checkpoint holds."""
LOG_EVERY = 10


class Run:
    """The files of one run: checkpoint and log.

    Args:
        folder: where they lie.
        settings: what decides the weights.
    """

    def __init__(self, folder: Path, settings: TrainingSettings) -> None:
        self.settings = settings
        self.checkpoint, self.csv = user_path(folder) / CHECKPOINT, user_path(folder) / LOG
        self.rows: list[dict[str, float]] = []
        self.seconds, self.since = 0.0, time.monotonic()

    def own(self) -> AbstractContextManager[None]:
        """No other run may write to the folder while this lasts; of several processes the first one writes."""
        return owned(self.checkpoint) if rank() == 0 else nullcontext()

    def resume(self, model: nn.Module, optimizer: Optimizer) -> int:
        """Load the last checkpoint if there is one; returns the number of steps done.

        Raises:
            ValueError: it is damaged, or of a run with other settings; names them.
        """
        if not self.checkpoint.exists():
            return 0
        state = load_sealed(self.checkpoint, STATE, next(model.parameters()).device)
        ours, theirs = asdict(self.settings), state["settings"]
        changed = [
            f"{name} {theirs.get(name)} instead of {ours.get(name)}"
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        ]
        if changed:
            raise ValueError(
                f"{self.checkpoint} is of another run ({'; '.join(changed)}): choose another folder or delete it."
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.rows, self.seconds = state["rows"], state["seconds"]
        if rank() == 0:
            write_rows(self.csv, self.rows)  # a run may have been stopped between its two files
        return state["step"]

    def save(self, step: int, model: nn.Module, optimizer: Optimizer) -> None:
        """Write what is needed to go on after so many steps, and the log; each whole or not at all."""
        self.seconds, self.since = self.seconds + time.monotonic() - self.since, time.monotonic()
        state = {"settings": asdict(self.settings), "step": step, "rows": self.rows, "seconds": self.seconds}
        save_sealed(state | {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, self.checkpoint)
        write_rows(self.csv, self.rows)

    def log(self, step: int, rate: float, losses: dict[str, float]) -> None:
        """Keep the losses of every tenth step for the log."""
        if step % LOG_EVERY == 0:
            self.rows.append({"step": step, "epoch": step / self.settings.steps_per_epoch, "lr": rate, **losses})


def read_hours(folder: Path) -> float:
    """How long a run has trained, by its checkpoint."""
    return round(load_sealed(folder / CHECKPOINT, STATE)["seconds"] / 3600, 2)
