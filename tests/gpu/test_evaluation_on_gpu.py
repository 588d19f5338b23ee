"""The metrics of maps that lie on an accelerator, of pictures and truths that do not."""

import pytest
import torch
from compared import DEVICE

from odam_lib import ODAM, load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.evaluation.runs import evaluate
from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.d_close import DCLOSE
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.smooth_grad import SmoothGrad

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
SLOW = {
    "D-RISE": DRISE(masks=16, cells=8),
    "D-CLOSE": DCLOSE(masks=10),
    "BBAM": BBAM(iterations=3),
    "SmoothGrad": SmoothGrad(samples=2),
}


def rows_on(device: str, methods: dict) -> list[dict]:
    found = evaluate(load_detector("fcos-scenes", device), Scenes("val", 1), methods, objects=1)
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found.rows]


def test_every_metric_is_that_of_the_processor() -> None:
    ours, theirs = (rows_on(device, {"ODAM": ODAM()}) for device in (DEVICE, "cpu"))
    assert len(ours) == len(theirs) >= 2
    for one, other in zip(ours, theirs):
        # A pixel that is ranked elsewhere moves a curve a little.
        assert one == {name: pytest.approx(value, abs=0.02, nan_ok=True) for name, value in other.items()}


@pytest.mark.parametrize("name", SLOW)
def test_costly_methods_are_judged_there_too(name: str) -> None:
    assert rows_on(DEVICE, {name: SLOW[name]})
