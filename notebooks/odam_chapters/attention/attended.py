"""Do a detector's attention and its gradient maps point at an edge, and were the cells they name used?"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from odam_chapters.attention.reading import (
    has_attention,
    read_attention_cells,
    read_centre_attention,
    read_cross_attention,
)
from odam_chapters.in_boxes import measure_edge_energy
from odam_chapters.influence import measure_cell_effects, select_strongest
from odam_chapters.statistics import wilson
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.regions import box_regions

OPPOSITE = (2, 3, 0, 1)
"""For x1, y1, x2, y2 the place of the edge across."""

ODAM_EDGES, ODAM_CLASS = "ODAM, the edge's own map", "ODAM, class map"
CROSS, ENCODER_CENTRE = "cross-attention", "encoder attention at the centre"
RANDOM_INSIDE, RANDOM = "random cells in the box", "random cells anywhere"


def points_at_own_edge(energies: Tensor) -> Tensor:
    """Whether each map has more energy near the edge that it should explain than near the opposite one.

    Args:
        energies: ``Tensor[N, 4, 4]``, of the map for the edge of the row near the edge of the column.

    Returns:
        bool ``Tensor[N, 4]``; false for equal energies, as of a map of zeros.
    """
    own = energies.diagonal(dim1=-2, dim2=-1)
    return own > energies[..., range(4), OPPOSITE]


def repeat_for_edges(energies: Tensor) -> Tensor:
    """The energies ``[N, 4]`` of one map, where it has to serve all four edges: ``Tensor[N, 4, 4]``."""
    return energies[:, None].expand(-1, 4, -1)


def count_right(right: dict[str, Tensor]) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[float, float]]]:
    """How often edges were told from their opposites, by the choice.

    Args:
        right: bool ``Tensor[N, 4]`` by the choice, as of :func:`points_at_own_edge` or :func:`find_inward_moves`.

    Returns:
        (successes, number), and the Wilson interval of ``ODAM_EDGES``. What is one for all edges is right about exactly
        one edge of each pair, short of ties: no chance is in that, and its interval is its share.
    """
    counts = {name: (int(one.sum()), one.numel()) for name, one in right.items()}
    shares = {name: successes / number if number else math.nan for name, (successes, number) in counts.items()}
    intervals = {name: wilson(*counts[name]) if name == ODAM_EDGES else (shares[name],) * 2 for name in counts}
    return counts, intervals


def survey_edges(
    detector: Detector, scenes: Sequence, score_threshold: float
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Energies near each edge of ODAM's maps and, where the detector has it, of its attention.

    Args:
        detector: what is explained, at its default layer.
        scenes: (image, anything) pairs.
        score_threshold: least score of a detection.

    Returns:
        By kind of map ``Tensor[N, 4, 4]`` as :func:`points_at_own_edge` takes them, over the N detections of all
        scenes; ``Tensor[N, L, heads, 4]``, the energies of each head of each decoder layer, or ``Tensor[0, 0, 0, 4]``
        without attention; and int64 ``Tensor[N]``, the number of each detection's scene, from 0.
    """
    kinds: dict[str, list[Tensor]] = {}
    heads: list[Tensor] = []
    scene_of: list[int] = []
    for scene in range(len(scenes)):
        trace = detector.trace(scenes[scene][0])
        found = trace.detections(score_threshold)
        if not len(found):
            continue
        scene_of += [scene] * len(found)
        maps = ODAM()(trace, found, ATTRIBUTES).to_image()
        energies = measure_edge_energy(maps, found.boxes[:, None])
        parts = {ODAM_EDGES: energies[:, 1:], ODAM_CLASS: repeat_for_edges(energies[:, 0])}
        if has_attention(trace):
            parts[CROSS] = repeat_for_edges(measure_edge_energy(read_cross_attention(trace, found), found.boxes))
            parts[ENCODER_CENTRE] = repeat_for_edges(
                measure_edge_energy(read_centre_attention(trace, found), found.boxes)
            )
            heads.append(_head_energies(trace, found))
        for kind, values in parts.items():
            kinds.setdefault(kind, []).append(values.cpu())
    stacked = {kind: torch.cat(values) for kind, values in kinds.items()} or {ODAM_EDGES: torch.zeros(0, 4, 4)}
    return stacked, torch.cat(heads) if heads else torch.zeros(0, 0, 0, 4), torch.tensor(scene_of, dtype=torch.int64)


def _head_energies(trace: Trace, detections: Detections) -> Tensor:
    """``Tensor[N, L, heads, 4]``."""
    cross = trace.attention.cross  # type: ignore[attr-defined]
    layers = [
        torch.stack(
            [
                measure_edge_energy(read_cross_attention(trace, detections, layer, head), detections.boxes)
                for head in range(len(cross[layer]))
            ],
            dim=1,
        )
        for layer in range(len(cross))
    ]
    return torch.stack(layers, dim=1).cpu()


def choose_heads(energies: Tensor, scene_of: Tensor) -> tuple[Tensor, Tensor]:
    """For each edge the head that points at it most often, chosen on every second scene and tried on the others.

    Whole scenes are held back, because detections of one scene share its picture.

    Args:
        energies: ``Tensor[N, L, heads, 4]`` of :func:`survey_edges`, with N > 0 and L > 0.
        scene_of: int64 ``Tensor[N]``, the number of each detection's scene; only scenes that occur are counted.

    Returns:
        ``Tensor[4]``, int64, the number of the head counted through all layers, and bool ``Tensor[M, 4]``, whether it
        points at its edge on the M detections of the other scenes; none if there is only one scene.
    """
    right = (energies > energies[..., OPPOSITE]).flatten(1, 2)
    held_back = scene_of.unique(return_inverse=True)[1] % 2 == 1
    chosen = right[~held_back].float().mean(dim=0).argmax(dim=0)
    return chosen, right[held_back][:, chosen, range(4)]


def find_inward_moves(effects: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whether, without the cells chosen for an edge, that edge moved inwards more than the opposite one.

    Args:
        effects: of :func:`measure_effects_of_cells`; a choice that is not an edge's own stands for all four.

    Returns:
        bool ``Tensor[N, 4]`` by the choice; those of the edges' own maps together as ``ODAM_EDGES``.
    """
    own = [effects[edge] for edge in EDGES if edge in effects]
    sets = {name: [values] * 4 for name, values in effects.items() if name not in EDGES} | (
        {ODAM_EDGES: own} if own else {}
    )
    return {
        name: torch.stack([values[:, 1 + e] < values[:, 1 + OPPOSITE[e]] for e, values in enumerate(four)], dim=1)
        for name, four in sets.items()
    }


def find_cells_in_box(trace: Trace, detection: Detections, size: tuple[int, int]) -> Tensor:
    """Which cells of the features that explain a detection are centred in its box.

    Args:
        trace: the pass.
        detection: one row of it.
        size: (h, w) of those features.

    Returns:
        bool ``Tensor[h, w]``.
    """
    grid, (height, width) = trace.grids[int(trace.feature_level(detection)[0])], detection.image_size
    scale = detection.boxes.new_tensor([trace.input_size[1] / width, trace.input_size[0] / height]).repeat(2)
    first, step = scale.new_tensor([grid.x, grid.y]).repeat(2), scale.new_tensor([grid.dx, grid.dy]).repeat(2)
    return box_regions((detection.boxes * scale - first) / step + 0.5, size)[0]


def measure_effects_of_cells(
    detector: Detector, image: Tensor, score_threshold: float, share: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """What becomes of the detections of a picture when a share of cells is set to zero, chosen in several ways.

    A detector with attention is explained after its encoder, at the very cells that its decoder attends to; others
    at their default layer.

    Args:
        detector: what is explained.
        image: ``Tensor[3, H, W]`` in [0, 1].
        score_threshold: least score of a detection.
        share: of the cells of the features that explain a detection; at least one cell is chosen.
        generator: on the CPU, of the random choices.

    Returns:
        ``Tensor[N, 5]`` by the choice, see :func:`odam_chapters.influence.measure_cell_effects`; the choice by
        ODAM's map of an edge has the edge's name. Empty if nothing is found.
    """
    trace = detector.trace(image)
    if has_attention(trace):
        trace = detector.trace(image, "encoder")
    found = trace.detections(score_threshold)
    effects: dict[str, list[Tensor]] = {}
    for row, (heat, *edges) in enumerate(ODAM()(trace, found, ATTRIBUTES).maps):
        noise = torch.rand(heat.shape, generator=generator).to(heat.device)
        inside = find_cells_in_box(trace, found[row], (heat.shape[0], heat.shape[1]))
        ranked = {CROSS: read_attention_cells(trace, found[row])[0]} if has_attention(trace) else {}
        ranked |= {ODAM_CLASS: heat, RANDOM_INSIDE: noise + inside, RANDOM: noise} | dict(zip(EDGES, edges))
        cells = torch.stack([select_strongest(one, max(1, round(share * heat.numel()))) for one in ranked.values()])
        for name, values in zip(ranked, measure_cell_effects(detector, image, trace, found[row], cells)):
            effects.setdefault(name, []).append(values.cpu())
    return {name: torch.stack(values) for name, values in effects.items()}
