"""Grad-CAM, Grad-CAM++ and Eigen-CAM against another package and against plain computations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from odam_chapters.costs.explaining import Rerun, build_random_detector, draw_predictions
from pytorch_grad_cam import EigenCAM as TheirEigenCAM, GradCAM as TheirGradCAM, GradCAMPlusPlus as TheirGradCAMPlusPlus
from torch import Tensor, nn

from odam_lib import ODAM, load_detector
from odam_lib.explainers.controls import EigenCAM, project_on_first_component
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus, sum_over_channels
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.windows import Windows

NAMES = ("fcos-scenes", "faster-rcnn-scenes", "detr-scenes")


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
    made = sum_over_channels(weights, features, which)
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
    made = project_on_first_component(features)
    assert made.shape == (h, w) and (made >= 0).all()
    torch.testing.assert_close(project_on_first_component(features.flip(0)), made, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(project_on_first_component(features.flip(1)), made.flip(0), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(project_on_first_component(3 * features), 3 * made, rtol=1e-6, atol=1e-8)


def test_eigen_cam_of_one_bright_block_is_that_block() -> None:
    features = 0.01 * torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    features[:, 2:4, 5:7] += torch.tensor([1.0, 2, 0.5, 1, 3])[:, None, None]
    made = project_on_first_component(features)
    assert (made[2:4, 5:7] > 1).all() and made.sum() - made[2:4, 5:7].sum() < 0.05
