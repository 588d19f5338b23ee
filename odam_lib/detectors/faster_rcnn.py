"""Faster R-CNN (Ren et al., 2015) as torchvision implements it, behind the contract: explained at each proposal's
own pooled features, or on the pyramid level they were pooled from."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from copy import copy
from dataclasses import dataclass
from math import log2
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from odam_lib.detections import Detections
from odam_lib.detectors.backbones import SmallResNetFPN
from odam_lib.detectors.base import Detector, check_elongation, iou_nms
from odam_lib.detectors.boxes import compute_softmax_score, decode_distances, measure_paired_iou, place_boxes
from odam_lib.detectors.geometry import name_levels, read_backbone_layers
from odam_lib.detectors.hooks import detach_output, observe_method, record_outputs
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.positives import ORDERS, Positives, number_first_objects
from odam_lib.detectors.region_windows import ProposalWindows, RegionWindows
from odam_lib.detectors.retinanet import ASPECT_RATIOS
from odam_lib.detectors.trace import Limits, Predictions
from odam_lib.detectors.windowed import HeadTrace, Windowed
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.odam import heat_map
from odam_lib.kernels.windows import Windows

ROI = "roi"
SMALLEST = 1e-2
"""torchvision drops boxes with a side of fewer pixels of the detector's input."""
SMALL_ANCHORS = ((40,), (84,), (160,))
"""Sides of the proposals' anchors of each level, for pictures of about 256 pixels."""


@dataclass(frozen=True, eq=False)
class FasterRCNNTrace(HeadTrace):
    """A forward pass of Faster R-CNN, one row a proposal.

    Attributes:
        pooled: ``Tensor[P, K, h, w]``, the features of all proposals.
        logits: ``Tensor[P, C]``, class logits.
        regression: ``Tensor[P, C, 4]``, the head's numbers for the box of each class, in units of the proposal.
        proposals: ``Tensor[P, 4]``, (x1, y1, x2, y2) in pixels of the image.
        at_input: the same in pixels of the detector's input.
        pool: what pooled them, with its scales.
    """

    detector: "FasterRCNNDetector"
    pooled: Tensor
    logits: Tensor
    regression: Tensor
    proposals: Tensor
    at_input: Tensor
    pool: MultiScaleRoIAlign

    def boxes(self, detections: Detections) -> Tensor:
        regression = self.regression.detach()[detections.index]
        proposals = self.proposals[detections.index]
        distances = self.detector.label_distances(regression, proposals, detections.labels)
        return place_boxes(proposals, distances).float()

    def again(self, images: Tensor) -> list[Predictions]:
        return [one.single() for one in self.detector.private().predict_at(images, self.at_input)]

    @property
    def regional(self) -> bool:
        return self.layer == ROI

    def feature_level(self, detections: Detections) -> Tensor:
        return detections.index if self.regional else super().feature_level(detections)

    @property
    def windows(self) -> Windowed | None:
        kinds = dict(zip(self.detector.layers[:2], (RegionWindows, ProposalWindows)))
        return kinds[self.layer](self) if self.layer in kinds else None

    def head_outputs(self, detections: Detections) -> Tensor:
        """The logits of all classes and four numbers for the box of each, ``Tensor[N, 5 C]``."""
        return torch.cat([self.logits[detections.index], self.regression[detections.index].flatten(1)], dim=1)

    def read(self, attribute: str, outputs: Tensor, detections: Detections) -> Tensor:
        logits, regression = outputs.tensor_split([self.logits.shape[1]], dim=1)
        if attribute in EDGES:
            regression, proposals = regression.unflatten(1, (-1, 4)), self.proposals[detections.index]
            distances = self.detector.label_distances(regression, proposals, detections.labels)
            return distances[:, EDGES.index(attribute)]
        if attribute == "class":
            return compute_softmax_score(logits, detections.labels)
        return logits.gather(1, detections.labels[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class FasterRCNNPositives(Positives):
    """The proposals of a batch that were assigned to objects and sampled for the losses.

    Attributes:
        rows: ``Tensor[N]``, int64, the row of each in the next two.
        pooled: ``Tensor[R, K, h, w]``, the features of all sampled proposals.
        logits: ``Tensor[R, C]``, their class logits.
        proposals: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels of the detector's input.
        finest: the grid of the finest level that they were pooled from.
    """

    rows: Tensor
    pooled: Tensor
    logits: Tensor
    proposals: Tensor
    finest: Grid

    def maps(self, rows: Tensor, size: tuple[int, int], order: str = "first", attribute: str = "logit") -> Tensor:
        chosen, labels = self.rows[rows], self.labels[rows]
        said = self.logits[chosen]
        each = said.gather(1, labels[:, None]) if attribute == "logit" else compute_softmax_score(said, labels)
        total = each.sum()  # one backward pass for all: proposals do not see each other
        with ORDERS[order]():
            second = torch.is_grad_enabled()
            (weights,) = torch.autograd.grad(total, self.pooled, retain_graph=True, create_graph=second)
        heat = Windows.whole(heat_map(weights[chosen], self.pooled[chosen]))
        grids = _lay_regions(self.proposals[rows], heat.size, self.finest)
        return heat.spread(
            grids, rows.new_tensor(heat.size).expand(len(rows), 2), self.input_sizes[self.images[rows]], size
        )


class FasterRCNNDetector(Detector):
    """A torchvision Faster R-CNN that can be explained.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background.

    Attributes:
        pooled_levels: of the backbone's levels those that proposals are pooled from.
    """

    def __init__(self, name: str, model: FasterRCNN, categories: tuple[str, ...]) -> None:
        self.name = name
        self.model = model
        self.categories = categories
        self._layers = read_backbone_layers(model)
        self.layers = (ROI, *self._layers)
        self.towers = (model.backbone, model.rpn.head.conv, model.roi_heads.box_head)
        names, pooled = self._layers[self.layers[1]].names, model.roi_heads.box_roi_pool.featmap_names
        self.pooled_levels = tuple(level for level, name in enumerate(names) if name in pooled)

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides of :attr:`pooled_levels`."""
        return tuple(self._layers[self.layers[1]].strides[level] for level in self.pooled_levels)

    def label_distances(self, regression: Tensor, proposals: Tensor, labels: Tensor) -> Tensor:
        """Distances ``[N, 4]`` from the proposals' centres to the edges of the box that each has for its label.

        Args:
            regression: ``Tensor[N, C, 4]``, the head's numbers.
            proposals: ``Tensor[N, 4]``.
            labels: ``Tensor[N]``.
        """
        row = torch.arange(len(labels), device=labels.device)
        return decode_distances(self.model.roi_heads.box_coder, regression[row, labels], proposals)

    def say(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """From pooled features ``[N, K, h, w]`` to class logits ``[N, C]`` and numbers for boxes ``[N, C, 4]``."""
        logits, regression = self.model.roi_heads.box_predictor(self.model.roi_heads.box_head(pooled))
        return logits, regression.unflatten(1, (-1, 4))

    def make_trace(self, image: Tensor, layer: str) -> FasterRCNNTrace:
        model, image_size = self.model, (image.shape[-2], image.shape[-1])
        check_elongation(image_size, model.transform.min_size[-1], model.transform.max_size)
        images, _ = model.transform([image.to(self.device, self.dtype)])
        cut: AbstractContextManager[list[Tensor]] = nullcontext([])
        if layer != ROI:
            cut = detach_output(model.get_submodule(self._layers[layer].module))
        with cut as below:
            pyramid = name_levels(model.backbone(images.tensors))
        at_input, pool = self._proposals(images, pyramid)[0], self._pool()
        pooled = self._pooled(pool, pyramid, [at_input], images.image_sizes)
        if layer == ROI:
            features = tuple(one[None].detach().requires_grad_() for one in pooled)
            pooled = torch.cat(features) if features else pooled
            grids = _lay_regions(at_input, (pooled.shape[-2], pooled.shape[-1]), self._finest)
        else:
            features, grids = tuple(below), self._layers[layer].grids
        logits, regression = self.say(pooled)
        input_size = images.image_sizes[0]
        proposals = resize_boxes(at_input, input_size, image_size)
        with torch.no_grad():
            predictions = self._read(logits, regression, proposals)
        levels = torch.tensor(self.pooled_levels, device=self.device)
        return FasterRCNNTrace(
            detector=self,
            image=image,
            layer=layer,
            features=features,
            grids=grids,
            input_size=input_size,
            candidates=self.candidates(
                image,
                predictions,
                levels[pool.map_levels([at_input])],
                torch.arange(len(at_input), device=self.device),
            ),
            nms=iou_nms(model.roi_heads.nms_thresh),
            limits=Limits(
                after=model.roi_heads.detections_per_img,
                sides=(SMALLEST * image_size[1] / input_size[1], SMALLEST * image_size[0] / input_size[0]),
            ),
            pooled=pooled,
            logits=logits,
            regression=regression,
            proposals=proposals,
            at_input=at_input,
            pool=pool,
        )

    def compute_losses(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]], network: nn.Module | None = None
    ) -> tuple[dict[str, Tensor], Positives]:
        heads, samples = self.model.roi_heads, []
        with ExitStack() as stack:
            resized = stack.enter_context(record_outputs(self.model.transform))
            stack.enter_context(observe_method(heads, "select_training_samples", lambda *call: samples.append(call)))
            pooled = stack.enter_context(record_outputs(heads.box_roi_pool))
            predicted = stack.enter_context(record_outputs(heads.box_predictor))
            losses = (network or self.model)(images, targets)
        return losses, self._positives(resized[0][0], samples[0], pooled[0], *predicted[0])

    def _positives(
        self, batch: ImageList, sample: Any, pooled: Tensor, logits: Tensor, regression: Tensor
    ) -> FasterRCNNPositives:
        (proposals, matched, labels, _), _, targets = sample
        images = torch.cat([torch.full_like(one, image) for image, one in enumerate(labels)])
        boxes, label, within = torch.cat(proposals), torch.cat(labels), torch.cat(matched)
        large = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        rows = torch.nonzero((label > 0) & large).flatten()
        with torch.no_grad():
            numbers = regression.unflatten(1, (-1, 4))[rows]
            distances = self.label_distances(numbers, boxes[rows], label[rows])
            found = place_boxes(boxes[rows], distances)
        objects = (within + number_first_objects(targets)[images])[rows]
        truth = torch.cat([target["boxes"] for target in targets])
        return FasterRCNNPositives(
            images=images[rows],
            objects=objects,
            labels=label[rows],
            boxes=found,
            ious=measure_paired_iou(found, truth[objects]),
            input_sizes=rows.new_tensor(batch.image_sizes),
            divisor=len(batch.image_sizes),
            rows=rows,
            pooled=pooled,
            logits=logits,
            proposals=boxes[rows],
            finest=self._finest,
        )

    @torch.no_grad()
    def _proposals(self, images: ImageList, pyramid: Mapping[str, Tensor]) -> list[Tensor]:
        """``Tensor[P, 4]`` a picture, in pixels of the input: where the network looks again; no gradient passes.

        Which proposals are left is decided in single precision at least: their suppression knows no half precision.
        """
        self.refuse_infinite(*pyramid.values())
        rpn, wide = self.model.rpn, self._wide
        if wide == self.dtype:
            return rpn(images, pyramid)[0]
        choose = rpn.filter_proposals
        rpn.filter_proposals = lambda boxes, scores, *others: choose(boxes.to(wide), scores.to(wide), *others)
        return rpn(images, pyramid)[0]

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        return self.predict_at(images, None)

    @record_gradients()
    def predict_at(self, images: Tensor, at_input: Tensor | None) -> list[Predictions]:
        """:meth:`make_predictions` with given proposals; as that, for a private copy of the detector.

        Args:
            images: ``Tensor[B, 3, H, W]``.
            at_input: ``Tensor[P, 4]``, proposals of every picture in pixels of the detector's input; ``None`` for the
                network's own.
        """
        batch, _ = self.model.transform(list(images.to(self.device, self.dtype)))
        pyramid = name_levels(self.model.backbone(batch.tensors))
        regions = self._proposals(batch, pyramid) if at_input is None else [at_input] * len(images)
        pooled = self._pooled(self._pool(), pyramid, regions, batch.image_sizes)
        logits, regression = self.say(pooled)
        counts = [len(one) for one in regions]
        size = (images.shape[-2], images.shape[-1])
        return [
            self._read(some, numbers, resize_boxes(one, batch.image_sizes[0], size))
            for some, numbers, one in zip(logits.split(counts), regression.split(counts), regions)
        ]

    def _read(self, logits: Tensor, regression: Tensor, proposals: Tensor) -> Predictions:
        class_probs = logits.softmax(dim=1)
        found = torch.ones_like(class_probs[0])
        found[0] = 0  # the background is never found
        each = proposals[:, None].expand(-1, regression.shape[1], 4)
        distances = decode_distances(self.model.roi_heads.box_coder, regression, each)
        return Predictions(place_boxes(each, distances), class_probs * found)

    @property
    def _wide(self) -> torch.dtype:
        """The number format of proposals and of their pooling, which knows no bfloat16."""
        return torch.promote_types(self.dtype, torch.float32)

    def _pooled(
        self,
        pool: MultiScaleRoIAlign,
        pyramid: Mapping[str, Tensor],
        regions: list[Tensor],
        sizes: list[tuple[int, int]],
    ) -> Tensor:
        levels = {name: level.to(self._wide) for name, level in pyramid.items()}
        return pool(levels, [one.to(self._wide) for one in regions], sizes).to(self.dtype)

    def _pool(self) -> MultiScaleRoIAlign:
        """The model's pooling with the scales of its levels, unless a picture that it saw has set others."""
        pool = copy(self.model.roi_heads.box_roi_pool)  # the model's own would keep them
        if pool.scales is None or pool.map_levels is None:
            fix_pooling(pool, self.strides)
        return pool

    @property
    def _finest(self) -> Grid:
        return self._layers[self.layers[1]].grids[self.pooled_levels[0]]


def _lay_regions(boxes: Tensor, size: tuple[int, int], finest: Grid) -> tuple[Grid, ...]:
    """Where the cells lie that boxes ``[N, 4]`` were pooled to: RoIAlign reads x at the cell x / stride of a level."""
    off = boxes.new_tensor([finest.x - 0.5, finest.y - 0.5]).repeat(2)
    return tuple(Grid.of_region(box, size) for box in (boxes + off).tolist())


def fix_pooling(pool: MultiScaleRoIAlign, strides: Sequence[int]) -> None:
    """Give RoIAlign its strides: torchvision guesses them from the first picture it sees, and keeps the guess."""
    powers = [round(log2(stride)) for stride in strides]
    pool.scales = [2.0**-power for power in powers]
    pool.map_levels = LevelMapper(powers[0], powers[-1], pool.canonical_scale, pool.canonical_level)


def build_small_faster_rcnn(name: str, categories: tuple[str, ...]) -> FasterRCNNDetector:
    """An untrained Faster R-CNN of about 1.6 M parameters for pictures of about 256 pixels: strides 8, 16 and 32."""
    backbone = SmallResNetFPN()
    names = list(backbone.stages)
    model = FasterRCNN(
        backbone,
        min_size=256,
        max_size=512,
        rpn_anchor_generator=AnchorGenerator(SMALL_ANCHORS, (ASPECT_RATIOS,) * len(SMALL_ANCHORS)),
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=400,
        rpn_post_nms_top_n_test=200,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=96,
        box_roi_pool=MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2, canonical_scale=112),
        box_head=TwoMLPHead(backbone.out_channels * 7**2, 128),
        box_predictor=FastRCNNPredictor(128, len(categories)),
    )
    detector = FasterRCNNDetector(name, model, categories)
    fix_pooling(model.roi_heads.box_roi_pool, detector.strides)
    return detector
