"""A scene without one part: what the same prediction says there, and which part a map misses."""

import re
from dataclasses import replace

import pytest
import torch
from matplotlib.text import Text
from odam_chapters.judging.experiment import (
    Experiment,
    choose_row,
    find_unseen,
    measure_brightness,
    show_changed,
    show_experiment,
    take_apart,
)

from odam_lib.datasets.categories import relabel
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import Picture
from odam_lib.evaluation.runs import open_picture
from odam_lib.explainers.controls import BoxFill


@pytest.fixture(scope="module")
def picture() -> Picture:
    detector = load_detector("fcos-scenes", "cpu")
    scenes = relabel(Scenes("demo", 1), detector.categories)
    return open_picture(detector, scenes, 0, *scenes[0])


@pytest.fixture(scope="module")
def experiment(picture: Picture) -> Experiment:
    return take_apart(picture, choose_row(picture, 4))


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_the_same_prediction_is_read_again_without_each_thing(picture: Picture, experiment: Experiment) -> None:
    trace, place = picture.trace, experiment.place("head")
    again = trace.detector.trace(experiment.pictures[place])
    same = replace(again.candidates[trace.row_of(experiment.detection)], labels=experiment.detection.labels)
    torch.testing.assert_close(again.boxes(same)[0], experiment.boxes[place], rtol=0, atol=0.1)
    label = int(experiment.detection.labels)
    assert float(same.class_probs[0, label]) == pytest.approx(float(experiment.scores[place]), abs=1e-3)
    changed = (experiment.pictures[place] != trace.image).any(dim=0)
    assert changed.any() and (changed & experiment.regions[place]).sum() > 0.7 * changed.sum()


def test_the_object_of_the_series_hangs_on_a_head_that_no_map_shows(picture: Picture, experiment: Experiment) -> None:
    falls = experiment.of_parts(experiment.falls.tolist())
    assert set(sorted(falls, key=falls.get)[-2:]) == {"torso", "head"} and falls["right arm"] < 0.05
    filled = BoxFill()(picture.trace, experiment.detection, ("class",))
    bright = experiment.of_parts(measure_brightness(experiment, filled))
    assert bright.keys() == falls.keys() and bright["head"] == pytest.approx(bright["torso"], rel=0.05)


def test_what_is_missed_matters_and_is_dark() -> None:
    assert find_unseen({"a": 0.3, "b": 0.29, "c": 0.0}, {"a": 9.0, "b": 0.1, "c": 0.0}) == "b"
    assert find_unseen({"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 0.0}) == "a"


def test_figures_tell_the_scores(picture: Picture, experiment: Experiment) -> None:
    told = texts(show_experiment(experiment, ["head"], "title"))
    assert f"without the head: {experiment.scores[experiment.place('head')]:.2f}" in told
    told = texts(show_changed(picture, 3, {"nothing": picture.trace.image, "all": torch.rand(3, 256, 256)}, "title"))
    left = dict(re.findall(r"(nothing|all): (\d+)% left", told))
    assert left["nothing"] == "100" and int(left["all"]) < 30


def test_an_object_that_is_not_found_is_replaced_by_the_first_and_none_is_told(picture: Picture) -> None:
    assert picture.own[choose_row(picture, 4)] == 4 and choose_row(picture, 99) == 0
    with pytest.raises(ValueError, match="PICTURE shows no object that DETECTOR finds"):
        choose_row(replace(picture, own=picture.own[:0]), 0)
