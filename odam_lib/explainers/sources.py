"""Where a method's gradients come from: from windows of the features, or from whole feature maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.windowed import Windowed
from odam_lib.kernels.gradients import CACHE_BUDGET, UnconnectedTargetError, chunk_size, differentiate
from odam_lib.kernels.windows import Windows

COPIES = 4
"""Making a map takes about this many times the memory of its gradients."""


@dataclass(frozen=True, eq=False)
class WindowGradients:
    """Gradients on each prediction's window; methods as those of :class:`WholeGradients`."""

    trace: Trace
    windows: Windowed

    def alike(self, detections: Detections) -> list[Tensor]:
        return self.trace.alike(detections)

    def gradients(self, attributes: Sequence[str], detections: Detections) -> list[Windows]:
        return [self.windows.gradients(attributes, detections)]

    def chunk(self, detections: Detections, reach: float) -> int:
        features = self.trace.features[int(self.trace.feature_level(detections)[0])]
        cells = min(features[0, 0].numel(), math.prod(side + 2 * reach for side in self.windows.size(detections)))
        return chunk_size(int(COPIES * features.element_size() * features.shape[1] * cells), features.device)


@dataclass(frozen=True, eq=False)
class WholeGradients:
    """Gradients on the whole of each feature map that a prediction reads, by automatic differentiation."""

    trace: Trace
    cache: ClassVar[int] = CACHE_BUDGET

    def alike(self, detections: Detections) -> list[Tensor]:
        """Rows of detections, int64, whose gradients can be taken together; each row once."""
        levels = self.trace.feature_level(detections)
        return [torch.nonzero(levels == level).flatten() for level in levels.unique()]

    def gradients(self, attributes: Sequence[str], detections: Detections) -> list[Windows]:
        """The gradients ``Tensor[N, A, K, a, b]`` of A attributes of N alike detections, level by level."""
        levels = self._levels(detections)
        by_attribute = [self.on_levels(attribute, detections, levels) for attribute in attributes]
        return [Windows.whole(torch.stack(level, dim=1)) for level in zip(*by_attribute)]

    def chunk(self, detections: Detections, reach: float) -> int:
        """How many maps of alike detections fit the memory, where smoothing carries ``reach`` cells to each side."""
        levels = [self.trace.features[level] for level in self._levels(detections)]
        numbers = sum(level.numel() for level in levels)
        return chunk_size(COPIES * levels[0].element_size() * numbers, levels[0].device, self.cache)

    def _levels(self, detections: Detections) -> list[int]:
        """Which of the trace's features detections of one level read."""
        if self.trace.reads_all_levels:
            return list(range(len(self.trace.features)))
        return [int(self.trace.feature_level(detections)[0])]

    def on_levels(self, attribute: str, detections: Detections, levels: Sequence[int]) -> list[Tensor]:
        """The gradients ``[N, K, h, w]`` of an attribute on some levels."""
        targets, features = self.trace.targets(attribute, detections), [self.trace.features[level] for level in levels]
        try:
            return differentiate(targets, features)
        except UnconnectedTargetError as error:
            place = f"layer {self.trace.layer!r}" + ("" if self.trace.reads_all_levels else f", level {levels[0]}")
            raise UnconnectedTargetError(
                f"The attribute {attribute!r} of these detections does not depend on {place}: "
                "explain it at another layer."
            ) from error


GradientSource = WindowGradients | WholeGradients
