"""ODAM (Sec. 3.1): the smoothed gradient of one prediction's attribute weighs the activations element-wise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.gradient_method import GradientMethod
from odam_lib.kernels import checks
from odam_lib.kernels.odam import RECTIFIERS, adaptive_sigma
from odam_lib.kernels.windows import Windows, window_heat_maps

SIGMA_SHARE = 0.1
"""``adaptive`` smoothing: sigma is this share of the predicted object's short side on the feature map.

The paper adapts the kernel to the predicted object and gives no rule; data/evaluation/README.md says why this one.
"""


@dataclass(frozen=True)
class ODAM(GradientMethod):
    r"""Heat maps by Eq. (2): gradient times activation at each place, summed over channels.

    .. math:: H = \mathrm{ReLU}\Big(\sum_k \Phi\Big(\frac{\partial Y}{\partial A_k}\Big) \odot A_k\Big)

    Attributes:
        smoothing: Phi. ``"adaptive"``: a Gaussian whose sigma is ``share`` of the object's short side; a
            number: a Gaussian of that sigma in feature cells; ``None``: no smoothing, which equals HiResCAM.
            Zero padding, the kernel is not renormalised at the border.
        gradient: ``"positive"``: what raises the target (for an edge: what expands the box); ``"negative"``: what
            lowers it (Fig. 16).
        rectify: ``"relu"``, ``"none"`` (signed) or ``"abs"`` (Fig. 16).
        share: sigma of ``"adaptive"`` smoothing divided by the object's short side.
        derivative, chunk: see :class:`GradientMethod`.
    """

    smoothing: str | float | None = "adaptive"
    gradient: str = "positive"
    rectify: str = "relu"
    share: float = SIGMA_SHARE
    method: ClassVar[str] = "ODAM"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.smoothing, (str, bool)):
            if self.smoothing != "adaptive":
                raise ValueError(
                    f"smoothing is {self.smoothing!r}: give 'adaptive', a sigma >= 0 in feature cells, or None."
                )
        elif self.smoothing is not None:
            checks.number("smoothing", self.smoothing, "[0, inf)", " in feature cells, 'adaptive', or None")
        checks.number("share", self.share, "(0, inf)")
        checks.choice("gradient", self.gradient, ("positive", "negative"))
        checks.choice("rectify", self.rectify, tuple(RECTIFIERS))

    def sigma(self, trace: Trace, detections: Detections, levels: Tensor) -> Tensor | None:
        if self.smoothing is None:
            return None
        if self.smoothing != "adaptive":
            return detections.boxes.new_full((len(detections),), float(self.smoothing))
        height, width = detections.image_size
        to_image = detections.boxes.new_tensor([width / trace.input_size[1], height / trace.input_size[0]])
        grids = [trace.grids[level] for level in levels.tolist()]
        cells = detections.boxes.new_tensor([(grid.dx, grid.dy) for grid in grids]).reshape(-1, 2)
        return adaptive_sigma(detections.boxes, cells * to_image, self.share)

    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        return window_heat_maps(windows, features, which, sigma, self.gradient, self.rectify)

    def removed(self) -> str:
        return f"{self.rectify} removed everything: no {self.gradient} influence at this layer"
