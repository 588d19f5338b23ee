"""Several processes, as torchrun starts them, that train as one process would on the same global batch."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

LOOK_EVERY = 0.5
"""Seconds between two looks at the launcher."""


@contextmanager
def processes(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one; they talk by nccl on CUDA, by gloo elsewhere.

    The process ends when torchrun is gone, even killed: without it nobody would end those that wait for each other.

    Yields:
        The device of this process: of several CUDA devices its own.

    Raises:
        RuntimeError: the others cannot be met, for instance since the port is in use.
    """
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:  # else the parent may be a shell that is left
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:  # PyTorch 2.6 gives a port in use no type of its own
        place = f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"
        raise RuntimeError(
            f"The processes cannot meet at {place} ({str(error).splitlines()[0]}): if another program uses that port, "
            "give a free one to torchrun by --master-port, or let it choose one by --standalone."
        ) from error
    try:
        yield device
    finally:
        # Until 2.8 gloo's destructor waits for its threads and lets no other run Python, which their last tensors need:
        # https://github.com/pytorch/pytorch/pull/154976
        time.sleep(0.5)
        dist.destroy_process_group()


def _end_with(launcher: int) -> None:
    """End this process once its parent is another one, which takes children over whose own parent is gone."""
    while os.getppid() == launcher:
        time.sleep(LOOK_EVERY)
    print("The launcher of this process is gone: it ends, too.", file=sys.stderr, flush=True)
    os._exit(1)


def rank() -> int:
    """The number of this process; 0 where it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Numbers added up over all processes; no gradient passes."""
    values = values.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def share_of_mean(divisor: int, device: torch.device) -> float:
    """The factor on a mean over ``divisor`` things here that makes the mean of all processes the common one."""
    if world_size() == 1:
        return 1.0
    everywhere = sum_over_processes(torch.tensor([float(divisor)], device=device)).item()
    return divisor * world_size() / max(1.0, everywhere)


def join_processes(model: nn.Module) -> nn.Module:
    """The model, where several processes train together in a wrapper that shares gradients, and its norms statistics.

    To be called before an optimiser is given the parameters, some of which it replaces.
    """
    if world_size() == 1:
        return model
    _synchronize_norms(model)
    device = next(model.parameters()).device
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm with the statistics of the batches of all processes (torch's own works on CUDA alone)."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return super().forward(inputs)
        numbers = inputs.new_tensor([inputs.numel() / inputs.shape[1]])
        sums = torch.cat([inputs.sum(dim=(0, 2, 3)), inputs.square().sum(dim=(0, 2, 3)), numbers])
        sums = all_reduce(sums)
        mean, squares = (sums[:-1] / sums[-1]).chunk(2)
        variance = (squares - mean.square()).clamp(min=0)
        with torch.no_grad():
            unbiased = variance * sums[-1] / (sums[-1] - 1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return inputs * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def _synchronize_norms(model: nn.Module) -> None:
    """Let every batch norm of a model share its statistics with the other processes."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                synced = SyncedBatchNorm2d(child.num_features, child.eps, child.momentum).to(child.weight.device)
                synced.load_state_dict(child.state_dict())
                synced.weight.requires_grad_(child.weight.requires_grad)
                synced.bias.requires_grad_(child.bias.requires_grad)
                setattr(module, name, synced.train(child.training))
