"""G-CAME (Nguyen et al., 2024): Grad-CAM under a Gaussian at the place that the prediction was read from."""

from dataclasses import dataclass
from math import floor, log, sqrt
from typing import ClassVar

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.kernels.odam import min_max
from odam_lib.kernels.windows import Windows


@dataclass(frozen=True)
class GCAME(GradientMethod):
    r"""Grad-CAM, each channel under a Gaussian of its own.

    .. math:: H = \mathrm{ReLU}\Big(\sum_k w_k\, G_k \odot A_k\Big)

    w_k is the mean of the gradient over all cells, as in Grad-CAM. G_k is a Gaussian around the cell where the
    channel's gradient is largest in size, scaled to [0, 1]. On a map of Z cells that lie s pixels apart its sigma, in
    cells and at least one, is

    .. math:: \sigma_k = \big|\log |w_k|\big| \cdot \frac{3 \log s}{\lfloor (\sqrt{Z} - 1) / 2 \rfloor}

    The authors explain layers of which a prediction reads one cell, and find its place likewise where it reads more.
    """

    method: ClassVar[str] = "G-CAME"

    def sigma(self, trace: Trace, detections: Detections, levels: Tensor) -> Tensor | None:
        """The sigma in cells of a channel whose mean gradient is 1 / e; the others' are so many times as large."""
        wide = []
        for level in levels.tolist():
            grid, cells = trace.grids[level], trace.features[level][0, 0].numel()
            wide.append(abs(log(sqrt(grid.dx * grid.dy))) * 3 / max(1, floor((sqrt(cells) - 1) / 2)))
        return detections.boxes.new_tensor(wide)

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        if sigma is None:
            raise ValueError("G-CAME needs a width of its Gaussians for each prediction: give sigma.")
        (height, width), across = (features.shape[-2], features.shape[-1]), windows.size[1]
        places = windows.values.flatten(-2).abs().argmax(dim=-1)
        rows = places // across + windows.top[:, None, None]
        columns = places % across + windows.left[:, None, None]
        weights = windows.values.sum(dim=(-2, -1)) / (height * width)
        smallest = torch.finfo(weights.dtype).tiny
        spreads = (weights.abs().clamp(min=smallest).log().abs() * sigma[:, None, None]).clamp(min=1)
        down, right = (torch.arange(side, device=features.device) for side in (height, width))
        maps = features.new_empty((*weights.shape[:2], height, width))
        for n, a in torch.cartesian_prod(torch.arange(len(weights)), torch.arange(weights.shape[1])).tolist():
            away = (down[:, None] - rows[n, a, :, None, None]) ** 2 + (right - columns[n, a, :, None, None]) ** 2
            kernels = min_max(torch.exp(-0.5 * away / spreads[n, a, :, None, None] ** 2))
            maps[n, a] = torch.einsum("k,khw,khw->hw", weights[n, a], kernels, features[which[n]])
        return maps.relu()
