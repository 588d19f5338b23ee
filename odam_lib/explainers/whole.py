"""Maps of methods that work on the picture: of a detection as a whole, or of each attribute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.trace import Trace
from odam_lib.explainers.explain import check_explainer
from odam_lib.heatmaps import ATTRIBUTES, HeatMaps
from odam_lib.kernels.grid import Grid

EMPTY = "the method found no place of influence"


def spread_over_image(trace: Trace, size: tuple[int, int]) -> Grid:
    """The grid of (height, width) cells that are spread over the whole picture."""
    dy, dx = trace.input_size[0] / size[0], trace.input_size[1] / size[1]
    return Grid(dx / 2, dy / 2, dx, dy)


def make_whole_maps(
    trace: Trace,
    detections: Detections,
    attributes: Sequence[str],
    maps: Sequence[Tensor] | Tensor,
    method: str,
    settings: Mapping[str, str | float | None],
    grids: Sequence[Grid] | None = None,
) -> HeatMaps:
    """Heat maps with one and the same map for every attribute.

    Args:
        trace: the pass.
        detections: N rows of it.
        attributes: A names.
        maps: ``Tensor[h, w]`` of each detection.
        method: its name.
        settings: what it was made with.
        grids: where the cells of each map lie; if left out they are spread over the whole picture.
    """
    each = [one[None].expand(len(attributes), -1, -1) for one in maps]
    return make_picture_maps(trace, detections, attributes, each, method, settings, grids)


def make_picture_maps(
    trace: Trace,
    detections: Detections,
    attributes: Sequence[str],
    maps: Sequence[Tensor] | Tensor,
    method: str,
    settings: Mapping[str, str | float | None],
    grids: Sequence[Grid] | None = None,
) -> HeatMaps:
    """Heat maps of each attribute, ``Tensor[A, h, w]`` of each detection; the rest as for :func:`make_whole_maps`."""
    return HeatMaps(
        maps=tuple(maps),
        reasons=tuple(tuple("" if one.any() else EMPTY for one in each) for each in maps),
        attributes=tuple(attributes),
        detections=detections,
        grids=tuple(grids or (spread_over_image(trace, (one.shape[-2], one.shape[-1])) for one in maps)),
        input_size=trace.input_size,
        layer=trace.layer,
        method=method,
        settings=dict(settings),
    )


def read_again(trace: Trace, pictures: Tensor, detections: Detections, method: str) -> tuple[Tensor, Tensor]:
    """The same predictions on other pictures, differentiable with respect to them.

    Args:
        trace: the pass.
        pictures: ``Tensor[N, 3, H, W]``, one for each detection, or ``Tensor[1, 3, H, W]`` for all.
        detections: N rows of that pass.
        method: who needs it.

    Returns:
        The score of each detection's class ``[N]`` and its box ``[N, 4]``.

    Raises:
        TypeError: the pictures require a gradient and the detector passes none to them.
    """
    rows = trace.row_of(detections)
    found = trace.again(pictures) * (len(rows) if len(pictures) == 1 else 1)
    read = [one.of(detections.labels[place, None]) for place, one in enumerate(found[: len(rows)])]
    scores = torch.stack([scores[0, row] for (_, scores), row in zip(read, rows)])
    if pictures.requires_grad and not scores.requires_grad:
        raise TypeError(
            f"{trace.detector.name} passes no gradient to the picture, which {method} needs: "
            "give it a differentiable predict."
        )
    return scores, torch.stack([boxes[0, row] for (boxes, _), row in zip(read, rows)])


@dataclass(frozen=True)
class Combined:
    """H_comb of another method (Sec. 4.1) in the place of every attribute: the detection as a whole.

    Attributes:
        of: the method whose maps of the class and the four edges are combined.
    """

    of: Callable[[Trace, Detections, Sequence[str]], HeatMaps]

    def __post_init__(self) -> None:
        check_explainer("of", self.of)

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        trace.check(detections, attributes)
        made = self.of(trace, detections, ATTRIBUTES)
        maps, method = [maps[0] for maps in made.combined().maps], f"{made.method}, combined"
        return make_whole_maps(trace, detections, attributes, maps, method, made.settings, made.grids)
