"""SmoothGrad (Smilkov et al., 2017) of class and edges by pixels, as in DExT (Padmanabhan et al., 2022)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.whole import make_picture_maps, read_again
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels import checks


@dataclass(frozen=True)
class SmoothGrad:
    """The size of the mean gradient over noisy pictures, summed over colours: which pixels matter, not in which sense.

    The score of the detection's class, and the coordinates of its edges, are read from the very same prediction on the
    noisy picture.

    Attributes:
        samples: number of noisy pictures.
        noise: standard deviation of the noise, as a share of the range of the picture's values.
        seed: random seed of the noise.
    """

    samples: int = 25
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        checks.count("samples", self.samples)
        checks.count("seed", self.seed, least=None)
        checks.number("noise", self.noise, "[0, inf)")

    @record_gradients()
    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        if "logit" in attributes:
            raise ValueError("SmoothGrad reads what a detector predicts, which is no logit: ask for 'class'.")
        image = trace.image.to(detections.boxes.device)
        total = image.new_zeros(len(detections), len(attributes), *image.shape)
        generator, spread = torch.Generator().manual_seed(self.seed), self.noise * (image.max() - image.min())
        for _ in range(self.samples if len(detections) else 0):
            drawn = torch.randn(image.shape, generator=generator).to(image)
            noisy = (image + spread * drawn)[None].requires_grad_()
            scores, boxes = read_again(trace, noisy, detections, "SmoothGrad")
            columns = torch.cat([scores[:, None], boxes], dim=1)[:, [ATTRIBUTES.index(name) for name in attributes]]
            for place, target in zip(total.flatten(0, 1), columns.flatten()):
                place += torch.autograd.grad(target, noisy, retain_graph=True)[0][0]
        maps = total.abs().sum(dim=2) / self.samples
        return make_picture_maps(trace, detections, attributes, list(maps), "SmoothGrad", asdict(self))
