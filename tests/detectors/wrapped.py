"""What the tests of wrapped models share: a case for each family, and what must not change while one is explained."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from odam_lib.detectors.base import Detector
from odam_lib.detectors.queries import Place, change_features

PICTURE = nn.functional.interpolate(
    torch.rand(1, 3, 11, 14, generator=torch.Generator().manual_seed(4)), (117, 155), mode="bilinear"
)[0]


@dataclass(frozen=True)
class Case:
    """A family of models, as a small configuration with random weights that finds something in ``PICTURE``.

    Attributes:
        name: of the case.
        build: makes the model; it seeds what is random, and returns it in evaluation mode.
        own: what the model's own inference says about a picture: ``boxes`` ``[N, 4]``, ``scores``, ``labels``.
        loss: the loss of one training step of a model in training mode, on a batch of its own; it seeds what is random.
        strides: of the levels that are explained by default.
        categories: what ``wrap`` is told; as many names as the model has classes.
        threshold: the score over which the model's own inference keeps predictions.
        options: further arguments of ``wrap``.
        doubles: whether the model's own inference works in float64.
        module: what computes a level of the default layer, where no single module computes the layer.
        step: how far features are moved for finite differences, as a share of their norm; ranked queries must not swap.
    """

    name: str
    build: Callable[[], nn.Module]
    own: Callable[[nn.Module, Tensor], Mapping[str, Tensor]]
    loss: Callable[[nn.Module], Tensor]
    strides: tuple[int, ...]
    categories: tuple[str, ...] | None = None
    threshold: float = 0.05
    options: Mapping[str, Any] = field(default_factory=dict)
    doubles: bool = True
    module: Callable[[Detector, int], nn.Module] | None = None
    step: float = 1e-3

    def __str__(self) -> str:
        return self.name


@contextmanager
def nudged(detector: Detector, layer: str, level: int, step: Tensor, module: nn.Module | None = None) -> Iterator[None]:
    """Add something to what a layer returns, on one level (or for one region of interest)."""

    def add(_: nn.Module, __: object, output: object) -> object:
        if layer == "roi":
            moved = output.clone()
            moved[level] += step
            return moved
        if isinstance(output, Tensor):
            return output + step
        if isinstance(output, list | tuple):
            return type(output)(value + step if number == level else value for number, value in enumerate(output))
        return type(output)(
            (name, value + step if number == level else value) for number, (name, value) in enumerate(output.items())
        )

    place = None if module is not None or layer == "roi" else detector._layers[layer]
    if isinstance(place, Place):
        levels = count()
        with change_features(detector.model, place, lambda value: value + step if next(levels) == level else value):
            yield
        return
    if module is None:
        module = detector.model.roi_heads.box_roi_pool if place is None else detector.model.get_submodule(place.module)
    handle = module.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def snapshot(model: nn.Module) -> dict[str, Any]:
    """All that explaining must leave as it is: weights, buffers, modes, hooks, and plain attributes of each module."""
    seen: dict[str, Any] = {f"state {key}": frozen(value) for key, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        seen[f"parameter {name}"] = (id(parameter), parameter.requires_grad, parameter.dtype, parameter.grad is None)
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key not in ("_parameters", "_buffers", "_modules"):
                seen[f"{name}.{key}"] = list(value) if key.endswith("_hooks") else frozen(value)
    return seen


def frozen(value: object, depth: int = 3) -> object:
    """A value that can be compared later, although the original may have changed by then."""
    if isinstance(value, Tensor):
        return (value.dtype, value.shape, value.detach().cpu().contiguous().numpy().tobytes())
    if isinstance(value, list | tuple):
        return [frozen(item, depth) for item in value]
    if isinstance(value, dict):
        return {key: frozen(item, depth) for key, item in value.items()}
    if value is None or isinstance(value, str | int | float | torch.dtype | torch.device):
        return value
    if isinstance(value, Enum):
        return (type(value), value.name)
    if isinstance(value, nn.Module) or not hasattr(value, "__dict__") or not depth:
        return id(value)
    return (type(value), frozen(vars(value), depth - 1))


@contextmanager
def failing(call: int) -> Iterator[None]:
    """While active, the given call of a module without children, counted over all of them, raises ``Interrupted``."""
    calls = 0

    def count(module: nn.Module, *_: object) -> None:
        nonlocal calls
        if not list(module.children()):
            calls += 1
            if calls == call:
                raise Interrupted

    handle = nn.modules.module.register_module_forward_hook(count)
    try:
        yield
    finally:
        handle.remove()


class Interrupted(RuntimeError):
    """What a forward pass dies of."""


def livened(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give convolutions and linear layers random weights with which signals neither fade away nor explode."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
    return model.eval()
