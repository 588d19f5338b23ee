"""Single cases from crowds, planted so that the right one is known; and their pictures."""

import pytest
import torch
from odam_chapters.crowds.cases import (
    DOUBLED,
    LOST,
    Triple,
    find_failures,
    find_owners,
    find_telling_triple,
    pick_couples,
)
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
from torch import Tensor

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
    assert find_telling_triple(FOUR[[0, 1, 3]], MAPS[[0, 1, 3]], TRUTH) is None  # nobody else overlaps
    assert find_telling_triple(FOUR[:0], MAPS[:0], TRUTH) is None
    assert find_telling_triple(FOUR, MAPS, TRUTH, iou_threshold=0.95) is None
    two = crowd((LEFT, 0.9), ([0.5, 0, 10.5, 20], 0.8), (RIGHT, 0.7), (LEFT, 0.6))
    wider = bright((1, 0, 0), (1, 0.5, 0), (0, 1, 0), (1, 0, 0))
    # Of two of the same person the one that agrees more.
    assert find_telling_triple(two, wider, TRUTH) == Triple(0, 3, 2)


def test_couples_are_overlapping_pairs_half_of_one_person() -> None:
    drawn = pick_couples(FOUR, MAPS, TRUTH, 2, seed=0)
    assert {one.same for one in drawn} == {True, False}
    for one in pick_couples(FOUR, MAPS, TRUTH, 10, seed=1):
        assert one.better < one.worse < 3 and one.iou > 0.5
        assert one.same == ((one.better, one.worse) == (0, 1))
        unit = torch.nn.functional.normalize(MAPS.flatten(1), dim=1)
        assert one.correlation == pytest.approx(float(unit[one.better] @ unit[one.worse]))
    assert pick_couples(FOUR, MAPS, TRUTH, 10, seed=1) == pick_couples(FOUR, MAPS, TRUTH, 10, seed=1)
    # Rows 0 and 1 are of one person, and each of them with row 2 of the same two.
    assert len(pick_couples(FOUR, MAPS, TRUTH, 10, seed=1)) == 2
    assert not pick_couples(FOUR[:1], MAPS[:1], TRUTH, 4, seed=0)


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
    left, right = panels[0].get_xlim()
    assert left < 0 and right > 12 and right - left == pytest.approx(1.5 * 20)
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
