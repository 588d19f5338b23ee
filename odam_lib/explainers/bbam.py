"""BBAM (Lee et al., 2021): the smallest part of the picture that keeps the detection as it is, found by descent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.whole import make_whole_maps, read_again
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks


@dataclass(frozen=True)
class BBAM:
    r"""The smallest mask M of the picture that keeps the very same prediction.

    .. math:: \min_M\ \lambda |M| + |p - p'| + |b - b'|

    p is the score of the detection's class, b the four edges in units of the box's sides; the proposal, location or
    query that made the detection is held fixed. What is masked has the picture's mean colour. The mask starts at 1 and
    is kept in [0, 1].

    Attributes:
        iterations: steps of Adam.
        cells: cells along each side of the mask, enlarged smoothly.
        sparsity: lambda, the weight of the mask's mean.
        rate: learning rate.
        batch: masks optimised at a time.
    """

    iterations: int = 100
    cells: int = 16
    sparsity: float = 0.5
    rate: float = 0.05
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("iterations", "cells", "batch"):
            checks.count(name, getattr(self, name))
        for name in ("sparsity", "rate"):
            checks.number(name, getattr(self, name), "(0, inf)")

    @record_gradients()
    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        rows = torch.arange(len(detections)).split(self.batch)
        maps = [one for some in rows if len(some) for one in self._optimise(trace, detections[some])]
        return make_whole_maps(trace, detections, attributes, maps, "BBAM", asdict(self))

    def _optimise(self, trace: Trace, detections: Detections) -> Tensor:
        """Masks ``[N, cells, cells]``, all optimised together."""
        device = detections.boxes.device
        image = trace.image.to(device)
        grey = image.mean(dim=(1, 2), keepdim=True)
        with torch.no_grad():
            score, box = read_again(trace, image[None], detections, "BBAM")
        sides = (box[:, 2:] - box[:, :2]).clamp(min=1).repeat(1, 2)
        masks = torch.ones(len(detections), 1, self.cells, self.cells, device=device, requires_grad=True)
        descent = torch.optim.Adam([masks], lr=self.rate)
        for _ in range(self.iterations):
            large = interpolate(masks, image.shape[-2:], mode="bilinear", align_corners=False)
            now, where = read_again(trace, image * large + grey * (1 - large), detections, "BBAM")
            kept = (now - score).abs() + ((where - box).abs() / sides).sum(dim=1)
            loss = (kept + self.sparsity * masks.mean(dim=(1, 2, 3))).sum()
            descent.zero_grad()
            loss.backward()
            descent.step()
            with torch.no_grad():
                masks.clamp_(0, 1)
        return masks.detach()[:, 0]
