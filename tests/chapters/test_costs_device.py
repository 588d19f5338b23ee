"""The benchmark of an accelerator at its smallest: every part is measured, limits are told, a failure is reported."""

import math

import pytest
import torch
from odam_chapters.costs import device as device_costs, limits
from odam_chapters.costs.device import Sizes, benchmark, main
from odam_chapters.costs.limits import Ceilings, Work, find_limits
from odam_chapters.costs.report import draw_report, read_report, summarize, tell_report, write_report
from odam_chapters.timing import Cost

CPU = torch.device("cpu")
TINY = Sizes(
    side=96,
    numbers=(1, 3),
    names=(("fcos-scenes", "window"),),
    masks=10,
    crowds=1,
    steps=(),
    batch=2,
    evaluated=1,
    product=64,
    repeats=1,
)


def test_work_counts_what_is_read_and_written_but_not_views() -> None:
    one, other = torch.rand(100, 10), torch.rand(10, 100)
    with Work() as work:
        one.T.reshape(10, 100)[:, :50]
        torch.empty(10**6)
    assert work.bytes <= 2 * one.nbytes
    with Work() as work:
        one @ other
    assert work.bytes == 4 * (1000 + 1000 + 10**4)


def test_gradients_at_regions_are_counted() -> None:
    """Where the gradient is asked of a module's input."""
    layer = torch.nn.Linear(3, 4)
    inputs = torch.rand(2, 3, requires_grad=True)
    outputs = layer(inputs).sum(dim=1)
    with Work() as work:
        torch.autograd.grad(outputs, inputs, torch.eye(2), is_grads_batched=True)
    assert work.operations == 2 * 2 * 2 * 4 * 3


def test_a_products_operations_are_counted() -> None:
    one = torch.rand(256, 256)
    found = find_limits(lambda: one @ one, CPU, Ceilings(1e12, 1e12, 1e12, 1e12), 3)
    assert found.operations == 2 * 256**3 and found.bytes == 3 * one.nbytes and found.seconds > 0
    assert found.arithmetic == pytest.approx(found.operations / found.seconds / 1e12)
    assert found.busy is None and found.limited_by == "arithmetic" and "mm" in found.by_operator[0][0]


def test_an_idle_device_is_limited_by_launching() -> None:
    assert limits._limit(1.0, 0.3, 0.1, 0.2) == "launching: the device idles 70% of the time"
    assert limits._limit(1.0, 0.9, 0.1, 0.2) == "memory" and limits._limit(1.0, 0.9, 0.3, 0.2) == "arithmetic"


@pytest.mark.slow
def test_every_part_is_measured_and_can_be_written(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(device_costs, "PATIENCE", 0.1)
    told: list[str] = []
    report = benchmark(CPU, TINY, lambda line, _: told.append(line))
    assert "failed" not in report and len(told) == len(TINY.names) + 4
    window = report["detectors"]["fcos-scenes, window"]
    assert window["maps"][3]["ms_a_map"] == pytest.approx(window["maps"][3]["ms"] / 15)
    assert window["limits_3"]["operations"] > 0 and report["ceilings"]["bandwidth"] > 0
    assert report["drise"]["seconds"] > 0 and report["odam_nms"]["fcos-crowd-odam"]["ratio"] > 0
    write_report(report | {"unknown": [math.nan]}, tmp_path / "costs.json")
    read = read_report(tmp_path / "costs.json")
    assert read["card"] == "cpu" and read["unknown"] == [None] and read["drise"] == report["drise"]
    assert "one forward pass" in summarize(report) and "limited by" in summarize(read)
    (theirs, ours) = draw_report(read, {"here": {3: Cost(0.15, 0)}}).axes[0].lines[:2]
    assert theirs.get_xdata().tolist() == [1, 3] and ours.get_ydata().tolist() == [pytest.approx(10)]
    assert theirs.get_ydata()[1] == pytest.approx(window["maps"][3]["ms_a_map"])
    assert f"{read['drise']['seconds']:.0f} s a picture" in tell_report(read, 3)


def test_a_part_that_fails_is_reported_and_leaves_the_others(monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    for name in ("time_maps", "time_drise"):
        monkeypatch.setattr(device_costs, name, broken)
    for name in ("time_suppression", "time_training", "time_evaluation"):
        monkeypatch.setattr(device_costs, name, lambda *_: {})
    monkeypatch.setattr(device_costs, "measure_ceilings", lambda *_: Ceilings(1e12, 1e12, 1e12, 1e12))
    report = benchmark(CPU, TINY)
    reason = "RuntimeError: out of memory"
    assert report["failed"] == {"fcos-scenes, window": reason, "drise": reason}
    assert report["odam_nms"] == {} and "drise" not in report and "out of memory" in summarize(report)


def test_a_bad_argument_is_told_before_any_work(tmp_path, capsys) -> None:
    for device, sentence in (("gpu0", "device 'gpu0' is not usable"), ("cpu", "no accelerator to measure here")):
        with pytest.raises(SystemExit):
            main(["--device", device, "--output", str(tmp_path / "new")])
        assert sentence in capsys.readouterr().err and not (tmp_path / "new").exists()
