"""What is kept between runs: the same rows whatever happened, and no foreign ones."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from handmade_pictures import FOUR, QUICK, TRUE, Mean, Pictures, Watched, on_disk, without_times
from planted import PlantedDetector

from odam_lib.detectors.identity import hash_weights
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import Work, evaluate, open_run
from odam_lib.evaluation.store import begin_with
from odam_lib.explainers.controls import BoxFill, RandomMap


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
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


def test_a_method_that_is_added_later_is_the_only_one_computed(tmp_path) -> None:
    path, old, new = tmp_path / "rows.sqlite", Watched(1), Watched(2)
    before = evaluate(PlantedDetector(), FOUR, {"old": old}, QUICK, 99, path=path)
    found = evaluate(PlantedDetector(), FOUR, {"new": new, "old": old}, QUICK, 99, path=path)
    assert len(old.calls) == len(new.calls) == 3 and found.methods == ["new", "old"]
    assert found.rows[5:] == before.rows and len(found.rows) == 10
    assert evaluate(PlantedDetector(), FOUR, {"old": old}, QUICK, 99, path=path) == before


def test_more_objects_go_on_and_fewer_take_the_first(tmp_path) -> None:
    path, method, other = tmp_path / "rows.sqlite", Watched(1), Watched(2)
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
    path, method = tmp_path / "rows.sqlite", Watched(1)
    asked = {"dataset": FOUR, "methods": {"noise": method}, "judges": QUICK, "objects": 99, "path": path}
    evaluate(PlantedDetector(), **asked)
    kept = path.read_bytes()
    detector = PlantedDetector()
    with pytest.raises(ValueError, match=rf"was made .*{told}: give another path or delete it"):
        evaluate(detector, **asked | changed)
    assert detector.passes == 0 and kept == path.read_bytes()


def test_kept_rows_are_read_again(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
    found = evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, (Mean(undefined=2),), 99, path=path)
    assert str(Evaluation.load(path)) == str(found)
    with pytest.raises(FileNotFoundError, match=r"no rows of an evaluation at .*other\.sqlite"):
        Evaluation.load(tmp_path / "other.sqlite")


def test_a_colleague_reads_everything_without_this_package(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
    found = evaluate(PlantedDetector(), FOUR, {"noise": RandomMap(seed=3)}, (Mean(undefined=2),), 99, path=path)
    with closing(sqlite3.connect(path)) as connection:
        settings, methods, pictures, rows = (
            pd.read_sql(f"SELECT * FROM {table}", connection) for table in ("settings", "methods", "pictures", "rows")
        )
    assert {name: json.loads(value) for name, value in settings.itertuples(index=False)} == {
        "made by": "odam_lib.evaluation",
        "detector": "planted",
        "weights": hash_weights(PlantedDetector.model),
        "layer": "grid",
        "least_iou": 0.5,
        "score_threshold": 0.5,
        "judges": ["Mean(undefined=2)"],
    }
    assert list(map(json.loads, methods["value"])) == ["RandomMap(cells=16, seed=3)"]
    assert pictures["explained"].tolist() == [2, 1, 0, 2] and pictures["objects"].sum() == TRUE
    assert rows["mean"].tolist() == pytest.approx([row["mean"] for row in found.rows], nan_ok=True)
    assert rows["mean"].isna().sum() == 1 and list(rows) == ["item", *found.rows[0]]


def test_pictures_may_come_in_any_order(tmp_path) -> None:
    """As they do from several workers; and one that is not there yet is no end."""
    detector, methods = PlantedDetector(), {"one": RandomMap(seed=1), "two": RandomMap(seed=2)}
    whole = evaluate(detector, FOUR, methods, QUICK, 99, path=tmp_path / "whole.sqlite")
    work = Work(FOUR, methods, QUICK, 0.5, 0.5, None)
    with open_run(work, work.check(detector, 99), tmp_path / "rows.sqlite") as run:
        for item, names in ((3, ["one", "two"]), (0, ["two"]), (2, ["one", "two"]), (0, ["one"])):
            run.store.add(work.measure(detector, item, names))
    found = evaluate(detector, FOUR, methods, QUICK, 99, path=tmp_path / "rows.sqlite")
    assert without_times(found) == without_times(whole) and found.undetected == whole.undetected
    kept = (Evaluation.load(tmp_path / f"{name}.sqlite") for name in ("whole", "rows"))
    assert without_times(next(kept)) == without_times(next(kept))


def test_a_picture_is_added_once(tmp_path) -> None:
    detector, work = PlantedDetector(), Work(FOUR, {"one": RandomMap()}, QUICK, 0.5, 0.5, None)
    with open_run(work, work.check(detector, 99), tmp_path / "rows.sqlite") as run:
        found = work.measure(detector, 0, ["one"])
        run.store.add(found)
        with pytest.raises(ValueError, match="holds these rows already"):
            run.store.add(found)
        with pytest.raises(ValueError, match="another data set, where item 0 was image 100, not 7"):
            run.store.add(replace(found, image_id=7))
        assert run.store.measured(0) == ["one"]
    assert len(on_disk(tmp_path / "rows.sqlite")) == 2


@pytest.mark.parametrize("second", ["rows.sqlite", "link.sqlite"])
def test_of_two_runs_on_one_path_the_second_stops_and_the_first_loses_nothing(tmp_path, second: str) -> None:
    path, other = tmp_path / "rows.sqlite", PlantedDetector()
    (tmp_path / "link.sqlite").symlink_to(path)

    def meanwhile() -> None:
        with pytest.raises(BlockingIOError, match=r"Another run is writing .*rows\.sqlite: wait until it has ended"):
            evaluate(other, FOUR, {"other": BoxFill()}, QUICK, 99, path=tmp_path / second)
        with pytest.raises(BlockingIOError, match="Another run is writing"):
            begin_with(kept, tmp_path / second)

    kept = tmp_path / "kept.sqlite"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 1, path=kept)
    found = evaluate(PlantedDetector(), FOUR, {"first": Watched(1, before=meanwhile)}, QUICK, 99, path=path)
    assert other.passes == 0 and len(found.rows) == len(on_disk(path)) == 5
    both = evaluate(other, FOUR, {"first": Watched(1), "other": BoxFill()}, QUICK, 99, path=path)
    assert len(both.rows) == 10 and both.rows[:5] == found.rows


def test_beginning_with_kept_rows_keeps_what_was_measured_since(tmp_path) -> None:
    kept, path, method = tmp_path / "kept.sqlite", tmp_path / "own" / "rows.sqlite", Watched(1)
    evaluate(PlantedDetector(), FOUR, {"noise": method}, QUICK, 3, path=kept)
    begin_with(tmp_path / "absent.csv", path)
    begin_with(kept, path)
    found = evaluate(PlantedDetector(), FOUR, {"noise": method, "other": BoxFill()}, QUICK, 99, path=path)
    assert len(method.calls) == 3
    begin_with(kept, path)
    assert sorted(map(str, Evaluation.load(path).rows)) == sorted(map(str, found.rows)) and len(found.rows) == 10
    evaluate(PlantedDetector(), FOUR, {"noise": Watched(2)}, QUICK, 3, path=tmp_path / "others.sqlite")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"was made with noise = Watched\(seed=1\), not Watched\(seed=2\)"):
        begin_with(tmp_path / "others.sqlite", path)
    assert path.read_bytes() == before


def of_network(name: str, seed: int) -> PlantedDetector:
    detector = PlantedDetector()
    torch.manual_seed(seed)
    detector.name, detector.model = name, torch.nn.Linear(1, 1)
    return detector


def test_rows_of_other_weights_are_refused_and_named(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
    evaluate(of_network("fcos-scenes", 0), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    with pytest.raises(ValueError, match=r"rows\.sqlite holds rows of other weights of fcos-scenes \(\w{8}\) than"):
        Evaluation.load(path)
    with pytest.raises(ValueError, match=r"was made with weights = \w{8}, not \w{8}: give another path"):
        evaluate(of_network("fcos-scenes", 1), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)


def test_rows_of_other_columns_are_not_mixed(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    change(path, "ALTER TABLE rows RENAME COLUMN one TO another")
    with pytest.raises(ValueError, match="another version, which differs in the columns another, one: give another"):
        evaluate(PlantedDetector(), FOUR, {"noise": RandomMap()}, QUICK, 99, path=path)
    assert len(on_disk(path)) == 5


def test_rows_that_were_taken_out_do_not_shrink_the_table_in_silence(tmp_path) -> None:
    path = tmp_path / "rows.sqlite"
    evaluate(PlantedDetector(), FOUR, {"fill": BoxFill()}, QUICK, 99, path=path)
    change(path, "DELETE FROM rows WHERE item = 1")
    with pytest.raises(ValueError, match="has 4 rows where its pictures have 5"):
        Evaluation.load(path)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
