"""Results of suppression rules on crowds: kept in one file, and how Odam-NMS's thresholds are chosen from a grid."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from odam_chapters.crowds import results as crowd_results
from odam_chapters.crowds.people import People
from odam_chapters.crowds.results import CrowdResults, Sifted, collect
from odam_chapters.crowds.rules import (
    CLASSICAL,
    FEATURE_NMS,
    ODAM_NMS,
    PAPERS_ODAM_NMS,
    RASTER,
    SOFT,
    apply_rules,
    choose_thresholds,
    find_candidates,
    keep,
    make_rules,
    try_thresholds,
)
from torch import Tensor

from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.suppression import by_boxes, by_maps
from odam_lib.files import owned
from odam_lib.kernels.nms import Kept, nms
from odam_lib.metrics.crowd_scores import jaccard, miss_rate
from odam_lib.metrics.crowds import CrowdMatches, CrowdPicture, match_crowds

PERSON, NEIGHBOUR = [0.0, 0.0, 10.0, 20.0], [3.0, 0.0, 13.0, 20.0]
TRUTH = torch.tensor([PERSON, NEIGHBOUR])


def picture(*found: tuple[list[float], float]) -> CrowdPicture:
    boxes = torch.tensor([box for box, _ in found]).reshape(-1, 4)
    return CrowdPicture(boxes, torch.tensor([score for _, score in found]), TRUTH, torch.zeros(0, 4))


def outcome(*found: tuple[list[float], float]) -> CrowdMatches:
    return match_crowds([picture(*found)])


def sifted(*found: tuple[list[float], float], **left: list[float]) -> Sifted:
    boxes, scores = torch.tensor([box for box, _ in found]).reshape(-1, 4), torch.tensor([score for _, score in found])
    return Sifted(boxes, scores, {name: torch.tensor(each) for name, each in left.items()})


def results() -> CrowdResults:
    """Of ``a`` by one rule, of ``b`` by a rule that drops all, one that lowers scores and one that does not."""
    nobody = sifted(hard=[], lowered=[], none=[])
    two = sifted((PERSON, 0.5), (NEIGHBOUR, 0.25), hard=[0.0, 0.25], lowered=[0.5, 0.125], none=[0.0, 0.0])
    first = CrowdResults((TRUTH, TRUTH)).joined(
        "a", [sifted((PERSON, 0.5), hard=[0.5]), sifted(hard=[])], {"rules": ["hard"]}
    )
    return first.joined("b", [nobody, two], {"rules": ["none", "lowered", "hard"]})


def show(found: CrowdPicture) -> list[tuple[list[float], float]]:
    return list(zip(found.boxes.tolist(), found.scores.tolist()))


def test_a_file_gives_back_what_was_kept(tmp_path: Path) -> None:
    kept = results()
    kept.save(tmp_path / "results.safetensors.xz")
    read = CrowdResults.load(tmp_path / "results.safetensors.xz")
    assert read.detectors == ["a", "b"] and read.about == kept.about
    assert read.rules("b") == ["none", "lowered", "hard"]  # in the order of the table
    for one in (kept, read):
        assert [[show(each) for each in one.pictures(*key)] for key in one.keys] == [
            [[(PERSON, 0.5)], []],
            [[], []],
            [[], [(PERSON, 0.5), (NEIGHBOUR, 0.125)]],
            [[], [(NEIGHBOUR, 0.25)]],
        ]
        assert all(torch.equal(each.truth, TRUTH) and not len(each.ignored) for each in one.pictures("a", "hard"))
    CrowdResults(kept.truth, kept.sifted, kept.about, (TRUTH[:1], TRUTH[:0])).save(tmp_path / "results.safetensors.xz")
    read = CrowdResults.load(tmp_path / "results.safetensors.xz")
    assert [each.ignored.tolist() for each in read.pictures("a", "hard")] == [[PERSON], []]


def test_candidates_are_kept_once_with_what_each_rule_makes_of_them() -> None:
    scores, zeros = torch.tensor([0.5, 0.4, 0.3]), torch.zeros(3, dtype=torch.int64)
    boxes, names = torch.tensor([PERSON, NEIGHBOUR, PERSON]), ("__background__", "person")
    probabilities = torch.stack([0 * scores, scores], dim=1)
    found = Detections(boxes, scores, zeros + 1, probabilities, zeros, zeros, (20, 20), names, "here")
    lowered = Kept(torch.tensor([1, 0]), torch.tensor([0.4, 0.2]))
    one = Sifted.of(found, {"hard": Kept(torch.tensor([1]), torch.tensor([0.4])), "soft": lowered})
    assert one.boxes.tolist() == [PERSON, NEIGHBOUR]  # nobody keeps the third
    assert one.left["hard"].tolist() == pytest.approx([0, 0.4]) and one.left["soft"].tolist() == pytest.approx(
        [0.2, 0.4]
    )


def test_results_of_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures"):
        results().joined("c", [sifted(hard=[])], {"rules": ["hard"]})


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nothing of a with none"):
        results().pictures("a", "none")
    with pytest.raises(FileNotFoundError, match="no results"):
        CrowdResults.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no results"):
        CrowdResults.load(tmp_path / "text.safetensors")


def test_thresholds_are_chosen_by_both_numbers() -> None:
    one, both = outcome((PERSON, 0.9)), outcome((PERSON, 0.9), (NEIGHBOUR, 0.8))
    # As many people as in ``both``, but each after a false detection that is surer.
    unsure = outcome(
        ([50.0, 50.0, 60.0, 60.0], 0.97), ([70.0, 50.0, 80.0, 60.0], 0.96), *zip(TRUTH.tolist(), (0.9, 0.8))
    )
    assert jaccard(unsure) == jaccard(one) and miss_rate(unsure) > miss_rate(one)
    assert choose_thresholds({(0.0, 1.0): one, (0.2, 0.8): unsure}) == (0.0, 1.0)
    assert choose_thresholds({(0.0, 1.0): one, (0.2, 0.8): unsure, (0.3, 0.9): both}) == (0.3, 0.9)


def test_agreement_counts_what_only_one_side_has() -> None:
    both = sifted((PERSON, 0.5), (NEIGHBOUR, 0.4), **{CLASSICAL: [0.5, 0.4]})
    kept = CrowdResults((TRUTH, TRUTH)).joined("a", [both, sifted(**{CLASSICAL: []})], {"rules": [CLASSICAL]})
    assert kept.agreement("a", {CLASSICAL: [picture((PERSON, 0.5), (NEIGHBOUR, 0.4)), picture()]}) == 1
    assert kept.agreement("a", {CLASSICAL: [picture((PERSON, 0.503))]}) == pytest.approx(2 / 3)
    assert kept.agreement("a", {CLASSICAL: [picture((PERSON, 0.6)), picture((PERSON, 0.6))]}) == 0
    moved = [value + 0.6 for value in PERSON]
    assert kept.agreement("a", {CLASSICAL: [picture((moved, 0.5), (NEIGHBOUR, 0.4))]}) == 0.5
    assert kept.agreement("a", {CLASSICAL: []}) == 1


@pytest.fixture(scope="module")
def crowd() -> tuple[Tensor, dict[str, Tensor]]:
    return Scenes("val", 1, "crowd", 128)[0]


@pytest.mark.parametrize("name", ["fcos-crowd", "faster-rcnn-crowd"])
def test_a_grid_holds_what_the_rules_keep(name: str, crowd: tuple[Tensor, dict[str, Tensor]]) -> None:
    detector = load_detector(name, "cpu")
    tried = try_thresholds(detector, [crowd], (0.2,), (0.8,))
    kept = apply_rules(detector, [crowd], {CLASSICAL: by_boxes(nms), ODAM_NMS: by_maps(0.2, 0.8, short_edge=RASTER)})
    assert set(tried) == {(0.0, 1.0), (0.2, 0.8)}
    for pair, rule in (((0.0, 1.0), CLASSICAL), ((0.2, 0.8), ODAM_NMS)):
        assert torch.equal(tried[pair].pictures[0].boxes, kept[rule][0].boxes)


@pytest.mark.parametrize(
    ("name", "learned"),
    [("fcos-crowd", [FEATURE_NMS]), ("faster-rcnn-crowd", [FEATURE_NMS]), ("fcos-crowd-odam", [])],
)
def test_rules_are_in_order_and_those_of_a_detector(
    name: str, learned: list[str], crowd: tuple[Tensor, dict[str, Tensor]]
) -> None:
    used = make_rules(name)
    assert list(used) == [CLASSICAL, *SOFT, *learned, ODAM_NMS, PAPERS_ODAM_NMS]
    kept = apply_rules(load_detector(name, "cpu"), [crowd], {rule: used[rule] for rule in [CLASSICAL, *learned]})
    assert all(len(each[0].boxes) for each in kept.values())
    if learned:
        assert kept[FEATURE_NMS][0].boxes.tolist() != kept[CLASSICAL][0].boxes.tolist()


def test_candidates_are_over_the_threshold_and_not_clipped(crowd: tuple[Tensor, dict[str, Tensor]]) -> None:
    trace = load_detector("fcos-crowd", "cpu").trace(crowd[0])
    found = find_candidates(trace, 0.3)
    assert len(found) and (found.scores > 0.3).all()
    assert len(find_candidates(trace, 0.4)) < len(found)


class Mixed(list):
    """One picture of a cat, a person and a region of people to ignore, among them in an order of its own."""

    categories = ("__background__", "cat", "person")

    def __init__(self, labels: list[int]) -> None:
        boxes, region = torch.tensor([NEIGHBOUR, PERSON]), torch.tensor([[0.0, 0.0, 5.0, 5.0]])
        target = {"boxes": boxes, "labels": torch.tensor(labels), "image_id": 7}
        ignored = {"ignored": region.repeat(2, 1), "ignored_labels": torch.tensor([1, 2])}
        super().__init__([(torch.zeros(3, 20, 20), target | ignored)])


def test_of_other_data_the_people_are_taken() -> None:
    _, target = People(Mixed([1, 2]))[0]
    assert target["boxes"].tolist() == [PERSON] and target["labels"].tolist() == [1] and target["image_id"] == 7
    assert target["ignored"].tolist() == [[0, 0, 5, 5]]
    image, target = People(Scenes("val", 1, "crowd", 64))[0]
    assert image.shape == (3, 64, 64) and len(target["boxes"]) and target["ignored"].shape == (0, 4)
    animals = Mixed([1, 1])
    animals.categories = ("__background__", "cat", "dog")
    with pytest.raises(ValueError, match="knows none of the data set's classes: it knows person"):
        People(animals)


def test_results_of_one_picture_more_are_of_the_same_pictures(tmp_path: Path, monkeypatch) -> None:
    """All pictures are compared, also those after the first."""
    monkeypatch.setattr(crowd_results, "make_rules", lambda name: {CLASSICAL: by_boxes(nms)})
    pictures = People(Scenes("val", 2, "crowd", 64))
    first = collect(tmp_path / "a.sqlite", pictures, ["fcos-crowd"], 0.3, "cpu")
    both = collect(tmp_path / "a.sqlite", pictures, ["fcos-crowd", "fcos-crowd-odam"], 0.3, "cpu")
    assert first.detectors == ["fcos-crowd"] and both.detectors == ["fcos-crowd", "fcos-crowd-odam"]
    other = Mixed([1, 1])
    other[:], other.categories = [Scenes("val", 1, "crowd", 64, seed)[0] for seed in (0, 1)], Scenes.categories
    with pytest.raises(ValueError, match="holds results of other pictures"):
        collect(tmp_path / "a.sqlite", People(other), ["faster-rcnn-crowd"], 0.3, "cpu")
    other[0] = other[1]
    with pytest.raises(ValueError, match="holds results of other pictures"):  # and the first one before any work
        collect(tmp_path / "a.sqlite", People(other), ["fcos-crowd"], 0.3, "cpu")


def test_what_cannot_be_written_or_holds_something_else_is_told_before_any_work(tmp_path: Path, monkeypatch) -> None:
    def work(*arguments: object) -> None:
        pytest.fail("Work began.")

    pictures = People(Scenes("val", 3, "crowd", 64))
    for name in ("keep", "load_detector", "tqdm"):
        monkeypatch.setattr(crowd_results, name, work)
    (tmp_path / "text.sqlite").write_text("nothing", encoding="utf-8")
    (tmp_path / "folder.sqlite").mkdir()
    told = {"folder.sqlite": "is a folder", "text.sqlite/a.sqlite": "cannot be written", "text.sqlite": "is not what"}
    for path, sentence in told.items():
        with pytest.raises((OSError, ValueError), match=sentence):
            collect(tmp_path / path, pictures, ["fcos-crowd"], 0.3, "cpu")
    three = tmp_path / "three.sqlite"
    with owned(three), pytest.raises(BlockingIOError, match="Another run is writing"):
        collect(three, pictures, ["fcos-crowd"], 0.3, "cpu")


def test_results_are_kept_picture_by_picture_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*arguments: object) -> Iterator[object]:
        nonlocal looked
        looked += 1
        if looked == 2:
            raise KeyboardInterrupt
        return keep(*arguments)

    looked, path, asked = 0, tmp_path / "results.sqlite", (["fcos-crowd", "fcos-crowd-odam"], 0.3, "cpu")
    one, two = (People(Scenes("val", number, "crowd", 128)) for number in (1, 2))
    whole = collect(None, one, *asked)
    monkeypatch.setattr(crowd_results, "keep", look)
    with pytest.raises(KeyboardInterrupt):
        collect(path, one, *asked)
    found = collect(path, one, *asked)
    assert looked == 3 and found.about == whole.about and torch.equal(found.truth[0], whole.truth[0])
    for key in whole.keys:
        assert show(found.pictures(*key)[0]) == show(whole.pictures(*key)[0]) != []
    assert len(collect(path, two, *asked).truth) == 2 and looked == 5
    with pytest.raises(ValueError, match=r"was made with fcos-crowd = .*'score_threshold': 0\.3.*, not .*: give"):
        collect(path, two, ["fcos-crowd"], 0.4, "cpu")
