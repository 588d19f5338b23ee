"""Do a detector's attention and its gradient maps point at an edge, and were the cells they name used?"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from odam_chapters.attention.reading import get_attention, read_attention_cells, read_cross_attention
from odam_chapters.in_boxes import measure_edge_energy
from odam_chapters.influence import measure_cell_effects, select_strongest
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.detr import ENCODER
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.odam import ODAM
from odam_lib.heatmaps import ATTRIBUTES, EDGES
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.intervals import Estimate, estimate_mean

OPPOSITE = (2, 3, 0, 1)
"""For x1, y1, x2, y2 the place of the edge across."""

ODAM_EDGES, ODAM_CLASS = "ODAM, the edge's own map", "ODAM, class map"
CROSS, HEADS = "cross-attention, mean", "cross-attention, the edge's own head"
RANDOM_INSIDE, RANDOM = "random cells in the box", "random cells anywhere"


def points_at_own_edge(energies: Tensor) -> Tensor:
    """Whether each map has more energy near the edge that it should explain than near the opposite one.

    Args:
        energies: ``Tensor[..., 4, 4]``, of the map for the edge of the row near the edge of the column.

    Returns:
        bool ``Tensor[..., 4]``; false for equal energies, as of a map of zeros.
    """
    own = energies.diagonal(dim1=-2, dim2=-1)
    return own > energies[..., range(4), OPPOSITE]


def survey_edges(detector: Detector, scenes: Sequence, score_threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Energies near each edge of ODAM's edge maps and of every head of the decoder.

    Args:
        detector: a DETR, explained at its default layer.
        scenes: (image, anything) pairs.
        score_threshold: least score of a detection.

    Returns:
        ``Tensor[N, 4, 4]`` of ODAM's maps as :func:`points_at_own_edge` takes them, over the N detections of all
        scenes; ``Tensor[N, L, heads, 4]``, the energy of each head of each decoder layer near each edge; and int64
        ``Tensor[N]``, the number of each detection's scene, from 0.

    Raises:
        NoAttentionError: the detector has no attention.
    """
    maps, heads, scene_of = [torch.zeros(0, 4, 4)], [], []
    for scene in range(len(scenes)):
        trace = detector.trace(scenes[scene][0])
        found = trace.detections(score_threshold)
        scene_of += [scene] * len(found)
        heads.append(_measure_heads(trace, found))
        if len(found):
            maps.append(measure_edge_energy(ODAM()(trace, found, EDGES).to_image(), found.boxes[:, None]).cpu())
    return torch.cat(maps), torch.cat(heads), torch.tensor(scene_of, dtype=torch.int64)


def _measure_heads(trace: Trace, detections: Detections) -> Tensor:
    """``Tensor[N, L, heads, 4]``."""
    layers = [
        torch.stack(
            [
                measure_edge_energy(read_cross_attention(trace, detections, layer, head), detections.boxes)
                for head in range(len(weights))
            ],
            dim=1,
        )
        for layer, weights in enumerate(get_attention(trace).cross)
    ]
    return torch.stack(layers, dim=1).cpu()


def choose_heads(energies: Tensor) -> dict[str, tuple[int, int]]:
    """For each edge the (layer, head) that points at it most often.

    Args:
        energies: ``Tensor[N, L, heads, 4]`` of :func:`survey_edges`.
    """
    right = (energies > energies[..., OPPOSITE]).float().mean(dim=0)
    best = right.flatten(0, 1).argmax(dim=0).tolist()
    return {edge: divmod(number, energies.shape[2]) for edge, number in zip(EDGES, best)}


def try_heads(energies: Tensor, chosen: Mapping[str, tuple[int, int]]) -> Tensor:
    """Whether the head of each edge points at it: energies as of :func:`choose_heads` to bool ``Tensor[N, 4]``."""
    own = torch.stack([energies[:, *chosen[edge]] for edge in EDGES], dim=1)
    return points_at_own_edge(own)


def estimate_edges(right: Tensor, scene_of: Tensor) -> dict[str, Estimate]:
    """How often an edge was told from its opposite: by edge, and ``all`` together.

    Args:
        right: bool ``Tensor[N, 4]``.
        scene_of: int64 ``Tensor[N]``: intervals are 95 % bootstrap intervals over scenes.
    """
    columns = dict(zip(EDGES, right.double().T)) | {"all": right.double().mean(dim=1)}
    return {name: estimate_mean(one, scene_of) for name, one in columns.items()}


def find_inward_moves(effects: Tensor) -> Tensor:
    """Whether, without the cells chosen for an edge, that edge moved inwards more than the opposite one.

    Args:
        effects: ``Tensor[N, 4, 5]`` of :func:`measure_effects_of_cells`.

    Returns:
        bool ``Tensor[N, 4]``.
    """
    return points_at_own_edge(-effects[..., 1:])


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
    detector: Detector,
    image: Tensor,
    score_threshold: float,
    share: float,
    generator: torch.Generator,
    heads: Mapping[str, tuple[int, int]],
) -> dict[str, Tensor]:
    """What becomes of the detections of a picture when a share of cells is set to zero, chosen in several ways.

    The cells are those after the encoder, the very ones that the decoder attends to.

    Args:
        detector: a DETR.
        image: ``Tensor[3, H, W]`` in [0, 1].
        score_threshold: least score of a detection.
        share: of the cells; at least one is chosen.
        generator: on the CPU, of the random choices.
        heads: a (layer, head) for each edge.

    Returns:
        By the choice ``Tensor[N, 4, 5]``: without the cells chosen for each edge what
        :func:`odam_chapters.influence.measure_cell_effects` says; a choice that is one for all edges is repeated.

    Raises:
        NoAttentionError: the detector has no attention.
    """
    trace = detector.trace(image)
    get_attention(trace)
    trace = detector.trace(image, ENCODER)
    found = trace.detections(score_threshold)
    effects: dict[str, list[Tensor]] = {}
    for row, (heat, *edges) in enumerate(ODAM()(trace, found, ATTRIBUTES).maps):
        one, noise = found[row], torch.rand(heat.shape, generator=generator).to(heat.device)
        inside = find_cells_in_box(trace, one, (heat.shape[0], heat.shape[1]))
        ranked = {CROSS: [read_attention_cells(trace, one)[0]], ODAM_CLASS: [heat]}
        ranked |= {RANDOM_INSIDE: [noise + inside], RANDOM: [noise], ODAM_EDGES: edges}
        ranked[HEADS] = [read_attention_cells(trace, one, *heads[edge])[0] for edge in EDGES]
        for name, maps in ranked.items():
            cells = torch.stack([select_strongest(each, max(1, round(share * heat.numel()))) for each in maps])
            values = measure_cell_effects(detector, image, trace, one, cells)
            effects.setdefault(name, []).append(values.expand(4, -1).cpu())
    return {name: torch.stack(values) for name, values in effects.items()}


def survey_cells(
    detector: Detector,
    scenes: Mapping[int, Tensor],
    score_threshold: float,
    share: float,
    heads: Mapping[str, tuple[int, int]],
    seed: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """:func:`measure_effects_of_cells` of the detections of several scenes.

    Args:
        detector, score_threshold, share, heads: see there.
        scenes: pictures by the number of their scene.
        seed: of the random cells.

    Returns:
        By the choice ``Tensor[N, 4, 5]``, and int64 ``Tensor[N]``, the scene of each detection.

    Raises:
        ValueError: nothing is found in any of them.
    """
    generator, effects, scene_of = torch.Generator().manual_seed(seed), [], []
    for number, image in scenes.items():
        some = measure_effects_of_cells(detector, image, score_threshold, share, generator, heads)
        if some:
            effects.append(some)
            scene_of += [number] * len(some[CROSS])
    if not effects:
        raise ValueError(f"Nothing is found above a score of {score_threshold:g}: choose a lower SCORE_THRESHOLD.")
    return {name: torch.cat([one[name] for one in effects]) for name in effects[0]}, torch.tensor(scene_of)


def estimate_losses(effects: Mapping[str, Tensor], scene_of: Tensor) -> dict[str, Estimate]:
    """The mean share of the score that is lost, by the choice, with 95 % bootstrap intervals over scenes."""
    losses = {name: -values[..., 0].double().mean(dim=1) for name, values in effects.items()}
    return {name: estimate_mean(lost, scene_of) for name, lost in losses.items()}
