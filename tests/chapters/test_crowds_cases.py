"""Single cases from crowds, planted so that the right one is known; and their pictures."""

import math
from dataclasses import replace

import pytest
import torch
from odam_chapters.crowds.cases import (
    DOUBLED,
    LOST,
    Couple,
    Triple,
    are_recognisable,
    draw_quiz,
    find_failures,
    find_owners,
    find_telling_triple,
    list_couples,
    rate_guesses,
)
from odam_chapters.crowds.knowledge import BANDS, estimate_areas, estimate_knowledge, list_knowledge
from odam_chapters.crowds.plots import (
    FALSE,
    FOUND,
    MISSED,
    STYLES,
    show_candidates,
    show_couple_maps,
    show_couples,
    show_suppression,
    show_thresholds,
)
from odam_chapters.crowds.rules import shade
from odam_chapters.odam_train.separation import CandidatePairs
from torch import Tensor
from torchvision.ops import box_iou

from odam_lib.detections import Detections
from odam_lib.kernels.nms import Kept

LEFT, RIGHT, FAR = [0.0, 0.0, 10.0, 20.0], [2.0, 0.0, 12.0, 20.0], [40.0, 0.0, 50.0, 20.0]
TRUTH = torch.tensor([LEFT, RIGHT, FAR])
IMAGE = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))


def crowd(*rows: tuple[list[float], float]) -> Detections:
    """People of these boxes and scores."""
    number = len(rows)
    scores = torch.tensor([score for _, score in rows])
    return Detections(
        boxes=torch.tensor([box for box, _ in rows]).reshape(-1, 4),
        scores=scores,
        labels=torch.ones(number, dtype=torch.int64),
        class_probs=torch.stack([1 - scores, scores], dim=1),
        level=torch.zeros(number, dtype=torch.int64),
        index=torch.arange(number),
        image_size=(40, 60),
        categories=("__background__", "person"),
        source="planted",
    )


def bright(*columns: tuple[float, ...]) -> Tensor:
    """Maps ``[N, 1, 3]`` of three cells."""
    return torch.tensor(columns)[:, None]


FOUR = crowd((LEFT, 0.9), ([0.5, 0, 10.5, 20], 0.8), (RIGHT, 0.7), (FAR, 0.6))
MAPS = bright((1, 0, 0), (1, 0.1, 0), (0.3, 1, 0), (0, 0, 1))


def test_a_box_is_of_the_person_it_overlaps_most() -> None:
    boxes = torch.tensor([LEFT, [1.9, 0, 11.9, 20], [20.0, 0, 30, 20], [41.0, 0, 51, 20]])
    assert find_owners(boxes, TRUTH).tolist() == [0, 1, -1, 2]
    assert find_owners(boxes, TRUTH[:0]).tolist() == [-1] * 4 and find_owners(boxes[:0], TRUTH).tolist() == []


def test_the_triple_is_of_one_person_twice_and_of_the_neighbour() -> None:
    assert find_telling_triple(FOUR, MAPS, TRUTH) == Triple(0, 1, 2)
    for rows, threshold in (([0, 1, 3], 0.5), ([], 0.5), ([0, 1, 2, 3], 0.95)):  # nobody else overlaps
        with pytest.raises(ValueError, match="PICTURE has no"):
            find_telling_triple(FOUR[rows], MAPS[rows], TRUTH, iou_threshold=threshold)
    two = crowd((LEFT, 0.9), ([0.5, 0, 10.5, 20], 0.8), (RIGHT, 0.7), (LEFT, 0.6))
    wider = bright((1, 0, 0), (1, 0.5, 0), (0, 1, 0), (1, 0, 0))
    # Of two of the same person the one that agrees more.
    assert find_telling_triple(two, wider, TRUTH) == Triple(0, 3, 2)


APART, SHIFTED = [4.0, 0.0, 14.0, 20.0], [1.2, 0.0, 11.2, 20.0]
CLEAR = {"boxes": 3 * torch.tensor([LEFT, APART, FAR])}


def enlarge(found: Detections) -> Detections:
    """Three times as large: people are 60 pixels tall."""
    return replace(found, boxes=3 * found.boxes, image_size=(120, 180))


def test_couples_are_pairs_that_an_eye_can_decide() -> None:
    near = [3.0, 0.0, 13.0, 20.0]  # of the second person, by 9 to 7 of ten columns more than of the first
    found = crowd((LEFT, 0.9), (SHIFTED, 0.8), (near, 0.7), (FAR, 0.6), ([0.1, 0, 10.1, 20], 0.5))
    maps = bright((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0))
    found = enlarge(found)
    listed = list_couples(found, maps, CLEAR, picture=7)
    assert {one.same for one in listed} == {True, False} and {one.picture for one in listed} == {7}
    for one in listed:
        assert 0.5 < one.iou <= 0.8 and one.both.scores[0] > one.both.scores[1]
        assert one.iou == pytest.approx(float(box_iou(one.both.boxes, one.both.boxes)[0, 1]))
    # Between two people nobody can say whose a box is.
    between = enlarge(crowd((LEFT, 0.9), ([2.0, 0, 12.0, 20], 0.8)))
    assert not list_couples(between, maps[:2], CLEAR, 0) and not list_couples(found[:0], maps[:0], CLEAR, 0)


def test_people_who_are_small_or_hidden_are_not_asked_about() -> None:
    assert are_recognisable({"boxes": CLEAR["boxes"]}).all() and not are_recognisable({"boxes": TRUTH}).any()
    masks = torch.zeros(3, 120, 180, dtype=torch.bool)
    masks[0, :30, :30], masks[1, :10, 12:42] = True, True  # the half, and a sixth of the box
    assert are_recognisable(CLEAR | {"masks": masks}).tolist() == [True, False, False]


def couple(iou: float, same: bool, picture: int = 0, agreement: float = 0.0) -> Couple:
    return Couple(picture, FOUR[:2], iou, agreement, same)


def test_a_quiz_pairs_one_person_with_two_of_the_same_overlap() -> None:
    couples = [couple(iou, same) for iou in (0.5, 0.6, 0.7, 0.8) for same in (True, False)]
    drawn = draw_quiz(couples, 6, seed=1)
    assert len(drawn) == 6 and sorted(one.iou for one in drawn if one.same) == sorted(
        one.iou for one in drawn if not one.same
    )
    assert draw_quiz(couples, 6, seed=1) == drawn and not draw_quiz(couples[:1], 6, seed=0)
    apart = [couple(0.6, True), couple(0.7, False), couple(0.62, False)]
    assert sorted(one.iou for one in draw_quiz(apart, 6, seed=0)) == [0.6, 0.62]


def test_guesses_are_rated_by_both_kinds_alike() -> None:
    couples = [couple(0.7, True, place, 0.9) for place in range(9)] + [couple(0.6, False, 9, 0.1)]
    guesses = {"one": lambda one: True, "maps": lambda one: one.correlation > 0.5}
    rated = rate_guesses(couples, guesses, repeats=20)
    assert rated["one"].value == 0.5 and rated["maps"] == (1, 1, 1)


def test_failures_are_people_lost_and_people_counted_twice() -> None:
    rows = torch.tensor([0, 1])
    found = find_failures(FOUR, MAPS, Kept(rows, FOUR.scores[rows]), TRUTH)
    assert [(one.kind, one.kept, one.other) for one in found] == [(LOST, 1, 2), (LOST, 0, 3), (DOUBLED, 0, 1)]
    assert found[0].truth.tolist() == RIGHT and found[2].truth.tolist() == LEFT
    assert found[0].iou == pytest.approx(8.5 / 11.5) and found[1].iou == 0
    assert found[1].correlation == 0 and found[2].correlation == pytest.approx(1 / (1 + 0.01) ** 0.5)
    every = torch.tensor([0, 2, 3])
    assert find_failures(FOUR, MAPS, Kept(every, FOUR.scores[every]), TRUTH) == []
    without = crowd((LEFT, 0.9), (FAR, 0.5))  # no candidate of the right one: no rule could have found it
    both = torch.tensor([0, 1])
    assert find_failures(without, MAPS[:2], Kept(both, without.scores), TRUTH) == []


def drawn(panel) -> list[tuple[list[float], str]]:
    """Boxes and colours."""
    colours = {tint: name for name, (tint, _) in STYLES.items()}
    shades = {name: tuple(int(tint[at : at + 2], 16) for at in (1, 3, 5)) for tint, name in colours.items()}
    return [
        (
            patch.get_bbox().extents.tolist(),
            next(
                name for name, rgb in shades.items() if all(abs(255 * a - b) < 1 for a, b in zip(patch.get_ec(), rgb))
            ),
        )
        for patch in panel.patches
    ]


def test_a_person_is_found_once_and_who_is_left_is_lost() -> None:
    kept = {"one": torch.tensor([LEFT, [0.5, 0, 10.5, 20], [20.0, 0, 30, 20]]), "none": torch.zeros(0, 4)}
    one, none = show_suppression(IMAGE, TRUTH, kept, "Two rules").axes
    assert (
        one.get_title() == "one: 2 found, 1 lost, 1 too many"
        and none.get_title() == "none: 0 found, 3 lost, 0 too many"
    )
    # The second box takes the neighbour, whom it overlaps by more than half, too.
    kinds = [kind for _, kind in drawn(one)]
    assert kinds == [FOUND, FOUND, FALSE, MISSED] and drawn(one)[3][0] == FAR
    assert [box for box, _ in drawn(none)] == TRUTH.tolist()


def test_couples_are_drawn_in_their_place_each_map_with_its_own_box() -> None:
    boxes = torch.tensor([LEFT, RIGHT])
    panels = show_couples([(IMAGE, boxes)] * 4, ["a", "b", "c", "d"], "Pairs").axes
    assert [panel.get_title() for panel in panels] == ["a", "b", "c", "d"]
    assert [patch.get_bbox().extents.tolist() for patch in panels[3].patches] == [LEFT, RIGHT]
    (left, right), (bottom, top) = panels[0].get_xlim(), panels[0].get_ylim()
    assert (left, top) == (0, 0) and (right, bottom) == (30, 30)  # a square of the picture, margin and all
    at_the_edge = torch.tensor([[50.0, 30.0, 58.0, 44.0], [50.0, 26.0, 62.0, 38.0]])
    panel = show_couples([(IMAGE, at_the_edge)], ["edge"], "Pairs").axes[0]
    assert panel.get_xlim() == (33, 60) and panel.get_ylim() == (40, 13)
    both, first, second = show_couple_maps(
        [(IMAGE, boxes, torch.rand(2, 40, 60))], [("pair", "kept", "suppressed")], "Maps"
    ).axes
    assert len(both.patches) == 2
    assert [panel.patches[0].get_bbox().extents.tolist() for panel in (first, second)] == [LEFT, RIGHT]
    assert len(first.patches) == len(second.patches) == 1 and second.get_title() == "suppressed"
    with pytest.raises(ValueError):
        show_couple_maps([(IMAGE, boxes, torch.rand(2, 40, 60))], [("pair", "kept")], "Maps")


def test_every_candidate_is_drawn() -> None:
    panel = show_candidates(IMAGE, FOUR.boxes, "Four").axes[0]
    (drawn,) = panel.collections
    assert [path.get_extents().extents.tolist() for path in drawn.get_paths()] == [box.tolist() for box in FOUR.boxes]


def test_thresholds_hold_their_number_and_the_chosen_pair_is_framed() -> None:
    values = torch.tensor([[0.5, 0.6], [torch.nan, 0.7]])
    panel = show_thresholds({"JI": values}, [0.0, 0.8], [0.6, 1.0], (0.8, 1.0), "Two thresholds").axes[0]
    assert [text.get_text() for text in panel.texts] == ["50.0", "60.0", "", "70.0"]
    assert panel.patches[0].get_bbox().extents.tolist() == [0.5, 0.5, 1.5, 1.5]
    assert not show_thresholds({"JI": values}, [0.0, 0.8], [0.6, 1.0], (0.3, 1.0), "Elsewhere").axes[0].patches


def test_maps_know_more_than_boxes_where_they_part_what_boxes_do_not() -> None:
    same = torch.tensor([True, False] * 6)
    pairs = CandidatePairs(torch.full((12,), 0.65), same.float(), same, torch.arange(12) // 4)
    areas = estimate_areas(pairs, (0.6, 0.7), repeats=10)
    assert areas["maps"] == (1, 1, 1) and areas["boxes"] == (0.5, 0.5, 0.5) and areas["difference"].low == 0.5
    assert math.isnan(estimate_areas(pairs, (0.7, 0.8), repeats=10)["maps"].value)
    lines = list_knowledge(estimate_knowledge({"mine": pairs}, repeats=1))
    assert {line["method"] for line in lines} == {"maps, mine", "boxes, mine"} and len(lines) == 2 * len(BANDS)


def test_a_grid_of_thresholds_is_empty_where_a_pair_was_not_tried() -> None:
    shaded = shade({(0.0, 1.0): 2, (0.0, 0.6): 1, (0.8, 1.0): 3}, float)
    assert shaded.nan_to_num(-1).tolist() == [[1, 2], [-1, 3]]
