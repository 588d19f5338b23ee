"""LayerCAM, SSGrad-CAM++, G-CAME and SmoothGrad against plain autograd and another package."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from blocks import BLOCK, SIZE, BlockDetector, bright
from captum.attr import NoiseTunnel, Saliency
from numpy.typing import NDArray
from odam_chapters.costs.explaining import build_random_detector, draw_predictions
from pytorch_grad_cam import LayerCAM as TheirLayerCAM
from torch import Tensor

from odam_lib.explainers.g_came import GCAME
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.explainers.layer_cam import LayerCAM
from odam_lib.explainers.smooth_grad import SmoothGrad
from odam_lib.explainers.ss_grad_cam import SSGradCAMPlusPlus
from odam_lib.heatmaps import ATTRIBUTES

Array = NDArray[np.float64]


def plain_layer_cam(gradients: Array, features: Array, stride: float) -> Array:
    return TheirLayerCAM.get_cam_image(None, None, None, None, features[None], gradients[None], False)[0]


def plain_ss_grad_cam(gradients: Array, features: Array, stride: float) -> Array:
    """Channel by channel and cell by cell; NaN where the denominator comes so near to 0 that rounding decides."""
    total = np.zeros(features.shape[1:])
    for slope, values in zip(gradients, features):
        if not slope.any():
            continue
        below = 2 + values[slope != 0].sum() * slope[slope > 0]
        if (np.abs(below) < 1e-3 * (1 + np.abs(values).sum() * np.abs(slope).max())).any():
            return np.full(total.shape, np.nan)
        total += (slope[slope > 0] / below).sum() * np.abs(slope) / np.abs(slope).max() * values
    return total


def plain_g_came(gradients: Array, features: Array, stride: float) -> Array:
    height, width = features.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    total = np.zeros((height, width))
    for slope, values in zip(gradients, features):
        weight = slope.mean()
        if not weight:
            continue
        row, column = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        kernel_size = max(1, int(((height * width) ** 0.5 - 1) / 2)) / 3
        sigma = max(1, abs(np.log(abs(weight)) / kernel_size * np.log(stride)))
        kernel = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        kernel = (kernel - kernel.min()) / np.ptp(kernel) if np.ptp(kernel) else np.ones_like(kernel)
        total += weight * kernel * values
    return total


@pytest.mark.parametrize(
    ("method", "plain"),
    [(LayerCAM(), plain_layer_cam), (SSGradCAMPlusPlus(), plain_ss_grad_cam), (GCAME(), plain_g_came)],
)
@pytest.mark.parametrize(
    ("name", "layer"), [("retinanet-scenes", "fpn"), ("retinanet-scenes", "stage3"), ("faster-rcnn-scenes", "roi")]
)
def test_a_method_is_its_formula(
    method: GradientMethod, plain: Callable[[Array, Array, float], Array], name: str, layer: str
) -> None:
    """On windows of a pyramid, on a whole stage and on pooled regions, of random weights."""
    detector = build_random_detector(name, 96, seed=1)
    trace = detector.trace(torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1)), layer)
    rows = draw_predictions(trace, 6)
    made, compared = method(trace, rows, ATTRIBUTES), 0
    for row, level in enumerate(trace.feature_level(rows).tolist()):
        features, grid = trace.features[level], trace.grids[level]
        for column, attribute in enumerate(ATTRIBUTES):
            target = trace.targets(attribute, rows[row])[0]
            (gradient,) = torch.autograd.grad(target, features, retain_graph=True)
            values = features.detach()[0].double().numpy()
            expected = plain(gradient[0].double().numpy(), values, (grid.dx * grid.dy) ** 0.5).clip(min=0)
            if expected.any() and not np.isnan(expected).any():
                ours = made.maps[row][column].double().numpy()
                np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=2e-4 * expected.max())
                compared += 1
    assert compared >= 5


def read_score(detector, row: int, label: int) -> Callable[[Tensor], Tensor]:
    return lambda pictures: torch.stack([one.class_probs[row, label] for one in detector.predict(pictures)])


def test_smooth_grad_is_what_another_package_computes(untrained, image) -> None:
    """Captum draws its noise from the global generator, in the same order."""
    trace = untrained.trace(image)
    one = trace.candidates[[700]]
    ours = SmoothGrad(samples=4, noise=0.2, seed=3)(trace, one, ("class", "y1"))
    function = read_score(untrained, int(trace.row_of(one)), int(one.labels))
    torch.manual_seed(3)
    spread = float(0.2 * (image.max() - image.min()))
    tunnel = NoiseTunnel(Saliency(function))
    theirs = tunnel.attribute(image[None], nt_type="smoothgrad", nt_samples=4, stdevs=spread, abs=False)
    expected = theirs[0].abs().sum(dim=0)
    torch.testing.assert_close(ours.maps[0][0], expected, rtol=1e-3, atol=1e-4 * float(expected.max()))
    assert not torch.allclose(ours.maps[0][0] / ours.maps[0][0].max(), ours.maps[0][1] / ours.maps[0][1].max())


def test_smooth_grad_sees_the_only_pixels_that_the_score_reads() -> None:
    trace = BlockDetector().trace(bright())
    made = SmoothGrad(samples=2)(trace, trace.candidates, ("class",))
    x1, y1, x2, y2 = BLOCK
    expected = torch.zeros(SIZE)
    expected[y1:y2, x1:x2] = 1 / ((y2 - y1) * (x2 - x1))
    torch.testing.assert_close(made.maps[0][0], expected)
    torch.testing.assert_close(made.maps[1][0], expected / 2)


def test_smooth_grad_says_what_it_cannot_explain() -> None:
    trace = BlockDetector().trace(bright())
    with pytest.raises(ValueError, match="which is no logit: ask for 'class'"):
        SmoothGrad()(trace, trace.candidates, ("class", "logit"))
    blind = BlockDetector(differentiable=False).trace(bright())
    with pytest.raises(TypeError, match="block passes no gradient to the picture, which SmoothGrad needs: give"):
        SmoothGrad()(blind, blind.candidates, ("class",))
