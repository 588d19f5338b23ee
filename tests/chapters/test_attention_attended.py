"""Which edge a map points at, and whether the cells that it names were used."""

import math

import pytest
import torch
from odam_chapters.attention import attended


def test_one_map_for_all_edges_is_right_about_one_of_each_pair() -> None:
    energies = attended.repeat_for_edges(torch.rand(50, 4))
    right = attended.points_at_own_edge(energies)
    assert (right[:, 0] ^ right[:, 2]).all() and (right[:, 1] ^ right[:, 3]).all()
    assert right.float().mean() == 0.5
    assert not attended.points_at_own_edge(torch.zeros(2, 4, 4)).any()


def test_maps_of_their_own_are_compared_with_the_opposite_edge() -> None:
    energies = torch.zeros(1, 4, 4)
    energies[0, 0] = torch.tensor([0.3, 0.9, 0.2, 0.9])  # left: more than right, less than top
    energies[0, 3] = torch.tensor([0.0, 0.5, 0.0, 0.4])
    assert attended.points_at_own_edge(energies).tolist() == [[True, False, False, False]]


def test_wilson_by_hand() -> None:
    low, high = attended.wilson(5, 10)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert attended.wilson(0, 10)[0] == pytest.approx(0, abs=1e-9)
    assert all(map(math.isnan, attended.wilson(0, 0)))


def test_heads_are_chosen_on_every_second_scene_and_tried_on_the_others() -> None:
    scene_of = torch.tensor([2, 2, 2, 5, 6, 7, 7, 7])  # scenes without detections count in neither half
    first = torch.tensor([True, True, True, False, True, False, False, False])
    energies = torch.zeros(8, 2, 3, 4)
    for edge, head in enumerate([(1, 2), (0, 1), (0, 0), (1, 0)]):
        energies[first, *head, edge] = 1.0
    energies[~first, 1, 2, 0] = 1.0
    chosen, tried = attended.choose_heads(energies, scene_of)
    assert chosen.tolist() == [5, 1, 0, 3]
    assert tried.tolist() == [[True, False, False, False]] * 4
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    again, tried_again = attended.choose_heads(energies[order], scene_of[order])
    assert torch.equal(again, chosen) and torch.equal(tried_again, tried)


def test_of_one_scene_no_head_can_be_tried() -> None:
    chosen, tried = attended.choose_heads(torch.rand(3, 2, 3, 4), torch.tensor([4, 4, 4]))
    assert chosen.shape == (4,) and tried.shape == (0, 4)


def test_an_edge_gives_way_if_it_moves_inwards_more_than_its_opposite() -> None:
    x1 = torch.tensor([[-0.1, -0.3, 0.0, 0.1, 0.2]])
    still = torch.zeros(1, 5)
    moved = attended.find_inward_moves({"some": x1, "x1": x1, "y1": still, "x2": still, "y2": still})
    assert moved["some"].tolist() == [[True, True, False, False]]
    assert moved[attended.ODAM_EDGES].tolist() == [[True, False, False, False]]
    counts, intervals = attended.count_right(moved)
    assert counts["some"] == (2, 4) and intervals["some"] == (0.5, 0.5)
    assert intervals[attended.ODAM_EDGES] == attended.wilson(1, 4)
    assert attended.find_inward_moves({}) == {}


def test_survey_and_effects_of_a_detector_without_attention(detector, held_out) -> None:
    energies, heads, scene_of = attended.survey_edges(detector, held_out[:2], 0.5)
    numbers = [len(detector.detect(image, 0.5)) for image, _ in held_out[:2]]
    found = sum(numbers)
    assert scene_of.tolist() == [0] * numbers[0] + [1] * numbers[1]
    assert {name: tuple(one.shape) for name, one in energies.items()} == {
        attended.ODAM_EDGES: (found, 4, 4),
        attended.ODAM_CLASS: (found, 4, 4),
    }
    assert heads.numel() == 0
    image = held_out[0][0]
    effects = attended.measure_effects_of_cells(detector, image, 0.5, 0.02, torch.Generator().manual_seed(0))
    assert set(effects) == {attended.ODAM_CLASS, attended.RANDOM_INSIDE, attended.RANDOM, "x1", "y1", "x2", "y2"}
    assert effects["x1"].shape == (len(detector.detect(image, 0.5)), 5)
    assert effects[attended.ODAM_CLASS][:, 0].mean() < effects[attended.RANDOM][:, 0].mean() <= 0.05


def test_nothing_found_is_no_error(detector, held_out) -> None:
    energies, heads, scene_of = attended.survey_edges(detector, held_out[:1], 1.0)
    assert energies[attended.ODAM_EDGES].shape == (0, 4, 4) and heads.numel() == 0 and scene_of.shape == (0,)
    assert attended.measure_effects_of_cells(detector, held_out[0][0], 1.0, 0.05, torch.Generator()) == {}


def test_cells_in_the_box_are_those_centred_there(detector, held_out) -> None:
    trace = detector.trace(held_out[0][0])
    found = trace.detections(0.5)[0]
    level = int(trace.feature_level(found)[0])
    size = tuple(trace.features[level].shape[-2:])
    inside = attended.find_cells_in_box(trace, found, size)
    grid, (x1, y1, x2, y2) = trace.grids[level], found.boxes[0].tolist()
    scale = found.image_size[1] / trace.input_size[1]
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = (grid.x + column * grid.dx) * scale, (grid.y + row * grid.dy) * scale
            assert bool(inside[row, column]) == (x1 < x < x2 and y1 < y < y2)
