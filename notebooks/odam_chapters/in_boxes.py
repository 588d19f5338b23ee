"""Where in its box, and around it, a map's energy lies."""

import torch
from torch import Tensor
from torchvision.ops import roi_align

from odam_lib.kernels import checks
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics.localization import energy_inside


def measure_edge_energy(maps: Tensor, boxes: Tensor, band: float = 0.25) -> Tensor:
    """The share of a map's energy near each edge of a box.

    The band along the left edge holds what lies within ``band`` times the box's width of it, to both sides, and not
    more than ``band`` times the height above or below the box; the other edges likewise. Both sides count, since the
    cells of a map are coarse. Bands of opposite edges are of equal area, which makes them each other's control;
    neighbouring bands share a corner, so the four numbers may add up to more than 1.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative, at image size.
        boxes: ``Tensor[..., 4]``, (x1, y1, x2, y2) in pixels, broadcast against the maps.
        band: half the width of a band as a share of the box's side, in (0, 0.5]: at 0.5 opposite bands touch.

    Returns:
        ``Tensor[..., 4]`` in [0, 1], for the edges x1, y1, x2, y2; 0 for a map of zeros.

    Raises:
        ValueError: a map with negative values, or a band outside (0, 0.5].
    """
    band = checks.number("The band", band, "(0, 0.5]", ", a share of the box's side")
    checks.tensor("maps", maps, "[..., H, W]", "float")
    checks.tensor("boxes", boxes, "[..., 4]", "float")
    reach = band * (boxes[..., 2:] - boxes[..., :2])
    low, high = boxes[..., :2] - reach, boxes[..., 2:] + reach
    bands = torch.cat([low, high], dim=-1)[..., None, :].repeat_interleave(4, dim=-2)
    for edge in range(4):
        axis = edge % 2
        bands[..., edge, axis] = boxes[..., edge] - reach[..., axis]
        bands[..., edge, axis + 2] = boxes[..., edge] + reach[..., axis]
    size = (maps.shape[-2], maps.shape[-1])
    regions = box_regions(bands.reshape(-1, 4), size).reshape(*bands.shape[:-1], *size)
    return energy_inside(maps[..., None, :, :], regions)


def measure_rim_energy(maps: Tensor, boxes: Tensor, band: float) -> Tensor:
    """The share of a map's energy in a band along the whole edge of a box, to both sides of it.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative, at image size.
        boxes: ``Tensor[..., 4]``, (x1, y1, x2, y2) in pixels, broadcast against the maps.
        band: half the width of the band as a share of the box's side, in (0, 0.5]: at 0.5 it holds the whole box.

    Returns:
        ``Tensor[...]`` in [0, 1]; 0 for a map of zeros.

    Raises:
        ValueError: a map with negative values, or a band outside (0, 0.5].
    """
    band = checks.number("The band", band, "(0, 0.5]", ", a share of the box's side")
    checks.tensor("maps", maps, "[..., H, W]", "float")
    checks.tensor("boxes", boxes, "[..., 4]", "float")
    reach, size = band * (boxes[..., 2:] - boxes[..., :2]), (maps.shape[-2], maps.shape[-1])
    outwards = torch.cat([-reach, reach], dim=-1)
    outer, inner = (
        box_regions(grown.reshape(-1, 4), size).reshape(*boxes.shape[:-1], *size)
        for grown in (boxes + outwards, boxes - outwards)
    )
    return energy_inside(maps, outer & ~inner)


def locate_centre(maps: Tensor, boxes: Tensor) -> Tensor:
    """Where in its box a map's centre of mass lies; what lies outside the box is left out.

    Args:
        maps: ``Tensor[..., H, W]``, non-negative, at image size.
        boxes: ``Tensor[..., 4]``, (x1, y1, x2, y2) in pixels, broadcast against the maps.

    Returns:
        ``Tensor[..., 2]``: across, from -1 at the left edge to 1 at the right one, and down, from -1 at the top to 1 at
        the bottom. NaN where the box holds no energy.

    Raises:
        TypeError: no float tensors.
        ValueError: other shapes, or a map with negative values.
    """
    checks.tensor("maps", maps, "[..., H, W]", "float")
    checks.tensor("boxes", boxes, "[..., 4]", "float")
    if (maps < 0).any():
        raise ValueError("A map has negative values: rectify it (relu or abs) before asking for its centre of mass.")
    size = (maps.shape[-2], maps.shape[-1])
    inside = box_regions(boxes.reshape(-1, 4), size).reshape(*boxes.shape[:-1], *size)
    scaled = maps / maps.amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny) * inside
    rows, columns = (torch.arange(length, device=maps.device, dtype=maps.dtype) + 0.5 for length in size)
    moments = torch.stack([scaled.sum(dim=-2) @ columns, scaled.sum(dim=-1) @ rows], dim=-1)
    centre = moments / scaled.sum(dim=(-2, -1))[..., None]
    return (2 * centre - boxes[..., :2] - boxes[..., 2:]) / (boxes[..., 2:] - boxes[..., :2])


def frame_box(maps: Tensor, boxes: Tensor, cells: int = 48, margin: float = 0.5) -> Tensor:
    """Maps in the frame of their own box, so that boxes of different places and sizes can be averaged.

    Args:
        maps: ``Tensor[N, A, H, W]`` at image size.
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in pixels.
        cells: side of the frame in cells.
        margin: how much around the box is shown on each side, as a share of the box's side.

    Returns:
        ``Tensor[N, A, cells, cells]``; 0 outside the picture.

    Raises:
        TypeError, ValueError: no such tensors or numbers.
    """
    checks.tensor("maps", maps, "[N, A, H, W]", "float")
    checks.tensor("boxes", boxes, f"[{len(maps)}, 4]", "float")
    cells, margin = checks.count("cells", cells), checks.number("margin", margin, "[0, inf)")
    around = margin * (boxes[:, 2:] - boxes[:, :2])
    rows = torch.arange(len(boxes), device=boxes.device)[:, None]
    grown = torch.cat([rows, boxes[:, :2] - around, boxes[:, 2:] + around], dim=1)
    return roi_align(maps, grown, output_size=cells, sampling_ratio=2, aligned=True)
