"""Grad-CAM (Selvaraju et al., 2017) and Grad-CAM++ (Chattopadhay et al., 2018): one weight for each channel."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.kernels.windows import Windows


@dataclass(frozen=True)
class GradCAM(GradientMethod):
    r"""One weight for each channel: the mean of its gradient over all Z cells of the prediction's level.

    .. math::

        H = \mathrm{ReLU}\Big(\sum_k w_k A_k\Big), \qquad w_k = \frac{1}{Z} \sum \frac{\partial Y}{\partial A_k}

    The place of the prediction is lost in the mean: every object that the same channels respond to lights up.
    """

    method: ClassVar[str] = "Grad-CAM"

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        weights = windows.values.sum(dim=(-2, -1)) / features[0, 0].numel()
        return sum_over_channels(weights, features, which).relu()


@dataclass(frozen=True)
class GradCAMPlusPlus(GradientMethod):
    r"""One weight for each channel: the sum of its positive gradients g, each weighted by alpha.

    .. math::

        H = \mathrm{ReLU}\Big(\sum_k w_k A_k\Big), \qquad w_k = \sum \alpha\, \mathrm{ReLU}(g), \qquad
        \alpha = \frac{g^2}{2 g^2 + g^3 \sum A_k}

    Sums are over all cells, and alpha is 0 where g is 0. Others add a small constant
    to the denominator, which for targets of small gradients would be all of it: here nothing is added. The denominator
    may come near 0 where the activations' sum is negative, as on a pyramid; such maps hang on rounding.
    """

    method: ClassVar[str] = "Grad-CAM++"

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        totals = features.sum(dim=(-2, -1))[which][:, None, :, None, None]
        return sum_over_channels(combine_gradients(windows.values, totals), features, which).relu()


def combine_gradients(gradients: Tensor, totals: Tensor) -> Tensor:
    """Grad-CAM++'s weight of each channel; see :class:`GradCAMPlusPlus`.

    Args:
        gradients: ``Tensor[N, A, K, a, b]``.
        totals: the sum of the activations in alpha's denominator, broadcast against the gradients.

    Returns:
        ``Tensor[N, A, K]``.
    """
    below = 2 + totals * gradients
    alpha = torch.where((gradients != 0) & (below != 0), 1 / below, 0)
    return (alpha * gradients.relu()).sum(dim=(-2, -1))


def sum_over_channels(weights: Tensor, features: Tensor, which: Tensor) -> Tensor:
    """The sum over channels of one weight times each activation.

    Args:
        weights: ``Tensor[N, A, K]``.
        features: ``Tensor[M, K, h, w]``.
        which: ``Tensor[N]``, int64, the activations of each prediction.

    Returns:
        ``Tensor[N, A, h, w]``.
    """
    if len(features) == 1:
        return torch.einsum("nak,khw->nahw", weights, features[0])
    return torch.einsum("nak,nkhw->nahw", weights, features[which])
