"""The gradients of a pass on each prediction's receptive field alone, where the layer's influence has a small one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.kernels.odam import heat_map
from odam_lib.kernels.windows import Sheets, Windows


@dataclass(frozen=True, eq=False)
class Windowed(ABC):
    """What a trace has at a layer where each prediction reads a window of its features.

    Attributes:
        trace: the pass.
        exact: whether :meth:`gradients` are the gradient itself, not an approximation of it.
    """

    trace: Trace
    exact: bool = field(default=True, kw_only=True)

    @abstractmethod
    def gradients(self, attributes: Sequence[str], detections: Detections) -> Windows:
        """The gradients of every attribute on each detection's receptive field, all in one batch.

        Args:
            attributes: A names, see :meth:`Trace.targets`.
            detections: N >= 1 rows of the trace that are :meth:`together`.

        Returns:
            Values ``Tensor[N, A, K, a, b]``.
        """

    @abstractmethod
    def size(self, detections: Detections) -> tuple[int, int]:
        """(height, width) in cells of the windows that :meth:`gradients` would return."""

    @record_gradients()
    def heat_maps(self, attribute: str, detections: Detections) -> Windows:
        """Eq. (2) without smoothing for one attribute on each detection's receptive field, all in one batch.

        Args:
            attribute: see :meth:`Trace.targets`.
            detections: as for :meth:`gradients`.

        Returns:
            Values ``Tensor[N, a, b]``, non-negative.
        """
        windows = self.gradients([attribute], detections)
        occurring, which = self.trace.feature_level(detections).unique(return_inverse=True)
        features = Sheets.of([self.trace.features[level].detach() for level in occurring.tolist()])
        activations = features.cut(which, windows.top, windows.left, windows.size)
        return replace(windows, values=heat_map(windows.values[:, 0], activations))

    def together(self, detections: Detections) -> list[Tensor]:
        """Rows of detections whose windows can be taken in one batch: by default those of one level, or all regions.

        Returns:
            int64 tensors, which hold each row once.
        """
        return self.trace.alike(detections)


@dataclass(frozen=True, eq=False)
class HeadTrace(Trace):
    """A forward pass whose head says a row of numbers about each prediction, from which every attribute is read."""

    @abstractmethod
    def head_outputs(self, detections: Detections) -> Tensor:
        """What the head says about each of N detections, ``Tensor[N, O]``, with its gradient."""

    @abstractmethod
    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        """An attribute ``[N]`` of N detections from what the head says about them, see :meth:`head_outputs`."""

    @record_gradients()
    def targets(self, attribute: str, detections: Detections) -> Tensor:
        """See :meth:`Trace.targets`."""
        self.check(detections, [attribute])
        return self.read(attribute, self.head_outputs(detections), detections)

    def differentiate(
        self, attributes: Sequence[str], outputs: Tensor, inputs: Tensor, detections: Detections
    ) -> Tensor:
        """The gradients ``[N, A, ...]`` of A attributes with respect to inputs of which each made a row of outputs.

        Args:
            attributes: A names.
            outputs: ``Tensor[N, O]`` as of :meth:`head_outputs`.
            inputs: ``Tensor[N, ...]``.
            detections: N rows of the trace.
        """
        sums = [self.read(attribute, outputs, detections).sum() for attribute in attributes]
        return torch.stack([torch.autograd.grad(one, inputs, retain_graph=True)[0] for one in sums], dim=1)
