"""One table of many methods and metrics: what is counted, what is kept between runs, and how sure its means are."""

import csv
import gzip
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from odam_chapters.judging.stored import begin_with
from planted import BOXES, SIZE, PlantedDetector, planted_image
from torch import Tensor

from odam_lib.datasets.scenes import Scenes, render
from odam_lib.detections import Detections
from odam_lib.detectors.identity import hash_weights
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.weights import read_card
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
from odam_lib.evaluation.rows import KEYS, Evaluation
from odam_lib.evaluation.runs import evaluate, open_picture
from odam_lib.explainers.controls import BoxFill, RandomMap
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.whole import spread_over_image
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.metrics.intervals import bootstrap, mean_interval
from odam_lib.metrics.localization import THRESHOLDS
from odam_lib.metrics.matching import match

NOWHERE = (2.0, 2, 12, 7)
"""A true object that the planted detector does not find."""


class Pictures:
    """Planted pictures as a list-like data set; item i has image id 100 + i.

    Args:
        objects: for each picture which of the planted boxes are true objects; -1 for one that nobody detects.
        bare: item whose truth has no masks.
        first: image id of item 0.
    """

    def __init__(self, objects: Sequence[Sequence[int]], bare: int | None = None, first: int = 100) -> None:
        self.objects, self.bare, self.first = objects, bare, first

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, item: int) -> tuple[Tensor, dict[str, Any]]:
        rows = self.objects[item]
        boxes = torch.tensor([NOWHERE if row < 0 else BOXES[row] for row in rows]).reshape(-1, 4).float()
        masks = torch.zeros(len(rows), *SIZE, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
            mask[y1:y2, x1 : (x1 + x2) // 2] = True
        labels = torch.tensor([1 if row < 0 else row + 1 for row in rows], dtype=torch.int64)
        target = {"boxes": boxes, "labels": labels, "masks": masks, "image_id": self.first + item}
        if item == self.bare:
            del target["masks"]
        return (planted_image() - 0.01 * item).clamp(0, 1), target


@dataclass(frozen=True)
class Watched:
    """Noise that remembers for which picture it was asked and what it was asked to explain.

    Attributes:
        seed: of the noise.
        calls: sources of the detections, one a call.
        before: called first, perhaps to fail.
    """

    seed: int = 0
    calls: list[str] = field(default_factory=list, repr=False)
    before: Callable[[], None] = field(default=lambda: None, repr=False)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        self.before()
        self.calls.append(f"{detections.source} {detections.index.tolist()}")
        return RandomMap(seed=self.seed)(trace, detections, attributes)


@dataclass(frozen=True)
class Mean:
    """A metric that is quick: the mean of the map, undefined for the object with the label ``undefined``."""

    undefined: int = 0
    needs: ClassVar[tuple[str, ...]] = ("masks",)

    def check(self, dataset: Any) -> None:
        """Any data set will do."""

    def __call__(self, picture: Picture, maps: Tensor, heat_maps: HeatMaps) -> dict[str, Tensor]:
        defined = picture.detections.labels != self.undefined
        return {"mean": torch.where(defined, maps.mean(dim=(1, 2)), math.nan), "one": torch.ones(len(maps))}


FOUR = Pictures([(0, 1, -1), (2,), (), (3, 0)])
TRUE = 6
QUICK = (Mean(),)


def without_times(found: Evaluation) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found.rows]


def on_disk(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, each of which has all columns."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


# Rows and tables


def test_every_detected_object_has_one_row_a_method_and_the_others_are_counted() -> None:
    detector, one, other = PlantedDetector(), Watched(1), Watched(2)
    found = evaluate(detector, FOUR, {"one": one, "other": other}, QUICK, objects=99)
    assert (found.objects, found.undetected) == (TRUE, 1)
    expected = [(100, 0), (100, 1), (101, 0), (103, 0), (103, 1)]
    for method in found.methods:
        assert [(row["image_id"], row["object"]) for row in found.rows if row["method"] == method] == expected
    assert found.methods == ["one", "other"] and found.metrics == ["mean", "one"]
    assert all(tuple(row) == (*KEYS, "mean", "one") for row in found.rows)
    assert [row["label"] for row in found.rows[:5]] == [1, 2, 3, 4, 1]
    assert [row["score"] for row in found.rows[:5]] == [0.95, 0.85, 0.75, 0.65, 0.95]
    assert all(row["iou"] == 1 for row in found.rows)
    assert one.calls == other.calls and len(one.calls) == 3  # the same detections; none for a picture of no object
    assert detector.passes == 4


def test_an_object_is_detected_by_one_of_its_class_that_overlaps_and_is_sure_enough() -> None:
    def explained(**settings: float) -> int:
        found = evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, objects=99, **settings)
        assert found.objects - found.undetected == len(found.rows)
        return len(found.rows)

    assert explained() == 5 and explained(score_threshold=0.7) == 4 and explained(score_threshold=0.9) == 2
    shifted = Pictures(FOUR.objects)
    shifted.__class__ = type(
        "Shifted", (Pictures,), {"__getitem__": lambda self, item: _shift(Pictures.__getitem__(self, item))}
    )
    loose = evaluate(PlantedDetector(), shifted, {"fill": BoxFill()}, QUICK, 99, least_iou=0.5)
    strict = evaluate(PlantedDetector(), shifted, {"fill": BoxFill()}, QUICK, 99, least_iou=0.9)
    assert len(loose.rows) == 5 and 0 < len(strict.rows) < 5 and strict.undetected == TRUE - len(strict.rows)
    assert all(row["iou"] >= 0.9 for row in strict.rows)


def _shift(item: tuple[Tensor, dict[str, Any]]) -> tuple[Tensor, dict[str, Any]]:
    image, target = item
    return image, target | {"boxes": target["boxes"] + 2}


def test_pictures_are_taken_in_order_until_there_are_enough_objects() -> None:
    detector = PlantedDetector()
    found = evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, objects=3)
    assert detector.passes == 2 and len(found.rows) == 3 and (found.objects, found.undetected) == (4, 1)


def test_a_table_counts_what_is_defined_and_its_mean_lies_in_its_interval() -> None:
    methods = {"fill": BoxFill(), "noise": RandomMap(), "more": RandomMap(seed=1)}
    judges = (Faithfulness(2), Localization(), Discrimination(), Mean(undefined=3))
    found = evaluate(PlantedDetector(), FOUR, methods, judges, objects=99)
    table = found.table()
    assert [(line["method"], line["metric"]) for line in table] == [
        (method, metric) for method in methods for metric in found.metrics
    ]
    assert not any("@" in metric for metric in found.metrics)
    for line in table:
        values = [row[line["metric"]] for row in found.rows if row["method"] == line["method"]]
        assert line["n"] == sum(not math.isnan(value) for value in values)
        if line["n"]:
            assert line["mean"] == pytest.approx(np.nanmean(values))
            assert line["low"] - 1e-9 <= line["mean"] <= line["high"] + 1e-9
    lines = {(line["method"], line["metric"]): line for line in table}
    assert lines["noise", "mean"]["n"] == 4 and lines["noise", "one"]["n"] == 5
    assert lines["noise", "ODI box"]["n"] == 4  # alone in its picture an object has no index
    assert lines["fill", "energy box"]["mean"] == pytest.approx(1, abs=1e-3)
    assert lines["fill", "energy mask"]["mean"] == pytest.approx(0.5, abs=1e-3)
    assert (lines["noise", "one"]["low"], lines["noise", "one"]["high"]) == pytest.approx((1, 1))
    assert [line["metric"] for line in found.table(["VEA"])] == ["VEA"] * 3


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


def hand_made() -> Evaluation:
    def row(image_id: int, method: str, value: float, start: float, number: int = 0) -> dict[str, str | int | float]:
        known = {
            "image_id": image_id,
            "object": number,
            "label": 1,
            "iou": 0.9,
            "score": 0.8,
            "method": method,
            "seconds": 2.0,
        }
        return known | {"x": value, "c@0.000": start, "c@1.000": 3.0}

    rows = (row(7, "b", 1.0, 0.5), row(7, "b", math.nan, 1.5, 1), row(9, "b", 4.0, math.nan), row(7, "a", 2.0, 1.0))
    return Evaluation(rows, objects=5, undetected=1)


def test_values_curves_and_tables_of_rows_made_by_hand() -> None:
    found = hand_made()
    assert found.methods == ["b", "a"] and found.metrics == ["x"]
    values, groups = found.values("b", "x")
    assert values.tolist() == [1, 4] and groups.tolist() == [7, 9]
    assert found.curve("b", "c") == ([0, 1], [1, 3])
    first, second = found.table()
    assert first == {"method": "b", "metric": "x", "n": 2, "mean": 2.5, "low": 1, "high": 4, "seconds": 2}
    low, high = second.pop("low"), second.pop("high")
    assert math.isnan(low) and math.isnan(high)  # one picture tells nothing of how pictures differ
    assert second == {"method": "a", "metric": "x", "n": 1, "mean": 2, "seconds": 2}


def test_what_was_not_measured_is_refused_by_name() -> None:
    for found in (hand_made(), Evaluation((), 0, 0)):
        with pytest.raises(ValueError, match="Nothing was measured of method 'z' by metric 'x'"):
            found.values("z", "x")
        with pytest.raises(ValueError, match="No curve 'd' was measured"):
            found.curve("b", "d")
    with pytest.raises(ValueError, match="by metric 'y'"):
        hand_made().table(["y"])
    assert Evaluation((), 0, 0).table() == []


# Planted causes


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


# What is refused


@pytest.mark.parametrize(("methods", "objects"), [({}, 3), ({"fill": BoxFill()}, 0), ({"fill": BoxFill()}, -1)])
def test_nothing_to_do_is_refused(methods: dict, objects: int) -> None:
    with pytest.raises(ValueError, match="give at least one method and one object"):
        evaluate(PlantedDetector(), FOUR, methods, QUICK, objects)


def test_bad_settings_of_a_judge_are_refused_before_any_work() -> None:
    detector = PlantedDetector()
    with pytest.raises(ValueError, match="steps is 0"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, (Faithfulness(0),))
    assert detector.passes == 0


def test_labels_of_another_numbering_are_refused_before_any_work() -> None:
    detector, data = PlantedDetector(), Pictures(FOUR.objects)
    data.categories = ("__background__", "dog", "person")
    with pytest.raises(ValueError, match="The label 1 is 'dog' in the data set and 'person' to the detector"):
        evaluate(detector, data, {"fill": BoxFill()}, QUICK)
    assert detector.passes == 0


def test_missing_masks_are_named_before_work_on_that_picture(tmp_path) -> None:
    detector, method, path = PlantedDetector(), Watched(), tmp_path / "rows.csv"
    data = Pictures(FOUR.objects, bare=1)
    with pytest.raises(ValueError, match="Image 101 has no masks, which Mean needs: give"):
        evaluate(detector, data, {"noise": method}, QUICK, 99, path=path)
    assert detector.passes == 1 and len(method.calls) == 1 and len(on_disk(path)) == 2
    found = evaluate(detector, data, {"noise": method}, (Faithfulness(1),), 99)
    assert len(found.rows) == 5


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    detector = PlantedDetector()
    with pytest.raises(PermissionError, match="cannot be written"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "file" / "rows.csv")
    assert detector.passes == 0
    evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "new" / "rows.csv")
    assert len(on_disk(tmp_path / "new" / "rows.csv")) == 5


# What is kept between runs


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    broken = [True]
    parsed: list[int] = []

    def before() -> None:
        parsed.append(len(on_disk(path)) if path.exists() else 0)
        if len(parsed) == 3 and broken.pop():
            raise KeyboardInterrupt

    first, second = Watched(1, before=before), Watched(2)
    methods = {"first": first, "second": second}
    judges = (Mean(undefined=2),)
    with pytest.raises(KeyboardInterrupt):
        evaluate(PlantedDetector(), FOUR, methods, judges, 99, path=path)
    assert len(on_disk(path)) == 6 and not list(tmp_path.glob(".*"))
    detector = PlantedDetector()
    found = evaluate(detector, FOUR, methods, judges, 99, path=path)
    assert detector.passes == 1 and parsed == [0, 4, 6, 6]
    assert all(count == 1 for calls in (first.calls, second.calls) for count in Counter(calls).values())
    whole = evaluate(PlantedDetector(), FOUR, {"first": Watched(1), "second": Watched(2)}, judges, 99)
    assert str(without_times(found)) == str(without_times(whole))  # as text, since NaN is not NaN
    assert (found.objects, found.undetected) == (whole.objects, whole.undetected) == (TRUE, 1)
    again = evaluate(detector, FOUR, methods, judges, 99, path=path)
    assert detector.passes == 1 and str(again) == str(found)
    assert len(on_disk(path)) == 10


def test_rows_may_be_compressed(tmp_path) -> None:
    plain, packed = tmp_path / "rows.csv", tmp_path / "rows.csv.gz"
    for path in (plain, packed):
        evaluate(PlantedDetector(), FOUR, {"method": Watched(1)}, QUICK, 99, path=path)
        path.with_name("rows.json").rename(tmp_path / "other.json" if path == plain else tmp_path / "rows.json")
    assert (
        gzip.decompress(packed.read_bytes()).decode().splitlines()[0]
        == plain.read_text(encoding="utf-8").splitlines()[0]
    )
    begin_with(packed, tmp_path / "copy.csv")
    method = Watched(1)
    found = evaluate(PlantedDetector(), FOUR, {"method": method}, QUICK, 99, path=tmp_path / "copy.csv")
    assert not method.calls and str(found) == str(Evaluation.load(packed))
    for damaged in (packed.read_bytes()[:-9], b"no gzip"):
        packed.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"rows\.csv\.gz cannot be used, since it and rows\.json"):
            Evaluation.load(packed)


def test_a_method_that_is_added_later_is_the_only_one_computed(tmp_path) -> None:
    path, old, new = tmp_path / "rows.csv", Watched(1), Watched(2)
    before = evaluate(PlantedDetector(), FOUR, {"old": old}, QUICK, 99, path=path)
    found = evaluate(PlantedDetector(), FOUR, {"new": new, "old": old}, QUICK, 99, path=path)
    assert len(old.calls) == len(new.calls) == 3 and found.methods == ["new", "old"]
    assert found.rows[5:] == before.rows and len(found.rows) == 10
    assert evaluate(PlantedDetector(), FOUR, {"old": old}, QUICK, 99, path=path) == before


def test_more_objects_go_on_and_fewer_take_the_first(tmp_path) -> None:
    path, method, other = tmp_path / "rows.csv", Watched(1), Watched(2)
    two = evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 2, path=path)
    assert len(two.rows) == 2
    most = evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 99, path=path)
    assert len(most.rows) == 5 and len(method.calls) == 3
    both = evaluate(PlantedDetector(), FOUR, {"noise": method, "other": other}, QUICK, 2, path=path)
    assert Counter(row["method"] for row in both.rows) == {"noise": 2, "other": 2} and len(other.calls) == 1
    assert (both.objects, both.undetected) == (two.objects, two.undetected) == (3, 1)
    short = Pictures(FOUR.objects[:2])
    some = evaluate(PlantedDetector(), short, {"noise": method, "other": other}, QUICK, 99, path=path)
    assert Counter(row["method"] for row in some.rows) == {"noise": 3, "other": 3} and some.objects == 4


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"least_iou": 0.9}, r"least_iou = 0\.5, not 0\.9"),
        ({"score_threshold": 0.1}, r"score_threshold = 0\.5, not 0\.1"),
        ({"judges": (Mean(undefined=3),)}, r"judges = \['Mean\(undefined=0\)'\], not \['Mean\(undefined=3\)'\]"),
        ({"methods": {"noise": Watched(2)}}, r"noise = Watched\(seed=1\), not Watched\(seed=2\)"),
        ({"dataset": Pictures([(0,)], first=7), "methods": {"other": Watched()}}, "where item 0 was image 100, not 7"),
    ],
)
def test_rows_made_with_other_settings_are_not_mixed(tmp_path, changed: dict, told: str) -> None:
    path, method = tmp_path / "rows.csv", Watched(1)
    asked = {"dataset": FOUR, "methods": {"noise": method}, "judges": QUICK, "objects": 99, "path": path}
    evaluate(PlantedDetector(), **asked)
    kept = path.read_bytes(), path.with_suffix(".json").read_bytes()
    detector = PlantedDetector()
    with pytest.raises(ValueError, match=rf"was made .*{told}: give another path or delete it"):
        evaluate(detector, **asked | changed)
    assert detector.passes == 0 and kept == (path.read_bytes(), path.with_suffix(".json").read_bytes())


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"settings": {}, "methods": {}, "images": [1]}', "3"])
def test_rows_without_their_settings_are_refused_in_one_sentence(tmp_path, text: str | None) -> None:
    path = tmp_path / "rows.csv"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    beside = path.with_suffix(".json")
    beside.unlink() if text is None else beside.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.csv cannot be used, .* rows\.json .*delete both\.$"):
        evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)


@pytest.mark.parametrize("damage", [lambda text: text[:-40], lambda text: "a,b\n1,2\n", lambda text: "",
                                    lambda text: "\n".join(text.splitlines()[:-1]) + "\n"])  # fmt: skip
def test_damaged_rows_do_not_shrink_the_table_in_silence(tmp_path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "rows.csv"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be used"):
        evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)


def test_a_run_stopped_between_its_two_files_counts_no_object_twice(tmp_path) -> None:
    """The rows of a picture are written before its place in the settings."""
    path, method = tmp_path / "rows.csv", Watched(1)
    evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 2, path=path)
    earlier = path.with_suffix(".json").read_text(encoding="utf-8")
    whole = evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 3, path=path)
    path.with_suffix(".json").write_text(earlier, encoding="utf-8")
    found = evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 3, path=path)
    assert without_times(found) == without_times(whole) and len(on_disk(path)) == 3


@pytest.mark.parametrize("name", ["out.json", "out.json.gz", "rows", "rows.csv.zip", "rows.txt", "csv"])
def test_a_place_whose_settings_could_lie_on_other_files_is_refused(tmp_path, name: str) -> None:
    detector = PlantedDetector()
    with pytest.raises(ValueError, match=r"is no place for rows, which are CSV: give a path that ends in \.csv or"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / name)
    assert detector.passes == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ['{"images": [], "annotations": []}', '{"categories": 3}', "no JSON"])
def test_another_file_where_the_settings_would_be_stays_as_it_is(tmp_path, text: str) -> None:
    """As the annotations of a data set: ``evaluate photos.csv ... --annotations photos.json``."""
    detector, beside = PlantedDetector(), tmp_path / "photos.json"
    beside.write_text(text, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"photos\.json is in the way, since the settings of photos\.csv .* another path"
    ):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "photos.csv")
    assert (
        detector.passes == 0 and beside.read_text(encoding="utf-8") == text and os.listdir(tmp_path) == ["photos.json"]
    )


@pytest.mark.parametrize(("first", "second"), [("a.csv", "a.csv.gz"), ("a.csv.gz", "a.csv")])
def test_two_kinds_of_rows_do_not_overwrite_each_others_settings(tmp_path, first: str, second: str) -> None:
    found = evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=tmp_path / first)
    with pytest.raises(ValueError, match=r"a\.json is in the way"):
        evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 2, path=tmp_path / second)
    assert str(Evaluation.load(tmp_path / first)) == str(found)


@pytest.mark.parametrize("second", ["rows.csv", "rows.csv.gz", "link.csv"])
def test_of_two_runs_on_one_path_the_second_stops_and_the_first_loses_nothing(tmp_path, second: str) -> None:
    path, other = tmp_path / "rows.csv", PlantedDetector()
    (tmp_path / "link.csv").symlink_to(path)

    def meanwhile() -> None:
        with pytest.raises(
            BlockingIOError, match=r"Another run is writing .*rows\.(csv|json): wait until it has ended"
        ):
            evaluate(other, FOUR, {"other": BoxFill()}, QUICK, 99, path=tmp_path / second)
        with pytest.raises(BlockingIOError, match="Another run is writing"):
            begin_with(kept, tmp_path / second)

    kept = tmp_path / "kept.csv"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 1, path=kept)
    found = evaluate(PlantedDetector(), FOUR, {"first": Watched(1, before=meanwhile)}, QUICK, 99, path=path)
    assert other.passes == 0 and len(found.rows) == len(on_disk(path)) == 5
    both = evaluate(other, FOUR, {"first": Watched(1), "other": BoxFill()}, QUICK, 99, path=path)
    assert len(both.rows) == 10 and both.rows[:5] == found.rows


@pytest.mark.parametrize("in_the_way", ["rows.csv", "rows.json"])
def test_a_folder_in_place_of_a_file_is_told_before_any_work(tmp_path, in_the_way: str) -> None:
    (tmp_path / in_the_way).mkdir()
    detector = PlantedDetector()
    with pytest.raises(FileExistsError, match="is a folder or a device, not a file: give another path"):
        evaluate(detector, FOUR, {"fill": BoxFill()}, QUICK, path=tmp_path / "rows.csv")
    assert detector.passes == 0


def test_beginning_with_kept_rows_keeps_what_was_measured_since(tmp_path) -> None:
    kept, path, method = tmp_path / "kept.csv.gz", tmp_path / "own" / "rows.csv", Watched(1)
    evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 3, path=kept)
    begin_with(kept, path)
    found = evaluate(PlantedDetector(), FOUR, {"noise": method, "other": BoxFill()}, QUICK, 99, path=path)
    begin_with(kept, path)
    assert sorted(map(str, Evaluation.load(path).rows)) == sorted(map(str, found.rows)) and len(found.rows) == 10
    evaluate(PlantedDetector(), FOUR, {"noise": Watched(2)}, QUICK, 3, path=tmp_path / "others.csv")
    begin_with(tmp_path / "others.csv", path)  # of other rows: these are taken instead
    assert str(Evaluation.load(path)) == str(Evaluation.load(tmp_path / "others.csv"))
    with pytest.raises(ValueError, match=r"kept\.csv would share its settings with .*kept\.csv\.gz"):
        begin_with(kept, tmp_path / "kept.csv")


def test_kept_rows_are_read_again(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    found = evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, (Mean(undefined=2),), 99, path=path)
    assert str(Evaluation.load(path)) == str(found)
    with pytest.raises(FileNotFoundError, match=r"no rows of an evaluation at .*other\.csv"):
        Evaluation.load(tmp_path / "other.csv")


def test_the_settings_beside_the_rows_say_what_was_asked(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    evaluate(PlantedDetector(), FOUR, {"noise": RandomMap(seed=3)}, QUICK, 99, path=path)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["settings"] == {
        "detector": "planted",
        "weights": hash_weights(PlantedDetector.model),
        "layer": "grid",
        "least_iou": 0.5,
        "score_threshold": 0.5,
        "judges": ["Mean(undefined=0)"],
    }
    assert about["methods"] == {"noise": "RandomMap(cells=16, seed=3)"}
    assert [image["explained"] for image in about["images"].values()] == [2, 1, 0, 2]


def of_network(name: str, seed: int) -> PlantedDetector:
    detector = PlantedDetector()
    torch.manual_seed(seed)
    detector.name, detector.model = name, torch.nn.Linear(1, 1)
    return detector


def test_rows_of_other_weights_are_refused_and_named(tmp_path) -> None:
    path, beside = tmp_path / "rows.csv", tmp_path / "rows.json"
    evaluate(of_network("fcos-scenes", 0), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    with pytest.raises(ValueError, match=r"rows\.csv holds rows of other weights of fcos-scenes \(\w{8}\) than those"):
        Evaluation.load(path)
    with pytest.raises(ValueError, match=r"was made with weights = \w{8}, not \w{8}: give another path"):
        evaluate(of_network("fcos-scenes", 1), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    about = json.loads(beside.read_text(encoding="utf-8"))
    about["settings"]["weights"] = read_card("fcos-scenes")["sha256"]
    beside.write_text(json.dumps(about), encoding="utf-8")
    assert len(Evaluation.load(path).rows) == 5
    del about["settings"]["weights"]
    beside.write_text(json.dumps(about), encoding="utf-8")
    evaluate(of_network("fcos-scenes", 1), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    assert len(Evaluation.load(path).rows) == 5  # whose are unknown, and stay so
    assert "weights" not in json.loads(beside.read_text(encoding="utf-8"))["settings"]


def test_rows_of_other_columns_are_not_mixed(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    path.write_text(path.read_text(encoding="utf-8").replace(",one", ",another", 1), encoding="utf-8")
    kept = path.read_bytes()
    with pytest.raises(ValueError, match="another version, which differs in the columns another, one: give another"):
        evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, QUICK, 99, path=path)
    assert path.read_bytes() == kept


def test_only_well_detected_objects_are_kept_and_the_others_counted() -> None:
    found = evaluate(PlantedDetector(), FOUR, {"fill": BoxFill(), "noise": RandomMap()}, QUICK, objects=99)
    rows = tuple(row | {"iou": 0.6 + 0.1 * int(row["object"])} for row in found.rows)
    some = Evaluation(rows, found.objects, found.undetected).well_detected(0.65)
    assert {row["object"] for row in some.rows} == {1} and (some.objects, some.undetected) == (6, 4)
    assert some.methods == found.methods
    with pytest.raises(ValueError, match="The least IoU is 2"):
        found.well_detected(2)


# Intervals


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 5)), min_size=1, max_size=20), st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_the_interval_of_a_mean_is_that_of_the_bootstrap(pairs: list[tuple[float, int]], seed: int) -> None:
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
    groups = torch.tensor([group for _, group in pairs])
    low, high = mean_interval(values, groups, 100, seed)
    if len(groups.unique()) < 2:  # one picture tells nothing of how pictures differ
        assert math.isnan(low) and math.isnan(high)
        return
    assert (low, high) == pytest.approx(bootstrap(lambda rows: float(rows.mean()), values, groups, 100, seed), abs=1e-9)
    assert float(values.min()) - 1e-9 <= low <= high <= float(values.max()) + 1e-9


@given(st.floats(-1e3, 1e3), st.lists(st.integers(0, 4), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_interval_of_a_constant_is_that_constant(value: float, groups: list[int]) -> None:
    numbers = torch.tensor([*groups, 5])
    values = torch.full((len(numbers),), value, dtype=torch.float64)
    assert mean_interval(values, numbers) == pytest.approx((value, value))


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(5)
    covered = 0
    for _ in range(200):
        offsets = torch.randn(40, generator=generator)
        groups = torch.arange(40).repeat_interleave(3)
        values = offsets[groups] + 0.3 * torch.randn(120, generator=generator)
        low, high = mean_interval(values, groups, 300)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_of_no_value_there_is_no_interval_of_a_mean() -> None:
    assert all(map(math.isnan, mean_interval(torch.zeros(0), torch.zeros(0, dtype=torch.int64))))
