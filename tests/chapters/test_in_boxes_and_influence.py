"""Where in its box a map's energy lies, and what hidden pixels and cells change, against values worked out by hand."""

from dataclasses import dataclass, replace

import pytest
import torch
from handmade_detections import CAT, DOG, ELSEWHERE, found
from hypothesis import given, settings, strategies as st
from odam_chapters.in_boxes import frame_box, locate_centre, measure_edge_energy
from odam_chapters.influence import (
    edit_features,
    find_counterpart,
    hide,
    measure_cell_effects,
    measure_cell_moves,
    measure_edge_moves,
    measure_scores_without,
    move_into,
    roll_in,
    select_strongest,
)

from odam_lib import ODAM
from odam_lib.detections import Detections
from odam_lib.detectors.zoo import build_detector
from odam_lib.kernels.regions import box_regions


@dataclass(frozen=True, eq=False)
class Planted:
    """What :func:`find_counterpart` needs of a trace."""

    candidates: Detections

    def boxes(self, detections: Detections) -> torch.Tensor:
        return detections.boxes


def test_edge_energy_by_hand() -> None:
    """A box of 4 x 4 pixels, bands of one pixel to both sides: what is in a corner counts for two edges."""
    box = torch.tensor([2.0, 2.0, 6.0, 6.0])
    heat = torch.zeros(8, 8)
    heat[4, 1], heat[4, 4], heat[2, 5], heat[0, 4] = 1, 2, 3, 4  # left of x1; inside; corner of y1 and x2; far above
    expected = torch.tensor([0.1, 0.3, 0.3, 0.0])
    torch.testing.assert_close(measure_edge_energy(heat, box), expected)
    both = torch.stack([heat, heat.flip(1)])
    shares = measure_edge_energy(both[None], box.expand(1, 2, 4))
    torch.testing.assert_close(shares[0, 1], torch.tensor([0.3, 0.3, 0.1, 0.0]))
    torch.testing.assert_close(measure_edge_energy(both[None], box[None, None]), shares)
    assert measure_edge_energy(torch.zeros(8, 8), box).tolist() == [0, 0, 0, 0]
    assert measure_edge_energy(torch.zeros(0, 5, 8, 8), torch.zeros(0, 1, 4)).shape == (0, 5, 4)
    with pytest.raises(ValueError, match=r"band is 0\.6"):
        measure_edge_energy(heat, box, 0.6)
    with pytest.raises(ValueError, match="negative values"):
        measure_edge_energy(-heat, box)


@given(st.integers(0, 999), st.floats(0.05, 0.5))
@settings(deadline=None, max_examples=30)
def test_edge_energy_follows_a_mirrored_map(seed: int, band: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    heat = torch.rand(10, 12, generator=generator)
    box = torch.tensor([2.3, 1.6, 7.1, 8.2])
    mirrored = torch.tensor([12 - 7.1, 1.6, 12 - 2.3, 8.2])
    torch.testing.assert_close(
        measure_edge_energy(heat, box, band), measure_edge_energy(heat.flip(1), mirrored, band)[[2, 1, 0, 3]]
    )
    torch.testing.assert_close(measure_edge_energy(heat, box, band), measure_edge_energy(heat * 1e-20, box, band))


def test_centre_in_box_by_hand() -> None:
    box = torch.tensor([2.0, 2.0, 6.0, 6.0])
    heat = torch.zeros(2, 8, 8)
    heat[0, 3, 2], heat[0, 3, 5], heat[0, 0, 0] = 1, 3, 9  # what is outside the box does not count
    torch.testing.assert_close(locate_centre(heat[0], box), torch.tensor([0.375, -0.25]))
    torch.testing.assert_close(locate_centre(heat, box[None]), torch.tensor([[0.375, -0.25], [torch.nan] * 2]),
                               equal_nan=True)  # fmt: skip
    assert locate_centre(torch.zeros(0, 5, 8, 8), torch.zeros(0, 1, 4)).shape == (0, 5, 2)
    with pytest.raises(ValueError, match="negative values"):
        locate_centre(-heat, box)


def test_box_frame_puts_the_box_in_the_middle() -> None:
    """With half a side around it the box is the middle half of the frame, wherever and however large it is."""
    boxes = torch.tensor([[2.0, 4.0, 10.0, 8.0], [8.0, 6.0, 12.0, 14.0]])
    heat = box_regions(boxes, (20, 20)).float()[:, None]
    frames = frame_box(heat, boxes, cells=16)
    assert frames.shape == (2, 1, 16, 16)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:12, 4:12] = True
    for frame in frames[:, 0]:
        assert (frame[5:11, 5:11] > 0.99).all() and frame[~inside].mean() < 0.1
    assert frame_box(heat[:0], boxes[:0]).shape == (0, 1, 48, 48)


def test_strongest_pixels_and_the_same_shape_elsewhere() -> None:
    heat = torch.arange(12.0).reshape(3, 4)
    region = select_strongest(heat, 3)
    assert torch.nonzero(region).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert select_strongest(heat, 99).all()
    at = move_into(region, torch.tensor([2.4, 1.4, 2.6, 1.6]), torch.Generator().manual_seed(0))
    assert torch.nonzero(at).tolist() == [[1, 1], [1, 2], [1, 3]]
    image = torch.rand(3, 3, 4)
    covered = hide(image, region)
    assert (covered[:, ~region] == image[:, ~region]).all()
    torch.testing.assert_close(covered[:, region], image.mean(dim=(1, 2))[:, None].expand(3, 3))


def test_a_shape_rolled_in_a_box_stays_there_whole() -> None:
    box, region = torch.tensor([2.0, 1.0, 8.0, 5.0]), torch.zeros(7, 10, dtype=torch.bool)
    region[1:3, 2:4] = True
    region[6, 9] = True  # outside the box
    inside = box_regions(box[None], (7, 10))[0]
    generator, places = torch.Generator().manual_seed(0), set()
    for _ in range(40):
        moved = roll_in(region, box, generator)
        assert moved.sum() == 4 and not (moved & ~inside).any()
        assert torch.equal(moved.sum(dim=0).sort().values[-2:], torch.tensor([2, 2]))
        places.add(tuple(torch.nonzero(moved).flatten().tolist()))
    assert len(places) > 10
    assert not roll_in(region, torch.tensor([20.0, 20.0, 30.0, 30.0]), generator).any()


def test_a_prediction_that_has_left_its_place_is_found_as_another_or_lost() -> None:
    def after(boxes: list[list[float]], regional: bool = False) -> list[float]:
        candidates = found(boxes, [0.0] * len(boxes), [1] * len(boxes))
        probabilities = torch.tensor([[0, 0.3, 0.1], [0, 0.8, 0.2]])[: len(boxes)]
        trace = Planted(replace(candidates, class_probs=probabilities, index=torch.arange(len(boxes))))
        object.__setattr__(trace, "regional", regional)
        looks = type("Looks", (), {"trace": lambda self, image: trace})()
        one = replace(found([CAT], [0.9], [1]), index=torch.tensor([0]))
        return measure_scores_without(looks, torch.rand(3, 60, 60), one, torch.zeros(1, 60, 60).bool(), (1, 2))[
            0
        ].tolist()

    assert after([CAT, CAT]) == pytest.approx([0.3, 0.1])
    assert after([CAT, CAT], regional=True) == pytest.approx([0.8, 0.2])
    assert after([ELSEWHERE, CAT]) == pytest.approx([0.8, 0.2])
    assert after([ELSEWHERE, ELSEWHERE]) == [0, 0]


def test_the_counterpart_is_the_same_object_of_the_same_class() -> None:
    candidates = found([CAT, [14, 10, 50, 50], DOG, [12, 10, 50, 50]], [0.0] * 4, [1] * 4)
    probabilities = torch.tensor([[0, 0.1, 0.9], [0, 0.8, 0.1], [0, 0.9, 0.9], [0, 0.3, 0.0]])
    trace = Planted(replace(candidates, class_probs=probabilities))
    assert find_counterpart(trace, found([CAT], [0.9], [1])).tolist() == [14, 10, 50, 50]
    assert find_counterpart(trace, found([CAT], [0.9], [2])).tolist() == CAT
    assert find_counterpart(trace, found([ELSEWHERE], [0.9], [1])) is None


def test_edge_moves_by_hand() -> None:
    """The box follows the brightest column; a picture without one has lost its object."""
    image = torch.zeros(3, 20, 40)
    image[:, :, 30], image[:, :, 25] = 1.0, 0.9

    class Follows:
        def trace(self, picture: torch.Tensor) -> Planted:
            brightest = int(picture[0, 0].argmax())
            box = [10.0, 4.0, float(brightest), 14.0] if picture.max() > 0.5 else [0.0, 0.0, 1.0, 1.0]
            return Planted(replace(found([box], [0.9], [1]), class_probs=torch.tensor([[0, 0.9, 0]])))

    regions = torch.zeros(3, 20, 40, dtype=torch.bool)
    regions[1, :, 30] = True
    regions[2, :, 25:31] = True
    moves = measure_edge_moves(Follows(), image, found([[10, 4, 30, 14]], [0.9], [1]), regions)
    torch.testing.assert_close(moves[:2], torch.tensor([[0.0] * 4, [0, 0, -0.25, 0]]))
    assert moves[2].isnan().all()


def test_cells_are_set_to_zero_wherever_they_are_computed(detector, held_out) -> None:
    """The same as running the head on the edited level, which knows where this detector's features are."""
    image = held_out[0][0]
    trace = detector.trace(image)
    one = trace.detections(0.5)[0]
    level, index = int(one.level[0]), int(one.index[0])
    shape = trace.features[level].shape[-2:]
    cells = torch.zeros(2, *shape, dtype=torch.bool)
    cells[1].flatten()[max(0, index - 2) : index + 3] = True
    moves = measure_cell_moves(detector, image, trace, one, cells)
    assert moves[0].abs().max() < 1e-5
    values = [features.detach() for features in (trace.features[level], trace.features[level] * ~cells[1])]
    before, after = (detector.model.head.regression_head([level])[0][0, index] for level in values)
    ratio = (after - before) / before
    distances = torch.cat([trace.targets(edge, one) for edge in ("x1", "y1", "x2", "y2")]).detach()
    sides = (one.boxes[0, 2:] - one.boxes[0, :2]).repeat(2)
    torch.testing.assert_close(moves[1], ratio * distances / sides, rtol=1e-3, atol=1e-4)
    with pytest.raises(RuntimeError, match="give the image that was traced"):
        with edit_features(trace, trace.features):
            detector.trace(1 - image)


@pytest.mark.parametrize("name", ["retinanet-scenes", "faster-rcnn-scenes"])
def test_cells_of_pyramids_and_of_regions_of_interest(name: str) -> None:
    """What raises a distance is zeroed and the distance falls, also where every region has its own features."""
    torch.manual_seed(1)
    detector = build_detector(name)
    image = torch.rand(3, 96, 128)
    trace = detector.trace(image)
    one = trace.candidates[trace.candidates.scores.argmax().reshape(1)]
    heat = ODAM(smoothing=None)(trace, one, ("x2",)).maps[0]
    moves = measure_cell_moves(
        detector, image, trace, one, torch.stack([select_strongest(heat[0], max(1, heat.numel() // 10))])
    )
    assert moves.shape == (1, 4) and moves[0, 2] < 0


@pytest.mark.parametrize("layer", ["stage3", "encoder"])
def test_cells_of_detr_move_the_edges_of_the_box_not_its_half_width(layer: str) -> None:
    """Also where cells are tokens; DETR's reference point is the centre, so distances move alike at opposite edges."""
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    detector = build_detector("detr-scenes")
    image = torch.rand(3, 96, 128)
    trace = detector.trace(image, layer)
    one = trace.candidates[3]
    cells = torch.zeros(2, *trace.features[0].shape[-2:], dtype=torch.bool)
    cells[1, :2] = True
    effects = measure_cell_effects(detector, image, trace, one, cells)
    assert effects.shape == (2, 5) and effects[0].abs().max() < 1e-5

    blocks = {
        "stage3": detector.model.backbone.stages["stage3"],
        "encoder": detector.model.detr.model.encoder.layers[-1],
    }
    keep = ~cells[1] if layer == "stage3" else ~cells[1].flatten()[:, None]
    handle = blocks[layer].register_forward_hook(lambda _, __, output: output * keep)
    after = detector.trace(image).candidates[3]
    handle.remove()
    sides = (one.boxes[0, 2:] - one.boxes[0, :2]).repeat(2)
    expected = (after.boxes - one.boxes)[0] * torch.tensor([-1, -1, 1, 1]) / sides
    torch.testing.assert_close(effects[1, 1:], expected, rtol=1e-3, atol=1e-5)
    assert (effects[1, 1] - effects[1, 3]).abs() > 1e-5
