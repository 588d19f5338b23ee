"""SSD (Liu et al., 2016) and SSDlite (Sandler et al., 2018) as torchvision implements them, behind the contract."""

from functools import cached_property

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import compute_softmax_score, decode_distances
from odam_lib.detectors.chains import make_chain_windows
from odam_lib.detectors.dense import DenseDetector, DenseTrace
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES


class SSDTrace(DenseTrace):
    """A forward pass of SSD, default boxes in place of anchors, each level with a head of its own."""

    @cached_property
    def windows(self) -> Windowed | None:
        head = self.detector.model.head
        heads = zip(head.classification_head.module_list, head.regression_head.module_list)
        return make_chain_windows(self, heads) if self.layer == self.detector.layers[0] else None

    def head_parts(self, detections: Detections) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of all classes, four numbers for the box, nothing: ``Tensor[N, C]``, ``[N, 4]``, ``[N, 0]``."""
        row = self.listed(detections)
        return self.logits[row], self.regression[row], self.centerness[row]

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        if attribute in EDGES:
            references = self.references[self.listed(detections)]
            return self.detector.distances(outputs[:, -4:], references)[:, EDGES.index(attribute)]
        if attribute == "class":
            return compute_softmax_score(outputs[:, :-4], detections.labels)
        return outputs.gather(1, detections.labels[:, None])[:, 0]


class SSDDetector(DenseDetector):
    """A torchvision SSD or SSDlite that can be explained; see :class:`DenseDetector`."""

    trace_type = SSDTrace
    limited = "labels"
    compute_losses = Detector.compute_losses

    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """The head's numbers move the default box's centre and, as logarithms, scale its sides."""
        return decode_distances(self.model.box_coder, regression, references)

    @staticmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """The softmax over the classes ``[..., C]``; the background, which is the first, is never found."""
        class_probs = logit.softmax(dim=-1)
        return torch.cat([torch.zeros_like(class_probs[..., :1]), class_probs[..., 1:]], dim=-1)
