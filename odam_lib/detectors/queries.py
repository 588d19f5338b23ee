"""Detectors that predict by queries: DETR and its descendants differ in what a query reads, not in what it says."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torch.overrides import TorchFunctionMode
from torchvision.ops import box_convert

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import softmax_score
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Limits, Predictions, Trace
from odam_lib.heatmaps import EDGES
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.nms import keep_all


@dataclass(frozen=True)
class Reading:
    """How the logits of a query are read.

    Attributes:
        first: the label of the first column: 0 where the model counts a background that is never predicted, else 1.
        exclusive: whether a query is one thing: softmax, and the last column is "no object". Else each class has a
            sigmoid of its own, and a query may be several things.
    """

    first: int
    exclusive: bool

    def class_probs(self, logits: Tensor) -> Tensor:
        """Final scores of all labels ``[..., labels]``, that of the background 0, from logits ``[..., columns]``."""
        scores = logits.softmax(dim=-1)[..., :-1] if self.exclusive else logits.sigmoid()
        background = torch.zeros_like(scores[..., :1])
        return torch.cat([background, scores if self.first else scores[..., 1:]], dim=-1)

    def logits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logit of one label of each row: ``[N, columns]`` and ``[N]`` to ``[N]``."""
        return logits.gather(1, labels[:, None] - self.first)[:, 0]

    def scores(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The final score of one label of each row; its derivative does not round to zero where the score is 1."""
        if self.exclusive:
            return softmax_score(logits, labels - self.first)
        return torch.exp(logsigmoid(self.logits(logits, labels)))


@dataclass(frozen=True, eq=False)
class QueryTrace(Trace):
    """A forward pass of a detector with Q queries, each of which may read every place of every level.

    Attributes:
        logits: ``Tensor[Q, columns]``, class logits of all queries.
        corners: ``Tensor[Q, 4]``, (x1, y1, x2, y2) in image pixels.
        reading: what the columns mean.
    """

    logits: Tensor
    corners: Tensor
    reading: Reading

    @property
    def reads_all_levels(self) -> bool:  # type: ignore[override]
        return len(self.features) > 1

    @record_gradients()
    def targets(self, attribute: str, detections: Detections) -> Tensor:
        """See :meth:`Trace.targets`; the reference point of an edge is the centre of the predicted box, held fixed."""
        self.check(detections, [attribute])
        if attribute in EDGES:
            edge, boxes = EDGES.index(attribute), self.corners[detections.index]
            centre = (boxes[:, edge % 2] + boxes[:, edge % 2 + 2]).detach() / 2
            return boxes[:, edge] - centre if edge >= 2 else centre - boxes[:, edge]
        read = self.reading.scores if attribute == "class" else self.reading.logits
        return read(self.logits[detections.index], detections.labels)


@dataclass(frozen=True)
class Place:
    """A layer of a network with queries, at which its features can be cut from what made them.

    Attributes:
        module: path in the network of the module whose output is explained.
        grids: where the cells of each level lie, the finest first.
        cut: replaces the explained features in that output by what a function makes of them.
        maps: paths of the modules whose outputs, ``Tensor[B, K, h, w]``, were flattened to tokens, one a level; only
            where the explained features are tokens.
    """

    module: str
    grids: tuple[Grid, ...]
    cut: "Cut"
    maps: tuple[str, ...] = ()


Leaf = Callable[[Tensor], Tensor]
Cut = Callable[[Any, Leaf, list[tuple[int, int]]], Any]
"""(what a module returned, leaf, (height, width) of the maps that were flattened) -> what it is to return instead."""


def cut_map(output: Tensor, leaf: Leaf, _: list[tuple[int, int]]) -> Tensor:
    """The cut of a module that returns one feature map."""
    return leaf(output)


@dataclass(frozen=True)
class CutTokens:
    """The cut of tokens ``[1, T, K]``: those of all levels one after another, among some that belong to no grid.

    Those before and behind the grids (a class token, detection tokens) are carried through as they are.

    Attributes:
        skipped: how many come before the grids.
    """

    skipped: int = 0

    def __call__(self, tokens: Tensor, leaf: Leaf, sizes: list[tuple[int, int]]) -> Tensor:
        numbers = [height * width for height, width in sizes]
        others = tokens.shape[1] - self.skipped - sum(numbers)
        before, *levels, behind = _cut_off(tokens).split([self.skipped, *numbers, others], dim=1)
        explained = [
            leaf(level.transpose(1, 2).unflatten(2, size)).flatten(2).transpose(1, 2)
            for level, size in zip(levels, sizes)
        ]
        return torch.cat([before, *explained, behind], dim=1)


class Undetached(TorchFunctionMode):
    """While active, ``detach`` does nothing where gradients are recorded.

    Box refinement and two-stage proposals cut their references off, so that each layer is trained for itself. The box
    depends on them nevertheless: with the cut, an edge's gradient would not be what moves the edge.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.detach and torch.is_grad_enabled():
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def sound_batch_norms(model: nn.Module) -> Iterator[None]:
    """While active, gradients reach batch norms in the order of their outputs' cells.

    PyTorch (2.14, on a CPU) returns a wrong gradient, without a word, where that of a single picture comes from tokens:
    such a tensor counts as channels-last although its first stride is not that of one.
    """

    def ordered(_: nn.Module, __: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(Tensor.contiguous)

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_hook(ordered) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _cut_off(tensor: Tensor) -> Tensor:
    return tensor.detach()


@contextmanager
def replaced(model: nn.Module, place: Place, by: Leaf) -> Iterator[None]:
    """While active, a network goes on with what a function makes of each level ``Tensor[1, K, h, w]`` of a place."""
    sizes: list[tuple[int, int]] = []

    def note(_: nn.Module, __: Any, output: Tensor) -> None:
        sizes.append((output.shape[-2], output.shape[-1]))

    handles = [model.get_submodule(path).register_forward_hook(note) for path in place.maps]
    cut = model.get_submodule(place.module)
    handles.append(cut.register_forward_hook(lambda _, __, output: place.cut(output, by, sizes)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def place_leaves(model: nn.Module, place: Place) -> Iterator[list[Tensor]]:
    """While active, a place's features are cut from what made them, so that gradients stop there.

    Yields:
        A list that holds, after the forward pass, ``Tensor[1, K, h, w]`` of each level, as leaves.
    """
    captured: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        captured.append(_cut_off(tensor).requires_grad_())
        return captured[-1]

    with replaced(model, place, leaf):
        yield captured


class Pass(NamedTuple):
    """A forward pass of B pictures of one size.

    Attributes:
        outputs: of the network, with ``logits`` ``[B, Q, columns]`` and ``pred_boxes`` ``[B, Q, 4]``: centre and sides
            as shares of the image.
        input_size: (height, width) of each as the network saw it, before its padding.
    """

    outputs: Any
    input_size: tuple[int, int]


class QueryDetector(Detector):
    """A detector with queries; what is left to say is how pictures go through the network.

    Args:
        name: the name it was loaded by.
        model: the network.
        categories: class names, index 0 is the background.
        places: where it can be explained, the default first.
        reading: what its logits mean.
    """

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        name: str,
        model: nn.Module,
        categories: tuple[str, ...],
        places: Mapping[str, Place],
        reading: Reading,
    ) -> None:
        self.name = name
        self.model = model
        self.categories = categories
        self.layers = tuple(places)
        self.reading = reading
        self._layers = dict(places)

    @abstractmethod
    def check_size(self, image_size: tuple[int, int]) -> None:
        """Raise ``ValueError`` for a picture of which the resize would leave nothing."""

    @abstractmethod
    def run(self, images: Tensor) -> Pass:
        """One forward pass of pictures ``Tensor[B, 3, H, W]`` in [0, 1]."""

    def make_trace(self, image: Tensor, layer: str) -> QueryTrace:
        return QueryTrace(**self.trace_fields(image, layer))

    def trace_fields(self, image: Tensor, layer: str) -> dict[str, Any]:
        """The fields of a :class:`QueryTrace` of one pass."""
        image_size = (image.shape[-2], image.shape[-1])
        self.check_size(image_size)
        cut = place_leaves(self.model, self._layers[layer])
        with sound_batch_norms(self.model), cut as features, Undetached():
            outputs, input_size = self.run(image[None])
        logits, corners = outputs.logits[0].float(), _corners(outputs.pred_boxes[0], image_size)
        numbers = torch.arange(len(logits), device=logits.device)
        predictions = Predictions(corners.detach(), self.reading.class_probs(logits.detach()))
        return {
            "detector": self,
            "image": image,
            "layer": layer,
            "features": tuple(features),
            "grids": self._layers[layer].grids,
            "input_size": input_size,
            "candidates": self.candidates(image, predictions, torch.zeros_like(numbers), numbers),
            "nms": keep_all,  # queries are trained to say each object once
            "limits": self.limits,
            "logits": logits,
            "corners": corners,
            "reading": self.reading,
        }

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        size = (images.shape[-2], images.shape[-1])
        with sound_batch_norms(self.model):
            outputs, _ = self.run(images)
        return [
            Predictions(_corners(boxes, size), self.reading.class_probs(logits.float()))
            for logits, boxes in zip(outputs.logits, outputs.pred_boxes)
        ]


def _corners(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Boxes in pixels of the image from centres and sides, shares of the image: ``[Q, 4]`` to ``[Q, 4]``."""
    return box_convert(boxes.float(), "cxcywh", "xyxy") * boxes.new_tensor(image_size[::-1] * 2, dtype=torch.float32)
