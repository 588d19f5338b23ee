"""FeatureNMS's embeddings (Salscheider, 2020): a vector for each prediction, close for predictions of one object.

The detector stays as it is; ``python -m odam_chapters.crowds.embedding_training`` trains the small head that reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from odam_lib.detections import Detections
from odam_lib.detectors.dense import DensePositives
from odam_lib.detectors.faster_rcnn import FasterRCNNPositives, FasterRCNNTrace
from odam_lib.detectors.fcos import FCOSDetector
from odam_lib.detectors.positives import Positives
from odam_lib.detectors.trace import TARGETS, Trace
from odam_lib.detectors.weights import RESTORE, check_version, find_weights, load_weights, read_card
from odam_lib.kernels.losses import overlapping
from odam_lib.kernels.windows import Sheets

EMBEDDED = ("fcos-crowd", "faster-rcnn-crowd")
"""Detectors for which embeddings are bundled."""

DIMENSION = 32
HIDDEN = 128
SIDE = 3
"""Rows and columns of the cells that an embedding is read from."""
BETA, ALPHA = 1.0, 0.2
"""The distance that parts one object from two, and the margin on either side of it, as in FeatureNMS."""


class EmbeddingHead(nn.Module):
    """Two layers from the 3x3 cells of a prediction to a vector of length 1.

    For a one-stage detector this is a 3x3 convolution, a ReLU and a 1x1 convolution on the pyramid, read at the cell
    of the prediction.

    Args:
        inputs: K * 9, K channels of each cell.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIMENSION))

    def forward(self, cells: Tensor) -> Tensor:
        """``Tensor[N, K * 9]`` to ``Tensor[N, 32]``, rows of Euclidean length 1."""
        return normalize(self.layers(cells), dim=1)


def read_trace_cells(trace: Trace, detections: Detections) -> Tensor:
    """What a head reads about N detections of a pass at its detector's default layer: ``Tensor[N, K * 9]``.

    Raises:
        ValueError: of a detector for which there are no embeddings.
    """
    if isinstance(trace.detector, FCOSDetector):
        pictures = torch.zeros_like(detections.level)
        return _around(trace.features, pictures, detections.level, detections.index)
    if isinstance(trace, FasterRCNNTrace):
        return _within(trace.pooled[detections.index])
    raise ValueError(f"There are no embeddings for {trace.detector.name}: choose FCOS or Faster R-CNN.")


def read_positive_cells(positives: Positives, rows: Tensor) -> Tensor:
    """The same about some rows ``[R]`` of the positives of a training batch: ``Tensor[R, K * 9]``.

    Raises:
        ValueError: of a detector for which there are no embeddings.
    """
    if isinstance(positives, DensePositives) and positives.anchors_a_cell == 1:
        return _around(positives.pyramid, positives.images[rows], positives.level[rows], positives.index[rows])
    if isinstance(positives, FasterRCNNPositives):
        return _within(positives.pooled[positives.rows[rows]])
    raise ValueError(f"There are no embeddings for a detector with {type(positives).__name__}.")


def _around(pyramid: Sequence[Tensor], images: Tensor, level: Tensor, cell: Tensor) -> Tensor:
    """The 3x3 cells around each of N cells of its picture's level, zero beyond the border: ``Tensor[N, K * 9]``."""
    widths = cell.new_tensor([sheet.shape[-1] for sheet in pyramid])[level]
    row, column = cell.div(widths, rounding_mode="floor"), cell % widths
    which = level * len(pyramid[0]) + images
    return Sheets.of(pyramid).cut(which, row - SIDE // 2, column - SIDE // 2, (SIDE, SIDE)).flatten(1)


def _within(pooled: Tensor) -> Tensor:
    """Pooled features ``[N, K, h, w]`` of proposals, averaged over 3x3 parts of each: ``Tensor[N, K * 9]``."""
    return adaptive_avg_pool2d(pooled, SIDE).flatten(1)


class Pairs(NamedTuple):
    """Pairs of N predictions whose embeddings are compared, each once.

    Attributes:
        first, second: ``Tensor[P]``, int64, rows.
        same: bool ``Tensor[P]``, whether both are of one object.
    """

    first: Tensor
    second: Tensor
    same: Tensor


def pair_predictions(objects: Tensor, images: Tensor, boxes: Tensor) -> Pairs:
    """All pairs of predictions of one object, and of different objects of a picture whose boxes overlap.

    Args:
        objects: ``Tensor[N]``, int64, the true object of each; numbers differ between images.
        images: ``Tensor[N]``, int64, the image of each.
        boxes: ``Tensor[N, 4]``, the predicted boxes.
    """
    same = objects[:, None] == objects
    first, second = torch.nonzero((same | overlapping(boxes, images)).triu(1), as_tuple=True)
    return Pairs(first, second, same[first, second])


def measure_distances(embeddings: Tensor, pairs: Pairs) -> Tensor:
    """Euclidean distances of embeddings ``[N, D]``, ``Tensor[P]``; two that are equal get no gradient."""
    return (embeddings[pairs.first] - embeddings[pairs.second]).norm(dim=1)


def margin_loss(
    embeddings: Tensor, objects: Tensor, images: Tensor, boxes: Tensor, beta: float = BETA, alpha: float = ALPHA
) -> Tensor:
    """The margin loss (Wu et al., ICCV 2017) on the pairs that FeatureNMS (Salscheider, 2020) has to decide.

    A pair at distance d costs max(0, alpha + d - beta) if it is of one object, max(0, alpha + beta - d) if it is of
    two. The mean is over the pairs that cost anything, as Wu et al. take it, so that those that lie right do not
    quieten the few that do not.

    Args:
        embeddings: ``Tensor[N, D]``, of length 1.
        objects, images, boxes: see :func:`pair_predictions`.
        beta: distance that parts one object from two.
        alpha: margin on either side of it.

    Returns:
        A scalar; 0, connected to the embeddings, where no pair costs anything.

    Raises:
        ValueError: not one of everything for each embedding.
    """
    if not all(len(each) == len(embeddings) for each in (objects, images, boxes)):
        raise ValueError("There must be one object, image and box for each embedding.")
    pairs = pair_predictions(objects, images, boxes)
    beyond = measure_distances(embeddings, pairs) - beta
    costs = (alpha + torch.where(pairs.same, beyond, -beyond)).relu()
    return costs.sum() / (costs > 0).sum().clamp(min=1)


@dataclass(frozen=True, eq=False)
class Embedder:
    """Embeddings of what one detector predicts.

    Attributes:
        detector: its name.
        head: trained for it; it moves to the device of the trace that it reads.
    """

    detector: str
    head: EmbeddingHead

    @torch.no_grad()
    def __call__(self, trace: Trace, detections: Detections) -> Tensor:
        """The embedding of each detection, ``Tensor[N, 32]``, rows of length 1.

        Args:
            trace: a pass of the detector at its default layer.
            detections: N rows of it, in any order.

        Raises:
            ValueError: the trace is of another detector or layer, or the detections are of another trace.
        """
        if trace.detector.name != self.detector:
            raise ValueError(
                f"These embeddings are for {self.detector}, the trace is of {trace.detector.name}: load those for it."
            )
        default = trace.detector.layers[0]
        if trace.layer != default:
            raise ValueError(f"The trace is at layer {trace.layer!r}: embeddings are read at {default!r}, the default.")
        trace.check(detections, TARGETS)
        cells = read_trace_cells(trace, detections)
        return self.head.to(cells.device)(cells)


def name_weights(detector: str) -> str:
    """What the embeddings' weights for a detector are called under ``data/weights``."""
    return f"{detector}-embedding"


def load_embedder(detector: str) -> Embedder:
    """The bundled embeddings for a bundled detector, on whatever device it runs.

    Args:
        detector: its name, one of ``EMBEDDED``.

    Raises:
        ValueError: there are none for this detector, or the weights are damaged, or were made with other weights of the
            detector than lie here.
        FileNotFoundError: the weights or their card are missing.
    """
    if detector not in EMBEDDED:
        raise ValueError(f"There are no embeddings for {detector}: choose {' or '.join(EMBEDDED)}.")
    name = name_weights(detector)
    state = load_weights(name)
    check_version(name, read_card(name, "embeds")["embeds"])
    try:
        head = EmbeddingHead(state["layers.0.weight"].shape[1])
        head.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(f"The weights {find_weights(name)} are not those of embeddings: {RESTORE}.") from error
    return Embedder(detector, head)
