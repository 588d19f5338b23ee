"""Controls: maps that explain nothing, or nothing about one detection. A metric that likes them can be gamed."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.identity import hash_image
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.whole import make_whole_maps
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks
from odam_lib.kernels.regions import box_blob, box_regions


@dataclass(frozen=True)
class BoxFill:
    """The detected box painted evenly: it knows the answer and nothing of its reason."""

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        maps = box_regions(detections.boxes, detections.image_size).to(detections.boxes.dtype)
        return make_whole_maps(trace, detections, attributes, maps, "box fill", {})


@dataclass(frozen=True)
class CentredGaussian:
    """A Gaussian at the box's centre, of a standard deviation of a quarter of each side."""

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        maps = box_blob(detections.boxes, detections.image_size)
        return make_whole_maps(trace, detections, attributes, maps, "centred Gaussian", {})


@dataclass(frozen=True)
class RandomMap:
    """Blobs of noise, uniform in each of ``cells`` x ``cells`` cells over the picture.

    Blobs, since single noisy pixels would damage a picture more than any explanation does.

    Attributes:
        cells: cells along each side.
        seed: random seed; the noise differs from detection to detection and does not depend on their order.
    """

    cells: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        checks.count("cells", self.cells)
        checks.count("seed", self.seed, least=None)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        names = zip(detections.level.tolist(), detections.index.tolist(), detections.labels.tolist())
        picture = f"{trace.detector.name} on image {hash_image(trace.image)}"
        maps = [self._noise(f"{picture} {name}").to(detections.boxes) for name in names]
        return make_whole_maps(trace, detections, attributes, maps, "random", asdict(self))

    def _noise(self, name: str) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        return torch.rand(self.cells, self.cells, generator=generator)


@dataclass(frozen=True)
class EigenCAM:
    """The first principal component of the activations (Muhammad and Yeasin, 2020), the same for a level's detections.

    A component has no sign of its own: it is taken so that it rises with the activations' magnitude.
    """

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        levels = trace.feature_level(detections).tolist()
        made = {level: project_on_first_component(trace.features[level].detach()[0]) for level in set(levels)}
        maps, grids = [made[level] for level in levels], [trace.grids[level] for level in levels]
        return make_whole_maps(trace, detections, attributes, maps, "Eigen-CAM", {}, grids)


def project_on_first_component(features: Tensor) -> Tensor:
    """The positive part of the cells' first principal component.

    Args:
        features: ``Tensor[K, h, w]``.

    Returns:
        ``Tensor[h, w]``.
    """
    cells = features.flatten(1).T
    centred = cells - cells.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    scores = centred @ vectors[:, -1]
    strength = cells.norm(dim=1)
    sign = torch.sign((scores * (strength - strength.mean())).sum())
    return (scores * sign).relu().reshape(features.shape[1:])
