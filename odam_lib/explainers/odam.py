"""ODAM (Sec. 3.1): the smoothed gradient of one prediction's attribute weighs the activations element-wise."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.base import Trace
from odam_lib.gradients import BUDGET, CACHE_BUDGET, UnconnectedTargetError, Windows, chunk_size, exact
from odam_lib.heatmaps import REACH, RECTIFIERS, HeatMaps, adaptive_sigma, windowed_sum

SIGMA_SHARE = 0.1
"""``adaptive`` smoothing: sigma is this share of the predicted object's short side on the feature map.

The paper adapts the kernel to the predicted object and gives no rule. Compared on 60 held-out scenes: without smoothing
and with shares 0.05, 0.1, 0.2 and 0.3 a class map has 45, 45, 44, 41 and 37 % of its energy in its own object's visible
mask, and the maps of the right and the left edge lie 20, 20, 19, 12 and 7 % of the object's width apart. 0.1 keeps
both, and no single cell stands out.
"""

COPIES = 4
"""Making a map takes about this many times the memory of its gradients."""


@dataclass(frozen=True)
class ODAM:
    """Heat maps H = ReLU(sum_k Phi(dY/dA_k) * A_k), Eq. (2).

    Attributes:
        smoothing: Phi. ``"adaptive"``: a Gaussian whose sigma is ``SIGMA_SHARE`` of the object's short side; a
            number: a Gaussian of that sigma in feature cells; ``None``: no smoothing, which equals HiResCAM.
            Zero padding, the kernel is not renormalised at the border.
        gradient: ``"positive"``: what raises the target (for an edge: what expands the box); ``"negative"``: what
            lowers it (Fig. 16).
        rectify: ``"relu"``, ``"none"`` (signed) or ``"abs"`` (Fig. 16).
        derivative: ``"exact"``: the gradient; ``"window"``: the gradient on the receptive field of the detector's head
            alone, GroupNorm's statistics held fixed. The two are the same, and equally fast, where no GroupNorm lies
            between layer and prediction.
        chunk: maps made at a time; ``None``: as many as memory allows. It changes no map.
    """

    smoothing: str | float | None = "adaptive"
    gradient: str = "positive"
    rectify: str = "relu"
    derivative: str = "exact"
    chunk: int | None = None

    def __post_init__(self) -> None:
        fixed = (
            isinstance(self.smoothing, (int, float)) and not isinstance(self.smoothing, bool) and self.smoothing >= 0
        )
        if not (self.smoothing in ("adaptive", None) or fixed):
            raise ValueError(
                f"smoothing is {self.smoothing!r}: give 'adaptive', a sigma >= 0 in feature cells, or None."
            )
        if self.gradient not in ("positive", "negative"):
            raise ValueError(f"gradient is {self.gradient!r}: give 'positive' or 'negative'.")
        if self.rectify not in RECTIFIERS:
            raise ValueError(f"rectify is {self.rectify!r}: give one of {', '.join(RECTIFIERS)}.")
        if self.derivative not in ("exact", "window"):
            raise ValueError(f"derivative is {self.derivative!r}: give 'exact' or 'window'.")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk is {self.chunk}: give a number of maps of at least 1, or None.")

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        """Explain every attribute of every detection.

        Args:
            trace: one forward pass.
            detections: N rows of that trace.
            attributes: A names, see :meth:`Trace.targets`.

        Raises:
            ValueError: detections of another image or detector, an unknown attribute, or ``derivative="window"`` at a
                layer that has none.
            UnconnectedTargetError: an attribute does not depend on the layer.
        """
        trace.check(detections, attributes)
        if self.derivative == "window" and not trace.has_windows:
            raise ValueError(
                f"Layer {trace.layer!r} has no derivative on a window: use ODAM(derivative='exact') there, or the "
                "detector's default layer."
            )
        levels, sigma = trace.feature_level(detections), self._sigma(trace, detections)
        maps: dict[int, Tensor] = {}
        reasons: dict[int, tuple[str, ...]] = {}
        for rows in self._batches(trace, detections, sigma, len(attributes)):
            windows = self._windows(trace, detections[rows], attributes)
            which, features = levels[rows].unique(return_inverse=True)[1], _sheets(trace, levels[rows])
            signed = windowed_sum(windows, features, which, None if sigma is None else sigma[rows])
            made = RECTIFIERS[self.rectify](signed if self.gradient == "positive" else -signed)
            maps |= dict(zip(rows.tolist(), made))
            reasons |= dict(zip(rows.tolist(), self._reasons(made, windows.gradients)))
        order = range(len(detections))
        return HeatMaps(
            maps=tuple(maps[row] for row in order),
            reasons=tuple(reasons[row] for row in order),
            attributes=tuple(attributes),
            detections=detections,
            grids=tuple(trace.grids[level] for level in levels.tolist()),
            input_size=trace.input_size,
            layer=trace.layer,
            method="ODAM",
            settings={name: value for name, value in asdict(self).items() if name != "chunk"},
        )

    def _batches(self, trace: Trace, detections: Detections, sigma: Tensor | None, attributes: int) -> Iterator[Tensor]:
        """Rows whose maps are made together: of one level or all regions of interest, as many as memory allows."""
        levels = trace.feature_level(detections)
        groups = [levels == level for level in levels.unique()] if not trace.regional else [levels >= 0]
        for group in groups:
            rows = torch.nonzero(group).flatten()
            if not len(rows):
                continue
            if sigma is not None:  # so that few wide kernels do not widen the windows of all
                rows = rows[sigma[rows].argsort()]
            chunk = self.chunk or self._chunk(
                trace, detections[rows], int(levels[rows[0]]), None if sigma is None else sigma[rows]
            )
            yield from rows.split(max(1, chunk // attributes))

    def _chunk(self, trace: Trace, detections: Detections, level: int, sigma: Tensor | None) -> int:
        """How many maps fit the memory, given their level or region and their smoothing."""
        features = trace.features[level]
        cells, budget = features[0, 0].numel(), CACHE_BUDGET if features.device.type == "cpu" else BUDGET
        if trace.windows_are_exact or self.derivative == "window":
            reach = 0 if sigma is None else 2 * REACH * sigma.max().item()
            cells, budget = min(cells, math.prod(side + reach for side in trace.window_size(detections))), BUDGET
        return chunk_size(int(COPIES * features.element_size() * features.shape[1] * cells), features.device, budget)

    def _windows(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> Windows:
        if trace.windows_are_exact or self.derivative == "window":
            return trace.windows(attributes, detections)
        gradients = [self._exact(trace, detections, attribute) for attribute in attributes]
        start = torch.zeros_like(detections.index)
        return Windows(torch.stack(gradients, dim=1), start, start)

    def _exact(self, trace: Trace, detections: Detections, attribute: str) -> Tensor:
        level = int(trace.feature_level(detections)[0])
        try:
            return exact(trace.targets(attribute, detections), trace.features[level])
        except UnconnectedTargetError as error:
            raise UnconnectedTargetError(
                f"The attribute {attribute!r} of these detections does not depend on layer {trace.layer!r}, "
                f"level {level}: explain it at another layer."
            ) from error

    def _sigma(self, trace: Trace, detections: Detections) -> Tensor | None:
        """The smoothing of each detection, in cells of its own features."""
        if self.smoothing is None:
            return None
        if self.smoothing != "adaptive":
            return detections.boxes.new_full((len(detections),), float(self.smoothing))
        height, width = detections.image_size
        to_image = detections.boxes.new_tensor([width / trace.input_size[1], height / trace.input_size[0]])
        grids = [trace.grids[level] for level in trace.feature_level(detections).tolist()]
        cells = detections.boxes.new_tensor([(grid.dx, grid.dy) for grid in grids]).reshape(-1, 2)
        return adaptive_sigma(detections.boxes, cells * to_image, SIGMA_SHARE)

    def _reasons(self, maps: Tensor, gradients: Tensor) -> list[tuple[str, ...]]:
        """Why each map ``[N, A, h, w]`` is zero everywhere; empty where it is not."""
        zero = ~maps.flatten(2).any(dim=2)
        flat = gradients.flatten(2).abs().amax(dim=2) == 0 if zero.any() else zero
        sentences = ("", f"{self.rectify} removed everything: no {self.gradient} influence at this layer", UNMOVED)
        return [tuple(sentences[kind] for kind in row) for row in (zero.int() + (zero & flat).int()).tolist()]


UNMOVED = "the gradient is zero: the target does not change with this layer"


def _sheets(trace: Trace, levels: Tensor) -> Tensor:
    """The activations ``[M, K, h, w]`` of the levels that occur, in their order."""
    return torch.cat([trace.features[level].detach() for level in levels.unique().tolist()])
