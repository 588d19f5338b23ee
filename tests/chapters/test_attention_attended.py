"""Which edge a map points at, and whether the cells that it names were used."""

import pytest
import torch
from odam_chapters.attention import attended
from odam_chapters.attention.by_hand import record_attention
from odam_chapters.attention.reading import NoAttentionError, find_objects

from odam_lib.detectors.zoo import load_detector
from odam_lib.heatmaps import EDGES


def test_one_map_for_all_edges_is_right_about_one_of_each_pair() -> None:
    energies = torch.rand(50, 4)[:, None].expand(-1, 4, -1)
    right = attended.points_at_own_edge(energies)
    assert (right[:, 0] ^ right[:, 2]).all() and (right[:, 1] ^ right[:, 3]).all()
    assert right.float().mean() == 0.5
    assert not attended.points_at_own_edge(torch.zeros(2, 4, 4)).any()


def test_maps_of_their_own_are_compared_with_the_opposite_edge() -> None:
    energies = torch.zeros(1, 4, 4)
    energies[0, 0] = torch.tensor([0.3, 0.9, 0.2, 0.9])  # left: more than right, less than top
    energies[0, 3] = torch.tensor([0.0, 0.5, 0.0, 0.4])
    assert attended.points_at_own_edge(energies).tolist() == [[True, False, False, False]]


def test_the_head_that_points_at_an_edge_most_often_is_chosen_and_tried_on_others() -> None:
    first, others = torch.zeros(8, 2, 3, 4), torch.zeros(4, 2, 3, 4)
    best = dict(zip(EDGES, [(1, 2), (0, 1), (0, 0), (1, 0)]))
    for edge, head in enumerate(best.values()):
        first[:, *head, edge] = 1.0
    others[:3, 1, 2, 0] = 1.0
    assert attended.choose_heads(first) == best
    assert attended.try_heads(others, best).tolist() == [[True, False, False, False]] * 3 + [[False] * 4]


def test_shares_of_edges_by_hand() -> None:
    right = torch.tensor([[True, True, False, False], [True, False, False, False]])
    shares = attended.estimate_edges(right, torch.tensor([0, 1]))
    assert {name: one.value for name, one in shares.items()} == {"x1": 1, "y1": 0.5, "x2": 0, "y2": 0, "all": 0.375}
    assert shares["all"][1:] == pytest.approx((0.25, 0.5)) and shares["x1"][1:] == (1, 1)


def test_an_edge_gives_way_if_it_moves_inwards_more_than_its_opposite() -> None:
    effects = torch.zeros(1, 4, 5)
    effects[0, 0] = torch.tensor([-0.1, -0.3, 0.0, 0.1, 0.2])
    effects[0, 3] = torch.tensor([-0.1, 0.0, -0.2, 0.0, -0.1])
    assert attended.find_inward_moves(effects).tolist() == [[True, False, False, False]]


def test_losses_are_means_over_detections() -> None:
    effects = torch.zeros(2, 4, 5)
    effects[:, :, 0] = torch.tensor([[-0.2], [-0.6]])
    loss = attended.estimate_losses({"some": effects}, torch.tensor([3, 5]))["some"]
    assert loss == pytest.approx((0.4, 0.2, 0.6))


@pytest.fixture(scope="module")
def detr():
    pytest.importorskip("transformers")
    return load_detector("detr-scenes", "cpu")


def test_survey_and_effects(detr, held_out) -> None:
    energies, heads, scene_of = attended.survey_edges(detr, held_out[:2], 0.5)
    numbers = [len(detr.detect(image, 0.5)) for image, _ in held_out[:2]]
    assert scene_of.tolist() == [0] * numbers[0] + [1] * numbers[1]
    assert energies.shape == (sum(numbers), 4, 4) and heads.shape == (sum(numbers), 3, 4, 4)
    chosen, pictures = attended.choose_heads(heads), {5: held_out[0][0]}
    effects, tested = attended.survey_cells(detr, pictures, 0.5, 0.02, chosen, 0)
    assert tested.tolist() == [5] * numbers[0]
    assert {name: tuple(one.shape) for name, one in effects.items()} == dict.fromkeys(
        (
            attended.CROSS,
            attended.ODAM_CLASS,
            attended.RANDOM_INSIDE,
            attended.RANDOM,
            attended.ODAM_EDGES,
            attended.HEADS,
        ),
        (numbers[0], 4, 5),
    )
    assert (effects[attended.CROSS][:, :1] == effects[attended.CROSS]).all()  # one choice serves all edges
    assert effects[attended.CROSS][..., 0].mean() < effects[attended.RANDOM][..., 0].mean() <= 0.05


def test_nothing_found_is_told(detr, held_out) -> None:
    energies, heads, scene_of = attended.survey_edges(detr, held_out[:1], 1.0)
    assert energies.shape == (0, 4, 4) and heads.shape == (0, 3, 4, 4) and scene_of.shape == (0,)
    with pytest.raises(ValueError, match="Nothing is found above a score of 1: choose a lower SCORE_THRESHOLD"):
        attended.survey_cells(detr, {0: held_out[0][0]}, 1.0, 0.05, dict.fromkeys(EDGES, (0, 0)), 0)
    with pytest.raises(ValueError, match="Nothing is found"):
        find_objects(detr.trace(held_out[0][0]), 1.0)


def test_a_detector_without_attention_is_refused(detector, held_out) -> None:
    for call in (
        lambda: attended.survey_edges(detector, held_out[:1], 0.5),
        lambda: find_objects(detector.trace(held_out[0][0]), 0.5),
        lambda: record_attention(detector, held_out[0][0]),
    ):
        with pytest.raises(NoAttentionError, match="no attention to read: choose a DETR"):
            call()


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
