"""The measurements of notebook 01: what a prediction says without some of its cells or pixels."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.in_boxes import frame_box, locate_centre
from odam_chapters.influence import (
    edit_features,
    measure_cell_moves,
    measure_edge_moves,
    move_into,
    select_strongest,
)
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.explain import explain
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.grid import sample_grid
from odam_lib.metrics.intervals import Estimate, estimate_mean
from odam_lib.metrics.localization import energy_inside
from odam_lib.metrics.matching import match

DRAWS = 4
"""Random sets of cells for each detection, one for each edge."""

OF_CLASS_MAP = "the class map's"
"""What was taken away, as :func:`compare` calls it."""

OWN, OPPOSITE, RANDOM = [1, 2, 3, 4], [3, 4, 1, 2], [5, 6, 7, 8]
"""Rows of :func:`remove_cells` and of :func:`hide_pixels` that are an edge's own, its opposite's and its control."""


def pick_pair(trace: Trace, found: Detections) -> tuple[Detections, Detections]:
    """The two surest detections of one class that are explained on the same features.

    Raises:
        ValueError: there are no two.
    """
    level, labels = trace.feature_level(found), found.labels
    pairs = [
        (row, other)
        for other in range(len(found))
        for row in range(other)
        if level[row] == level[other] and labels[row] == labels[other]
    ]
    if not pairs:
        raise ValueError(
            "No two objects of one class were found on one level: choose a lower SCORE_THRESHOLD or another "
            "SCENE_DETECTOR, as 'fcos-scenes'."
        )
    row, other = max(pairs, key=lambda pair: float(found.scores[list(pair)].sum()))
    return found[row], found[other]


def find_mask(one: Detections, truth: Mapping[str, Tensor]) -> Tensor:
    """The mask of the object that one detection found, bool ``Tensor[1, H, W]``; ``[0, H, W]`` if it found none.

    Args:
        one: one row.
        truth: ``boxes``, ``labels`` and ``masks`` of the picture's objects.
    """
    return truth["masks"][match(one, truth["boxes"], truth["labels"]) >= 0]


def share_inside(trace: Trace, one: Detections, heat: Tensor, masks: Tensor) -> float:
    """The share of a map's energy within some masks.

    Args:
        trace: the pass that was explained.
        one: the detection that was explained.
        heat: ``Tensor[h, w]``, non-negative, on the features that explain it.
        masks: bool ``Tensor[M, H, W]``.
    """
    grid = trace.grids[int(trace.feature_level(one)[0])]
    (spread,) = sample_grid(heat[None], grid, trace.input_size, one.image_size)
    return float(energy_inside(spread.cpu(), masks.cpu().any(dim=0)))


def read_without(trace: Trace, one: Detections, attribute: str, cells: Sequence[Sequence[int]]) -> float:
    """What one prediction says when some cells of its features are set to zero and the rest of the network runs again.

    Args:
        trace: a pass.
        one: one row of it.
        attribute: see :meth:`Trace.targets`.
        cells: (row, column) of each.
    """
    level = int(trace.feature_level(one)[0])
    features = [values.detach().clone() for values in trace.features]
    for row, column in cells:
        features[level][..., row, column] = 0
    return _read(trace, one, attribute, features)


def read_at_scale(trace: Trace, one: Detections, attribute: str, scale: float) -> float:
    """What one prediction says when all features are multiplied by a number; see :func:`read_without`."""
    return _read(trace, one, attribute, [scale * values.detach() for values in trace.features])


def _read(trace: Trace, one: Detections, attribute: str, features: Sequence[Tensor]) -> float:
    with edit_features(trace, features), torch.no_grad():
        return float(trace.detector.trace(trace.image, trace.layer).targets(attribute, one)[0])


def survey(
    detector: Detector, pictures: Sequence[Tensor], score_threshold: float, method: Callable
) -> tuple[Tensor, Tensor, Tensor]:
    """Where in their boxes the maps of all detections of some pictures lie.

    Returns:
        ``Tensor[N, 5, 2]``, see :func:`locate_centre`, of the class and the four edges; ``Tensor[N, 5, cells, cells]``,
        see :func:`frame_box`; int64 ``Tensor[N]``, the picture of each.
    """
    centres, frames = [], []
    for picture in pictures:
        maps = explain(detector, picture, method=method, score_threshold=score_threshold)
        heats, boxes = maps.normalized().to_image(), maps.detections.boxes
        centres.append(locate_centre(heats, boxes[:, None]).cpu())
        frames.append(frame_box(heats, boxes).cpu())
    scene = torch.arange(len(pictures)).repeat_interleave(torch.tensor([len(each) for each in centres]))
    return torch.cat(centres), torch.cat(frames), scene


def remove_cells(
    detector: Detector, pictures: Sequence[Tensor], score_threshold: float, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """How far each edge moves without the cells that a map ranks highest, for all detections of some pictures.

    Args:
        detector: what finds and is explained.
        pictures: ``Tensor[3, H, W]`` each.
        score_threshold: least score of a detection.
        count: cells that are set to zero.
        seed: of the random cells.

    Returns:
        ``Tensor[N, 9, 4]``: outward movement of x1, y1, x2, y2 as a share of the box's side without the cells of the
        maps of the class and of the four edges, and without random cells among those that the box depends on, one draw
        for each edge; and int64 ``Tensor[N]``, the picture of each.
    """
    generator = torch.Generator().manual_seed(seed)

    def moves(picture: Tensor) -> Iterator[Tensor]:
        trace = detector.trace(picture)
        found = trace.detections(score_threshold)
        signed = ODAM(smoothing=None, rectify="none")(trace, found, EDGES).maps
        for row, maps in enumerate(ODAM()(trace, found, ATTRIBUTES).maps):
            read = signed[row].any(dim=0)
            drawn = [_draw(read, count, generator) for _ in range(DRAWS)]
            cells = torch.stack([select_strongest(one, count) for one in maps] + drawn)
            yield measure_cell_moves(detector, picture, trace, found[row], cells)

    return _collect(pictures, moves)


def hide_pixels(
    detector: Detector, pictures: Sequence[Tensor], score_threshold: float, share: float, seed: int
) -> tuple[Tensor, Tensor]:
    """The same of pixels, painted in the picture's mean colour; arguments as for :func:`remove_cells`.

    Args:
        share: of the box's area that is hidden.

    Returns:
        As :func:`remove_cells`; the last four are the patches of the four edges at a random place of the box. NaN where
        the object is lost.
    """
    generator = torch.Generator().manual_seed(seed)

    def moves(picture: Tensor) -> Iterator[Tensor]:
        maps = explain(detector, picture, attributes=ATTRIBUTES, score_threshold=score_threshold)
        for row, heats in enumerate(maps.to_image().cpu()):
            one = maps.detections[row]
            wide, high = (one.boxes[0, 2:] - one.boxes[0, :2]).tolist()
            regions = [select_strongest(heat, max(1, round(share * wide * high))) for heat in heats]
            regions += [move_into(region, one.boxes[0], generator) for region in regions[1:]]
            yield measure_edge_moves(detector, picture, one, torch.stack(regions))

    return _collect(pictures, moves)


def _draw(among: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Random cells, bool ``[h, w]``, among some of them."""
    ranked = torch.rand(among.shape, generator=generator).to(among.device) * among
    return select_strongest(ranked, min(count, int(among.sum())))


def _collect(pictures: Sequence[Tensor], moves: Callable[[Tensor], Iterator[Tensor]]) -> tuple[Tensor, Tensor]:
    each = [list(moves(picture)) for picture in pictures]
    found = [one.cpu() for picture in each for one in picture]
    scene = torch.arange(len(pictures)).repeat_interleave(torch.tensor([len(picture) for picture in each]))
    return torch.stack(found) if found else torch.zeros(0, 1 + 2 * DRAWS, 4), scene


def compare(moves: Tensor, scene: Tensor) -> Mapping[str, Estimate]:
    """How far an edge moves inwards without what its own map shows, and without what others show.

    Args:
        moves: of :func:`remove_cells` or :func:`hide_pixels`.
        scene: the picture of each row.

    Returns:
        Inward movement in percent of the box's side, with its 95 % interval over pictures, by what was taken; and the
        paired differences from an edge's own.
    """
    edges = range(4)
    inwards = -100 * moves
    taken = {
        "its own map's": inwards[:, OWN, edges],
        OF_CLASS_MAP: inwards[:, 0],
        "the opposite edge's": inwards[:, OPPOSITE, edges],
        "random": inwards[:, RANDOM, edges],
    }
    own, *others = taken
    means = {name: estimate(values, scene) for name, values in taken.items()}
    return means | {f"own minus {name}": estimate(taken[own] - taken[name], scene) for name in others}


def estimate(values: Tensor, scene: Tensor) -> Estimate:
    """The mean of ``Tensor[N, ...]`` and its interval when whole pictures are drawn anew; NaN values are left out."""
    groups = scene.reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
    known = ~values.isnan()
    return estimate_mean(values[known], groups[known])
