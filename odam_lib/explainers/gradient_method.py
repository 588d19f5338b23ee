"""What methods share that weigh the activations of one layer by the gradient of one prediction's attribute."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.sources import GradientSource, WholeGradients, WindowGradients
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks
from odam_lib.kernels.grid import resample
from odam_lib.kernels.windows import REACH, Windows

UNMOVED = "the gradient is zero: the target does not change with this layer"


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
        source = self.source(trace)
        levels = trace.feature_level(detections)
        sigma = self.sigma(trace, detections, levels)
        maps: dict[int, Tensor] = {}
        reasons: dict[int, tuple[str, ...]] = {}
        for rows in self._batches(source, detections, sigma, len(attributes)):
            found = source.gradients(attributes, detections[rows])
            # Without a graph, though the model may be in training; in float32, whatever it computes in.
            gradients = [replace(one, values=one.values.detach().float()) for one in found]
            made = self._sum_over_levels(trace, detections[rows], gradients)
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

    def source(self, trace: Trace) -> GradientSource:
        """Where the gradients come from: the windows of the trace if they are exact or asked for, else the whole layer.

        Raises:
            ValueError: windows were asked for at a layer that has none.
        """
        windows = trace.windows
        if windows is not None and (windows.exact or self.derivative == "window"):
            return WindowGradients(trace, windows)
        if self.derivative == "window":
            raise ValueError(
                f"Layer {trace.layer!r} has no derivative on a window: use "
                f"{type(self).__name__}(derivative='exact') there, or the detector's default layer."
            )
        return WholeGradients(trace)

    def _batches(
        self, source: GradientSource, detections: Detections, sigma: Tensor | None, attributes: int
    ) -> Iterator[Tensor]:
        """Rows whose maps are made together: features of one size, as many as memory allows."""
        for rows in source.alike(detections):
            reach = 0.0
            if sigma is not None:  # sorted, so that few wide kernels do not widen the windows of all
                rows = rows[sigma[rows].argsort()]
                reach = REACH * sigma[rows[-1]].item()
            chunk = self.chunk or source.chunk(detections[rows], reach)
            yield from rows.split(max(1, chunk // attributes))

    def _sum_over_levels(self, trace: Trace, detections: Detections, gradients: Sequence[Windows]) -> Tensor:
        """The maps ``[N, A, h, w]`` of the one level that each detection reads, or the sum of those of all levels."""
        read = [trace.feature_level(detections)]
        if len(gradients) > 1:
            read = [torch.full_like(detections.index, level) for level in range(len(gradients))]
        finest, *coarser = (self._on_levels(trace, detections, *each) for each in zip(gradients, read))
        size = (finest.shape[-2], finest.shape[-1])
        total = finest
        for grid, maps in zip(trace.grids[1:], coarser):
            total = total + resample(maps.flatten(0, 1), grid, trace.grids[0], size).view_as(finest)
        return total

    def _on_levels(self, trace: Trace, detections: Detections, gradients: Windows, levels: Tensor) -> Tensor:
        """The maps ``[N, A, h, w]`` of one level for each detection, which are of one size."""
        occurring, which = levels.unique(return_inverse=True)
        features = torch.cat([trace.features[level].detach().float() for level in occurring.tolist()])
        return self.weigh(gradients, features, which, self.sigma(trace, detections, levels))

    def _reasons(self, maps: Tensor, gradients: Sequence[Windows]) -> list[tuple[str, ...]]:
        """Why each map ``[N, A, h, w]`` is zero everywhere, by the gradients on each level; empty where it is not."""
        zero = ~maps.flatten(2).any(dim=2)
        flat = zero.clone()
        for level in gradients if zero.any() else ():
            flat &= level.values.flatten(2).abs().amax(dim=2) == 0
        sentences = ("", self.removed(), UNMOVED)
        return [tuple(sentences[kind] for kind in row) for row in (zero.int() + (zero & flat).int()).tolist()]
