"""Windows of a head that reads regions of interest: of its pooled features, or of the pyramid they were pooled from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.ops import roi_align

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.windowed import Windowed
from odam_lib.kernels.windows import Windows

if TYPE_CHECKING:
    from odam_lib.detectors.faster_rcnn import FasterRCNNTrace


@dataclass(frozen=True, eq=False)
class RegionWindows(Windowed):
    """Each proposal's own pooled features are its window: proposals do not see each other."""

    trace: FasterRCNNTrace

    def size(self, detections: Detections) -> tuple[int, int]:
        return self.trace.pooled.shape[-2], self.trace.pooled.shape[-1]

    @record_gradients()
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        pooled = self.trace.pooled.detach()[detections.index].requires_grad_()
        logits, regression = self.trace.detector.say(pooled)
        outputs = torch.cat([logits, regression.flatten(1)], dim=1)
        return Windows.whole(self.trace.differentiate(attributes, outputs, pooled, detections))


class ProposalWindows(RegionWindows):
    """Back through RoIAlign, each proposal in a window of its level that holds it."""

    def size(self, detections: Detections) -> tuple[int, int]:
        level, cells = self._in_cells(detections)
        width, height = ((cells[:, 2:].ceil() - cells[:, :2].floor()).amax(dim=0).long() + 2).tolist()  # interpolation
        limits = self.trace.features[level].shape[-2:]
        return min(height, limits[0]), min(width, limits[1])

    @record_gradients()
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        level, cells = self._in_cells(detections)
        gradients = super().gradients(attributes, detections).values.to(cells.dtype)
        features, (height, width) = self.trace.features[level], self.size(detections)
        left = cells[:, 0].floor().long().clamp(0, features.shape[-1] - width)
        top = cells[:, 1].floor().long().clamp(0, features.shape[-2] - height)
        shifted = cells - torch.stack([left, top, left, top], dim=1)
        number = gradients.shape[:2].numel()
        windows = gradients.new_zeros((number, features.shape[1], height, width), requires_grad=True)
        numbers = torch.arange(number, device=cells.device)[:, None]
        regions = torch.cat([numbers, shifted.repeat_interleave(gradients.shape[1], dim=0)], dim=1)
        pooled = roi_align(windows, regions, gradients.shape[-2:], 1.0, self.trace.pool.sampling_ratio)
        (unpooled,) = torch.autograd.grad(pooled, windows, gradients.flatten(0, 1))
        return Windows(unpooled.unflatten(0, gradients.shape[:2]), top, left)

    def _in_cells(self, detections: Detections) -> tuple[int, Tensor]:
        """The level that detections share, and their proposals in units of its cells, ``Tensor[N, 4]``."""
        level, trace = int(detections.level[0]), self.trace
        return level, trace.at_input[detections.index] * trace.pool.scales[trace.detector.pooled_levels.index(level)]
