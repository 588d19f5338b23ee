"""Heat maps with all that tells what they are of: the one thing that every method of explanation returns."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from odam_lib.detections import Detections, packed
from odam_lib.files import user_path, write_tensors
from odam_lib.kernels import checks
from odam_lib.kernels.grid import Grid, sample_grid
from odam_lib.kernels.odam import combine, min_max

EDGES = ("x1", "y1", "x2", "y2")
ATTRIBUTES = ("class", *EDGES)
COMBINED = "combined"


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
                tensors: dict[str, Any] = dict(_tensors(opened))
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
        """These, if what a file said about them has a meaning; what fits together is known since they were made."""
        found = self.detections
        kinds = [one.dtype for one in (found.boxes, found.scores, found.class_probs, found.labels, found.level)]
        fits = [
            [*kinds, found.index.dtype] == [torch.float32] * 3 + [torch.int64] * 3,
            isinstance(self.layer, str) and isinstance(self.method, str),
            bool(((found.labels >= 0) & (found.labels < len(found.categories))).all()),
            all(step > 0 for grid in self.grids for step in (grid.dx, grid.dy)),
        ]
        if not all(fits):
            raise ValueError("What the file says does not fit together.")
        return self

    def __repr__(self) -> str:
        names = ", ".join(self.detections.names()[:8]) + (", ..." if len(self) > 8 else "")
        return f"HeatMaps({len(self)}: {names}; {', '.join(self.attributes)}; {self.method} at {self.layer})"

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
