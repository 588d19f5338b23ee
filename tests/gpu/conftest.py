"""What runs on an accelerator against the processor: compared in true float32."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "detectors"))  # small models of every family


@pytest.fixture(autouse=True)
def true_float32() -> Iterator[None]:
    """Without TF32, which keeps three digits of a product."""
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    yield
    for switch, allowed in zip(switches, before):
        switch.allow_tf32 = allowed
