"""Rows of mistakes: what they hold is what the maps and the second picture say."""

import math
from dataclasses import replace

import pytest
import torch
from odam_chapters.errors.cases import make_case, make_case_without, try_removals
from odam_chapters.errors.survey import (
    WRONG_CLASS,
    Mistake,
    judge,
    open_pictures,
    read_mistakes,
    speak_of,
    survey_scene,
    write_mistakes,
)

from odam_lib import ODAM, load_detector
from odam_lib.datasets.categories import relabel
from odam_lib.datasets.scenes import CATEGORIES, Scenes
from odam_lib.detectors.base import Detector
from odam_lib.files import data_root
from odam_lib.metrics.localization import energy_inside

THRESHOLD = 0.5


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("fcos-scenes", "cpu")


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("distractors", 20)


@pytest.fixture(scope="module")
def mistakes(detector: Detector, scenes: Scenes) -> list[Mistake]:
    return [one for item in range(len(scenes)) for one in survey_scene(detector, scenes, item, THRESHOLD)]


def test_a_row_says_what_the_maps_say(detector: Detector, scenes: Scenes, mistakes: list[Mistake]) -> None:
    assert len(mistakes) >= 10
    for one in mistakes[:6]:
        image, target = scenes[one.scene]
        trace, found, errors = judge(detector, image, target, THRESHOLD)
        mask = target["distractor_masks"][0]
        attribute = one.wrong_edge or "class"
        heat = ODAM()(trace, found[one.row], (attribute,)).to_image()
        assert one.evidence == pytest.approx(float(energy_inside(heat, mask)), abs=1e-4)
        assert errors.names()[one.row] == one.verdict != "correct" and found.names()[one.row] == one.label
        assert one.area_share == pytest.approx(mask.float().mean().item())


def test_what_a_row_leaves_open_follows_from_its_verdict(mistakes: list[Mistake]) -> None:
    for one in mistakes:
        localised = one.verdict == "mislocalised"
        assert bool(one.wrong_edge) == bool(one.best_edge) == localised
        assert math.isnan(one.wrong_edge_share) != localised
        assert math.isnan(one.true_class_share) != ("misclassified" in one.verdict)
        assert (one.true_label == "") == (one.verdict == "background")
        assert not localised or one.label == one.true_label


def test_rows_come_back_as_they_were_written(mistakes: list[Mistake], tmp_path) -> None:
    write_mistakes(mistakes, tmp_path / "rows.csv")
    back = read_mistakes(tmp_path / "rows.csv")
    assert [one.mended for one in back] == [one.mended for one in mistakes]
    for ours, theirs in zip(mistakes, back):
        assert repr(replace(theirs, **rounded(ours))) == repr(theirs)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no mistakes"):
        read_mistakes(tmp_path / "other.csv")


def rounded(one: Mistake) -> dict[str, float]:
    return {name: float(f"{value:.4f}") for name, value in vars(one).items() if isinstance(value, float)}


def test_the_bundled_rows_are_what_the_survey_finds_today(mistakes: list[Mistake], scenes: Scenes) -> None:
    bundled = [
        one
        for one in read_mistakes(data_root() / "evaluation" / "distractors.csv")
        if one.detector == "fcos-scenes" and one.scene < len(scenes)
    ]
    # A detection next to the threshold may fall on its other side on another processor.
    known = {(one.scene, one.verdict, one.label) for one in bundled}
    today = {(one.scene, one.verdict, one.label) for one in mistakes}
    assert len(known & today) >= 0.9 * len(known | today)


def test_removing_the_distractor_says_the_same_as_removing_it_from_the_scene(
    detector: Detector, scenes: Scenes, mistakes: list[Mistake]
) -> None:
    for one in mistakes[:4]:
        outcome = try_removals(detector, scenes, one.scene, one.row, THRESHOLD)
        planted = next(item for item in scenes.scene(one.scene).objects if item.lures is not None)
        assert outcome[f"{planted.index} {planted.name}"] == one.mended


def test_a_case_shows_the_two_edges_or_the_two_classes(
    detector: Detector, scenes: Scenes, mistakes: list[Mistake]
) -> None:
    for verdict, words in (("mislocalised", ("wrong", "best")), ("mislocalised and misclassified", ("said", "true"))):
        one = next(mistake for mistake in mistakes if mistake.verdict == verdict)
        image, target = scenes[one.scene]
        case = make_case(image, target, judge(detector, image, target, THRESHOLD), one.row)
        assert [heading.split(":")[0] for heading in case.maps] == list(words)
        assert len(case.edges) == (2 if verdict == "mislocalised" else 0)
        assert f"{100 * one.evidence:.0f} % on the distractor" in next(iter(case.maps))


def test_retitled_predictions_are_scored_for_the_other_class(detector: Detector, scenes: Scenes) -> None:
    trace = detector.trace(scenes[0][0])
    found = trace.detections(THRESHOLD)
    other = speak_of(found, torch.ones_like(found.labels))
    torch.testing.assert_close(trace.targets("class", other).detach(), other.scores, atol=1e-5, rtol=1e-5)
    assert torch.equal(other.boxes, found.boxes)


def test_boxes_in_ignored_regions_of_their_class_are_not_judged(detector: Detector, scenes: Scenes) -> None:
    image, _ = scenes[0]
    everything = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    _, found, errors = judge(detector, image, everything, THRESHOLD)
    assert set(errors.names()) == {"background"}
    label = int(found.labels[0])
    ignored = {"ignored": torch.tensor([[0.0, 0.0, 256.0, 256.0]]), "ignored_labels": torch.tensor([label])}
    _, left, _ = judge(detector, image, everything | ignored, THRESHOLD)
    assert len(left) == int((found.labels != label).sum()) < len(found)


def test_scenes_without_distractors_are_refused(detector: Detector) -> None:
    with pytest.raises(ValueError, match="have no distractors"):
        survey_scene(detector, Scenes("val", 1), 0)


@pytest.mark.parametrize(
    ("name", "number", "seed", "sentence"),
    [
        ("pictures", 3, 0, "Unknown data set 'pictures': choose one of scenes, distractors, coco"),
        ("scenes", 0, 0, "number of scenes"),
        ("distractors", 3, -1, "seed"),
    ],
)
def test_pictures_that_do_not_exist_are_refused(name: str, number: int, seed: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        open_pictures(name, number, seed)


def test_scenes_are_opened_with_their_names_and_held_out() -> None:
    dataset, items, categories = open_pictures("scenes", 3, seed=2)
    assert items == [0, 1, 2] and categories[1] == "person"
    assert dataset.scene(0).seed == Scenes("val", 1, seed=2).scene(0).seed


def test_without_the_distractor_the_same_object_is_shown(
    detector: Detector, scenes: Scenes, mistakes: list[Mistake]
) -> None:
    one = next(mistake for mistake in mistakes if mistake.verdict == "mislocalised")
    image, target = scenes[one.scene]
    _, _, errors = judge(detector, image, target, THRESHOLD)
    chosen = int(errors.objects[one.row])
    case = make_case_without(detector, scenes, one.scene, chosen, THRESHOLD)
    _, clean_target = scenes.without_distractors(one.scene)
    assert torch.equal(case.true_box, clean_target["boxes"][chosen]) and case.distractor is None
    assert not torch.equal(case.image, image)
    assert make_case_without(detector, scenes, one.scene, -1, THRESHOLD).box is None


def test_an_object_of_a_class_that_the_detector_does_not_know_is_shown(detector: Detector) -> None:
    image, target = Scenes("val", 1)[0]
    target["labels"] = torch.full_like(target["labels"], 90)
    judged = judge(detector, image, target, THRESHOLD)
    row = judged[2].names().index("misclassified")
    case = make_case(image, target, judged, row)
    assert case.caption.endswith("it is a thing that the detector does not know") and len(case.maps) == 1


class Reversed(Scenes):
    """The same scenes with their classes numbered in reverse."""

    categories = (CATEGORIES[0], *reversed(CATEGORIES[1:]))

    def item_of(self, scene):
        image, target = super().item_of(scene)
        return image, target | {"labels": len(CATEGORIES) - target["labels"]}


def test_scenes_in_another_numbering_give_the_same_mistakes(
    detector: Detector, scenes: Scenes, mistakes: list[Mistake]
) -> None:
    renumbered = relabel(Reversed("distractors", 20), detector.categories)
    one = mistakes[0]
    expected = [other for other in mistakes if other.scene == one.scene]
    assert repr(survey_scene(detector, renumbered, one.scene, THRESHOLD)) == repr(expected)
    about = int(judge(detector, *scenes[one.scene], THRESHOLD)[2].objects[one.row])
    outcomes = [try_removals(detector, those, one.scene, one.row, THRESHOLD) for those in (renumbered, scenes)]
    captions = [
        make_case_without(detector, those, one.scene, about, THRESHOLD).caption for those in (renumbered, scenes)
    ]
    assert outcomes[0] == outcomes[1] and captions[0] == captions[1]


def test_what_the_detector_does_not_know_is_a_mistake_without_a_true_map(detector: Detector) -> None:
    class Foreign(Scenes):
        categories = (CATEGORIES[0], CATEGORIES[1], *(f"odd {name}" for name in CATEGORIES[2:]))

    foreign = relabel(Foreign("distractors", 20), detector.categories)
    found = [one for item in range(6) for one in survey_scene(detector, foreign, item, THRESHOLD)]
    strange = [one for one in found if one.true_label.startswith("odd ")]
    assert strange and all(one.verdict in WRONG_CLASS and math.isnan(one.true_class_share) for one in strange)
