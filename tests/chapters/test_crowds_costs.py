"""Costs of suppression: what is timed is the whole way, verdicts follow the targets."""

import time

import pytest
import torch
from odam_chapters.crowds.costs import Kernels, Pipelines, rate_kernels, rate_pipelines, time_kernels, time_pipelines
from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS
from odam_chapters.timing import measure_in_turn

from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.suppression import by_boxes, by_maps
from odam_lib.kernels.nms import nms


def test_functions_take_turns_after_a_round_without_a_clock() -> None:
    calls = []
    seconds = measure_in_turn({"a": lambda: calls.append("a"), "b": lambda: (calls.append("b"), time.sleep(0.02))}, 3)
    assert calls == ["a", "b"] * 4
    assert [len(each) for each in seconds.values()] == [3, 3] and min(seconds["b"]) >= 0.02 > max(seconds["a"])
    with pytest.raises(ValueError, match="repeats is 0"):
        measure_in_turn({}, 0)


def test_a_ratio_is_of_the_same_picture() -> None:
    one = Pipelines({CLASSICAL: (1.0, 10.0, 4.0), ODAM_NMS: (2.0, 12.0, 6.0)}, (5, 6, 7))
    assert one.ratio(ODAM_NMS) == 1.5 and one.of(CLASSICAL) == 4.0 and one.ratio(CLASSICAL) == 1


def test_pipelines_hold_a_number_for_each_picture_and_rule() -> None:
    detector, (image, _) = load_detector("fcos-crowd", "cpu"), Scenes("val", 1, "crowd", 128)[0]
    slow = by_boxes(nms)

    def waiting(trace, found):
        time.sleep(0.05)
        return slow(trace, found)

    rules = {CLASSICAL: by_boxes(nms), ODAM_NMS: by_maps(), "waiting": waiting}
    measured = time_pipelines(detector, [image, image.flip(-1)], rules, 0.3, 2)
    assert all(len(each) == 2 for each in measured.seconds.values()) and all(measured.candidates)
    assert measured.of("waiting") >= 0.05 + 0.5 * measured.of(CLASSICAL)
    assert measured.candidates[0] == len(detector.trace(image).above(0.3))
    with pytest.raises(ValueError, match="0 pictures"):
        time_pipelines(detector, [], rules, 0.3, 1)
    with pytest.raises(ValueError, match="give a picture, and NMS"):
        time_pipelines(detector, [image], {ODAM_NMS: by_maps()}, 0.3, 1)


def test_verdicts_follow_the_targets() -> None:
    told = rate_pipelines(
        {
            "a": Pipelines({CLASSICAL: (0.02,), ODAM_NMS: (0.025,)}, (100,)),
            "b": Pipelines({CLASSICAL: (1.0,), ODAM_NMS: (1.6,)}, (9,)),
        },
        ODAM_NMS,
    )
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  ")] == ["met", "MISSED"]
    assert "a: 100 candidates" in told and "1.25 times" in told and "25 and 20 ms" in told
    assert rate_kernels(Kernels((0.001,), (0.05,))).startswith("met") and "50 times" in rate_kernels(
        Kernels((0.001,), (0.05,))
    )
    assert rate_kernels(Kernels((0.001,), (0.07,))).startswith("MISSED")
    assert rate_kernels(Kernels((0.01,), (0.19,))).startswith("met")  # 20 times the plain one is more


def test_the_kernels_are_measured_on_maps_that_matter() -> None:
    measured = time_kernels(60, (10, 14), repeats=2)
    assert len(measured.nms) == len(measured.odam_nms) == 2 and min(measured.odam_nms) > 0
    assert measured.limit == pytest.approx(max(0.06, 20 * sum(measured.nms) / 2))
    torch.testing.assert_close(torch.tensor(time_kernels(0, repeats=1).nms).numel(), 1)
