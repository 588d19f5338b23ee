"""What methods share that weigh the activations of one layer by the gradient of one prediction's attribute."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.base import Trace
from odam_lib.detectors.passes import record_gradients
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks
from odam_lib.kernels.gradients import BUDGET, CACHE_BUDGET, UnconnectedTargetError, chunk_size, exact, exact_on_levels
from odam_lib.kernels.grid import resample
from odam_lib.kernels.windows import REACH, Windows

COPIES = 4
"""Making a map takes about this many times the memory of its gradients."""


@dataclass(frozen=True, kw_only=True)
class GradientMethod(ABC):
    """A method that needs the gradients of each prediction's attributes and the activations, on the prediction's level.

    Where a prediction reads several levels (Deformable DETR, RT-DETR) each of them gets a map of its own, smoothed and
    rectified by itself as Eq. (2) says, and the detection's map is their sum on the grid of the finest.

    Attributes:
        derivative: ``"exact"``: the gradient; ``"window"``: the gradient on the receptive field of the detector's head
            alone, GroupNorm's statistics held fixed. The two are the same, and equally fast, where no GroupNorm lies
            between layer and prediction.
        chunk: maps made at a time; ``None``: as many as memory allows. It changes no map.
    """

    method: ClassVar[str]
    derivative: str = "exact"
    chunk: int | None = None

    def __post_init__(self) -> None:
        checks.choice("derivative", self.derivative, ("exact", "window"))
        if self.chunk is not None:
            checks.count("chunk", self.chunk, otherwise=", or None")

    @abstractmethod
    def weigh(self, windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
        """The maps from gradients and activations.

        Args:
            windows: gradients of A targets of each of N predictions.
            features: ``Tensor[M, K, h, w]``, the activations of M levels or regions of interest.
            which: ``Tensor[N]``, int64, the activations of each prediction.
            sigma: ``Tensor[N]``, what :meth:`sigma` returned for them.

        Returns:
            ``Tensor[N, A, h, w]``.
        """

    def sigma(self, trace: Trace, detections: Detections, levels: Tensor) -> Tensor | None:
        """The smoothing of each detection in cells of its level, ``Tensor[N]``; ``None`` for a method without.

        Args:
            trace: the pass.
            detections: N rows of it.
            levels: ``Tensor[N]``, int64, which of the trace's features are to be smoothed for each.
        """
        return None

    def removed(self) -> str:
        """Why a map may be zero although its gradient is not."""
        return "the rectifier removed everything: no positive influence at this layer"

    @record_gradients()
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
                f"Layer {trace.layer!r} has no derivative on a window: use "
                f"{type(self).__name__}(derivative='exact') there, or the detector's default layer."
            )
        levels = trace.feature_level(detections)
        sigma = self.sigma(trace, detections, levels)
        maps: dict[int, Tensor] = {}
        reasons: dict[int, tuple[str, ...]] = {}
        for rows in self._batches(trace, detections, sigma, len(attributes)):
            if trace.reads_all_levels:
                made, gradients = self._over_levels(trace, detections[rows], attributes)
            else:
                windows = self._windows(trace, detections[rows], attributes)
                # Without a graph, though the model may be in training; in float32, whatever it computes in.
                windows = replace(windows, gradients=windows.gradients.detach().float())
                which, features = levels[rows].unique(return_inverse=True)[1], _sheets(trace, levels[rows])
                made = self.weigh(windows, features, which, None if sigma is None else sigma[rows])
                gradients = [windows.gradients]
            maps |= dict(zip(rows.tolist(), made))
            reasons |= dict(zip(rows.tolist(), self._reasons(made, gradients)))
        order = range(len(detections))
        return HeatMaps(
            maps=tuple(maps[row] for row in order),
            reasons=tuple(reasons[row] for row in order),
            attributes=tuple(attributes),
            detections=detections,
            grids=tuple(trace.grids[level] for level in levels.tolist()),
            input_size=trace.input_size,
            layer=trace.layer,
            method=self.method,
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
        if trace.reads_all_levels:
            numbers = sum(one.numel() for one in trace.features)
            return chunk_size(COPIES * features.element_size() * numbers, features.device, budget)
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

    def _over_levels(
        self, trace: Trace, detections: Detections, attributes: Sequence[str]
    ) -> tuple[Tensor, list[Tensor]]:
        """The sum of the maps of all levels ``[N, A, h, w]``, and the gradients ``[N, A, K, h, w]`` on each of them."""
        by_attribute = [self._exact_on_levels(trace, detections, attribute) for attribute in attributes]
        gradients = [torch.stack(level, dim=1).float() for level in zip(*by_attribute)]
        start = torch.zeros_like(detections.index)
        grid, size = trace.grids[0], trace.features[0].shape[-2:]
        total = gradients[0].new_zeros((*gradients[0].shape[:2], *size))
        for level, weights in enumerate(gradients):
            sigma, features = self.sigma(trace, detections, start + level), trace.features[level].detach().float()
            maps = self.weigh(Windows(weights, start, start), features, start, sigma)
            if level:
                maps = resample(maps.flatten(0, 1), trace.grids[level], grid, (size[0], size[1])).view_as(total)
            total += maps
        return total, gradients

    def _exact_on_levels(self, trace: Trace, detections: Detections, attribute: str) -> list[Tensor]:
        try:
            return exact_on_levels(trace.targets(attribute, detections), trace.features)
        except UnconnectedTargetError as error:
            raise UnconnectedTargetError(
                f"The attribute {attribute!r} of these detections does not depend on layer {trace.layer!r}: "
                "explain it at another layer."
            ) from error

    def _reasons(self, maps: Tensor, gradients: Sequence[Tensor]) -> list[tuple[str, ...]]:
        """Why each map ``[N, A, h, w]`` is zero everywhere, by the gradients on each level; empty where it is not."""
        zero = ~maps.flatten(2).any(dim=2)
        flat = zero.clone()
        for level in gradients if zero.any() else ():
            flat &= level.flatten(2).abs().amax(dim=2) == 0
        sentences = ("", self.removed(), UNMOVED)
        return [tuple(sentences[kind] for kind in row) for row in (zero.int() + (zero & flat).int()).tolist()]


UNMOVED = "the gradient is zero: the target does not change with this layer"


def _sheets(trace: Trace, levels: Tensor) -> Tensor:
    """The activations ``[M, K, h, w]`` of the levels that occur, in their order."""
    return torch.cat([trace.features[level].detach().float() for level in levels.unique().tolist()])
