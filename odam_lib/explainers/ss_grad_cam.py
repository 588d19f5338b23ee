"""SSGrad-CAM++ (Yamauchi, 2024): Grad-CAM++ whose activations count only as far as the gradient reaches."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from odam_lib.explainers.grad_cam import combine_gradients
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.kernels.windows import Sheets, Windows, window_heat_maps


@dataclass(frozen=True)
class SSGradCAMPlusPlus(GradientMethod):
    r"""Grad-CAM++ with a map that says where a channel matters, its gradient's size divided by the largest.

    .. math::

        H = \mathrm{ReLU}\Big(\sum_k w_k\, S_k \odot A_k\Big), \qquad
        S_k = \frac{|\partial Y / \partial A_k|}{\max |\partial Y / \partial A_k|}

    w_k is Grad-CAM++'s, with the sum of activations in alpha's denominator taken over the cells that the prediction
    depends on: here, those where the channel's gradient is not 0. As for Grad-CAM++, nothing is added to it.
    """

    method: ClassVar[str] = "SSGrad-CAM++"

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        gradients = windows.values
        around = Sheets.of([features]).cut(which, windows.top, windows.left, windows.size)[:, None]
        totals = (around * (gradients != 0)).sum(dim=(-2, -1), keepdim=True)
        weights = combine_gradients(gradients, totals)[..., None, None]
        sizes = gradients.abs()
        largest = sizes.amax(dim=(-2, -1), keepdim=True)
        space = sizes / largest.where(largest > 0, 1)
        return window_heat_maps(replace(windows, values=weights * space), features, which)
