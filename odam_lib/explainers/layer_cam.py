"""LayerCAM (Jiang et al., 2021): each activation is weighted by its own positive gradient."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.kernels.windows import Windows, window_heat_maps


@dataclass(frozen=True)
class LayerCAM(GradientMethod):
    r"""Eq. (2) of ODAM with a rectifier in the place of smoothing.

    .. math:: H = \mathrm{ReLU}\Big(\sum_k \mathrm{ReLU}\Big(\frac{\partial Y}{\partial A_k}\Big) \odot A_k\Big)

    What was made for classifiers is instance-specific for a detector, since a place counts only by its own gradient.
    """

    method: ClassVar[str] = "LayerCAM"

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        return window_heat_maps(replace(windows, values=windows.values.relu()), features, which)
