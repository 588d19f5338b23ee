"""Rows as tables: what is defined, how sure means are, and what was not measured."""

import math

import numpy as np
import pytest
from handmade_pictures import FOUR, QUICK, Mean
from planted import PlantedDetector

from odam_lib.evaluation.judges import (
    Discrimination,
    Faithfulness,
    Localization,
)
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import evaluate
from odam_lib.explainers.controls import BoxFill, RandomMap


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


def test_only_well_detected_objects_are_kept_and_the_others_counted() -> None:
    found = evaluate(PlantedDetector(), FOUR, {"fill": BoxFill(), "noise": RandomMap()}, QUICK, objects=99)
    rows = tuple(row | {"iou": 0.6 + 0.1 * int(row["object"])} for row in found.rows)
    some = Evaluation(rows, found.objects, found.undetected).well_detected(0.65)
    assert {row["object"] for row in some.rows} == {1} and (some.objects, some.undetected) == (6, 4)
    assert some.methods == found.methods
    with pytest.raises(ValueError, match="The least IoU is 2"):
        found.well_detected(2)
