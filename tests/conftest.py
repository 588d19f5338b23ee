"""Fixtures shared by the tests."""

import gc
import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from odam_lib import load_detector
from odam_lib.cluster import connect
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import build_detector

HELD_OUT = 60


def pytest_collection_finish() -> None:
    """Look for garbage among what the tests make alone: what was imported stays, and is millions of objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The bundled detector."""
    return load_detector("fcos-scenes", device="cpu")


@pytest.fixture(scope="session")
def untrained() -> Detector:
    """The same architecture with random weights large enough for its outputs to differ between places."""
    torch.manual_seed(0)
    built = build_detector("fcos-scenes")
    for module in built.model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return built


@pytest.fixture(scope="session")
def held_out() -> list[tuple[Tensor, dict]]:
    """Scenes that no bundled detector was trained on."""
    scenes = Scenes("val", HELD_OUT)
    return [scenes[item] for item in range(HELD_OUT)]


@pytest.fixture(scope="session")
def ray_here() -> Iterator[ModuleType]:
    """Ray on this machine with two CPUs, started once for all tests of a process; workers import what tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patch.setenv("RAY_worker_niceness", "0")  # else its workers stand back behind every other test
        with connect(cpus=2) as ray:
            yield ray
