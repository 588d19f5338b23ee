"""Judges against plain computation; planted causes against an oracle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from handmade_pictures import FOUR, Mean, Watched
from planted import BOXES, SIZE, PlantedDetector

from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import (
    Discrimination,
    Faithfulness,
    Localization,
    Picture,
    PlantedCauses,
    SignedFaithfulness,
)
from odam_lib.evaluation.planted import Planted, find_planted_causes
from odam_lib.evaluation.runs import evaluate, open_picture
from odam_lib.explainers.controls import RandomMap
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.whole import spread_over_image
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.metrics.localization import THRESHOLDS
from odam_lib.metrics.matching import match


def test_judges_by_plain_computation() -> None:
    """Every number of the noise that can be had by a line of numpy from the map itself."""
    detector, item = PlantedDetector(), 0
    image, target = FOUR[item]
    trace = detector.trace(image)
    rows = trace.candidates[[0, 1]]
    picture = Picture(FOUR, item, trace, target, rows, torch.tensor([0, 1]))
    heat_maps = RandomMap(seed=4)(trace, rows, ATTRIBUTES)
    maps = heat_maps.select("class").normalized().to_image()[:, 0]
    numbers = Localization()(picture, maps, heat_maps) | Discrimination()(picture, maps, heat_maps)
    for row in range(2):
        heat, mask = maps[row].double().numpy(), target["masks"][row].numpy()
        x1, y1, x2, y2 = BOXES[row]
        box = np.zeros(SIZE, bool)
        box[y1:y2, x1:x2] = True
        whole = (heat - heat.min()) / (heat.max() - heat.min())  # read at pixels, a map has lost its extremes
        ious = [((whole > at) & mask).sum() / ((whole > at) | mask).sum() for at in THRESHOLDS.tolist()]
        peak = np.unravel_index(heat.argmax(), SIZE)
        down, across = np.indices(SIZE)
        squared = (heat * ((down - peak[0]) ** 2 + (across - peak[1]) ** 2)).sum() / heat.sum()
        expected = {
            "energy box": heat[box].sum() / heat.sum(),
            "energy mask": heat[mask].sum() / heat.sum(),
            "VEA best": max(ious),
            "VEA": np.trapezoid(ious, THRESHOLDS.numpy()) / 0.9,
            "VEA@0.25": ious[4],
            "pointing box": float(box[peak]),
            "pointing mask": float(mask[peak]),
            "compactness": math.sqrt(squared) / (math.hypot(x2 - x1, y2 - y1) / 2),
        }
        others = target["masks"].numpy()[[other for other in range(3) if other != row]].any(axis=0)
        expected["ODI mask"] = heat[others].sum() / heat[others | mask].sum()
        for name, value in expected.items():
            assert float(numbers[name][row]) == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_curves_and_the_areas_under_them_fit_together() -> None:
    found = evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, (Faithfulness(4),), objects=99)
    for name, end in (("deletion", 0), ("insertion", -1)):
        places, means = found.curve("noise", name)
        assert places == [0, 0.25, 0.5, 0.75, 1] and means[end] == 1
        assert np.trapezoid(means, places) == pytest.approx(float(found.values("noise", name)[0].mean()), abs=1e-3)


def test_zeros_of_odams_map_come_in_the_order_of_the_map_before_the_rectifier(monkeypatch) -> None:
    detector, scenes, judge, seen = load_detector("retinanet-scenes", "cpu"), Scenes("val", 3), SignedFaithfulness(), []
    picture = open_picture(detector, scenes, 2, *scenes[2])
    heats = ODAM()(picture.trace, picture.detections, ("class",))
    maps = heats.normalized().to_image()[:, 0]
    signed = ODAM(rectify="none")(picture.trace, picture.detections, ("class",)).normalized().to_image()[:, 0]
    curves = {"deletion": torch.zeros(len(maps)), "insertion": torch.ones(len(maps)), "insertion@0.000": torch.ones(1)}
    monkeypatch.setattr(Faithfulness, "__call__", lambda self, picture, ranked, maps: seen.append(ranked) or curves)
    found, distinct = judge(picture, maps, heats), 0
    assert list(found) == ["deletion signed", "insertion signed"] and found["insertion signed"].all()
    for one, below, ranked in zip(maps, signed, seen[0]):
        order = ranked.flatten().argsort(descending=True)
        assert (one.flatten()[order].diff() <= 0).all()
        zeros = below.flatten()[order][one.flatten()[order] == 0]
        assert (zeros.diff() <= 0).all()
        distinct += len(zeros.unique())
    assert distinct > 100
    others = GradCAM()(picture.trace, picture.detections, ("class",))
    assert judge(picture, maps, others)["deletion signed"].isnan().all() and len(seen) == 1


@dataclass(frozen=True)
class Oracle:
    """Paints every cause as bright as its influence, or the other way round."""

    scenes: Scenes
    sign: int
    known: list[Planted] = field(repr=False)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        scene = self.scenes.scene(0)
        rendered, target = render(scene), self.scenes[0][1]
        rows = match(detections, target["boxes"], target["labels"])
        own = [int((rows == row).nonzero()[0, 0]) for row in range(len(detections))]
        indices = [rendered.instances[one].index for one in own]
        if not self.known:
            self.known.extend(find_planted_causes(trace, detections, indices, scene, rendered))
        maps = []
        for cause in self.known:
            bright = self.sign * cause.influence.T.float()
            bright = bright - bright.amin(dim=1, keepdim=True) + 0.1
            maps.append(torch.einsum("ar,rhw->ahw", bright, cause.regions.float()))
        grids = (spread_over_image(trace, detections.image_size),) * len(maps)
        reasons = (("",) * len(attributes),) * len(maps)
        size = trace.input_size
        return HeatMaps(tuple(maps), reasons, tuple(attributes), detections, grids, size, trace.layer, "oracle")


def test_planted_causes_tell_the_truth_from_its_opposite(detector) -> None:
    scenes = Scenes("val", 1)
    known: list[Planted] = []
    methods = {"true": Oracle(scenes, 1, known), "false": Oracle(scenes, -1, known)}
    found = evaluate(detector, scenes, methods, (PlantedCauses(),), objects=1)
    for kind in ("causes", "all causes"):
        assert {kind, *(f"{kind} {name}" for name in ATTRIBUTES)} <= set(found.metrics)
        true, false = (found.values(name, kind)[0] for name in ("true", "false"))
        assert len(true) == len(false) >= 1 and (true > 0.9).all() and (false < -0.9).all()
        for row in found.rows:
            each = [row[f"{kind} {name}"] for name in ATTRIBUTES]
            assert row[kind] == pytest.approx(np.nanmean(each), abs=2e-4)


def test_planted_causes_need_scenes_and_say_so_before_any_work() -> None:
    detector, method = PlantedDetector(), Watched()
    with pytest.raises(ValueError, match="generated scenes alone, not in Pictures: leave this metric out"):
        evaluate(detector, FOUR, {"noise": method}, (Mean(), PlantedCauses()))
    assert detector.passes == 0 and not method.calls
