"""Pairs in Python: decisions are the kernels', what is shown belongs to the pair. Clicks: ``browser/test_pairs.py``."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from matplotlib.colors import to_hex
from odam_chapters.crowds.decisions import LEAST_LEFT, SOFT_NMS, decide, find_telling_pair
from odam_chapters.crowds.pair_widget import COLOURS, PairPicker, say_no_pair, show_pair
from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS, RASTER, SCORE_THRESHOLD, find_candidates
from PIL import Image
from planted import SIZE, PlantedCrowd, PlantedDetector, crowd_map, planted_image
from torch import Tensor
from traitlets import TraitError

from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.raster import raster_maps
from odam_lib.kernels.nms import nms, odam_nms, soft_nms
from odam_lib.kernels.odam import min_max


def detections(boxes: list[tuple[float, ...]], scores: list[float], labels: list[int]) -> Detections:
    rows = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(rows, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
        class_probs=torch.zeros(rows, 3),
        level=torch.zeros(rows, dtype=torch.int64),
        index=torch.arange(rows),
        image_size=SIZE,
        categories=("__background__", "person", "dog"),
        source="a test",
    )


TWO = detections([(0, 0, 10, 10), (0, 0, 10, 8)], [0.9, 0.6], [1, 1])
"""Their IoU is 0.8."""
ALIKE, APART = torch.tensor([[[3.0, 4.0]], [[4.0, 3.0]]]), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
"""Maps whose correlation is 0.96, and 0."""


@pytest.fixture
def picker() -> PairPicker:
    return PairPicker(PlantedCrowd(), planted_image())


@pytest.fixture(scope="module")
def crowd() -> tuple[Tensor, PairPicker]:
    image = Scenes("val", 4, "crowd")[3][0]
    return image, PairPicker(load_detector("fcos-crowd-odam", "cpu"), image)


shares = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
cells = st.lists(st.sampled_from([0.0, 1.0, 2.0, 1e-30]), min_size=2, max_size=2)


@given(
    shift=st.integers(0, 12),
    height=st.integers(0, 12),
    scores=st.tuples(shares, shares),
    labels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    maps=st.tuples(cells, cells),
    iou_threshold=shares,
    bounds=st.tuples(shares, shares).map(sorted),
    swapped=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_verdicts_are_the_kernels_and_sentences_say_what_is_true(
    shift: int,
    height: int,
    scores: tuple,
    labels: tuple,
    maps: tuple,
    iou_threshold: float,
    bounds: list,
    swapped: bool,
) -> None:
    found = detections([(0, 0, 10, 10), (shift, 0, shift + 10, height)], list(scores), list(labels))
    heat, (low, high) = torch.tensor(maps)[:, None], bounds
    rows = (1, 0) if swapped else (0, 1)
    decided = decide(found, heat, *rows, iou_threshold, low, high)
    alone = (found.boxes, found.scores, found.labels)
    kept = {
        CLASSICAL: nms(*alone, iou_threshold),
        ODAM_NMS: odam_nms(*alone, heat, iou_threshold, low, high),
        SOFT_NMS: soft_nms(*alone, score_threshold=LEAST_LEFT),
    }
    assert {decision.rule: decision.duplicate for decision in decided.by_rule} == {
        rule: len(left.index) < 2 for rule, left in kept.items()
    }
    assert decided == decide(found, heat, *rows[::-1], iou_threshold, low, high)
    compared = re.compile(r"([\d.]+) is (not )?over (?:T_iou|T_l|T_h|the final threshold) ([\d.e-]+)")
    for decision in decided.by_rule:
        words = ("kept", "dropped") if decision.rule == SOFT_NMS else ("two objects", "duplicate")
        assert decision.sentence.endswith(f": {words[decision.duplicate]}")
        for value, negated, limit in compared.findall(decision.reason):
            assert (float(value) > float(limit)) is not bool(negated), decision.reason
        if compared.search(decision.reason) is None:
            assert re.search("up to rounding|different labels|T_l 0 asks", decision.reason), decision.reason


@pytest.mark.parametrize(
    ("maps", "thresholds", "sentence"),
    [
        (ALIKE, (0.5, 0.2, 0.8), "IoU 0.80 is over T_iou 0.5 and correlation 0.96 is over T_l 0.2: duplicate"),
        (APART, (0.5, 0.2, 0.8), "IoU 0.80 is over T_iou 0.5 but correlation 0.00 is not over T_l 0.2: two objects"),
        (ALIKE, (0.9, 0.2, 0.8), "IoU 0.80 is not over T_iou 0.9 but correlation 0.96 is over T_h 0.8: duplicate"),
        (
            APART,
            (0.9, 0.2, 0.8),
            "IoU 0.80 is not over T_iou 0.9 and correlation 0.00 is not over T_h 0.8: two objects",
        ),
        (APART, (0.5, 0.0, 0.8), "IoU 0.80 is over T_iou 0.5 and T_l 0 asks nothing of the maps: duplicate"),
        (ALIKE, (0.9, 0.0, 1.0), "IoU 0.80 is not over T_iou 0.9 and T_h 1 merges nothing: two objects"),
        (ALIKE, (0.5, 0.96, 1.0), "IoU 0.80 is over T_iou 0.5 .*correlation is T_l 0.96 up to rounding and counts as "),
    ],
)
def test_odam_nms_is_explained_by_the_numbers_that_decide(maps: Tensor, thresholds: tuple, sentence: str) -> None:
    assert re.match(sentence, decide(TWO, maps, 0, 1, *thresholds).by_rule[1].sentence)


def test_nms_and_soft_nms_are_explained_by_iou_and_by_what_is_left() -> None:
    decided = decide(TWO, ALIKE, 0, 1)
    assert decided.by_rule[0].sentence == "IoU 0.80 is over T_iou 0.5: duplicate"
    close = replace(TWO, boxes=torch.tensor([[0, 0, 10, 10], [0, 0, 10, 8.04]]))
    assert decide(close, ALIKE, 0, 1, 0.8).by_rule[0].sentence == "IoU 0.804 is over T_iou 0.8: duplicate"
    assert decided.left == pytest.approx(0.6 * torch.exp(torch.tensor(-(0.8**2) / 0.5)).item())
    assert decided.by_rule[2].sentence == (
        "IoU 0.80 lowers score 0.60, and the remaining 0.17 is over the final threshold 0.05: kept"
    )
    low = decide(replace(TWO, scores=torch.tensor([0.9, 0.1])), ALIKE, 0, 1)
    assert low.left == pytest.approx(0.0278, abs=1e-4)
    assert low.by_rule[2].sentence == (
        "IoU 0.80 lowers score 0.10, and the remaining 0.03 is not over the final threshold 0.05: dropped"
    )


def test_a_map_of_zeros_leaves_the_decision_to_iou_and_is_named() -> None:
    maps = torch.cat([APART[:1], torch.zeros(1, 1, 2)])
    decided = decide(TWO, maps, 1, 0)
    assert decided.correlation is None and decided.numbers == "IoU 0.80, no correlation"
    reason = "The map of 1 is zero, so that IoU decides alone: IoU 0.80 is"
    assert decided.by_rule[1].sentence == f"{reason} over T_iou 0.5: duplicate"
    assert decide(TWO, maps, 0, 1, 0.9).by_rule[1].sentence == f"{reason} not over T_iou 0.9: two objects"


def test_different_labels_never_suppress_each_other() -> None:
    decided = decide(replace(TWO, labels=torch.tensor([1, 2])), ALIKE, 0, 1)
    assert {decision.sentence for decision in decided.by_rule} == {
        f"person and dog: different labels never suppress each other: {word}" for word in ("two objects", "kept")
    }
    assert decided.left == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("rows", "thresholds", "error", "sentence"),
    [
        ((1, 1), (), ValueError, "Detection 1 is chosen twice: give two different ones."),
        ((0, 2), (), IndexError, "There is no detection 2: give a number from 0 to 1."),
        ((-1, 0), (), IndexError, "There is no detection -1: give a number from 0 to 1."),
        ((0, 1), (1.5,), ValueError, "iou_threshold is 1.5: give a number in"),
        ((0, 1), (0.5, 0.8, 0.2), ValueError, "low is 0.8 and high is 0.2: low may not be over high."),
    ],
)
def test_what_is_no_pair_is_refused(rows: tuple, thresholds: tuple, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        decide(TWO, ALIKE, *rows, *thresholds)
    with pytest.raises(ValueError, match="There are 1 maps of 2 detections"):
        decide(TWO, ALIKE[:1], 0, 1)


def test_the_first_pair_overlaps_with_maps_that_differ(crowd: tuple[Tensor, PairPicker]) -> None:
    _, picker = crowd
    dropped = {decision.rule: decision.duplicate for decision in picker.decisions.by_rule}
    assert picker.decisions.iou > 0.5 and dropped[CLASSICAL] and not dropped[ODAM_NMS]
    first, second = find_telling_pair(picker.detections, picker.maps, first=picker.second)
    assert first == picker.second != second
    far = detections([(0, 0, 10, 10), (0, 0, 10, 10), (5, 0, 15, 10)], [0.9, 0.8, 0.7], [1, 2, 1])
    assert set(find_telling_pair(far, torch.ones(3, 1, 2))) == {0, 2}


def test_what_can_be_chosen_is_distinct(crowd: tuple[Tensor, PairPicker]) -> None:
    image, picker = crowd
    trace = load_detector("fcos-crowd-odam", "cpu").trace(image)
    every = find_candidates(trace, SCORE_THRESHOLD)
    kept = nms(every.boxes, every.scores, every.labels, 0.8).index
    assert torch.equal(picker.detections.boxes, every.boxes[kept]) and 10 < len(kept) < len(every) / 2
    assert torch.equal(picker.maps, raster_maps(trace, every[kept], short_edge=RASTER).detach())


def test_panels_belong_to_their_rows(crowd: tuple[Tensor, PairPicker]) -> None:
    image, picker = crowd
    figure = show_pair(image, picker.detections, picker.maps, 5, 3)
    every, first, second, rules = figure.axes
    assert first.get_title().startswith("5 person") and second.get_title().startswith("3 person")
    assert len(every.collections[0].get_paths()) == len(picker.detections) - 2
    assert [to_hex(patch.get_edgecolor()) for patch in every.patches] == list(COLOURS)
    corners = torch.tensor([patch.get_xy() for patch in every.patches])
    assert torch.allclose(corners, picker.detections.boxes[[5, 3], :2])
    for panel, row, colour in ((first, 5, COLOURS[0]), (second, 3, COLOURS[1])):
        own = panel.patches[-1]
        x1, y1, x2, y2 = picker.detections.boxes[row].tolist()
        assert to_hex(own.get_edgecolor()) == colour
        assert (own.get_width(), own.get_height()) == pytest.approx((x2 - x1, y2 - y1), rel=1e-4)
        assert panel.get_aspect() == 1 and len(panel.get_xticks()) == len(panel.get_yticks()) == 0
    assert not torch.equal(*(torch.from_numpy(panel.images[0].get_array().data) for panel in (first, second)))
    words = [text.get_text() for text in rules.texts]
    for decision in decide(picker.detections, picker.maps, 5, 3).by_rule:
        assert {decision.rule, decision.word, decision.reason} <= set(words)


def test_no_text_of_the_figure_is_cropped_or_laid_over_other_text() -> None:
    found, maps = PlantedCrowd().trace(planted_image()).candidates, torch.stack([crowd_map(row) for row in range(4)])
    narrow = detections([(0, 0, 10, 10), (0, 0, 10, 8)], [0.9, 0.6], [1, 1])
    for figure in (
        show_pair(planted_image(), found, maps, 0, 1, 0.6200001, 0.4999999, 0.5000001),
        show_pair(planted_image(), narrow, torch.zeros(2, 12, 16), 0, 1, 0.799999),
        show_pair(planted_image(), found[:1], maps[:1], 0, 0),
        show_pair(planted_image(), found[:0], maps[:0], 0, 0),
    ):
        figure.draw_without_rendering()
        texts = [text for panel in figure.axes for text in (*panel.texts, panel.title)]
        extents = [text.get_window_extent() for text in (*texts, *figure.texts) if text.get_text()]
        for place, extent in enumerate(extents):
            assert extent.x0 >= 0 and extent.y0 >= 0 and extent.x1 <= figure.bbox.x1 and extent.y1 <= figure.bbox.y1
            assert not any(extent.overlaps(other) for other in extents[place + 1 :])


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (2, 1), (3, 0)])
def test_what_is_shown_is_of_the_pair(picker: PairPicker, first: int, second: int) -> None:
    with picker.hold_trait_notifications():
        picker.first, picker.second = first, second
    assert (picker._shown["first"], picker._shown["second"]) == (first, second)
    expected = decide(picker.detections, picker.maps, first, second)
    assert picker.decisions == expected and picker._shown["numbers"] == expected.numbers
    assert picker._shown["decisions"] == [
        [decision.rule, decision.word, decision.reason] for decision in expected.by_rule
    ]
    left, top, right, bottom = picker._shown["part"]
    for row in (first, second):
        x1, y1, x2, y2 = picker.detections.boxes[row].tolist()
        assert left <= x1 and top <= y1 and x2 <= right and y2 <= bottom
    sent = torch.from_numpy(np.array(Image.open(io.BytesIO(picker._maps)))).unflatten(0, (len(picker.maps), -1)) / 255
    assert (sent - min_max(picker.maps)).abs().max() <= 0.51 / 255


def test_a_threshold_turns_the_verdict(picker: PairPicker) -> None:
    assert (picker.first, picker.second, picker._shown["decisions"][1][1]) == (0, 1, "duplicate")
    picker.low = 0.6
    assert picker._shown["decisions"][1][1] == "two objects" and picker._shown["low"] == 0.6
    picker.iou_threshold = 0.7
    assert [word for _, word, _ in picker._shown["decisions"]] == ["two objects", "two objects", "kept"]
    with picker.hold_trait_notifications():
        picker.low, picker.high = 0.1, 0.3
    assert picker._shown["decisions"][1][1] == "duplicate"


def test_one_of_a_pair_can_be_given() -> None:
    assert (lambda one: (one.first, one.second))(PairPicker(PlantedCrowd(), planted_image(), first=2)) == (2, 0)
    assert (lambda one: (one.first, one.second))(PairPicker(PlantedCrowd(), planted_image(), second=2)) == (0, 2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"first": 4}, "There is no detection 4: give a number from 0 to 3."),
        ({"second": -1}, "There is no detection -1: give a number from 0 to 3."),
        ({"first": 1, "second": 1}, "Detection 1 is chosen twice: give two different ones."),
        ({"iou_threshold": 1.5}, "iou_threshold is 1.5: give a number in"),
        ({"low": float("nan")}, "low is nan: give a number in"),
        ({"low": 0.9}, "low is 0.9 and high is 0.8: low may not be over high."),
        ({"high": 0.1}, "low is 0.2 and high is 0.1: low may not be over high."),
    ],
)
def test_values_that_do_not_exist_are_refused_and_change_nothing(
    picker: PairPicker, values: dict[str, float], sentence: str
) -> None:
    before = picker.get_state()
    with pytest.raises(TraitError, match=sentence), picker.hold_trait_notifications():
        for name, value in values.items():
            setattr(picker, name, value)
    assert picker.get_state() == before
    with pytest.raises(TraitError, match=sentence):
        PairPicker(PlantedCrowd(), planted_image(), **values)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct is 2: give a number in"):
        PairPicker(PlantedCrowd(), planted_image(), distinct=2)
    with pytest.raises(ValueError, match="score threshold is -1"):
        PairPicker(PlantedCrowd(), planted_image(), score_threshold=-1)
    with pytest.raises(ValueError, match="has no derivative on a window"):
        PairPicker(PlantedDetector(), planted_image())
    with pytest.raises(ValueError, match="explain detections with the detector and the image that made them"):
        PairPicker(PlantedCrowd(), planted_image() * 0.5, PlantedCrowd().detect(planted_image()))


def test_given_detections_are_all_offered_in_their_order() -> None:
    found = PlantedCrowd().detect(planted_image())[[2, 0, 0]]
    picker = PairPicker(PlantedCrowd(), planted_image(), found)
    assert torch.equal(picker.detections.boxes, found.boxes) and torch.equal(picker.maps[1], picker.maps[2])


def test_an_error_is_shown_and_raised_until_the_next_success(
    picker: PairPicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("odam_chapters.crowds.decisions.odam_nms", None)
        with pytest.raises(TypeError):
            picker.second = 2
        assert picker.error.startswith("The pair could not be compared: ")
    picker.second = 3
    assert picker.error == "" and picker._shown["second"] == 3


@pytest.mark.parametrize(("threshold", "count"), [(0.99, 0), (0.9, 1)])
def test_without_a_pair_there_is_a_picture_and_a_sentence(threshold: float, count: int) -> None:
    picker = PairPicker(PlantedCrowd(), planted_image(), score_threshold=threshold, first=0)
    assert (picker.first, picker.second, picker.decisions) == (-1, -1, None)
    assert picker._about["sentence"] == say_no_pair(count) and len(picker._about["objects"]) == count
    assert repr(picker) == f"PairPicker({count} detection{'' if count else 's'}, pair: none)"
    picker.low = 0.1
    assert picker._maps == b"" and picker.error == ""
    assert "image/png" in picker._repr_mimebundle_()[0]
    with pytest.raises(TraitError, match=say_no_pair(count)):
        picker.first = 0


def test_a_still_picture_accompanies_the_live_view(crowd: tuple[Tensor, PairPicker]) -> None:
    data, _ = crowd[1]._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    png = base64.b64decode(data["image/png"])
    assert Image.open(io.BytesIO(png)).size[0] == 800 and len(png) < 300_000


def test_the_figure_without_python_holds_every_pair_that_it_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    picker = PairPicker(PlantedCrowd(), planted_image(), first=3, second=1, low=0.6)
    whole = picker.standalone()
    assert len(whole.table) == 12 and whole.values["first"] == 3 and whole.keys == ("first", "second")
    assert whole.table["0 1"]["_shown"]["decisions"][1][1] == "two objects"  # at this T_l
    monkeypatch.setattr("odam_chapters.crowds.pair_widget.MOST_PAIRED", 3)
    some = picker.standalone()
    assert set(some.table) == {"0 1", "1 0", "0 2", "2 0", "1 2", "2 1"}
    assert (
        len(some.values["_about"]["objects"]) == 3 and "The first 3 of 4 objects" in some.values["_about"]["sentence"]
    )
    assert (some.values["first"], some.values["second"]) == (0, 1)
    alone = PairPicker(PlantedCrowd(), planted_image(), score_threshold=0.9).standalone()
    assert not alone.table and alone.values["_about"]["sentence"] == say_no_pair(1)
