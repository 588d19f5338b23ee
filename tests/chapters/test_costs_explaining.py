"""Slow ways to a map give the same map, and bills are told as met, missed or without a target."""

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from odam_chapters.costs import explaining as costs
from odam_chapters.costs.explaining import (
    Batched,
    Bill,
    Loop,
    choose_fastest,
    draw_predictions,
    make_captum_map,
    make_hires_cam,
    make_one_map,
    measure_disagreement,
    spread_maps,
)
from odam_chapters.costs.limits import Bound, find_bound
from odam_chapters.timing import Cost

from odam_lib import ODAM
from odam_lib.heatmaps import ATTRIBUTES

IMAGE = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", ["fcos-scenes", "retinanet-scenes", "faster-rcnn-scenes", "detr-scenes"])
def test_every_way_makes_the_same_map(name: str) -> None:
    detector = costs.build_random_detector(name, 128, seed=1)
    trace = detector.trace(IMAGE)
    rows = draw_predictions(trace, 6)
    sample = list(spread_maps(rows, 5))
    assert [attribute for _, attribute in sample] == list(ATTRIBUTES)
    loop = [make_one_map(Loop(smoothing=None), trace)(*one) for one in sample]
    assert all(one.any() for one in loop)
    exact = [make_one_map(ODAM(smoothing=None), trace)(*one) for one in sample]
    hires, captum = ([way(detector, IMAGE, *one) for one in sample] for way in (make_hires_cam, make_captum_map))
    for others in (exact, hires, captum):
        assert measure_disagreement(loop, others) < 1e-4
    if trace.windows is None or trace.windows.exact:
        fastest = make_one_map(choose_fastest(trace), trace)
        assert measure_disagreement(loop, [fastest(*one) for one in sample]) > 1e-4  # smoothing is on
    for smoothing in (None, "adaptive"):
        maps = [method(smoothing=smoothing)(trace, rows, ATTRIBUTES).maps for method in (ODAM, Batched, Loop)]
        for others in maps[1:]:
            assert max(measure_disagreement(ours, theirs) for ours, theirs in zip(maps[0], others)) < 1e-4


def test_too_few_predictions_are_drawn_again() -> None:
    trace = costs.build_random_detector("detr-scenes", 128).trace(IMAGE)
    rows = draw_predictions(trace, 60)
    assert len(rows) == 60 and rows.index[:25].sort().values.tolist() == list(range(25))
    assert (rows.index[:25] == rows.index[25:50]).all()
    sides = rows.boxes[:, 2:] - rows.boxes[:, :2]
    torch.testing.assert_close(sides, torch.full_like(sides, 6.4 * 16))


def test_a_sample_is_extrapolated_and_says_so() -> None:
    trace = costs.build_random_detector("retinanet-scenes", 128).trace(IMAGE)
    calls = []
    found = costs.measure_single_maps(
        lambda row, name: calls.append(name), draw_predictions(trace, 3), [1, 10], sample=2, device="cpu"
    )
    assert calls == ["class", "class", "x1"] and not any(cost.measured for cost in found.values())
    assert found[10].seconds == pytest.approx(10 * found[1].seconds)


def test_bills_are_met_missed_or_without_a_target() -> None:
    def bill(number: int, seconds: float, extra: float = 1e8) -> Bill:
        slow = {name: {number: Cost(200.0, math.nan, measured=False)} for name in ("loop", "HiResCAM")}
        return Bill(number, 1.0, {"ODAM": {number: Cost(seconds, extra)}} | slow)

    bound = Bound(2 * 5 * 4_000_000_000, (1.0, 9.0, 1.0), (1.2, 1.1, 5.0))
    without_windows = replace(bill(20, 15.0, 2e9), bound=bound)
    told = costs.rate_bills({"fcos_resnet50_fpn": bill(100, 0.5), "detr_resnet50": without_windows})
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  ")] == (
        ["met", "met", "met", "met", "MISSED", "MISSED", "MISSED"]
    )
    assert "1.20 times" in told and "(4.0 billion multiplications a map)" in told
    small = costs.rate_bills({"fcos-scenes": bill(100, 0.8), "fcos_resnet50_fpn": bill(10, 0.1)})
    assert small.count("no target was set") == 2


def test_the_bound_counts_every_product_of_the_backward_passes_and_nothing_else() -> None:
    """A made-up trace whose targets are numbers of a product of 3 x 4 by 4 x 5, which is undone once a target."""
    features, weights = torch.rand(1, 3, 4, 1, requires_grad=True), torch.rand(4, 5)
    said = (features[0, :, :, 0] @ weights).relu()
    trace = SimpleNamespace(
        features=(features,), targets=lambda attribute, row: said[ATTRIBUTES.index(attribute) % 3, 0]
    )
    bound = find_bound(lambda *asked: time.sleep(0.05), trace, None, repeats=2)
    assert bound.operations == 5 * 2 * 3 * 4 * 5 and bound.ratio > 1 and min(bound.maps) >= 0.05 > min(bound.products)


def test_a_bill_is_measured() -> None:
    one = costs.measure_bill(costs.build_random_detector("faster-rcnn-scenes", 128), IMAGE, most=3, sample=1, repeats=1)
    assert one.number == 3 and one.unit > 0 and one.forwards > 0 and one.ratio("loop") > 0 and one.most_bytes >= 0
    assert one.costs["ODAM"][3].measured and not one.costs["loop"][3].measured
