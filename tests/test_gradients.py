"""The batched gradient against plain autograd, one call a prediction."""

import pytest
import torch

from odam_lib.detectors.base import TARGETS
from odam_lib.gradients import UnconnectedTargetError, exact


@pytest.mark.parametrize("attribute", TARGETS)
def test_all_at_once_equals_one_by_one(untrained, attribute: str) -> None:
    image = torch.rand(3, 150, 203, generator=torch.Generator().manual_seed(1))
    trace = untrained.trace(image)
    for level, features in enumerate(trace.features):
        rows = trace.candidates[trace.candidates.level == level]
        rows = rows[:: max(1, len(rows) // 6)]  # borders and corners included
        targets = trace.targets(attribute, rows)
        one_by_one = [torch.autograd.grad(target, features, retain_graph=True)[0][0] for target in targets]
        torch.testing.assert_close(exact(targets, features), torch.stack(one_by_one), rtol=1e-4, atol=1e-9)


def test_no_target_gives_no_gradient() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    assert exact(features.sum().reshape(1)[:0], features).shape == (0, 2, 3, 4)


def test_an_unconnected_target_is_an_error() -> None:
    features = torch.rand(1, 2, 3, 4, requires_grad=True)
    elsewhere = torch.rand(1, requires_grad=True)
    with pytest.raises(UnconnectedTargetError):
        exact(elsewhere * 2, features)
    with pytest.raises(UnconnectedTargetError):
        exact(torch.rand(1), features)
