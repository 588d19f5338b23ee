"""Where a network's feature cells lie on its input, read from the layers that a picture passes through."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary
from torchvision.models._utils import IntermediateLayerGetter

from odam_lib.detectors.base import Layer
from odam_lib.detectors.hooks import find_path, record_outputs
from odam_lib.detectors.passes import make_twin, record_gradients
from odam_lib.kernels.grid import Grid

SMALL = 128
"""Side of the picture that is sent through a network that takes any size."""


def locate_layers(backbone: nn.Module, modules: Mapping[str, str], size: tuple[int, int]) -> dict[str, Layer]:
    """The strides and grids of what some modules of a backbone return, from one pass of an empty picture.

    A convolution or pooling of kernel k, dilation d and padding p moves the centre of the first cell by
    (k - 1) d / 2 - p of the cells below it, and its stride multiplies their distance. What a network does otherwise
    leaves cells where they are. Cells that cannot be followed, such as those of an upsampling alone, are taken to keep
    the first one on the first pixel, at the power of two of the input's size that is next to theirs.

    Args:
        backbone: from ``Tensor[1, 3, H, W]`` to features.
        modules: paths within it by name: of the backbone itself, which is "", or of parts of it that return one tensor
            or several by name.
        size: (H, W) of the picture.
    """
    asked, parameter = make_twin(backbone), next(backbone.parameters())
    picture = torch.zeros(1, 3, *size, dtype=parameter.dtype, device=parameter.device)
    walk = _Walk(picture)
    with record_gradients(), torch.no_grad(), ExitStack() as stack:
        seen = {name: stack.enter_context(record_outputs(asked.get_submodule(path))) for name, path in modules.items()}
        stack.enter_context(walk)
        asked(picture)
    layers = {}
    for name, (output, *_) in seen.items():
        levels = name_levels(output)
        grids = tuple(walk.grid(level, size) for level in levels.values())
        layers[name] = Layer(modules[name], tuple(round(grid.dx) for grid in grids), grids, tuple(levels))
    return layers


def read_backbone_layers(model: Any) -> dict[str, Layer]:
    """Where a torchvision detector can be explained: what feeds its head, then the stages below it that have names.

    What feeds the head is called ``fpn``, or ``backbone`` where that has no pyramid.
    """
    backbone, fixed = make_twin(model.backbone), model.transform.fixed_size
    default = "fpn" if hasattr(backbone, "fpn") else "backbone"
    size = (SMALL, SMALL) if fixed is None else (fixed[1], fixed[0])
    found = locate_layers(backbone, {default: "", **_find_stages(backbone)}, size)
    return {name: replace(layer, module=f"backbone.{layer.module}".rstrip(".")) for name, layer in found.items()}


def name_levels(features: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What a backbone returned, level after level; torchvision calls a single one ``0``."""
    return {"0": features} if isinstance(features, Tensor) else features


def _find_stages(backbone: nn.Module) -> dict[str, str]:
    """The paths of a backbone's stages within it, by name."""
    if isinstance(stages := getattr(backbone, "stages", None), Mapping | nn.ModuleDict):
        return {name: find_path(stage, backbone) for name, stage in stages.items()}
    if not isinstance(body := getattr(backbone, "body", None), IntermediateLayerGetter):
        return {}
    layers = [name for name, _ in body.named_children() if name.startswith("layer")] or list(body.return_layers)
    return {name if name.startswith("layer") else f"layer{name}": f"body.{name}" for name in layers}


@dataclass(frozen=True)
class _Lattice:
    """Cells that a tensor's values belong to, in whatever shape it holds them: their places and (height, width)."""

    grid: Grid
    size: tuple[int, int]


class _Walk(TorchDispatchMode):
    """While active, follows the cells of a picture's pixels through every operation."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self._lattices = WeakTensorKeyDictionary()
        self._lattices[picture] = _Lattice(Grid.of_stride(1), (picture.shape[-2], picture.shape[-1]))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves(args) if isinstance(one, Tensor) and one in self._lattices]
        sources = [self._lattices[one] for one in given]
        for output in tree_leaves(returned):
            if sources and isinstance(output, Tensor):
                lattice = self._step(func.overloadpacket.__name__, args, sources, (output.shape[-2:]))
                if lattice is not None:
                    self._lattices[output] = lattice
        return returned

    def grid(self, features: Tensor, input_size: tuple[int, int]) -> Grid:
        """Where the cells of ``[1, K, h, w]`` lie."""
        size = (features.shape[-2], features.shape[-1])
        lattice = self._lattices.get(features)
        if lattice is not None and lattice.size == size:
            return lattice.grid
        steps = [2 ** round(torch.tensor(whole / part).log2().item()) for whole, part in zip(input_size, size)]
        return Grid(0.5, 0.5, steps[1], steps[0])

    @staticmethod
    def _step(operation: str, args: Sequence[Any], sources: list[_Lattice], size: torch.Size) -> _Lattice | None:
        if operation.startswith("upsample") or (operation == "slice" and len(args) > 4 and args[4] != 1):
            return None
        before = next((source for source in sources if source.size == tuple(size)), sources[0])
        if operation in ("convolution", "max_pool2d_with_indices", "avg_pool2d") and args[0].shape[-2:] == before.size:
            if operation == "convolution":
                kernel, (stride, padding, dilation, transposed) = args[1].shape[-2:], args[3:7]
                if transposed:
                    return None
            else:
                kernel, stride, padding = (*args[1:4], *([], 0)[len(args) - 2 :])[:3]
                dilation = args[4] if operation.startswith("max") and len(args) > 4 else 1
            kernel, padding, dilation = _make_pair(kernel), _make_pair(padding), _make_pair(dilation)
            stride = _make_pair(stride) if stride else kernel
            shift = [(k - 1) * d / 2 - p for k, d, p in zip(kernel, dilation, padding)]
            return _Lattice(_move(before.grid, shift, stride), (size[0], size[1]))
        if operation == "constant_pad_nd" and len(args[1]) == 4 and args[0].shape[-2:] == before.size:
            return _Lattice(_move(before.grid, [-args[1][2], -args[1][0]], (1, 1)), (size[0], size[1]))
        return before


def _make_pair(value: int | Sequence[int]) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


def _move(grid: Grid, shift: Sequence[float], stride: Sequence[int]) -> Grid:
    """The first cell moved by (down, across) cells, and only every so many cells kept."""
    return Grid(grid.x + shift[1] * grid.dx, grid.y + shift[0] * grid.dy, grid.dx * stride[1], grid.dy * stride[0])
