"""Plans that are balanced and blind, items that show what they say, readers that are no people."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from matplotlib.text import Text
from odam_chapters.study.gathering import OF_MODELS, WITH_ODAM_TRAIN, list_methods, make_all_items, open_photographs
from odam_chapters.study.inference import tabulate_ranks
from odam_chapters.study.items import DISCRIMINATION, EDGES, STUDIES, TRUST, list_conditions, make_plan
from odam_chapters.study.making import (
    VARIANTS,
    Picture,
    _renumber,
    make_discrimination_items,
    make_edge_items,
    make_model_items,
    make_trust_items,
    read_shares,
)
from odam_chapters.study.plots import show_by_odi, show_power, show_question, show_readers
from odam_chapters.study.reader import RULES, estimate_answers, estimate_gain, read_items, read_pictures
from odam_chapters.study.simulated import follow_pointings, follow_rankings, guess_pointings, guess_rankings
from PIL import Image
from planted import BOXES, PlantedDetector, planted_image
from study_items import METHODS, make_pointed, make_ranked

from odam_lib import ODAM, load_detector
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.weights import read_card
from odam_lib.files import data_root
from odam_lib.images import load_image
from odam_lib.metrics.intervals import Estimate
from odam_lib.metrics.localization import energy_inside
from odam_lib.viz.drawing import save_png

NAMES = [f"item {place}" for place in range(12)]


@pytest.mark.parametrize("study", [TRUST, EDGES])
def test_every_map_has_every_place_equally_often_and_the_order_is_nobody_elses(study) -> None:
    plans = [make_plan(study, NAMES, METHODS, turn, seed=1) for turn in range(8)]
    for plan in plans:
        assert sorted(question.item for question in plan) == sorted(NAMES)
        assert Counter(pair for question in plan for pair in enumerate(question.shown)) == {
            (place, name): 3 for place in range(4) for name in METHODS
        }
    assert len({tuple(plan) for plan in plans}) == 8
    assert plans[3] == make_plan(study, NAMES, METHODS, 3, seed=1) != make_plan(study, NAMES, METHODS, 3, seed=2)


def test_nobody_sees_an_object_twice_and_every_object_is_seen_under_every_condition() -> None:
    conditions = (*METHODS, "fifth")
    plans = [make_plan(DISCRIMINATION, NAMES[:10], conditions, turn, seed=1) for turn in range(5)]
    for plan in plans:
        assert len({question.item for question in plan}) == 10
        assert Counter(question.shown for question in plan) == {(name,): 2 for name in conditions}
    seen = {(question.item, *question.shown) for plan in plans for question in plan}
    assert len(seen) == 50
    with pytest.raises(ValueError, match="There are 4 items for 5 conditions"):
        make_plan(DISCRIMINATION, NAMES[:4], conditions, 0, seed=1)


def test_items_that_do_not_go_together_are_refused() -> None:
    items = make_ranked(3)
    assert list_conditions(items) == METHODS
    for wrong, said in (
        ([], "There is no item to ask about"),
        ([items[0], items[0]], "Two items have one name"),
        ([items[0], replace(items[1], maps={"ODAM": b""})], "'item 1' has maps of other conditions"),
    ):
        with pytest.raises(ValueError, match=said):
            list_conditions(wrong)


def test_a_hash_notices_every_change() -> None:
    item = make_pointed(1)[0]
    swapped = dict(item.maps) | {"ODAM": item.maps["D-RISE"], "D-RISE": item.maps["ODAM"]}
    others = (
        replace(item, picture=b"x"),
        replace(item, maps=swapped),
        replace(item, target=2),
        replace(item, objects=item.objects[::-1]),
        replace(item, origin="y"),
    )
    assert len({one.hash for one in (item, *others)}) == 6 and item.hash == make_pointed(1)[0].hash


@pytest.fixture
def known() -> Picture:
    """The planted picture, whose objects 0 to 2 lie one within the other."""
    masks = torch.zeros(4, 96, 128, dtype=torch.bool)
    for row, (x1, y1, x2, y2) in enumerate(BOXES):
        masks[row, y1:y2, x1:x2] = True
    target = {"boxes": torch.tensor(BOXES, dtype=torch.float32), "labels": torch.tensor([1, 2, 3, 4]), "masks": masks}
    return Picture("planted", planted_image(), target | {"image_id": torch.tensor(7)})


def test_trust_items_are_of_detections_that_are_right_each_class_twice_at_most(known: Picture) -> None:
    methods = {"one": ODAM(), "other": ODAM(rectify="abs")}
    pictures = [replace(known, name=f"{number}") for number in range(4)]
    items = make_trust_items(PlantedDetector(), pictures, methods, 8)
    assert Counter(item.asked for item in items) == dict.fromkeys(
        ("the person", "the dog", "the bicycle", "the car"), 2
    )
    assert all(set(item.maps) == {"one", "other"} and item.box and not item.objects for item in items)
    wrong = replace(known, target=known.target | {"labels": torch.tensor([2, 1, 4, 3])})
    assert make_trust_items(PlantedDetector(), [wrong], methods, 9) == []
    unknown = replace(known, target=None)
    assert [item.asked for item in make_trust_items(PlantedDetector(), [unknown], methods, 9)] == [
        "the person",
        "the dog",
    ]
    assert len(make_trust_items(PlantedDetector(), pictures, methods, 3)) == 3
    many = [replace(known, name=f"{number}") for number in range(9)]
    assert len(make_trust_items(PlantedDetector(), many, methods, 12)) == 12  # of four classes


def test_edges_take_turns_and_have_the_variants_of_fig_16(detector: Detector) -> None:
    scenes = Scenes("val", 6)
    pictures = [Picture(f"{place}", *scenes[place]) for place in range(6)]
    items = make_edge_items(detector, pictures, 5)
    assert [item.edge for item in items] == ["x1", "y1", "x2", "y2", "x1"]
    assert [item.edge for item in make_edge_items(detector, pictures, 2, before=5)] == ["y1", "x2"]
    for item in items:
        assert tuple(item.maps) == tuple(VARIANTS) and len(set(item.maps.values())) == 4
        assert all(0 <= share <= 1 for shares in item.shares.values() for share in shares)


def test_the_signed_variant_is_the_positive_one_less_the_negative_one() -> None:
    detector, scene = load_detector("fcos-scenes", "cpu"), Scenes("val", 1)[0][0]
    trace = detector.trace(scene)
    found = trace.detections(0.5)[[0]]
    maps = [VARIANTS[name](trace, found, ["x1"]).maps[0] for name in VARIANTS]
    positive, negative, signed, absolute = maps
    torch.testing.assert_close(signed, positive - negative)
    torch.testing.assert_close(absolute, positive + negative)


def test_discrimination_items_know_their_object_and_what_leaks(known: Picture) -> None:
    conditions = {"one": (PlantedDetector(), ODAM(smoothing=None)), "other": (PlantedDetector(), ODAM(rectify="abs"))}
    (item,) = make_discrimination_items(conditions, [known], 5)
    assert len(item.objects) == 4 and item.size == (384, 512)
    scaled = [tuple(4.0 * side for side in box) for box in BOXES]
    assert [pytest.approx(box) for box in scaled] == list(item.objects)
    assert set(item.maps) == set(item.odi or {}) == set(item.shares) and item.name == f"planted, {item.target}"
    alone = replace(known, target={name: value[:1] for name, value in known.target.items() if name != "image_id"})
    assert make_discrimination_items(conditions, [alone], 5) == []
    unknown = make_discrimination_items(conditions, [replace(known, target=None)], 5)
    assert len(unknown) == 1 and len(unknown[0].objects) == 4


def test_origins_tell_pictures_detectors_and_settings_apart(known: Picture) -> None:
    def origin(picture: Picture, **settings) -> str:
        return make_trust_items(PlantedDetector(), [picture], {"ODAM": ODAM(**settings)}, 1)[0].origin

    assert origin(known) == origin(known)
    darker = replace(known, image=known.image * 0.99)
    assert len({origin(known), origin(darker), origin(known, smoothing=None)}) == 3


def test_own_photographs_need_no_annotations(tmp_path) -> None:
    scenes = Scenes("val", 8)
    for place in range(8):
        pixels = (scenes[place][0] * 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / f"mine {place}.png")
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    detector = load_detector("fcos-scenes", "cpu")
    made = make_all_items(str(tmp_path), detector, 5, list_methods(2))
    assert {name: len(items) for name, items in made.items()} == dict.fromkeys(STUDIES, 5)
    for name in ("trust", "photographs", "edges"):
        assert all(item.name.startswith("mine ") for item in made[name])
    assert len({item.name.split(",")[0] for item in made["photographs"]}) < 5  # several objects of a picture
    (tmp_path / "mine 0.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"mine 0\.png"):
        make_all_items(str(tmp_path), detector, 5, list_methods(2))
    empty = tmp_path / "empty"
    empty.mkdir()
    for place, said in (
        (empty, "PHOTOS: there is no picture in"),
        (tmp_path / "absent", "PHOTOS: there is nothing at"),
    ):
        with pytest.raises(FileNotFoundError, match=said):
            open_photographs(str(place), detector)


def test_own_data_gives_true_objects_to_two_detectors_and_odam_train_stays_with_drawings() -> None:
    detector, rival = (load_detector(name, "cpu") for name in ("fcos-scenes", "retinanet-scenes"))
    own = str(data_root() / "scenes" / "mixed")
    made = make_all_items(own, detector, 5, list_methods(2), rival=rival)
    known = {picture.name: picture.target for picture in open_photographs(own, detector)()}
    assert {name: list_conditions(items) for name, items in made.items()} == {
        "trust": METHODS,
        "models": (detector.name, rival.name),
        "discrimination": (*METHODS, WITH_ODAM_TRAIN),
        "photographs": ("Grad-CAM", "ODAM"),
        "edges": tuple(VARIANTS),
    }
    for item in made["photographs"]:
        assert len(item.objects) == len(known[item.name.split(",")[0]]["boxes"])
    for name in ("trust", "models", "edges"):
        assert all(item.name.split(",")[0] in known for item in made[name])
    assert not any(item.name.split(",")[0] in known for item in made["discrimination"])
    with pytest.raises(ValueError, match="Both detectors are called 'fcos-scenes'"):
        make_all_items(own, detector, 5, list_methods(2), rival=detector)


def test_two_models_explain_one_object_that_both_find() -> None:
    first, second = (load_detector(name, "cpu") for name in OF_MODELS)
    scenes = Scenes("val", 12)
    pictures = [Picture(f"{place}", *scenes[place]) for place in range(12)]
    items = make_model_items((first, second), pictures, ODAM(), 9)
    assert len(items) == 9 and all(set(item.maps) == set(OF_MODELS) and not item.objects for item in items)
    assert max(Counter(item.asked for item in items).values()) <= 2
    for item in items:
        place, target = map(int, item.name.split(", "))
        boxes, labels = scenes[place][1]["boxes"], scenes[place][1]["labels"]
        x1, y1, x2, y2 = boxes[target].tolist()
        shown = item.box[2] - item.box[0], item.box[3] - item.box[1]  # the true box, enlarged
        assert shown[0] / shown[1] == pytest.approx((x2 - x1) / (y2 - y1), rel=1e-3)
        assert item.asked == f"the {first.categories[int(labels[target])]}"
    cards = [read_card(name, "AP") for name in OF_MODELS]
    assert cards[0]["AP"] - cards[1]["AP"] == pytest.approx(0.423 - 0.366, abs=0.01)


def test_labels_are_another_detectors_by_name() -> None:
    ours, theirs = ("background", "dog", "cat", "car"), ("background", "car", "N/A", "dog")
    assert _renumber(torch.tensor([1, 2, 3, 4]), ours, theirs).tolist() == [3, -1, 1, -1]
    assert _renumber(torch.zeros(0, dtype=torch.int64), ours, theirs).dtype == torch.int64


def test_shares_are_of_a_map_as_people_see_it(known: Picture) -> None:
    """All of D-RISE's map is bright, everywhere, before its smallest value is taken off."""

    def raised(trace, found, attributes):
        maps = ODAM()(trace, found, attributes)
        return replace(maps, maps=[each + 9 for each in maps.maps])

    methods = {"one": ODAM(), "raised": raised}
    for item in make_trust_items(PlantedDetector(), [known], methods, 2):
        (one,), (other,) = item.shares.values()
        assert one == pytest.approx(other, abs=1e-4)


def test_who_guesses_prefers_nothing_and_who_follows_energy_prefers_the_map_that_has_it() -> None:
    items, pointed = make_ranked(8), make_pointed(8)
    guessed = tabulate_ranks(guess_rankings(TRUST, items, 200)).values.mean(axis=0)
    assert guessed == pytest.approx([2.5] * 4, abs=0.1)
    followed = tabulate_ranks(follow_rankings(TRUST, items, 100)).values.mean(axis=0)
    assert sorted(followed, reverse=True) == list(followed)
    assert estimate_answers(guess_pointings(DISCRIMINATION, pointed, 300)).value == pytest.approx(1 / 3, abs=0.04)
    of_odam = [one for one in follow_pointings(DISCRIMINATION, pointed, 40) if one.condition == "ODAM"]
    others = [one for one in follow_pointings(DISCRIMINATION, pointed, 400) if one.condition != "ODAM"]
    assert estimate_answers(of_odam) == (1, 1, 1) and {one.confidence for one in of_odam} == {5}
    assert estimate_answers(others).value == pytest.approx(0.2, abs=0.04)
    assert follow_pointings(DISCRIMINATION, pointed, 3) == follow_pointings(DISCRIMINATION, pointed, 3)


def test_a_map_on_one_object_is_read_right_by_every_rule(known: Picture) -> None:
    columns = [torch.arange(16 * row, 16 * row + 9) for row in range(4)]
    apart = torch.stack([torch.zeros(96, 128).index_fill(1, those, 1.0) for those in columns])
    boxes = torch.tensor([[16.0 * row, 0, 16 * row + 9, 96] for row in range(4)])
    for rule in RULES.values():
        weights = rule(apart, {"boxes": boxes, "masks": apart > 0})
        assert weights.argmax(dim=1).tolist() == [0, 1, 2, 3] and torch.allclose(weights.sum(dim=1), torch.ones(4))
    found = read_pictures(PlantedDetector(), [(known.image, known.target)], ODAM(smoothing=None))
    assert {name: len(read) for name, read in found.items()} == dict.fromkeys(RULES, 4)
    assert {one.person for one in found["most energy in its box"]} == {7}


def test_shares_are_those_of_the_energy_based_pointing_game() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, regions = torch.rand(3, 8, 9, generator=generator), torch.rand(5, 8, 9, generator=generator) > 0.5
    maps[2] = 0
    each = torch.stack([energy_inside(maps, region) for region in regions], dim=1)
    torch.testing.assert_close(read_shares(maps, regions), each)


def test_a_gain_is_of_the_same_objects(detector: Detector) -> None:
    scenes = Scenes("val", 6)
    pictures = [scenes[place] for place in range(6)]
    read = {
        name: read_pictures(load_detector(name, "cpu"), pictures, ODAM())["most energy in its box"]
        for name in ("fcos-scenes", "fcos-scenes-odam")
    }
    before, after = read.values()
    gain, number = estimate_gain(before, after)
    common = {(one.person, one.item) for one in before} & {(one.person, one.item) for one in after}
    assert number == len(common) > 15
    means = [sum(one.right for one in each if (one.person, one.item) in common) / number for each in (before, after)]
    assert gain.value == pytest.approx(means[1] - means[0]) and gain.low <= gain.value <= gain.high
    assert estimate_gain(before, before)[0].value == 0


def test_the_reader_of_items_takes_the_object_with_most_energy() -> None:
    read = read_items(make_pointed(5))
    assert len(read) == 20
    assert all(one.right == (one.condition == "ODAM") for one in read)
    assert {one.confidence for one in read if one.condition == "ODAM"} == {5}


def test_figures_show_letters_and_no_names(tmp_path) -> None:
    for study, item in ((TRUST, make_ranked(2)[1]), (DISCRIMINATION, make_pointed(1)[0])):
        shown = METHODS if study is TRUST else ("ODAM",)
        figure = show_question(study, item, shown)
        written = " ".join(text.get_text() for text in figure.findobj(Text))
        assert "A" in written and not any(name in written for name in METHODS)
        picture = load_image(save_png(figure, tmp_path / "question.png", 80))
        assert picture.shape[-1] >= 220 * min(3, 1 + len(shown)) and picture.std() > 0.1
    one = Estimate(0.5, 0.4, 0.6)
    readers = show_readers({"first": {"guess": {"ODAM": one}}}, "title", {"first": (0.5, "paper")})
    curves = show_by_odi({"right": {"guess": {0.1: (one, 4), 0.9: (one, 3)}}}, "title")
    power = show_power({"trust": {4: one, 8: one}}, 0.8, "title")
    for figure in (readers, curves, power):
        assert load_image(save_png(figure, tmp_path / "figure.png", 80)).std() > 0.02
