"""D-RISE against a plain computation and against planted truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blocks import BLOCK, SIZE, BlockDetector, Script, bright
from hypothesis import given, settings, strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib import load_detector
from odam_lib.detectors.trace import Predictions
from odam_lib.explainers import drise
from odam_lib.explainers.drise import DRISE, draw_mask, measure_likeness


def plain_likeness(box: np.ndarray, probs: np.ndarray, found: Predictions) -> float:
    """The largest product of IoU, cosine and best class score over all predictions."""
    boxes, scores = found.boxes.double().numpy(), found.class_probs.double().numpy()
    if boxes.ndim == 3:
        boxes = np.stack([each[best] for each, best in zip(boxes, scores.argmax(axis=1))])
    x1, x2 = (boxes[:, column].clip(0, SIZE[1]) for column in (0, 2))
    y1, y2 = (boxes[:, column].clip(0, SIZE[0]) for column in (1, 3))
    wide, high = np.minimum(box[2], x2) - np.maximum(box[0], x1), np.minimum(box[3], y2) - np.maximum(box[1], y1)
    common = wide.clip(0) * high.clip(0)
    union = (box[2] - box[0]) * (box[3] - box[1]) + (x2 - x1) * (y2 - y1) - common
    cosine = scores @ probs / (np.linalg.norm(scores, axis=1) * np.linalg.norm(probs))
    return float((common / union * cosine * scores.max(axis=1)).max())


@pytest.mark.parametrize("settled", [None, 0.2])
def test_masks_that_are_weighed_in_parts_make_the_same_map(settled: float | None) -> None:
    trace = BlockDetector().trace(bright())
    method = DRISE(masks=22, cells=4, seed=2, batch=4, settled=settled)
    parts = (range(16, 22), range(0, 8), range(8, 16))  # in any order
    weights = torch.cat([method.weigh(trace, trace.candidates, part) for part in sorted(parts, key=min)], dim=1)
    assert method.weigh(trace, trace.candidates, range(0)).shape == (len(trace.candidates), 0)
    whole = method(trace, trace.candidates, ("class",))
    made = method.combine(trace, trace.candidates, ("class",), lambda part, _: weights[:, part.start : part.stop])
    assert made.settings == whole.settings and all(map(torch.equal, made.maps, whole.maps))


@pytest.mark.parametrize("source", ["untrained", "faster-rcnn-scenes"])
def test_drise_is_the_mean_of_weighted_masks(request, source: str) -> None:
    found_by = request.getfixturevalue(source) if source == "untrained" else load_detector(source, device="cpu")
    picture = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(6))
    trace = found_by.trace(picture)
    rows = trace.candidates.clipped()
    rows = rows[(rows.boxes[:, 2:] - rows.boxes[:, :2]).amin(dim=1) > 4]
    rows = rows[torch.arange(0, len(rows), len(rows) // 3)]
    ours = DRISE(masks=12, cells=4, seed=3, batch=5)(trace, rows, ("class", "x1"))
    assert ours.settings["masks"] == 12
    generator = torch.Generator().manual_seed(3)
    total = np.zeros((len(rows), *SIZE))
    for _ in range(12):
        mask = draw_mask(SIZE, 4, 0.5, generator)
        with torch.no_grad():
            (found,) = found_by.predict((picture * mask)[None])
        for row in range(len(rows)):
            alike = plain_likeness(rows.boxes[row].double().numpy(), rows.class_probs[row].double().numpy(), found)
            total[row] += alike * mask.double().numpy()
    for row, made in enumerate(ours.maps):
        assert made[0].equal(made[1])
        expected = interpolate(torch.from_numpy(total[row] / 12)[None, None], made.shape[-2:], mode="area")[0, 0]
        assert expected.max() > expected.min() > 0
        torch.testing.assert_close(made[0].double(), expected, rtol=2e-3, atol=1e-6)


def test_drise_does_not_depend_on_batches_company_or_order_and_its_seed_counts() -> None:
    trace = BlockDetector().trace(bright())
    both = DRISE(masks=10, cells=5, batch=3)(trace, trace.candidates, ("class",))
    for batch in (1, 4, 50):
        for one, other in zip(
            DRISE(masks=10, cells=5, batch=batch)(trace, trace.candidates, ("class",)).maps, both.maps
        ):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    turned = DRISE(masks=10, cells=5, batch=3)(trace, trace.candidates[[1, 0]], ("class",))
    alone = DRISE(masks=10, cells=5, batch=3)(trace, trace.candidates[[1]], ("class",))
    torch.testing.assert_close(turned.maps[0], both.maps[1])
    torch.testing.assert_close(turned.maps[1], both.maps[0])
    torch.testing.assert_close(alone.maps[0], both.maps[1])
    other = DRISE(masks=10, cells=5, batch=3, seed=1)(trace, trace.candidates, ("class",))
    assert not torch.allclose(other.maps[0], both.maps[0])


@pytest.mark.parametrize("size", [SIZE, (30, 30), (100, 17)])
def test_a_mask_lies_in_0_to_1_and_keeps_its_share(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([draw_mask(size, 8, 0.3, generator) for _ in range(300)])
    assert masks.shape == (300, *size) and masks.min() >= 0 and masks.max() <= 1
    everywhere = masks.mean(dim=0)  # shifted by a random part of a cell: no pixel is seen more often than another
    assert abs(float(everywhere.mean()) - 0.3) < 0.02 and float((everywhere - 0.3).abs().max()) < 0.15


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_masks_fit_pictures_of_any_size(height: int, width: int, cells: int, seed: int) -> None:
    mask = draw_mask((height, width), cells, 0.5, torch.Generator().manual_seed(seed))
    assert mask.shape == (height, width) and mask.min() >= 0 and mask.max() <= 1


def test_drise_finds_the_block_that_the_score_depends_on() -> None:
    trace = BlockDetector().trace(bright())
    maps = DRISE(masks=400, cells=8, batch=50)(trace, trace.candidates, ("class",))
    for heat in maps.to_image()[:, 0]:
        row, column = divmod(int(heat.argmax()), SIZE[1])
        assert BLOCK[0] <= column < BLOCK[2] and BLOCK[1] <= row < BLOCK[3]


def test_of_no_prediction_the_likeness_is_0_and_the_map_says_so() -> None:
    trace = Script([], []).trace(bright())
    made = DRISE(masks=4)(trace, trace.candidates, ("class", "x1"))
    assert made.zero().all() and "no place of influence" in made.reasons[0][0]
    assert all(not one.any() for one in made.maps)


def test_boxes_outside_the_picture_are_not_alike_and_no_map_is_nan() -> None:
    """A prediction clipped to nothing has no area, and neither has such a detection: 0 of 0 is no likeness."""
    trace = Script([[-9, -9, -3, -2], [14, 6, 34, 26]], [[0, 0.9, 0], [0, 0.5, 0]]).trace(bright())
    rows = replace(trace.candidates, boxes=torch.tensor([[14.0, 6, 34, 26], [0, 0, 0, 0]]))
    alike = measure_likeness(trace.detector.predict(bright()[None])[0], rows)
    cosine = float(rows.class_probs[0, 1] / rows.class_probs[0].norm())
    torch.testing.assert_close(alike, torch.tensor([0.5 * cosine, 0]))


def test_likeness_takes_the_best_of_all_predictions_of_low_score_too() -> None:
    detector = Script([[14, 6, 34, 26], [14, 6, 34, 16]], [[0, 0.02, 0], [0, 0.5, 0]])
    trace = detector.trace(bright())
    exact = replace(trace.candidates[[0]], class_probs=torch.tensor([[0.0, 1, 0]]))
    assert measure_likeness(detector.found, exact).item() == pytest.approx(0.25)
    weak = Predictions(detector.found.boxes[:1], detector.found.class_probs[:1])
    assert measure_likeness(weak, exact).item() == pytest.approx(0.02)


def test_settled_stops_early_and_none_never() -> None:
    trace = BlockDetector().trace(bright())
    whole = DRISE(masks=400, cells=4, batch=5)(trace, trace.candidates, ("class",))
    assert whole.settings["masks"] == 400
    made = DRISE(masks=400, cells=4, batch=5, settled=0.2)(trace, trace.candidates, ("class",))
    used = made.settings["masks"]
    assert 10 <= used < 400
    assert made.settings["settled"] == 0.2
    same = DRISE(masks=used, cells=4, batch=5)(trace, trace.candidates, ("class",))
    torch.testing.assert_close(made.maps[0], same.maps[0])
    stricter = DRISE(masks=400, cells=4, batch=5, settled=0.1)(trace, trace.candidates, ("class",))
    assert used < stricter.settings["masks"]


def test_settled_looks_back_on_a_quarter_of_the_masks_however_many_there_are() -> None:
    """Where it stops, no map differs much from what it was after three quarters of the masks, or fewer."""
    picture, share = bright(), 0.1
    trace = BlockDetector().trace(picture)
    rows = trace.candidates[[0]]
    made = DRISE(masks=2000, cells=2, batch=5, settled=share)(trace, rows, ("class",))
    used = made.settings["masks"]
    assert 200 <= used < 2000
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([draw_mask(SIZE, 2, 0.5, generator) for _ in range(used)])
    x1, y1, x2, y2 = BLOCK
    scores = (picture * masks[:, None])[:, :, y1:y2, x1:x2].mean(dim=(1, 2, 3))
    small = interpolate(masks[:, None], made.maps[0].shape[-2:], mode="area")[:, 0]
    running = (scores[:, None, None] * small).cumsum(dim=0) / torch.arange(1, used + 1)[:, None, None]
    spread = running[-1].max() - running[-1].min()
    moved = (running - running[-1]).abs().amax(dim=(1, 2)) / spread
    assert moved[used // 2 : used * 3 // 4].min() <= share + 1e-3


def test_a_batch_bounds_how_many_masks_there_are_at_a_time(monkeypatch) -> None:
    """Each batch's masks are made just before they are used: memory does not grow with their number."""
    detector = BlockDetector()
    trace = detector.trace(bright())
    made: list[int] = []
    before_each: list[int] = []
    make, predict = draw_mask, BlockDetector.predict

    def counted(*arguments) -> Tensor:
        made.append(1)
        return make(*arguments)

    def watched(self: BlockDetector, images: Tensor) -> list[Predictions]:
        before_each.append(len(made))
        return predict(self, images)

    monkeypatch.setattr(drise, "draw_mask", counted)
    monkeypatch.setattr(BlockDetector, "predict", watched)
    DRISE(masks=20, batch=6)(trace, trace.candidates, ("class",))
    assert detector.batches == [6, 6, 6, 2] and before_each == [6, 12, 18, 20]
