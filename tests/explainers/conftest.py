"""Pictures for methods of explanation."""

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def scene(held_out) -> Tensor:
    return held_out[0][0]
