"""What one-stage detectors share: a head of two towers of convolutions that predicts at every cell of a pyramid."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetClassificationHead, RetinaNetRegressionHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import resize_boxes

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector, check_elongation, iou_nms
from odam_lib.detectors.boxes import measure_paired_iou, place_boxes
from odam_lib.detectors.cells import CellTrace, number_predictions
from odam_lib.detectors.geometry import name_levels, read_backbone_layers
from odam_lib.detectors.hooks import detach_output, observe_method, record_outputs
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.positives import ORDERS, Positives, number_first_objects
from odam_lib.detectors.towers import (
    CENTERNESS,
    LOGIT,
    REGRESSION,
    Branch,
    Tower,
    TowerWindows,
    is_altered,
    is_plain,
    is_tower,
    record_tower,
)
from odam_lib.detectors.trace import Limits, Predictions
from odam_lib.detectors.windowed import Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.odam import heat_map
from odam_lib.kernels.windows import Sheets, Windows, tower_gradients

HEADS = {
    kind.forward
    for kind in (FCOSClassificationHead, FCOSRegressionHead, RetinaNetClassificationHead, RetinaNetRegressionHead)
}
"""Heads that are a tower and convolutions that read it."""
CENTRES = "bbox_ctrness"
"""What torchvision calls centerness."""


@dataclass(frozen=True, eq=False)
class DenseTrace(CellTrace):
    """A forward pass of a one-stage detector.

    Attributes:
        logits: ``Tensor[L, C]``, class logits.
        regression: ``Tensor[L, 4]``, the head's numbers for the box.
        centerness: ``Tensor[L, 1]``, centerness logits; ``Tensor[L, 0]`` for a head without.
        references: ``Tensor[L, 4]``, anchors (x1, y1, x2, y2) in pixels of the image.
        branches: the head at this picture; none where the layer does not feed the head directly.
    """

    detector: "DenseDetector"
    logits: Tensor
    regression: Tensor
    centerness: Tensor
    references: Tensor
    branches: tuple[Branch, ...]

    @property
    def windows(self) -> Windowed | None:
        exact = not any(branch.tower.normed for branch in self.branches)
        return TowerWindows(self, self.branches, exact=exact) if self.branches else None

    def head_outputs(self, detections: Detections) -> Tensor:
        """The logit of each detection's class, four numbers for the box and centerness: ``Tensor[N, 6 or 5]``."""
        return torch.cat(self.head_parts(detections), dim=1)

    def head_parts(self, detections: Detections) -> tuple[Tensor, Tensor, Tensor]:
        """What each convolution at the end of the head says about N detections, ``Tensor[N, O]`` each: the class, the
        box, centerness."""
        row = self.listed(detections)
        return self.logits[row, detections.labels, None], self.regression[row], self.centerness[row]

    @record_gradients()
    def targets(self, attribute: str, detections: Detections) -> Tensor:
        """See :meth:`Trace.targets`."""
        self.check(detections, [attribute])
        logit, regression, centerness = self.head_parts(detections)
        # Nothing goes back into a tower that the attribute does not read: it would be zeros, at full cost.
        if attribute in EDGES:
            logit, centerness = logit.detach(), centerness.detach()
        else:
            regression = regression.detach()
        return self.read(attribute, torch.cat([logit, regression, centerness], dim=1), detections)

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        if attribute in EDGES:
            references = self.references[self.listed(detections)]
            return self.detector.distances(outputs[:, REGRESSION], references)[:, EDGES.index(attribute)]
        logit = outputs[:, 0]
        return logit if attribute == "logit" else self.detector.score(logit, outputs[:, CENTERNESS])


@dataclass(frozen=True, eq=False)
class DensePositives(Positives):
    """The anchors or locations of a batch that were assigned to objects.

    Attributes:
        level: ``Tensor[N]``, int64, the pyramid level of each.
        index: ``Tensor[N]``, int64, its number among the predictions of its level.
        anchors_a_cell: how many predictions share a cell.
        pyramid: the activations, ``Tensor[B, K, h, w]`` for each level.
        grids: where the cells of each level lie.
        towers: the head's tower of the class and, if it predicts centerness, that of the box, as they worked on the
            batch.
        kernels: what reads each, for each of A anchors of a cell: ``Tensor[A, C, K, 3, 3]`` for each class and
            ``Tensor[A, 1, K, 3, 3]`` for centerness.
        said: ``Tensor[N, 1 or 2]``, the logit of each object's class and of centerness.
        score: see :meth:`DenseDetector.score`.
    """

    level: Tensor
    index: Tensor
    anchors_a_cell: int
    pyramid: tuple[Tensor, ...]
    grids: tuple[Grid, ...]
    towers: tuple[Tower, ...]
    kernels: tuple[Tensor, ...]
    said: Tensor
    score: Callable[[Tensor, Tensor], Tensor]

    def maps(self, rows: Tensor, size: tuple[int, int], order: str = "first", attribute: str = "logit") -> Tensor:
        index, images, (levels, which) = (
            self.index[rows],
            self.images[rows],
            self.level[rows].unique(return_inverse=True),
        )
        cells = rows.new_tensor([level.shape[-2:] for level in self.pyramid])[self.level[rows]]
        cell, anchor = index.div(self.anchors_a_cell, rounding_mode="floor"), index % self.anchors_a_cell
        reach = 1 + len(self.towers[0].kernels)
        top, left = cell.div(cells[:, 1], rounding_mode="floor") - reach, cell % cells[:, 1] - reach
        values = self.said.new_zeros((len(rows), 1 + 2 * reach, 1 + 2 * reach))
        if len(rows):
            sheet = which * len(self.pyramid[0]) + images
            sensitivity, weights = self._sensitivity(rows, attribute), self.said.new_zeros(())
            with ORDERS[order]():
                start = (sheet, top + reach - 1, left + reach - 1)
                for tower, kernels, change in zip(self.towers, self.kernels, sensitivity.unbind(dim=1)):
                    label = self.labels[rows].clamp(max=kernels.shape[1] - 1)  # centerness is of no class
                    last = (kernels[anchor, label] * change[:, None, None, None])[:, None]
                    slopes = tower.slopes(levels.tolist())
                    weights = weights + tower_gradients(last, tower.kernels, slopes, *start)[:, 0]
            features = Sheets.of([self.pyramid[level] for level in levels.tolist()])
            values = heat_map(weights, features.cut(sheet, top, left, weights.shape[-2:]))
        grids = [self.grids[level] for level in self.level[rows].tolist()]
        return Windows(values, top, left).spread(grids, cells, self.input_sizes[images], size)

    def _sensitivity(self, rows: Tensor, attribute: str) -> Tensor:
        """The derivative of the target with respect to what the head says, ``Tensor[R, 1]`` or as ``said``."""
        if attribute == "logit":
            return self.said.new_ones((len(rows), 1))
        with torch.enable_grad():
            said = self.said[rows]
            return torch.autograd.grad(self.score(said[:, 0], said[:, 1:]).sum(), said, create_graph=True)[0]


class DenseDetector(Detector):
    """A torchvision one-stage detector that can be explained.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background.

    Attributes:
        trace_type: what its passes are kept as.
        averages_positives: whether its losses are divided by the number of positives, not of pictures.
        limited: what its own inference keeps only so many candidates of, see :class:`Limits`.
    """

    trace_type: type[DenseTrace] = DenseTrace
    averages_positives: bool = False
    limited: str = "level"

    def __init__(self, name: str, model: FCOS | RetinaNet | SSD, categories: tuple[str, ...]) -> None:
        self.name = name
        self.model = model
        self.categories = categories
        self._layers = read_backbone_layers(model)
        self.layers = tuple(self._layers)
        self.towers = (model.backbone, *(_find_towers(model.head) or (model.head,)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the levels that the head reads."""
        return self._layers[self.layers[0]].strides

    @abstractmethod
    def distances(self, regression: Tensor, references: Tensor) -> Tensor:
        """Distances ``[N, 4]`` in pixels from the anchors' centres to the left, top, right and bottom edge.

        Args:
            regression: ``Tensor[N, 4]``, the head's numbers.
            references: ``Tensor[N, 4]``, the anchors, in the same pixels.
        """

    @staticmethod
    @abstractmethod
    def score(logit: Tensor, centerness: Tensor) -> Tensor:
        """The final score ``[...]`` of logits ``[...]`` and centerness ``[..., 1 or 0]``."""

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        _, _, outputs, references = self._run(images)
        return [self._read(logits, edges, centres, references) for logits, edges, centres in zip(*outputs)]

    def make_trace(self, image: Tensor, layer: str) -> DenseTrace:
        model = self.model
        if model.transform.fixed_size is None:
            check_elongation((image.shape[-2], image.shape[-1]), model.transform.min_size[-1], model.transform.max_size)
        with ExitStack() as stack:
            features = stack.enter_context(detach_output(model.get_submodule(self._layers[layer].module)))
            towers = [stack.enter_context(record_tower(tower)) for tower in _find_towers(model.head)]
            batch, pyramid, outputs, references = self._run(image[None])
        logits, regression, centerness = (one[0] for one in outputs)
        a_cell = tuple(model.anchor_generator.num_anchors_per_location())
        counts = [level.shape[-2:].numel() * anchors for level, anchors in zip(pyramid, a_cell)]
        level, index, first = number_predictions(counts, self.device)
        with torch.no_grad():
            predictions = self._read(logits, regression, centerness, references)
        return self.trace_type(
            detector=self,
            image=image,
            layer=layer,
            features=tuple(features),
            grids=self._layers[layer].grids,
            input_size=batch.image_sizes[0],
            candidates=self.candidates(image, predictions, level, index),
            nms=iou_nms(model.nms_thresh),
            limits=Limits(model.topk_candidates, self.limited, model.detections_per_img),
            first=first,
            anchors_a_cell=a_cell,
            logits=logits,
            regression=regression,
            centerness=centerness,
            references=references,
            branches=self._branches(*towers) if towers and layer == self.layers[0] else (),
        )

    def compute_losses(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], network: nn.Module | None = None
    ) -> tuple[dict[str, Tensor], Positives]:
        model, computed = self.model, []
        with ExitStack() as stack:
            resized = stack.enter_context(record_outputs(model.transform))
            pyramids = stack.enter_context(record_outputs(model.backbone))
            towers = [stack.enter_context(record_tower(part.conv)) for part in _find_scoring(model.head)]
            stack.enter_context(observe_method(model.head, "compute_loss", lambda *call: computed.append(call[1:])))
            losses = (network or model)(images, targets)
        return losses, self._positives(resized[0][0], tuple(name_levels(pyramids[0]).values()), towers, *computed[0])

    def _positives(
        self,
        batch: ImageList,
        pyramid: tuple[Tensor, ...],
        towers: list[Tower],
        targets: list[dict[str, Tensor]],
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched: list[Tensor],
    ) -> DensePositives:
        images, row = torch.nonzero(torch.stack(matched) >= 0, as_tuple=True)
        objects = torch.stack(matched)[images, row] + number_first_objects(targets)[images]
        references = torch.stack(anchors)[images, row]
        with torch.no_grad():
            boxes = place_boxes(references, self.distances(outputs["bbox_regression"][images, row], references))
        truth, labels = (torch.cat([target[name] for target in targets]) for name in ("boxes", "labels"))
        said = outputs["cls_logits"][images, row].gather(1, labels[objects][:, None])
        if CENTRES in outputs:
            said = torch.cat([said, outputs[CENTRES][images, row]], dim=1)
        a_cell = anchors[0].shape[0] // sum(sheet.shape[-2:].numel() for sheet in pyramid)
        level, index, _ = number_predictions([sheet.shape[-2:].numel() * a_cell for sheet in pyramid], row.device)
        return DensePositives(
            images=images,
            objects=objects,
            labels=labels[objects],
            boxes=boxes,
            ious=measure_paired_iou(boxes, truth[objects]),
            input_sizes=row.new_tensor(batch.image_sizes),
            divisor=max(1, len(row)) if self.averages_positives else len(batch.image_sizes),
            level=level[row],
            index=index[row],
            anchors_a_cell=a_cell,
            pyramid=pyramid,
            grids=self._layers[self.layers[0]].grids,
            towers=tuple(towers),
            kernels=tuple(kernels.unflatten(0, (a_cell, -1)) for kernels in _find_scoring(self.model.head).values()),
            said=said,
            score=self.score,
        )

    def _branches(self, classes: Tower, boxes: Tower) -> tuple[Branch, ...]:
        by_classes, by_boxes = self.model.head.classification_head, self.model.head.regression_head
        readers = [(REGRESSION, by_boxes.bbox_reg.weight)]
        if hasattr(by_boxes, CENTRES):
            readers.append((CENTERNESS, by_boxes.bbox_ctrness.weight))
        return Branch(classes, ((LOGIT, by_classes.cls_logits.weight),)), Branch(boxes, tuple(readers))

    def _run(self, images: Tensor) -> tuple[ImageList, list[Tensor], tuple[Tensor, ...], Tensor]:
        """One pass of pictures ``[B, 3, H, W]``.

        Returns:
            The batch as the network saw it, the levels that the head reads, its logits ``[B, L, C]``, numbers for boxes
            ``[B, L, 4]`` and centerness ``[B, L, 1 or 0]``, and the anchors ``[L, 4]`` in pixels of the pictures.
        """
        batch, _ = self.model.transform(list(images.to(self.device, self.dtype)))
        pyramid = list(name_levels(self.model.backbone(batch.tensors)).values())
        said = self.model.head(pyramid)
        logits, regression = said["cls_logits"], said["bbox_regression"]
        centerness = said.get(CENTRES, logits[..., :0])
        anchors = self.model.anchor_generator(batch, pyramid)[0]
        references = resize_boxes(anchors, batch.image_sizes[0], (images.shape[-2], images.shape[-1]))
        return batch, pyramid, (logits, regression, centerness), references

    def _read(self, logits: Tensor, regression: Tensor, centerness: Tensor, references: Tensor) -> Predictions:
        boxes = place_boxes(references, self.distances(regression, references))
        return Predictions(boxes, self.score(logits, centerness[:, None]))


def _find_scoring(head: Any) -> dict[Any, Tensor]:
    """The parts of a head that its score comes from: the kernels that predict the class, and centerness if it does."""
    classes, boxes = head.classification_head, head.regression_head
    centres = {boxes: boxes.bbox_ctrness.weight} if hasattr(boxes, CENTRES) else {}
    return {classes: classes.cls_logits.weight} | centres


def _find_towers(head: nn.Module) -> tuple[nn.Module, ...]:
    """The head's stacks of the class and the box, if it is torchvision's and windows can be taken of them."""
    parts: list[Any] = [getattr(head, name, None) for name in ("classification_head", "regression_head")]
    if not all(getattr(type(part), "forward", None) in HEADS and is_tower(part.conv) for part in parts):
        return ()
    if any(is_altered(module) for module in (head, *parts, *(part.conv for part in parts))):
        return ()
    towers = tuple(part.conv for part in parts)
    depths = [sum(isinstance(module, nn.Conv2d) for module in tower.modules()) for tower in towers]
    readers = [child for part in parts for name, child in part.named_children() if name != "conv"]
    return towers if len(set(depths)) == 1 and all(is_plain(reader) for reader in readers) else ()
