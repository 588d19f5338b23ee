"""An evaluation by several processes: the rows of one, whatever dies or fails meanwhile."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
import torch
from handmade_pictures import Mean, Pictures, on_disk, without_times
from planted import PlantedDetector

from odam_lib import load_detector
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.trained import describe_detector
from odam_lib.detectors.weights import save_weights
from odam_lib.evaluation import cluster, command
from odam_lib.evaluation.cluster import TRIES, Driver, Job, Workers, evaluate_by_workers
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate
from odam_lib.evaluation.store import Measured, Store
from odam_lib.explainers.controls import BoxFill, RandomMap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.heatmaps import HeatMaps

SIX = Pictures([(0, 1, -1), (2,), (), (3, 0), (1, 2, 3), (0, 3)])
QUICK = (Mean(),)


@dataclass(frozen=True)
class Deadly:
    """Noise that ends badly at pictures of so many detections.

    Attributes:
        folder: where it notes each time.
        detections: number of detections that it does not stand.
        room: batches over this kill its process, as the system does when memory is full; ``None``: it always raises.
        batch: what is halved.
    """

    folder: str
    detections: int
    room: int | None = None
    batch: int = 8

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        if len(detections) == self.detections and self.batch > (self.room or 0):
            (Path(self.folder) / f"{time.time_ns()}").touch()
            if self.room is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("Too many detections.")
        return RandomMap()(trace, detections, attributes)


def by_one(methods: dict[str, Explainer], objects: int = 99, data: Pictures = SIX) -> Evaluation:
    return evaluate(PlantedDetector(), data, methods, QUICK, objects)


def same(ours: Evaluation, theirs: Evaluation) -> bool:
    return without_times(ours) == without_times(theirs) and ours.undetected == theirs.undetected


def test_a_killed_worker_costs_nothing_and_what_always_fails_is_named_at_the_end(
    ray_here: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "failed").mkdir()
    path, kills = tmp_path / "rows.sqlite", Deadly(str(tmp_path / "killed"), 1, room=4)
    fails = Deadly(str(tmp_path / "failed"), 3)
    told = rf"1 picture failed {TRIES} times, all others are done and kept in .*rows\.sqlite: item 4 \(image 104\): "
    with pytest.raises(RuntimeError, match=told + r"ValueError: Too many detections\.$"):
        evaluate_by_workers(PlantedDetector, SIX, {"a": kills, "b": fails}, QUICK, 99, path=path, workers=Workers(2))
    assert [len(os.listdir(tmp_path / name)) for name in ("killed", "failed")] == [1, TRIES]
    whole = by_one({"a": RandomMap(), "b": RandomMap()})
    known = [row for row in without_times(whole) if row["image_id"] != 104]
    assert without_times(Evaluation.load(path)) == sorted(known, key=lambda row: row["image_id"])
    assert len(on_disk(path)) == len(known) == 14


def test_a_driver_that_ended_goes_on_and_shares_out_the_masks_of_what_is_left(
    ray_here: ModuleType, tmp_path: Path
) -> None:
    path, methods, added = tmp_path / "rows.sqlite", {"D-RISE": DRISE(masks=20, cells=4, batch=4), "a": BoxFill()}, []
    data, parts, add, split = Pictures(SIX.objects[:4]), [], Store.add, Driver._split

    def stop(store: Store, found: Measured) -> None:
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(found.item)
        add(store, found)

    def watch(driver: Driver, job: Job, number: int) -> None:
        split(driver, job, number)
        parts.extend(one.part for one in driver._waiting)

    with patch.object(Store, "add", stop), pytest.raises(KeyboardInterrupt):
        evaluate_by_workers(PlantedDetector, data, methods, QUICK, 99, path=path, workers=Workers(1))
    assert added == [0, 1, 2] and {row["item"] for row in on_disk(path)} == {0, 1}
    with patch.object(Driver, "_split", watch):
        found = evaluate_by_workers(PlantedDetector, data, methods, QUICK, 99, path=path, workers=Workers(2))
    assert parts == [range(0, 12), range(12, 20)] and same(found, by_one(methods, data=data))
    first = evaluate_by_workers(PlantedDetector, data, methods, QUICK, 3, path=path)  # there already, and more
    assert same(first, by_one(methods, 3, data)) and len(first.rows) == 6 < len(on_disk(path)) == 10


def test_a_worker_with_other_weights_is_refused_by_name(ray_here: ModuleType, tmp_path: Path) -> None:
    driver = os.getpid()

    def make() -> PlantedDetector:
        detector = PlantedDetector()
        torch.manual_seed(os.getpid() == driver)
        detector.model = torch.nn.Linear(1, 1)
        return detector

    told = r"The node .* has other weights of planted \(\w{8}\) than there are here \(\w{8}\)"
    with pytest.raises(RuntimeError, match=told):
        evaluate_by_workers(make, SIX, {"a": BoxFill()}, QUICK, path=tmp_path / "rows.sqlite", workers=Workers(1))
    assert not on_disk(tmp_path / "rows.sqlite")


def test_workers_that_cannot_start_or_have_no_room_are_told(ray_here: ModuleType, monkeypatch) -> None:
    driver = os.getpid()

    def make() -> PlantedDetector:
        if os.getpid() != driver:
            raise FileNotFoundError("weights are missing")
        return PlantedDetector()

    monkeypatch.setattr(cluster, "TRIES", 1)
    with pytest.raises(RuntimeError, match=r"Workers end as they start: .*weights are missing"):
        evaluate_by_workers(make, SIX, {"a": BoxFill()}, QUICK, workers=Workers(1))
    with pytest.raises(ValueError, match="No node has room for a worker of 1 CPUs and 4 GPUs: give it less"):
        evaluate_by_workers(PlantedDetector, SIX, {"a": BoxFill()}, QUICK, workers=Workers(gpus=4))


def test_the_command_line_asks_for_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take(make_detector: Callable[[], Detector], *about: object, workers: Workers) -> Evaluation:
        asked.append((make_detector().name, about[-1], workers))
        return Evaluation((), 0, 0)

    asked: list[tuple[str, object, Workers]] = []
    monkeypatch.setattr(command, "evaluate_by_workers", take)
    path = tmp_path / "rows.sqlite"
    command.main([str(path), "--device", "cpu", "--workers", "3", "--cpus-per-worker", "2", "--address", "auto"])
    assert asked == [("fcos-scenes", path, Workers(3, 2, None, "auto"))]


def test_a_detector_of_a_training_works_in_every_process(
    ray_here: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load_detector("fcos-scenes", "cpu")
    (tmp_path / "run").mkdir()
    save_weights(detector, describe_detector(detector, "fcos"), tmp_path / "run")
    monkeypatch.chdir(tmp_path)  # where no worker is
    few = ["--detector", "run", "--methods", "ODAM", "--objects", "1", "--steps", "1", "--device", "cpu"]
    command.main(["one.sqlite", *few])
    command.main(["many.sqlite", *few, "--workers", "1"])
    one, many = (without_times(Evaluation.load(tmp_path / f"{name}.sqlite")) for name in ("one", "many"))
    assert one and one == many


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ({"number": 0}, "number of workers is 0"),
        ({"cpus": 0}, "CPUs of a worker is 0"),
        ({"gpus": -1}, "GPUs .* is -1"),
    ],
)
def test_workers_that_cannot_be_are_refused(workers: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Workers(**workers)
    assert replace(Workers(), gpus=0.5).gpus == 0.5
