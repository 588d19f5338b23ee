"""Out of memory: batches halve until they fit, and no number changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from handmade_pictures import FOUR, QUICK, Mean, without_times
from planted import PlantedDetector

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.evaluation.judges import Faithfulness
from odam_lib.evaluation.memory import FIRST_CHUNK, halve, is_out_of_memory
from odam_lib.evaluation.runs import Work, evaluate
from odam_lib.explainers.controls import BoxFill, RandomMap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import HeatMaps


@dataclass(frozen=True)
class Hungry:
    """Noise that fits into memory in batches of at most ``room``."""

    room: int
    batch: int = 8
    error: type[Exception] = field(default=torch.OutOfMemoryError, repr=False)
    tried: list[int] = field(default_factory=list, repr=False, compare=False)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        self.tried.append(self.batch)
        if self.batch > self.room:
            raise self.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes.")
        return RandomMap()(trace, detections, attributes)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_batches_halve_until_they_fit(error: type[Exception]) -> None:
    hungry = Hungry(2, error=error)
    found = evaluate(PlantedDetector(), FOUR, {"noise": hungry}, QUICK, 1)
    assert hungry.tried == [8, 4, 2]
    assert without_times(found) == without_times(evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, QUICK, 1))
    with pytest.raises(error, match="can't allocate memory"):
        evaluate(PlantedDetector(), FOUR, {"noise": Hungry(0, error=error)}, QUICK, 1)


def test_another_failure_is_not_tried_again() -> None:
    class Broken(Mean):
        def __call__(self, *arguments: object) -> dict[str, torch.Tensor]:
            tries.append(1)
            raise RuntimeError("shapes do not match")

    tries: list[int] = []
    with pytest.raises(RuntimeError, match="shapes do not match"):
        evaluate(PlantedDetector(), FOUR, {"noise": Hungry(8)}, (Broken(),), 1)
    assert tries == [1] and not is_out_of_memory(RuntimeError("shapes do not match"))


def test_what_takes_batches_is_halved_wherever_it_is_and_the_rest_stays() -> None:
    work = {"a": DRISE(batch=6), "b": Combined(ODAM()), "c": BoxFill(), "d": ODAM(chunk=1)}
    half = halve(work)
    assert half == {"a": DRISE(batch=3), "b": Combined(ODAM(chunk=FIRST_CHUNK)), "c": BoxFill(), "d": ODAM(chunk=1)}
    least = halve(halve(halve(halve(half))))
    assert least["a"].batch == least["b"].of.chunk == 1 and halve(least) is least
    assert halve((Faithfulness(batch=8), Mean())) == (Faithfulness(batch=4), Mean())
    assert Work(FOUR, least, (Mean(),), 0.5, 0.5, None).methods is least
