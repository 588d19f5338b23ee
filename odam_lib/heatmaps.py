"""Sec. 3.1 of the paper: smoothing, weighting, rectification, combination, and the maps they make."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import grid_sample

from odam_lib.detections import Detections, packed
from odam_lib.files import user_path, write_tensors
from odam_lib.kernels import checks
from odam_lib.kernels.gradients import Sheets, Windows

EDGES = ("x1", "y1", "x2", "y2")
ATTRIBUTES = ("class", *EDGES)
COMBINED = "combined"

REACH = 5
"""Smoothing is followed to this many sigmas beyond a window: what lies further is under 1e-5 of the kernel's peak."""

FEW_CELLS = 16
"""Windows of at most so many cells are summed over channels before they are smoothed."""

RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "none": lambda values: values,
    "abs": torch.abs,
}


def gaussian_matrix(length: int, sigma: Tensor, margin: int = 0) -> Tensor:
    """One-dimensional Gaussian smoothing as a matrix, one for each sigma.

    Zero padding: the kernel sums to one on an endless line and is not renormalised at the border.

    Args:
        length: number of cells.
        sigma: ``Tensor[N]`` of non-negative standard deviations in cells; 0 leaves the values as they are.
        margin: cells before and after them that smoothing may reach.

    Returns:
        ``Tensor[N, margin + length + margin, length]``.

    Raises:
        ValueError: a sigma is negative or NaN.
    """
    if not (sigma >= 0).all():
        raise ValueError(f"A sigma is {sigma[~(sigma >= 0)][0]:g}: give numbers of cells of at least 0.")
    width = sigma.clamp(min=1e-3)[:, None, None]
    reach = int(torch.ceil(6 * sigma.max()).item()) + 1 if len(sigma) else 1
    endless = torch.arange(-reach, reach + 1, dtype=sigma.dtype, device=sigma.device)
    cells = torch.arange(-margin, length + margin, dtype=sigma.dtype, device=sigma.device)
    total = torch.exp(-0.5 * (endless / width) ** 2).sum(dim=-1, keepdim=True)
    return torch.exp(-0.5 * ((cells[:, None] - cells[margin : margin + length]) / width) ** 2) / total


def smooth(gradients: Tensor, sigma: Tensor, margin: int = 0) -> Tensor:
    """The local smoothing operation, Phi in Eq. (2): a Gaussian of its own width for each prediction.

    Args:
        gradients: ``Tensor[N, ..., K, h, w]``.
        sigma: ``Tensor[N]`` in feature cells.
        margin: cells around them that smoothing may reach, where the gradients are a window of a larger map.

    Returns:
        ``Tensor[N, ..., K, margin + h + margin, margin + w + margin]``.
    """
    alone = (len(sigma),) + (1,) * (gradients.dim() - 4)
    rows = gaussian_matrix(gradients.shape[-2], sigma, margin).unflatten(0, alone)
    columns = gaussian_matrix(gradients.shape[-1], sigma, margin).unflatten(0, (*alone, 1))
    values = gradients.movedim(-3, -1)  # channels last, so that both products are of large matrices
    down = (rows @ values.flatten(-2)).unflatten(-1, values.shape[-2:])
    return (columns @ down).movedim(-1, -3)


def adaptive_sigma(boxes: Tensor, cell: Tensor, share: float) -> Tensor:
    """A sigma proportional to the predicted object's short side.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in image pixels.
        cell: ``Tensor[N, 2]``, width and height of a feature cell in image pixels.
        share: sigma divided by the short side.

    Returns:
        ``Tensor[N]`` in feature cells.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0) / cell
    return share * sides.amin(dim=1)


def weighted_sum(weights: Tensor, features: Tensor) -> Tensor:
    """The sum over channels of weight times activation, Eq. (2) before its rectifier.

    Args:
        weights: ``Tensor[..., K, h, w]``, smoothed gradients.
        features: ``Tensor[..., K, h, w]``, the activations, broadcast against the weights.

    Returns:
        ``Tensor[..., h, w]``.
    """
    return (weights * features).sum(dim=-3)


def windowed_sum(windows: Windows, features: Tensor, which: Tensor, sigma: Tensor | None) -> Tensor:
    """Smoothing and the weighted sum of Eq. (2) for gradients that are zero outside a window.

    What smoothing carries more than ``REACH`` sigma beyond the window is left out.

    Args:
        windows: of A targets of each of N predictions.
        features: ``Tensor[M, K, h, w]``, the activations of M levels or regions of interest.
        which: ``Tensor[N]``, int64, the activations of each prediction.
        sigma: ``Tensor[N]`` in feature cells; ``None`` for no smoothing.

    Returns:
        ``Tensor[N, A, h, w]``, before the rectifier.
    """
    gradients, (height, width), margin = windows.gradients, features.shape[-2:], 0
    cells = gradients.shape[-2:]
    if sigma is not None and cells != (height, width):  # else there is nothing outside the window
        margin = min(int(torch.ceil(REACH * sigma.max()).item()), max(height, width))
    top, left = windows.top - margin, windows.left - margin
    size = (cells[0] + 2 * margin, cells[1] + 2 * margin)
    activations = Sheets.of([features]).cut(which, top, left, size)
    if sigma is None:
        patches = weighted_sum(gradients, activations[:, None])
    elif cells.numel() > FEW_CELLS:
        patches = weighted_sum(smooth(gradients, sigma, margin), activations[:, None])
    else:
        patches = smoothed_sum(gradients, activations, sigma, margin)
    return paste(patches, top, left, (height, width))


def smoothed_sum(gradients: Tensor, activations: Tensor, sigma: Tensor, margin: int) -> Tensor:
    """:func:`smooth` and :func:`weighted_sum` in the other order: the same, since both are linear.

    Smoothing mixes cells and the sum mixes channels. Where a window has few cells it is many times as fast to sum over
    the channels first, for every pair of a cell of the window and a cell around it.

    Args:
        gradients: ``Tensor[N, A, K, a, b]``.
        activations: ``Tensor[N, K, margin + a + margin, margin + b + margin]``.
        sigma, margin: as for :func:`smooth`.

    Returns:
        ``Tensor[N, A, margin + a + margin, margin + b + margin]``.
    """
    places = gradients.movedim(2, -1).flatten(1, 3)  # [N, A a b, K]
    pairs = (places @ activations.flatten(2)).reshape(
        *gradients.shape[:2], *gradients.shape[3:], *activations.shape[2:]
    )
    rows, columns = (gaussian_matrix(side, sigma, margin) for side in gradients.shape[3:])
    return torch.einsum("naijyx,nyi,nxj->nayx", pairs, rows, columns)


def paste(patches: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Windows back in their places on maps of zeros.

    Args:
        patches: ``Tensor[N, A, a, b]``.
        top, left: ``Tensor[N]``, where each begins; may lie outside.
        size: (height, width) of the maps.

    Returns:
        ``Tensor[N, A, height, width]``.
    """
    height, width = patches.shape[-2:]
    maps = patches.new_zeros((*patches.shape[:2], size[0] + 2 * height, size[1] + 2 * width))
    rows = (top.clamp(-height, size[0]) + height)[:, None] + torch.arange(height, device=top.device)
    columns = (left.clamp(-width, size[1]) + width)[:, None] + torch.arange(width, device=left.device)
    number = torch.arange(len(patches), device=top.device)[:, None, None]
    maps.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]] = patches.permute(0, 2, 3, 1)
    return maps[:, :, height : height + size[0], width : width + size[1]]


def min_max(maps: Tensor) -> Tensor:
    """Scale each map to [0, 1]; a map of zeros stays zero, another constant map becomes its sign's 0 or 1.

    Args:
        maps: ``Tensor[..., h, w]``.

    Returns:
        Same shape; each map's own minimum is 0 and its maximum is 1. A constant has no minimum to subtract:
        it is 1 everywhere if it is positive (a level of one single cell is such a map), else 0.
    """
    low = maps.amin(dim=(-2, -1), keepdim=True)
    high = maps.amax(dim=(-2, -1), keepdim=True)
    spread = high - low
    constant = spread == 0
    scaled = (maps - low) / torch.where(constant, torch.ones_like(spread), spread)
    return torch.where(constant, (maps > 0).to(maps.dtype), scaled)


def combine(maps: Tensor) -> Tensor:
    """H_comb of Sec. 4.1: the element-wise maximum over attributes, each min-max normalised first.

    Args:
        maps: ``Tensor[..., attributes, h, w]``.

    Returns:
        ``Tensor[..., h, w]`` in [0, 1].
    """
    return min_max(maps).amax(dim=-3)


@dataclass(frozen=True)
class Grid:
    """Where the cells of a feature map lie on the detector's input, in pixels of that input.

    Attributes:
        x, y: centre of cell (0, 0). A convolution of odd kernel, stride 2 and symmetric padding centres its first cell
            on the first pixel, so that a network of such layers has its cell (0, 0) at 0.5, not at half a stride.
        dx, dy: distance between neighbouring cells.
        bounded: whether the map ends half a cell beyond its outermost cells, as a region of interest does; else the
            outermost values go on.
    """

    x: float
    y: float
    dx: float
    dy: float
    bounded: bool = False

    @classmethod
    def of_stride(cls, stride: float) -> "Grid":
        """The grid of a network whose layers keep the first cell on the first pixel."""
        return cls(0.5, 0.5, stride, stride)

    @classmethod
    def of_region(cls, box: Sequence[float], size: tuple[int, int]) -> "Grid":
        """The grid of (height, width) cells that a region of interest (x1, y1, x2, y2) was pooled to.

        RoIAlign reads x at x / stride cells, and cell j lies at the pixel centre j * stride + 0.5.
        """
        dx, dy = max(box[2] - box[0], 1e-3) / size[1], max(box[3] - box[1], 1e-3) / size[0]
        return cls(box[0] + dx / 2 + 0.5, box[1] + dy / 2 + 0.5, dx, dy, bounded=True)


def sample_grid(maps: Tensor, grid: Grid, input_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Read maps at the pixels of the image: undoes the stride, the detector's padding and its resize in one step.

    Args:
        maps: ``Tensor[A, h, w]`` at feature resolution.
        grid: where the cells lie on the detector's input.
        input_size: (height, width) of the image as the detector saw it, after its resize and before its padding.
        size: (height, width) wanted; the whole image is spread over them.

    Returns:
        ``Tensor[A, height, width]``, bilinear between cell centres, constant beyond the outermost; zero more than half
        a cell beyond them if the grid is bounded.
    """

    dy, dx = input_size[0] / size[0], input_size[1] / size[1]
    return resample(maps, grid, Grid(dx / 2, dy / 2, dx, dy), size)


def resample(maps: Tensor, grid: Grid, onto: Grid, size: tuple[int, int]) -> Tensor:
    """Read maps at the cell centres of another grid; as :func:`sample_grid` between and beyond their own.

    Args:
        maps: ``Tensor[A, h, w]``.
        grid: where their cells lie on the detector's input.
        onto: where the cells of the other grid lie.
        size: (height, width) in cells of the other grid.

    Returns:
        ``Tensor[A, height, width]``. Where every cell centre of ``grid`` is one of ``onto`` nothing is lost: what is
        read between those of ``onto`` is what would have been read between those of ``grid``.
    """

    def cells(number: int, start: float, spacing: float, first: float, step: float) -> Tensor:
        at_input = start + torch.arange(number, dtype=maps.dtype, device=maps.device) * spacing
        return (at_input - first) / step

    height, width = maps.shape[-2:]
    rows = cells(size[0], onto.y, onto.dy, grid.y, grid.dy)
    columns = cells(size[1], onto.x, onto.dx, grid.x, grid.dx)
    at = (columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1)
    points = torch.stack(torch.meshgrid(*at, indexing="xy"), dim=-1)
    spread = grid_sample(maps[None], points[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
    if not grid.bounded:
        return spread
    inside = (rows >= -0.5) & (rows <= height - 0.5)
    return spread * (inside[:, None] & (columns >= -0.5) & (columns <= width - 0.5))


@dataclass(frozen=True, eq=False)
class Patches:
    """Maps of N predictions, perhaps of several pictures, that are zero outside a window of their feature map.

    Attributes:
        values: ``Tensor[N, a, b]``.
        top, left: ``Tensor[N]``, int64, the cell of the feature map at which the window starts; may lie outside.
        cells: ``Tensor[N, 2]``, (height, width) of the feature map.
        origin: ``Tensor[N, 2]``, (y, x) of the centre of its cell (0, 0) in pixels of the detector's input.
        step: ``Tensor[N, 2]``, distance between neighbouring cells, down and across.
        bounded: see :class:`Grid`.
    """

    values: Tensor
    top: Tensor
    left: Tensor
    cells: Tensor
    origin: Tensor
    step: Tensor
    bounded: bool

    def spread(self, input_sizes: Tensor, size: tuple[int, int]) -> Tensor:
        """The maps on a common raster; the same reading as :func:`sample_grid`, for many maps at once.

        Args:
            input_sizes: ``Tensor[N, 2]``, (height, width) of each picture as the detector saw it, before its padding.
            size: (height, width) wanted; the whole picture is spread over them.

        Returns:
            ``Tensor[N, height, width]``.
        """
        rows, columns = (
            self._readers(axis, pixels, length, input_sizes[:, axis])
            for axis, (pixels, length) in enumerate(zip(size, self.values.shape[-2:]))
        )
        return rows @ self.values @ columns.mT

    def _readers(self, axis: int, pixels: int, length: int, extent: Tensor) -> Tensor:
        """How much each raster line reads of each line of the window: ``Tensor[N, pixels, length]``."""
        start = (self.top, self.left)[axis][:, None, None]
        centres = torch.arange(pixels, dtype=self.values.dtype, device=self.values.device) + 0.5
        at_input = centres * (extent[:, None] / pixels)
        at = (at_input - self.origin[:, axis, None]) / self.step[:, axis, None]
        last = self.cells[:, axis, None] - 1
        lines = start + torch.arange(length, device=self.values.device)
        share = (1 - (at.clamp(min=0).minimum(last)[..., None] - lines).abs()).clamp(min=0)
        return share * ((at >= -0.5) & (at <= last + 0.5))[..., None] if self.bounded else share


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """One map for each of N detections and each of A attributes: raw values at feature resolution.

    Raw values are kept so that energies of different methods can be compared; resolutions differ from detection to
    detection, since each is explained on the level that made it.

    Attributes:
        maps: N tensors ``[A, h, w]``.
        reasons: N tuples of A strings; empty, or why that map is zero everywhere.
        attributes: the A attributes, each one of ``class``, ``logit``, ``x1``, ``y1``, ``x2``, ``y2``.
        detections: the N detections explained.
        grids: N grids, where each map's cells lie on the detector's input.
        input_size: (height, width) of the detector's input before padding.
        layer: name of the explained layer.
        method: name of the explanation method.
        settings: the method's settings, by name.

    Raises:
        TypeError, ValueError: an attribute of another type or shape, or not one of everything for each detection.
    """

    maps: tuple[Tensor, ...]
    reasons: tuple[tuple[str, ...], ...]
    attributes: tuple[str, ...]
    detections: Detections
    grids: tuple[Grid, ...]
    input_size: tuple[int, int]
    layer: str
    method: str
    settings: dict[str, str | float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.kind("detections", self.detections, Detections, "the Detections that are explained")
        named = checks.names("attributes", self.attributes)
        number = len(self.detections)
        for name in ("maps", "reasons", "grids"):
            if len(getattr(self, name)) != number:
                raise ValueError(
                    f"There are {number} detections and {len(getattr(self, name))} {name}: give one for each."
                )
        for row, maps in enumerate(self.maps):
            checks.tensor(f"map of row {row}", maps, f"[{len(named)}, h, w]", "float")
        if any(len(reasons) != len(named) for reasons in self.reasons):
            raise ValueError(f"A detection has not {len(named)} reasons: give one for each attribute, empty if none.")
        checks.size("input_size", self.input_size)

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: checks.Rows) -> "HeatMaps":
        """The maps of some detections; one integer gives ``HeatMaps`` of length one.

        Args:
            rows: see :func:`odam_lib.kernels.checks.rows`.

        Raises:
            TypeError: no rows.
            IndexError: a row does not exist.
        """
        picked = checks.rows(rows, len(self)).tolist()
        return replace(
            self,
            maps=tuple(self.maps[row] for row in picked),
            reasons=tuple(self.reasons[row] for row in picked),
            grids=tuple(self.grids[row] for row in picked),
            detections=self.detections[picked],
        )

    def select(self, *attributes: str) -> "HeatMaps":
        """The maps of some attributes, in the given order.

        Raises:
            TypeError: an attribute is no string.
            ValueError: one was not computed, or none was asked for.
        """
        if not attributes:
            raise ValueError(f"No attribute was asked for: computed were {', '.join(self.attributes)}.")
        columns = [self._column(attribute) for attribute in attributes]
        return replace(
            self,
            maps=tuple(maps[columns] for maps in self.maps),
            reasons=tuple(tuple(row[column] for column in columns) for row in self.reasons),
            attributes=attributes,
        )

    def normalized(self) -> "HeatMaps":
        """Each map scaled by itself: to [0, 1], or by its largest magnitude to [-1, 1] if it has negative values."""
        return replace(self, maps=tuple(_own_scale(maps) for maps in self.maps))

    def combined(self) -> "HeatMaps":
        """H_comb of Sec. 4.1, the maximum over the class and the four edges, as the one attribute ``combined``.

        Raises:
            ValueError: one of the five was not computed.
        """
        five = self.select(*ATTRIBUTES)
        reasons = tuple(("all five maps are zero",) if all(row) else ("",) for row in five.reasons)
        return replace(
            five, maps=tuple(combine(maps)[None] for maps in five.maps), reasons=reasons, attributes=(COMBINED,)
        )

    def joined(self, other: "HeatMaps") -> "HeatMaps":
        """These attributes followed by those of other maps of the same detections.

        Raises:
            TypeError: no heat maps.
            ValueError: maps of other detections.
        """
        checks.kind("What is joined", other, HeatMaps, "HeatMaps of the same detections")
        if len(self) != len(other) or self.detections.source != other.detections.source:
            raise ValueError("The maps are of different detections: join only maps of the same ones.")
        return replace(
            self,
            maps=tuple(torch.cat(pair) for pair in zip(self.maps, other.maps)),
            reasons=tuple(mine + theirs for mine, theirs in zip(self.reasons, other.reasons)),
            attributes=self.attributes + other.attributes,
        )

    def to_image(self, size: tuple[int, int] | None = None) -> Tensor:
        """The maps aligned with the image's pixels: the detector's stride, padding and resize are undone.

        Args:
            size: (height, width) to spread the image over; default the image's own.

        Returns:
            ``Tensor[N, A, height, width]``, raw values.

        Raises:
            TypeError, ValueError: not two positive whole numbers.
        """
        size = self.detections.image_size if size is None else checks.size("size", size)
        spread = [sample_grid(maps, grid, self.input_size, size) for maps, grid in zip(self.maps, self.grids)]
        return torch.stack(spread) if spread else self.detections.boxes.new_zeros((0, len(self.attributes), *size))

    def zero(self) -> Tensor:
        """Which maps are exactly zero: bool ``Tensor[N, A]``; ``reasons`` says why."""
        flags = [[bool(reason) for reason in row] for row in self.reasons]
        return torch.tensor(flags, dtype=torch.bool).reshape(len(self), len(self.attributes))

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, whole or not at all."""
        found = vars(self.detections)
        tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
        tensors |= {f"maps.{row}": maps for row, maps in enumerate(self.maps)}
        # Each with memory of its own: one map may stand for several detections or attributes.
        tensors = {
            name: one.detach().cpu().clone(memory_format=torch.contiguous_format) for name, one in tensors.items()
        }
        about = {name: value for name, value in found.items() if not isinstance(value, Tensor)}
        about |= {name: getattr(self, name) for name in _PLAIN} | {"grids": [asdict(grid) for grid in self.grids]}
        write_tensors(path, tensors, {"heat_maps": json.dumps(about, default=_plain)})

    @classmethod
    def load(cls, path: str | Path) -> "HeatMaps":
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it was not written by :meth:`save`, or is damaged.
        """
        try:
            with safe_open(user_path(path), framework="pt") as opened:
                about = json.loads((opened.metadata() or {})["heat_maps"])
                tensors = dict(_tensors(opened))
            grids = tuple(Grid(**grid) for grid in about.pop("grids"))
            maps = tuple(tensors.pop(f"maps.{row}") for row in range(len(grids)))
            about = {name: _tuples(value) for name, value in about.items()}
            plain = {name: about.pop(name) for name in _PLAIN}
            return cls(maps=maps, grids=grids, detections=Detections(**tensors, **about), **plain)._whole()
        except FileNotFoundError as error:
            raise FileNotFoundError(f"There are no heat maps at {path}: check the path.") from error
        except Exception as error:  # whatever a file of another kind leads to
            raise ValueError(
                f"{path} holds no heat maps or is damaged: give a file that HeatMaps.save wrote, or make it again."
            ) from error

    def _whole(self) -> "HeatMaps":
        """These, if what a file said about them fits together; an exception of any kind if not."""
        rows, found = len(self.maps), self.detections
        each = (found.boxes, found.scores, found.labels, found.class_probs, found.level, found.index)
        shapes = [(rows, 4), (rows,), (rows,), (rows, len(found.categories)), (rows,), (rows,)]
        kinds = [torch.float32, torch.float32, torch.int64, torch.float32, torch.int64, torch.int64]
        named = [*self.attributes, *found.categories, self.layer, self.method, found.source]
        fits = [
            [tuple(one.shape) for one in each] == shapes,
            [one.dtype for one in each] == kinds,
            all(one.dim() == 3 and len(one) == len(self.attributes) and one.is_floating_point() for one in self.maps),
            [len(reasons) for reasons in self.reasons] == [len(self.attributes)] * rows,
            all(isinstance(name, str) for name in named),
            all(int(side) == side > 0 for size in (self.input_size, found.image_size) for side in size),
            len(self.input_size) == len(found.image_size) == 2,
            bool(((found.labels >= 0) & (found.labels < len(found.categories))).all()),
            all(step > 0 for grid in self.grids for step in (grid.dx, grid.dy)),
        ]
        if not all(fits):
            raise ValueError("What the file says does not fit together.")
        return self

    def __getstate__(self) -> dict[str, Any]:
        return packed(self)

    def _column(self, attribute: str) -> int:
        checks.kind("An attribute", attribute, str, f"one of {', '.join(self.attributes)}, each by itself")
        if attribute not in self.attributes:
            raise ValueError(f"There is no map of {attribute!r}: computed were {', '.join(self.attributes)}.")
        return self.attributes.index(attribute)


_PLAIN = ("attributes", "reasons", "input_size", "layer", "method", "settings")


def _plain(value: Any) -> Any:
    """A number of NumPy or PyTorch, which JSON does not know, as Python's own."""
    if isinstance(value, (np.generic, Tensor)):
        return value.item()
    raise TypeError(f"A setting is {checks.told(value)}, which cannot be written: give numbers, strings or None.")


def _own_scale(maps: Tensor) -> Tensor:
    signed = (maps < 0).any(dim=-1).any(dim=-1)[:, None, None]
    largest = maps.abs().amax(dim=(-2, -1), keepdim=True)
    by_largest = maps / torch.where(largest == 0, torch.ones_like(largest), largest)
    return torch.where(signed, by_largest, min_max(maps))


def _tensors(opened: safe_open) -> Iterator[tuple[str, Tensor]]:
    names = opened.keys()  # the handle itself cannot be iterated
    for name in names:
        yield name, opened.get_tensor(name)


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
