"""Baselines and controls against other packages, against plain computations and against planted truth."""

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from odam_chapters.costs.explaining import Rerun, build_random_detector, draw_predictions
from pytorch_grad_cam import EigenCAM as TheirEigenCAM, GradCAM as TheirGradCAM, GradCAMPlusPlus as TheirGradCAMPlusPlus
from torch import Tensor, nn
from torch.nn.functional import interpolate

from odam_lib import ODAM, explain, load_detector
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.explainers import drise
from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.controls import BoxFill, CentredGaussian, EigenCAM, RandomMap, principal
from odam_lib.explainers.drise import DRISE, likeness, random_mask
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus, channel_sum
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import keep_all
from odam_lib.kernels.odam import combine
from odam_lib.kernels.windows import Windows
from odam_lib.metrics.localization import energy_inside

SIZE = (48, 64)
BLOCK = (16, 8, 32, 24)
"""(x1, y1, x2, y2): the only pixels that the toy detector reads."""
NAMES = ("fcos-scenes", "faster-rcnn-scenes", "detr-scenes")
EVERY: dict[str, Explainer] = {
    "Grad-CAM": GradCAM(),
    "Grad-CAM++": GradCAMPlusPlus(),
    "D-RISE": DRISE(masks=3, batch=2),
    "BBAM": BBAM(iterations=2),
    "box fill": BoxFill(),
    "centred Gaussian": CentredGaussian(),
    "random": RandomMap(),
    "Eigen-CAM": EigenCAM(),
    "ODAM, combined": Combined(ODAM()),
}


# A detector of which everything is known


@dataclass(frozen=True, eq=False)
class BlockTrace(Trace):
    """A pass of the detector below; it has features of ones."""

    def targets(self, attribute: str, detections: Detections) -> Tensor:
        return self.features[0].mean() * (1 + detections.index)


class BlockDetector(Detector):
    """Its score is the mean of a block of pixels: prediction 0 is a box around it, prediction 1 one beside it.

    Args:
        differentiable: whether predictions pass a gradient to the picture.
    """

    name, model, layers, towers = "block", nn.Identity(), ("grid",), ()
    categories = ("__background__", "a", "b")

    def __init__(self, differentiable: bool = True) -> None:
        self.differentiable = differentiable
        self.batches: list[int] = []

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        self.batches.append(len(images))
        found = [self._read(image) for image in images]
        return found if self.differentiable else [Predictions(p.boxes, p.class_probs.detach()) for p in found]

    def _read(self, image: Tensor) -> Predictions:
        x1, y1, x2, y2 = BLOCK
        score = image[:, y1:y2, x1:x2].mean()
        zero = torch.zeros(())
        probs = torch.stack([torch.stack([zero, score, score / 4]), torch.stack([zero, score / 8, score / 2])])
        boxes = torch.tensor([[14.0, 6, 34, 26], [40, 30, 60, 44]])
        return Predictions(boxes, probs)

    def make_trace(self, image: Tensor, layer: str) -> BlockTrace:
        place = torch.zeros(2, dtype=torch.int64)
        return BlockTrace(
            detector=self,
            image=image,
            layer=layer,
            features=(torch.ones(1, 1, 6, 8, requires_grad=True),),
            grids=(Grid(4, 4, 8, 8),),
            input_size=SIZE,
            candidates=self.candidates(image, self._read(image), place, torch.arange(2)),
            nms=keep_all,
        )


class Script(Detector):
    """Returns predictions that were written down, one picture after another."""

    name, model, layers, towers = "script", nn.Identity(), ("grid",), ()
    categories = ("__background__", "a", "b")
    make_trace = BlockDetector.make_trace

    def __init__(self, boxes: Sequence[Sequence[float]], probs: Sequence[Sequence[float]]) -> None:
        self.found = Predictions(torch.tensor(boxes).reshape(-1, 4), torch.tensor(probs).reshape(-1, 3))

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        return [self.found] * len(images)

    def _read(self, image: Tensor) -> Predictions:
        return BlockDetector()._read(image)


def bright(seed: int = 0) -> Tensor:
    """A bright picture whose block is white."""
    x1, y1, x2, y2 = BLOCK
    image = 0.4 + 0.2 * torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(seed))
    image[:, y1:y2, x1:x2] = 1
    return image


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def scene(held_out) -> Tensor:
    return held_out[0][0]


# Grad-CAM, Grad-CAM++ and Eigen-CAM


def theirs(kind: type, model: nn.Module, inputs: Tensor, layer: nn.Module) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Rectified map, activations and gradients of one call of pytorch-grad-cam, before it rescales anything."""
    with kind(model, [layer]) as cam:
        cam(inputs, [lambda output: output])
        kept = cam.activations_and_grads
        activations, gradients = kept.activations[0].numpy(), kept.gradients[0].numpy()
        made = cam.get_cam_image(None, None, None, activations, gradients, False)
    return torch.from_numpy(made[0]).relu(), activations, gradients


def plus_plus(activations: np.ndarray, gradients: np.ndarray) -> Tensor:
    """The package's own Grad-CAM++ weights with an eps that does not matter.

    It adds 1e-6 to a denominator of the order of the squared gradient, which may be far smaller. Gradients times c and
    activations over c are the same problem; for a large c, in double precision, nothing is left of the 1e-6.
    """
    factor = 1e12
    many, few = gradients.astype(np.float64) * factor, activations.astype(np.float64) / factor
    weights = TheirGradCAMPlusPlus.get_cam_weights(None, None, None, None, few, many)
    return torch.from_numpy((weights[0, :, None, None] * few[0]).sum(axis=0)).relu()


def near_a_pole(activations: np.ndarray, gradients: np.ndarray) -> bool:
    """Whether rounding decides about Grad-CAM++: where sums of activations are negative its denominator may be 0."""
    sums, sizes = (one.astype(np.float64).sum(axis=(2, 3), keepdims=True) for one in (activations, np.abs(activations)))
    rounded = np.abs(sizes * gradients) / np.maximum(np.abs(2 + sums * gradients), 1e-12)
    return bool((rounded[gradients > 0] > 100).any())


def closely(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours.double(), expected.double(), rtol=1e-4, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("source", ["untrained", *NAMES])
def test_grad_cam_and_plus_plus_equal_another_package(request, image, scene, source: str) -> None:
    """On random weights for any prediction, on trained ones for what was found; Faster R-CNN at its pooled regions."""
    if source == "untrained":
        found_by, picture = request.getfixturevalue("untrained"), image
        trace = found_by.trace(picture)
        rows = trace.candidates[torch.arange(0, len(trace.candidates), 211)]
    else:
        found_by, picture = load_detector(source, device="cpu"), scene
        trace = found_by.trace(picture)
        rows = trace.detections(0.3)[:2]
    attributes = ("class", "x1", "y2")
    ours, ours_plus = (method(trace, rows, attributes) for method in (GradCAM(), GradCAMPlusPlus()))
    compared = 0
    for row in range(len(rows)):
        for column, attribute in enumerate(attributes):
            model = Rerun(found_by, rows[row], attribute)
            expected, activations, gradients = theirs(TheirGradCAM, model, picture[None], model.explained)
            closely(ours.maps[row][column], expected)
            there = plus_plus(activations, gradients)
            start = torch.zeros(1, dtype=torch.int64)
            same = Windows(torch.from_numpy(gradients)[None].double(), start, start)
            closely(GradCAMPlusPlus().weigh(same, torch.from_numpy(activations).double(), start, None)[0, 0], there)
            if not near_a_pole(activations, gradients):
                closely(ours_plus.maps[row][column], there)
                compared += bool(expected.any()) and bool(there.any())
    assert compared >= 2


@pytest.mark.parametrize("layer", ["fpn", "stage2"])
def test_grad_cam_is_the_mean_gradient_times_activation(untrained, image, layer: str) -> None:
    trace = untrained.trace(image, layer)
    rows = trace.candidates[torch.arange(3, len(trace.candidates), 400)]
    maps, plus = (method(trace, rows, ATTRIBUTES) for method in (GradCAM(), GradCAMPlusPlus()))
    compared = 0
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        features = trace.features[level]
        values = features.detach()[0].double().numpy()
        for column, attribute in enumerate(ATTRIBUTES):
            target = trace.targets(attribute, rows[row])[0]
            (gradient,) = torch.autograd.grad(target, features, retain_graph=True)
            slopes = gradient[0].double().numpy()
            expected = np.maximum((slopes.mean(axis=(1, 2))[:, None, None] * values).sum(axis=0), 0)
            closely(maps.maps[row][column], torch.from_numpy(expected).float())
            below = 2 + values.sum(axis=(1, 2))[:, None, None] * slopes
            if near_a_pole(values[None], slopes[None]):
                continue
            weights = np.where(slopes > 0, slopes / below, 0).sum(axis=(1, 2))
            expected = np.maximum((weights[:, None, None] * values).sum(axis=0), 0)
            closely(plus.maps[row][column], torch.from_numpy(expected).float())
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("method", [GradCAM, GradCAMPlusPlus])
def test_retinanet_s_windows_give_what_whole_gradients_give(method: type[GradientMethod]) -> None:
    detector = build_random_detector("retinanet-scenes", 96, seed=1)
    trace = detector.trace(torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1)))
    rows = draw_predictions(trace, 5)
    compared = 0
    by_window = method(derivative="window")(trace, rows, ATTRIBUTES)
    exact = method(derivative="exact")(trace, rows, ATTRIBUTES)
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        features = trace.features[level]
        gradients = [
            torch.autograd.grad(trace.targets(name, rows[row])[0], features, retain_graph=True)[0]
            for name in ATTRIBUTES
        ]
        start = torch.zeros(1, dtype=torch.int64)
        whole = method().weigh(Windows(torch.cat(gradients)[None], start, start), features.detach(), start, None)[0]
        assert whole.any()
        for column, gradient in enumerate(gradients):
            if method is GradCAM or not near_a_pole(features.detach().numpy(), gradient.numpy()):
                closely(by_window.maps[row][column], whole[column])
                closely(exact.maps[row][column], whole[column])
                compared += 1
    assert compared >= 5


def test_maps_do_not_depend_on_chunks_order_and_company(untrained, image) -> None:
    trace = untrained.trace(image)
    rows = trace.candidates[torch.arange(0, len(trace.candidates), 200)]
    for method in (GradCAM, GradCAMPlusPlus, lambda **_: EigenCAM(), lambda **_: Combined(ODAM())):
        together = method()(trace, rows, ("class", "y1"))
        apart = method(chunk=1)(trace, rows[[4, 1]], ("class", "y1"))
        for ours, expected in zip(apart.maps, (together.maps[4], together.maps[1])):
            closely(ours, expected)


@pytest.mark.parametrize("name", EVERY)
def test_maps_of_every_method_can_be_saved(untrained, image, name: str, tmp_path: Path) -> None:
    trace = untrained.trace(image)
    maps = EVERY[name](trace, trace.candidates[[0, 300, 301]], ("class", "y1"))
    for part in (maps, maps[1], maps[[0, 0]], maps[::-1]):
        part.save(tmp_path / "maps.safetensors")
        loaded = HeatMaps.load(tmp_path / "maps.safetensors")
        for kept in (loaded, pickle.loads(pickle.dumps(part)), copy.deepcopy(part)):
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(kept.maps, part.maps, strict=True))


def test_a_zero_map_says_whether_its_gradient_or_the_rectifier_is_why(untrained, image) -> None:
    trace = untrained.trace(image)
    dead = trace.candidates[trace.regression[:, 0] == 0][:1]  # an edge distance cut off by FCOS's own ReLU
    assert "gradient is zero" in GradCAM()(trace, dead, ("x1",)).reasons[0][0]
    negative = replace(trace, features=tuple((-one.detach().abs()).requires_grad_() for one in trace.features))
    start = torch.zeros(1, dtype=torch.int64)
    windows = Windows(torch.ones(1, 1, *trace.features[0].shape[1:]), start, start)
    made = GradCAM().weigh(windows, negative.features[0].detach(), start, None)
    assert not made.any()
    assert "rectifier removed everything" in GradCAM()._reasons(made, [windows])[0][0]


def test_grad_cam_plus_plus_of_a_vanishing_gradient_keeps_its_shape() -> None:
    """Where a gradient is tiny alpha is one half: a constant in the denominator would make it 0 instead."""
    generator = torch.Generator().manual_seed(0)
    gradients, features = torch.rand(1, 1, 4, 5, 6, generator=generator), torch.rand(1, 4, 5, 6, generator=generator)
    start = torch.zeros(1, dtype=torch.int64)
    tiny = GradCAMPlusPlus().weigh(Windows(gradients * 1e-12, start, start), features, start, None)[0, 0]
    expected = (gradients[0, 0].sum(dim=(1, 2))[:, None, None] * features[0]).sum(dim=0) / 2
    closely(tiny / tiny.max(), expected / expected.max())


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99)
)
@settings(max_examples=30, deadline=None)
def test_channel_sum_is_the_sum_over_channels(n: int, m: int, k: int, h: int, w: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights, features = torch.randn(n, 2, k, generator=generator), torch.randn(m, k, h, w, generator=generator)
    which = torch.randint(m, (n,), generator=generator)
    made = channel_sum(weights, features, which)
    for row in range(n):
        for column in range(2):
            expected = sum(weights[row, column, c] * features[which[row], c] for c in range(k))
            torch.testing.assert_close(made[row, column], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("source", ["untrained", "detector"])
def test_eigen_cam_equals_another_package_up_to_sign(request, image, scene, source: str) -> None:
    found_by, picture = request.getfixturevalue(source), image if source == "untrained" else scene
    trace = found_by.trace(picture)
    firsts = [int(torch.nonzero(trace.candidates.level == level)[0]) for level in range(len(trace.features))]
    rows = trace.candidates[firsts]
    ours = EigenCAM()(trace, rows, ("class",))
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        cells = trace.features[level].detach().numpy()
        signed = torch.from_numpy(TheirEigenCAM.get_cam_image(None, None, None, None, cells, None, False)[0])
        made, most = ours.maps[row][0], float(signed.abs().max())
        either = min(float((made - (sign * signed).relu()).abs().max()) for sign in (1, -1))
        assert most > 0 and either <= 1e-3 * most


@given(st.integers(1, 6), st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_eigen_cam_is_of_one_sign_with_the_activations_and_knows_no_order(k: int, h: int, w: int, seed: int) -> None:
    features = torch.randn(k, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).abs()
    made = principal(features)
    assert made.shape == (h, w) and (made >= 0).all()
    torch.testing.assert_close(principal(features.flip(0)), made, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(principal(features.flip(1)), made.flip(0), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(principal(3 * features), 3 * made, rtol=1e-6, atol=1e-8)


def test_eigen_cam_of_one_bright_block_is_that_block() -> None:
    features = 0.01 * torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    features[:, 2:4, 5:7] += torch.tensor([1.0, 2, 0.5, 1, 3])[:, None, None]
    made = principal(features)
    assert (made[2:4, 5:7] > 1).all() and made.sum() - made[2:4, 5:7].sum() < 0.05


# D-RISE


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
        mask = random_mask(SIZE, 4, 0.5, generator)
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
    masks = torch.stack([random_mask(size, 8, 0.3, generator) for _ in range(300)])
    assert masks.shape == (300, *size) and masks.min() >= 0 and masks.max() <= 1
    everywhere = masks.mean(dim=0)  # shifted by a random part of a cell: no pixel is seen more often than another
    assert abs(float(everywhere.mean()) - 0.3) < 0.02 and float((everywhere - 0.3).abs().max()) < 0.15


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_masks_fit_pictures_of_any_size(height: int, width: int, cells: int, seed: int) -> None:
    mask = random_mask((height, width), cells, 0.5, torch.Generator().manual_seed(seed))
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
    alike = likeness(trace.detector.predict(bright()[None])[0], rows)
    cosine = float(rows.class_probs[0, 1] / rows.class_probs[0].norm())
    torch.testing.assert_close(alike, torch.tensor([0.5 * cosine, 0]))


def test_likeness_takes_the_best_of_all_predictions_of_low_score_too() -> None:
    detector = Script([[14, 6, 34, 26], [14, 6, 34, 16]], [[0, 0.02, 0], [0, 0.5, 0]])
    trace = detector.trace(bright())
    exact = replace(trace.candidates[[0]], class_probs=torch.tensor([[0.0, 1, 0]]))
    assert likeness(detector.found, exact).item() == pytest.approx(0.25)
    weak = Predictions(detector.found.boxes[:1], detector.found.class_probs[:1])
    assert likeness(weak, exact).item() == pytest.approx(0.02)


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
    masks = torch.stack([random_mask(SIZE, 2, 0.5, generator) for _ in range(used)])
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
    make, predict = random_mask, BlockDetector.predict

    def counted(*arguments) -> Tensor:
        made.append(1)
        return make(*arguments)

    def watched(self: BlockDetector, images: Tensor) -> list[Predictions]:
        before_each.append(len(made))
        return predict(self, images)

    monkeypatch.setattr(drise, "random_mask", counted)
    monkeypatch.setattr(BlockDetector, "predict", watched)
    DRISE(masks=20, batch=6)(trace, trace.candidates, ("class",))
    assert detector.batches == [6, 6, 6, 2] and before_each == [6, 12, 18, 20]


# BBAM


def test_bbam_keeps_the_block_that_the_score_needs_and_nothing_else() -> None:
    trace = BlockDetector().trace(bright())
    made = BBAM(iterations=80, cells=16)(trace, trace.candidates[[0]], ("class", "y2"))
    heat = made.to_image()[0, 0]
    x1, y1, x2, y2 = BLOCK
    assert made.maps[0].min() >= 0 and made.maps[0].max() <= 1 and made.maps[0][0].equal(made.maps[0][1])
    assert heat[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 0.8
    outside = torch.ones(SIZE, dtype=torch.bool)
    outside[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = False  # two cells, as they blend into each other
    assert heat[outside].max() < 0.05


def test_bbam_s_mask_weighs_less_the_more_sparsity_costs() -> None:
    trace = BlockDetector().trace(bright())
    sums = [
        float(BBAM(iterations=60, cells=8, sparsity=sparsity)(trace, trace.candidates[[0]], ("class",)).maps[0].sum())
        for sparsity in (0.05, 0.5, 50)
    ]
    assert sums[0] >= sums[1] > 5 and sums[2] < 0.5


def test_bbam_does_not_depend_on_batches_and_company() -> None:
    trace = BlockDetector().trace(bright())
    rows = trace.candidates[[0, 1, 0]]
    together = BBAM(iterations=15, cells=6)(trace, rows, ("class",))
    for batch in (1, 2):
        for one, other in zip(BBAM(iterations=15, cells=6, batch=batch)(trace, rows, ("class",)).maps, together.maps):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    alone = BBAM(iterations=15, cells=6)(trace, rows[[1]], ("class",))
    torch.testing.assert_close(alone.maps[0], together.maps[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together.maps[0], together.maps[1], atol=0.05)


def test_bbam_needs_a_gradient_to_the_picture() -> None:
    trace = BlockDetector(differentiable=False).trace(bright())
    with pytest.raises(TypeError, match="block passes no gradient to the picture, which BBAM needs: give"):
        BBAM(iterations=1)(trace, trace.candidates, ("class",))


# Controls


def test_box_fill_lies_in_the_box_alone(detector, scene) -> None:
    maps = explain(detector, scene, method=BoxFill())
    inside = maps.detections.boxes
    rows, columns = torch.arange(scene.shape[1]) + 0.5, torch.arange(scene.shape[2]) + 0.5
    for heat, (x1, y1, x2, y2) in zip(maps.to_image()[:, 0], inside.tolist()):
        region = ((rows > y1) & (rows < y2))[:, None] & ((columns > x1) & (columns < x2))
        assert energy_inside(heat, region) > 0.999
        torch.testing.assert_close(heat[region], torch.ones_like(heat[region]), atol=1e-3, rtol=0)


def test_the_centred_gaussian_peaks_in_the_middle_and_falls_with_the_box(detector, scene) -> None:
    maps = explain(detector, scene, method=CentredGaussian())
    for heat, (x1, y1, x2, y2) in zip(maps.to_image()[:, 0], maps.detections.boxes.tolist()):
        row, column = divmod(int(heat.argmax()), heat.shape[1])
        assert abs(column + 0.5 - (x1 + x2) / 2) <= 0.51 and abs(row + 0.5 - (y1 + y2) / 2) <= 0.51
        middle = heat[row]
        quarter = min(int(column + (x2 - x1) / 4), len(middle) - 1)
        away = (quarter + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 4)
        assert float(middle[quarter]) == pytest.approx(float(heat.max()) * np.exp(-0.5 * away**2), abs=0.02)


def test_random_maps_are_one_detection_s_own(detector, scene) -> None:
    found = detector.detect(scene, 0.3)
    together = explain(detector, scene, found, method=RandomMap())
    assert len(found) >= 2
    for row in range(len(found)):
        alone = explain(detector, scene, found[row], method=RandomMap())
        assert alone.maps[0].equal(together.maps[row])
    turned = explain(detector, scene, found[list(reversed(range(len(found))))], method=RandomMap())
    assert all(one.equal(other) for one, other in zip(reversed(turned.maps), together.maps))
    correlation = torch.corrcoef(torch.stack([maps[0].flatten() for maps in together.maps]))
    assert (correlation - torch.eye(len(found))).abs().max() < 0.4
    assert not explain(detector, scene, found, method=RandomMap(seed=1)).maps[0].equal(together.maps[0])
    assert together.maps[0].shape == (len(ATTRIBUTES), 16, 16) and together.maps[0][0].equal(together.maps[0][3])


@given(st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_noise_is_uniform_and_its_seed_s(cells: int, seed: int) -> None:
    trace = BlockDetector().trace(bright())
    one, other = (RandomMap(cells, seed)(trace, trace.candidates, ("class",)) for _ in range(2))
    assert one.maps[0].shape == (1, cells, cells) and one.maps[0].equal(other.maps[0])
    assert one.maps[0].min() >= 0 and one.maps[0].max() < 1
    assert abs(float(one.maps[0].mean()) - 0.5) < 2 / cells


def test_combined_is_h_comb_in_the_place_of_every_attribute(detector, scene) -> None:
    of = ODAM(smoothing=None)
    plain, made = explain(detector, scene, method=of), explain(detector, scene, None, ("y1", "class"), Combined(of))
    assert len(made) >= 1 and made.attributes == ("y1", "class") and made.settings == plain.settings
    for maps, whole, expected in zip(plain.maps, made.maps, plain.combined().maps):
        assert whole[0].equal(expected[0]) and whole[1].equal(expected[0]) and whole[0].equal(combine(maps))


# All of them by the front door


@dataclass
class Found:
    """One bundled detector and what it found on a small scene."""

    detector: Detector
    image: Tensor
    detections: Detections
    other: Detections = field(init=False)

    def __post_init__(self) -> None:
        self.other = replace(self.detections, source="another on image 0")


@pytest.fixture(scope="module", params=NAMES)
def found(request, scene) -> Found:
    detector = load_detector(request.param, device="cpu")
    return Found(detector, scene, detector.detect(scene, 0.3)[:2])


@pytest.mark.parametrize("name", EVERY)
def test_each_method_explains_each_detector(found: Found, name: str) -> None:
    asked = ("x2", "class")
    made = explain(found.detector, found.image, found.detections, asked, EVERY[name])
    assert isinstance(made, HeatMaps) and made.method == name and made.attributes == asked
    assert len(made) == len(made.grids) == len(made.reasons) == len(found.detections) >= 1
    assert all(one.shape[0] == 2 and one.isfinite().all() and not one.requires_grad for one in made.maps)
    assert made.to_image().shape == (len(made), 2, *found.image.shape[-2:])
    empty = torch.tensor([[not one.any() for one in maps] for maps in made.maps])
    assert made.zero().equal(empty) and not empty[:, 1].any()
    none = explain(found.detector, found.image, found.detections[[]], asked, EVERY[name])
    assert len(none) == 0 and none.attributes == asked
    assert none.to_image().shape == (0, 2, *found.image.shape[-2:])


@pytest.mark.parametrize("name", EVERY)
def test_each_method_refuses_strangers_and_unknown_attributes(name: str) -> None:
    trace = BlockDetector().trace(bright())
    with pytest.raises(ValueError, match=r"The detections are of another on image 0, the trace is of block"):
        EVERY[name](trace, replace(trace.candidates, source="another on image 0"), ("class",))
    with pytest.raises(ValueError, match="Unknown attribute 'left'"):
        EVERY[name](trace, trace.candidates, ("left",))
    with pytest.raises(ValueError, match="No attribute"):
        EVERY[name](trace, trace.candidates, ())


@pytest.mark.parametrize(
    ("method", "bad"),
    [
        *[(method, {"derivative": "numeric"}) for method in (GradCAM, GradCAMPlusPlus)],
        *[(method, {"chunk": 0}) for method in (GradCAM, GradCAMPlusPlus)],
        *[(DRISE, bad) for bad in ({"masks": 0}, {"cells": 0}, {"batch": 0}, {"keep": 0}, {"keep": 1}, {"settled": 0})],
        *[(BBAM, {name: 0}) for name in ("iterations", "cells", "sparsity", "rate", "batch")],
        (RandomMap, {"cells": 0}),
    ],
)
def test_bad_settings_are_refused_by_name(method: type, bad: dict) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(bad))} is .*: give"):
        method(**bad)


def test_a_layer_without_windows_names_the_method_that_works_there(untrained, image) -> None:
    trace = untrained.trace(image, "stage2")
    with pytest.raises(ValueError, match=r"use GradCAM\(derivative='exact'\) there"):
        GradCAM(derivative="window")(trace, trace.candidates[[0]], ("class",))
