"""Detectors that predict by queries: DETR and its descendants differ in what a query reads, not in what it says."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from torch.overrides import TorchFunctionMode
from torchvision.ops import box_convert

from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.boxes import compute_softmax_score
from odam_lib.detectors.hooks import record_outputs
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
        best_only: whether a query is detected as its best class alone.
    """

    first: int
    exclusive: bool
    best_only: bool = False

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
            return compute_softmax_score(logits, labels - self.first)
        return torch.exp(logsigmoid(self.logits(logits, labels)))


@dataclass(frozen=True, eq=False)
class Attention:
    """Where DETR looked, one entry a layer, first layer first; every row sums to one.

    Attributes:
        encoder: ``Tensor[heads, T, T]``, how much each of T = h w cells took from each other one.
        cross: ``Tensor[heads, Q, T]``, how much each of Q queries took from each cell.
        queries: ``Tensor[heads, Q, Q]``, how much each query took from each other one.
        size: (h, w); the T cells are its rows from the top, each from the left. Cells of padding have no weight.
        grid: where the cells lie on the detector's input.
    """

    encoder: tuple[Tensor, ...]
    cross: tuple[Tensor, ...]
    queries: tuple[Tensor, ...]
    size: tuple[int, int]
    grid: Grid


@dataclass(frozen=True, eq=False)
class QueryTrace(Trace):
    """A forward pass of a detector with Q queries, each of which may read every place of every level.

    Attributes:
        logits: ``Tensor[Q, columns]``, class logits of all queries.
        corners: ``Tensor[Q, 4]``, (x1, y1, x2, y2) in image pixels.
        reading: what the columns mean.
        attention: the weights of all attention layers of this pass, where the detector keeps them.
    """

    logits: Tensor
    corners: Tensor
    reading: Reading
    attention: Attention | None = None

    @property
    def reads_all_levels(self) -> bool:
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

    def above(self, score_threshold: float) -> Detections:
        found = super().above(score_threshold)
        if self.reading.best_only:
            found = found[found.labels == self.candidates.labels[found.index]]
        return found


@dataclass(frozen=True)
class Place:
    """A layer of a network with queries, at which its features can be cut from what made them.

    Attributes:
        module: path in the network of the module whose output is explained.
        grids: where the cells of each level lie, the finest first.
        maps: paths of the modules whose outputs, ``Tensor[B, K, h, w]``, were flattened to tokens, one a level; only
            where the explained features are tokens.
        skipped: how many tokens come before those of the levels, such as a class token.
    """

    module: str
    grids: tuple[Grid, ...]
    maps: tuple[str, ...] = ()
    skipped: int = 0


Change = Callable[[Tensor], Tensor]


@contextmanager
def change_features(model: nn.Module, place: Place, change: Change) -> Iterator[None]:
    """While active, a network goes on with what a function makes of each level ``Tensor[1, K, h, w]`` of a place."""

    def change_output(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            sizes = [one[-1].shape[-2:] for one in flattened]
            return _change_tokens(output, sizes, place.skipped, change) if flattened else change(output)
        if isinstance(output, list | tuple):  # (map, mask) of a backbone, of whose levels the last ones are read
            kept = len(output) - len(place.grids)
            return [*output[:kept], *((change(features), mask) for features, mask in output[kept:])]
        # A hybrid encoder's, whose last hidden state is a list of maps.
        return replace(output, last_hidden_state=[change(features) for features in output.last_hidden_state])

    with ExitStack() as stack:
        flattened = [stack.enter_context(record_outputs(model.get_submodule(path))) for path in place.maps]
        stack.callback(model.get_submodule(place.module).register_forward_hook(change_output).remove)
        yield


def _change_tokens(tokens: Tensor, sizes: list[torch.Size], skipped: int, change: Change) -> Tensor:
    """Change the levels among tokens ``[1, T, K]``; those before and behind them are carried through, cut off."""
    numbers = [size.numel() for size in sizes]
    others = tokens.shape[1] - skipped - sum(numbers)
    before, *levels, behind = _cut_off(tokens).split([skipped, *numbers, others], dim=1)
    changed = [
        change(level.transpose(1, 2).unflatten(2, size)).flatten(2).transpose(1, 2)
        for level, size in zip(levels, sizes)
    ]
    return torch.cat([before, *changed, behind], dim=1)


@torch.no_grad()  # where Undetached lets tensors be detached
def _cut_off(tensor: Tensor) -> Tensor:
    return tensor.detach()


@contextmanager
def detach_features(model: nn.Module, place: Place) -> Iterator[list[Tensor]]:
    """While active, a place's features are cut from what made them, so that gradients stop there.

    Yields:
        A list that holds, after the forward pass, ``Tensor[1, K, h, w]`` of each level, as leaves.
    """
    captured: list[Tensor] = []

    def capture(features: Tensor) -> Tensor:
        captured.append(_cut_off(features).requires_grad_())
        return captured[-1]

    with change_features(model, place, capture):
        yield captured


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
def order_gradients(model: nn.Module) -> Iterator[None]:
    """While active, gradients reach batch norms in the order of their outputs' cells.

    PyTorch (2.14, on a CPU) returns a wrong gradient, without a word, where that of a single picture comes from tokens:
    such a tensor counts as channels-last although its first stride is not that of one.
    """

    def order(_: nn.Module, __: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(Tensor.contiguous)

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                stack.callback(module.register_forward_hook(order).remove)
        yield


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

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the levels of the default layer."""
        return tuple(int(grid.dx) for grid in self._layers[self.layers[0]].grids)

    @abstractmethod
    def check_size(self, image_size: tuple[int, int]) -> None:
        """Raise ``ValueError`` for a picture of which the resize would leave nothing."""

    @abstractmethod
    def run(self, images: Tensor) -> tuple[Any, tuple[int, int]]:
        """One forward pass of pictures ``Tensor[B, 3, H, W]`` in [0, 1].

        Returns:
            What the network returns, with ``logits`` ``[B, Q, columns]`` and ``pred_boxes`` ``[B, Q, 4]``, centre and
            sides as shares of the image; and (height, width) of each picture as it saw it, before its padding.
        """

    def make_trace(self, image: Tensor, layer: str) -> QueryTrace:
        image_size = (image.shape[-2], image.shape[-1])
        self.check_size(image_size)
        cut = detach_features(self.model, self._layers[layer])
        with order_gradients(self.model), cut as features, Undetached():
            outputs, input_size = self.run(image[None])
        logits, corners = outputs.logits[0].float(), _find_corners(outputs.pred_boxes[0], image_size)
        numbers = torch.arange(len(logits), device=logits.device)
        predictions = Predictions(corners.detach(), self.reading.class_probs(logits.detach()))
        return QueryTrace(
            detector=self,
            image=image,
            layer=layer,
            features=tuple(features),
            grids=self._layers[layer].grids,
            input_size=input_size,
            candidates=self.candidates(image, predictions, torch.zeros_like(numbers), numbers),
            nms=keep_all,  # queries are trained to say each object once
            limits=self.limits,
            logits=logits,
            corners=corners,
            reading=self.reading,
        )

    def make_predictions(self, images: Tensor) -> list[Predictions]:
        size = (images.shape[-2], images.shape[-1])
        with order_gradients(self.model):
            outputs, _ = self.run(images)
        return [
            Predictions(_find_corners(boxes, size), self.reading.class_probs(logits.float()))
            for logits, boxes in zip(outputs.logits, outputs.pred_boxes)
        ]


def _find_corners(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Boxes in pixels of the image from centres and sides, shares of the image: ``[Q, 4]`` to ``[Q, 4]``."""
    return box_convert(boxes.float(), "cxcywh", "xyxy") * boxes.new_tensor(image_size[::-1] * 2, dtype=torch.float32)
