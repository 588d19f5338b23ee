"""D-CLOSE (Truong et al., 2023): D-RISE with masks of superpixels, from fine to coarse, each level by its density."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.drise import measure_likeness
from odam_lib.explainers.whole import make_whole_maps
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks
from odam_lib.kernels.odam import min_max
from odam_lib.kernels.superpixels import find_superpixels


@dataclass(frozen=True)
class DCLOSE:
    r"""The maps M_1 (coarse) to M_L (fine) of L levels, cascaded from the finest to the coarsest.

    .. math:: H_L = M_L, \qquad H_l = (H_{l + 1} + M_l) \odot M_l, \qquad H = H_1

    M_l is the sum of masks, each weighted by D-RISE's likeness, divided by the sum of masks (their density) and scaled
    to [0, 1]. A mask shows a random half of the picture's superpixels, enlarged and shifted at random; level l has
    ``segments * 2 ** (l - 1)`` of them. The method reads boxes and scores alone.

    Attributes:
        masks: number of masks of all levels together; the authors take 4000.
        segments: superpixels of the coarsest level.
        levels: L.
        keep: share of superpixels that stay visible.
        enlarge: how many times as high and wide as the picture a mask is before it is cut out at a random place.
        seed: random seed of the masks.
        batch: pictures at a time.
    """

    masks: int = 1000
    segments: int = 150
    levels: int = 5
    keep: float = 0.5
    enlarge: float = 3.2
    seed: int = 0
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("segments", "levels", "batch"):
            checks.count(name, getattr(self, name))
        checks.count("masks", self.masks, least=self.levels)
        checks.count("seed", self.seed, least=None)
        checks.number("keep", self.keep, "(0, 1)")
        checks.number("enlarge", self.enlarge, "[1, inf)")

    @record_gradients()
    @torch.no_grad()
    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        image, generator = trace.image.to(detections.boxes.device), torch.Generator().manual_seed(self.seed)
        heat = image.new_zeros(len(detections), *image.shape[1:])
        for level in reversed(range(self.levels if len(detections) else 0)):
            parts = find_superpixels(trace.image.cpu(), self.segments * 2**level)
            made = self._explain_level(trace, image, detections, parts, generator)
            heat = made if level == self.levels - 1 else (heat + made) * made
        return make_whole_maps(trace, detections, attributes, heat, "D-CLOSE", asdict(self))

    def _explain_level(
        self, trace: Trace, image: Tensor, detections: Detections, parts: Tensor, generator: torch.Generator
    ) -> Tensor:
        """M_l of each detection, ``Tensor[N, H, W]``."""
        density = image.new_zeros(image.shape[1:])
        total = density.expand(len(detections), -1, -1).clone()
        for places in torch.arange(self.masks // self.levels).split(self.batch):
            masks = torch.stack([self._draw(parts, generator) for _ in places]).to(image)
            found = trace.detector.predict(image * masks[:, None])
            weights = torch.stack([measure_likeness(one, detections) for one in found], dim=1)
            total += torch.einsum("nb,bhw->nhw", weights, masks)
            density += masks.sum(dim=0)
        return min_max(total / density.where(density > 0, 1))

    def _draw(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        """A mask ``[H, W]`` of superpixels ``[H, W]``."""
        shown = (torch.rand(int(parts.max()) + 1, generator=generator) < self.keep).float()[parts]
        size = [round(self.enlarge * side) for side in parts.shape]
        large = interpolate(shown[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        top, left = (
            int(torch.randint(whole - side + 1, (), generator=generator)) for whole, side in zip(size, parts.shape)
        )
        return large[top : top + parts.shape[0], left : left + parts.shape[1]]
