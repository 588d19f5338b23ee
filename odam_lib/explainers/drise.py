"""D-RISE (Petsiuk et al., 2021): which random parts of the picture are enough to find the object again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torchvision.ops import box_iou, clip_boxes_to_image

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Predictions, Trace
from odam_lib.explainers.whole import make_whole_maps
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels import checks

SAMPLES_A_CELL = 8
"""The sum of masks is kept with this many samples along each cell of a mask, which is all that a mask can show."""


@dataclass(frozen=True)
class DRISE:
    """The mean of random masks, each weighted by how alike the best prediction on the masked picture is.

    Alike = IoU x cosine of the class scores x the prediction's best class score, which stands in for the objectness
    that most detectors do not have. All predictions count, those of low score too; none at all is a likeness of 0. One
    set of masks serves all detections. The picture is multiplied by the mask: what is hidden is black.

    Attributes:
        masks: number of masks, at most.
        cells: cells along each side of a mask, before it is enlarged and shifted.
        keep: share of cells that stay visible.
        seed: random seed of the masks, which do not depend on ``batch``.
        batch: pictures at a time: memory grows with this, not with ``masks``.
        settled: stop when the last quarter, or more, of the masks so far changed no map by more than this share of its
            own range; ``None``: never stop early.
    """

    masks: int = 1000
    cells: int = 16
    keep: float = 0.5
    seed: int = 0
    batch: int = 8
    settled: float | None = None

    def __post_init__(self) -> None:
        for name in ("masks", "cells", "batch"):
            checks.count(name, getattr(self, name))
        checks.count("seed", self.seed, least=None)
        checks.number("keep", self.keep, "(0, 1)")
        if self.settled is not None:
            checks.number("settled", self.settled, "(0, inf)", ", or None")

    def __call__(self, trace: Trace, detections: Detections, attributes: Sequence[str]) -> HeatMaps:
        return self.combine(trace, detections, attributes, partial(self._weigh, trace, detections))

    @record_gradients()
    @torch.no_grad()
    def weigh(self, trace: Trace, detections: Detections, part: range) -> Tensor:
        """The weights of some of the masks, which take nearly all the time and may be found in parts.

        Args:
            trace: the pass.
            detections: N rows of it.
            part: numbers of consecutive masks, the first one a multiple of ``batch``.

        Returns:
            ``Tensor[N, len(part)]``.
        """
        trace.check(detections, ("class",))
        device = detections.boxes.device
        found = [self._weigh(trace, detections, *each) for each in self._batches(detections.image_size, device, part)]
        return torch.cat([detections.boxes.new_zeros(len(detections), 0), *found], dim=1)

    @record_gradients()
    @torch.no_grad()
    def combine(
        self,
        trace: Trace,
        detections: Detections,
        attributes: Sequence[str],
        weigh: Callable[[range, Tensor], Tensor],
    ) -> HeatMaps:
        """The maps, with weights from anywhere.

        Args:
            trace: the pass.
            detections: N rows of it.
            attributes: the map of each is the same.
            weigh: from numbers of masks, b, and those masks ``Tensor[b, H, W]`` to their weights ``Tensor[N, b]``.
        """
        trace.check(detections, attributes)
        device, (height, width) = detections.boxes.device, detections.image_size
        limit = SAMPLES_A_CELL * self.cells
        size = (min(height, limit), min(width, limit))
        total, used = detections.boxes.new_zeros((len(detections), *size)), 0
        earlier, compared = total.clone(), 0
        every = range(self.masks if len(detections) else 0)
        for numbers, masks in self._batches((height, width), device, every):
            small = interpolate(masks[:, None], size, mode="area")[:, 0]
            total += torch.einsum("nb,bhw->nhw", weigh(numbers, masks), small)
            used += len(masks)
            if self.settled is not None and 3 * used >= 4 * compared:  # a quarter of the masks so far is new
                now = total / used
                moved, spread = (now - earlier).abs().amax(dim=(1, 2)), now.amax(dim=(1, 2)) - now.amin(dim=(1, 2))
                if compared and (moved <= self.settled * spread).all():
                    break
                earlier, compared = now, used
        settings = asdict(self) | {"masks": used}
        return make_whole_maps(trace, detections, attributes, total / max(used, 1), "D-RISE", settings)

    def _weigh(self, trace: Trace, detections: Detections, numbers: range, masks: Tensor) -> Tensor:
        found = trace.detector.predict(trace.image.to(masks.device) * masks[:, None])
        return torch.stack([measure_likeness(one, detections) for one in found], dim=1)

    def _batches(self, size: tuple[int, int], device: torch.device, part: range) -> Iterator[tuple[range, Tensor]]:
        """The masks of these numbers with their numbers; those before are drawn, but not made."""
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(part.start):
            draw_cells(size, self.cells, self.keep, generator)
        for start in range(part.start, part.stop, self.batch):
            numbers = range(start, min(start + self.batch, part.stop))
            masks = [draw_mask(size, self.cells, self.keep, generator, device) for _ in numbers]
            yield numbers, torch.stack(masks)


def draw_cells(
    size: tuple[int, int], cells: int, keep: float, generator: torch.Generator
) -> tuple[Tensor, tuple[int, int]]:
    """What is random in a mask: ``Tensor[cells + 1, cells + 1]`` of 0 and 1, and by how many pixels it is shifted."""
    grid = (torch.rand(cells + 1, cells + 1, generator=generator) < keep).float()
    top, left = (int(torch.randint(ceil(side / cells), (), generator=generator)) for side in size)
    return grid, (top, left)


def draw_mask(
    size: tuple[int, int],
    cells: int,
    keep: float,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Tensor:
    """One mask of RISE: random cells, enlarged smoothly, shifted by a random part of a cell.

    Args:
        size: (height, width) of the picture.
        cells: cells along each side.
        keep: chance of a cell to be 1.
        generator: source of the draws, on the CPU, so that every device draws the same.
        device: where the mask shall be, and is enlarged.

    Returns:
        ``Tensor[height, width]`` in [0, 1].
    """
    grid, (top, left) = draw_cells(size, cells, keep, generator)
    large = [(cells + 1) * ceil(side / cells) for side in size]
    smooth = interpolate(grid.to(device)[None, None], large, mode="bilinear", align_corners=False)[0, 0]
    return smooth[top : top + size[0], left : left + size[1]].clamp(0, 1)  # rounding goes beyond


def measure_likeness(found: Predictions, detections: Detections) -> Tensor:
    """How alike the best of all predictions is to each detection.

    Args:
        found: P predictions on another picture of the same size.
        detections: N rows; boxes clipped to the picture.

    Returns:
        ``Tensor[N]`` in [0, 1]; 0 if P is 0.
    """
    boxes, scores, _ = found.best()
    if not len(boxes):
        return detections.boxes.new_zeros(len(detections))
    boxes = clip_boxes_to_image(boxes, detections.image_size)
    alike = normalize(detections.class_probs) @ normalize(found.class_probs).T
    overlap = box_iou(detections.boxes, boxes).nan_to_num(0)  # of two boxes without area
    return (overlap * alike * scores).amax(dim=1)
