"""The checks of notebook 04 say why a plausible answer is wrong."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from odam_chapters.errors import exercises
from odam_chapters.errors.cases import list_places, try_removals
from odam_chapters.errors.compared import BAD_BOX, WRONG_NAME, sort_mistakes
from odam_chapters.errors.exercises import check_cover, check_culprit, check_number, check_removal, check_verdict
from odam_chapters.errors.survey import ROWS, judge, read_mistakes
from torchvision.ops import box_iou

from odam_lib import load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector


def flat(said: str) -> str:
    """A reply on one line."""
    return " ".join(said.split())


def decide(same: float, other: float, taken: bool) -> str:
    if same >= 0.5:
        return "duplicate" if taken else "correct"
    if other >= 0.5:
        return "misclassified"
    if same >= 0.1:
        return "mislocalised"
    return "mislocalised and misclassified" if other >= 0.1 else "background"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (None, "open: write a function"),
        (decide, "right: all 10 cases"),
        (lambda same, other, taken: decide(same, other, False), "should be 'duplicate': the box is good"),
        (
            lambda same, other, taken: decide(same, 0 if same >= 0.1 else other, taken),
            "the touch of 0.3 is a neighbour's",
        ),
        (lambda same, other, taken: "duplicate" if taken else decide(same, other, taken), "a duplicate has to fit"),
        (
            lambda same, other, taken: decide(same, other if other > 0.5 else 0, taken),
            "touches nothing but an object of",
        ),
        (lambda same, other, taken: decide(same - 1e-6, other, taken), "an IoU of exactly 0.5 is enough"),
        (lambda same, other, taken: "", "it returns '', which is none of correct"),
        ("misclassified", "open: 'misclassified' is no function"),
    ],
)
def test_verdicts(rule: Callable | None, sentence: str) -> None:
    assert sentence in flat(check_verdict(rule))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("fcos-scenes", "cpu")


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("distractors", 4)


@pytest.fixture(scope="module")
def places(detector: Detector, scenes: Scenes) -> list[tuple[int, int]]:
    some = [judge(detector, *scenes[item], 0.5)[1:] for item in range(4)]
    them = list_places(some, [sort_mistakes(*some[item], scenes[item][1]) for item in range(4)])
    return them[BAD_BOX][:1] + them[WRONG_NAME][:2]


def test_a_removal_is_judged_by_the_mistake_itself(detector: Detector, scenes: Scenes, places: list) -> None:
    def look(place: tuple[int, int], thing: int) -> tuple:
        _, before, _ = judge(detector, *scenes[place[0]], 0.5)
        _, after, errors = judge(detector, *scenes.item_of(scenes.scene(place[0]).without(thing)), 0.5)
        same = (box_iou(before.boxes[[place[1]]], after.boxes)[0] >= 0.5) & (after.labels == before.labels[place[1]])
        return same, errors.verdicts != 0

    def right(place: tuple[int, int], thing: int) -> bool:
        same, wrong = look(place, thing)
        return not (same & wrong).any()

    def check(removal: Callable | None) -> str:
        return flat(check_removal(removal, detector, scenes, places, 0.5))

    assert check(None).startswith("open") and check("away").startswith("open: 'away' is no function")
    assert "True or False" in check(lambda place, thing: torch.zeros(2))
    assert check(right).startswith("right: the same answer as ours for")
    assert "is still there, with an IoU of" in check(lambda place, thing: True)
    assert "not quite" in check(lambda place, thing: not look(place, thing)[1].any())


def test_who_misled_is_told_by_the_removal(detector: Detector, scenes: Scenes, places: list) -> None:
    mends = try_removals(detector, scenes, places[0], 0.5)
    said = {thing: check_culprit(thing, detector, scenes, places, 0.5) for thing in mends}
    assert all(sentence.startswith("right") == mends[thing] for thing, sentence in said.items())
    about = {thing.index for thing in scenes.scene(places[0][0]).objects} - mends.keys()
    assert all(
        "is the object that the box should fit" in check_culprit(one, detector, scenes, places, 0.5) for one in about
    )
    assert check_culprit(99, detector, scenes, places, 0.5).startswith("open: what misled it? Answer with one of 0, 1")
    assert check_culprit(0, detector, scenes, [], 0.5).startswith("open: there is no mistake")


def test_a_number_that_tells_needs_no_map() -> None:
    rows = [one for one in read_mistakes(ROWS) if one.detector == "fcos-scenes"]
    for number, sentence in (
        (None, "open: write a function"),
        (lambda one: one.box_share, "right: area 0.9"),
        (lambda one: one.mended, "not quite: that is the answer itself"),
        (lambda one: one.evidence, "not quite: that is the map's energy"),
        (lambda one: one.class_share, "not quite: that is read off a map"),
        (lambda one: one.score, "not quite: area 0.7"),
        (lambda one: -one.box_share, "Below 0.5 it tells, but the wrong way round"),
        (lambda one: one.best_edge_share, "not quite: it is not a number for some mistakes"),
    ):
        assert sentence in flat(check_number(number, rows))


@pytest.mark.parametrize(
    ("answer", "after", "sentence"),
    [
        ([4, 1], (0.1, 0.6), "right: the truck wins, and gains by it (car 0.80 to 0.10, truck 0.10 to 0.60)."),
        ([0], (0.75, 0.12), "not quite: the car hardly needs what you covered"),
        ([4], (0.4, 0.3), "not quite: the truck gains but does not win"),
        ([6, 7], (0.3, 0.12), "not quite: both names need what you covered, none gains"),
        ([6, 7, 8], (0.05, 0.12), "not quite: the truck is ahead only since the car fell"),
        (range(9), (0.0, 0.01), "not quite: with 9 of 9 parts hidden hardly anything is left"),
        ([4, 4, 4, 4, 4, 4], (0.4, 0.3), "not quite: the truck gains but does not win"),
    ],
)
def test_a_cover_is_right_if_the_true_name_wins_by_it(answer, after, sentence, monkeypatch) -> None:
    monkeypatch.setattr(exercises, "measure_scores_without", lambda *given: torch.tensor([after]))
    assert flat(check_cover(answer, None, [CONFUSION])).startswith(sentence)


def test_a_cover_that_is_no_answer_costs_no_pass() -> None:
    for answer in (None, [], [9], [-1], [1.5]):
        assert check_cover(answer, None, [CONFUSION]).startswith("open: what would you cover")
    assert check_cover([1], None, []).startswith("open: no class was confused")


CONFUSION = SimpleNamespace(
    image=torch.rand(3, 30, 30),
    prediction=SimpleNamespace(boxes=torch.tensor([[3.0, 3, 27, 27]]), image_size=(30, 30)),
    labels=(3, 8),
    names=("car", "truck"),
    scores=torch.tensor([0.8, 0.1]),
)
