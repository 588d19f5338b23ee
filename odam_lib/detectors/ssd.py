"""SSD (Liu et al., 2016) and SSDlite (Sandler et al., 2018) as torchvision implements them, behind the contract."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import coded_distances, softmax_score
from odam_lib.detectors.cells import CutWindows
from odam_lib.detectors.dense import DenseDetector, DenseTrace
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES

POINTWISE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Identity)
"""What may follow a convolution without a cell seeing more of its neighbours."""


class SSDTrace(DenseTrace):
    """A forward pass of SSD, default boxes in place of anchors, each level with a head of its own."""

    @property
    def windows(self) -> Windowed | None:
        heads = [head for level in range(len(self.anchors_a_cell)) for head in self.heads(level)]
        return SSDWindows(self) if self.layer == self.detector.layers[0] and all(map(_is_local, heads)) else None

    def head_outputs(self, detections: Detections) -> Tensor:
        """The logits of all classes and four numbers for the box, ``Tensor[N, C + 4]``."""
        row = self.listed(detections)
        return torch.cat([self.logits[row], self.regression[row]], dim=1)

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        if attribute in EDGES:
            references = self.references[self.listed(detections)]
            return self.detector.distances(outputs[:, -4:], references)[:, EDGES.index(attribute)]
        if attribute == "class":
            return softmax_score(outputs[:, :-4], detections.labels)
        return outputs.gather(1, detections.labels[:, None])[:, 0]

    def heads(self, level: int) -> list[nn.Module]:
        """What predicts the classes of a level, and what predicts its boxes."""
        head = self.detector.model.head
        return [part.module_list[level] for part in (head.classification_head, head.regression_head)]

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """The softmax over the classes ``[..., C]``; the background, which is the first, is never found."""
        class_probs = logit.softmax(dim=-1)
        return torch.cat([torch.zeros_like(class_probs[..., :1]), class_probs[..., 1:]], dim=-1)


class SSDWindows(CutWindows):
    """Both heads on a cut around each cell."""

    trace: SSDTrace

    def reach(self, level: int) -> int:
        return max(_convolutions(head)[0].kernel_size[0] // 2 for head in self.trace.heads(level))

    def head_outputs(self, attributes: Sequence[str], cut: Tensor, inside: Tensor, detections: Detections) -> Tensor:
        level, rows = int(detections.level[0]), torch.arange(len(detections), device=cut.device)
        middle, shape = self.reach(level), (self.trace.anchors_a_cell[level], -1)
        said = [head(cut)[:, :, middle, middle].unflatten(1, shape) for head in self.trace.heads(level)]
        return torch.cat(said, dim=2)[rows, self.trace.anchor(detections)]


class SSDDetector(DenseDetector):
    """A torchvision SSD or SSDlite that can be explained; see :class:`DenseDetector`."""

    trace_type = SSDTrace
    limited = "labels"
    compute_losses = Detector.compute_losses

    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """The head's numbers move the default box's centre and, as logarithms, scale its sides."""
        return coded_distances(self.model.box_coder, regression, references)


def _convolutions(head: nn.Module) -> list[nn.Conv2d]:
    return [module for module in head.modules() if isinstance(module, nn.Conv2d)]


def _is_local(head: nn.Module) -> bool:
    """Whether all that a prediction sees is read by one convolution, the first, whose borders are padded with zeros."""
    parts = [module for module in head.modules() if not list(module.children())]
    if (
        not parts
        or not isinstance(parts[0], nn.Conv2d)
        or not all(isinstance(p, (nn.Conv2d, *POINTWISE)) for p in parts)
    ):
        return False
    first, *others = _convolutions(head)
    kernel = first.kernel_size
    square = kernel[0] == kernel[1] and kernel[0] % 2 == 1 and first.padding == (kernel[0] // 2,) * 2
    plain = first.stride == first.dilation == (1, 1) and first.padding_mode == "zeros"
    return square and plain and all(other.kernel_size == other.stride == (1, 1) for other in others)
