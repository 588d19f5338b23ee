"""SSD (Liu et al., 2016) and SSDlite (Sandler et al., 2018) as torchvision implements them, behind the contract."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, Trace
from odam_lib.detectors.boxes import coded_distances, softmax_score
from odam_lib.detectors.dense import DenseDetector, DenseTrace
from odam_lib.detectors.passes import record_gradients
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.windows import Contributions, Sheets, Windows

POINTWISE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Identity)
"""What may follow a convolution without a cell seeing more of its neighbours."""


class SSDTrace(DenseTrace):
    """A forward pass of SSD, default boxes in place of anchors, each level with a head of its own."""

    @property
    def has_windows(self) -> bool:
        return self.layer == self.detector.layers[0] and all(map(_is_local, self._heads(*range(len(self.shapes)))))

    @property
    def windows_are_exact(self) -> bool:
        return self.has_windows

    def window_size(self, detections: Detections) -> tuple[int, int]:
        side = 1 + 2 * self._reach(int(detections.level[0]))
        return side, side

    def together(self, detections: Detections) -> list[Tensor]:
        return Trace.together(self, detections)

    @record_gradients()
    def windows(self, attributes: Sequence[str], detections: Detections) -> Windows:
        """Both heads on a cut around each cell: what lies beyond it, no prediction of the cell sees."""
        level, rows = int(detections.level[0]), torch.arange(len(detections), device=detections.index.device)
        anchors, width, reach = self.anchors_a_cell[level], self.shapes[level][1], self._reach(level)
        cell, anchor = detections.index.div(anchors, rounding_mode="floor"), detections.index % anchors
        top, left = cell.div(width, rounding_mode="floor") - reach, cell % width - reach
        sheet, which = Sheets.of([self.features[level].detach()]), torch.zeros_like(cell)
        place = (which, top, left, self.window_size(detections))
        cut = sheet.cut(*place).requires_grad_()
        said = [head(cut)[:, :, reach, reach].unflatten(1, (anchors, -1))[rows, anchor] for head in self._heads(level)]
        sums = [self._values(attribute, torch.cat(said, dim=1), detections).sum() for attribute in attributes]
        gradients = torch.stack([torch.autograd.grad(one, cut, retain_graph=True)[0] for one in sums], dim=1)
        _, inside = sheet.places(*place)
        return Windows(gradients * inside[:, None, None], top, left)

    def contributions(self, attribute: str, detections: Detections) -> Contributions:
        return Trace.contributions(self, attribute, detections)

    def _outputs(self, detections: Detections) -> Tensor:
        """What the heads say about each detection: the logits of all classes and four numbers, ``Tensor[N, C + 4]``."""
        row = self.first[detections.level] + detections.index
        return torch.cat([self.logits[row], self.regression[row]], dim=1)

    def _values(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        if attribute in EDGES:
            references = self.references[self.first[detections.level] + detections.index]
            return self.detector.distances(outputs[:, -4:], references)[:, EDGES.index(attribute)]
        if attribute == "class":
            return softmax_score(outputs[:, :-4], detections.labels)
        return outputs.gather(1, detections.labels[:, None])[:, 0]

    def _heads(self, *levels: int) -> list[nn.Module]:
        """What predicts the classes, and what predicts the boxes, of some levels."""
        head = self.detector.model.head
        return [part.module_list[n] for n in levels for part in (head.classification_head, head.regression_head)]

    def _reach(self, level: int) -> int:
        """How many cells to each side a prediction sees."""
        return max(_convolutions(head)[0].kernel_size[0] // 2 for head in self._heads(level))

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """The softmax over the classes ``[..., C]``; the background, which is the first, is never found."""
        class_probs = logit.softmax(dim=-1)
        return torch.cat([torch.zeros_like(class_probs[..., :1]), class_probs[..., 1:]], dim=-1)


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
