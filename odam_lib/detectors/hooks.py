"""A network's modules: which they are, and hooks that record what they return or cut it from what made it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def is_named(model: nn.Module, package: str, *classes: str) -> bool:
    """Whether a model's class, or a base of it, has one of these names in a package; nothing is imported."""
    kinds = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(model).__mro__]
    return any(where == package and kind in classes for where, kind in kinds)


def find_path(module: nn.Module, network: nn.Module) -> str:
    """Where a module is in a network, as of ``get_submodule``."""
    return next(path for path, one in network.named_modules() if one is module)


@contextmanager
def detach_output(module: nn.Module) -> Iterator[list[Tensor]]:
    """While active, what ``module`` returns is cut from what made it, so that gradients stop there.

    Yields:
        A list that holds, after the forward pass, the module's output tensors as leaves that require a gradient.
    """
    captured: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        captured.append(tensor.detach().requires_grad_())
        return captured[-1]

    def cut(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return leaf(output)
        return type(output)((name, leaf(tensor)) for name, tensor in output.items())

    handle = module.register_forward_hook(cut)
    try:
        yield captured
    finally:
        handle.remove()


@contextmanager
def observe_method(owner: nn.Module, method: str, see: Callable[..., None]) -> Iterator[None]:
    """While active, ``see`` is called with what a method of a module returned, followed by its arguments."""
    original = getattr(owner, method)

    def call(*arguments: Any) -> Any:
        returned = original(*arguments)
        see(returned, *arguments)
        return returned

    setattr(owner, method, call)
    try:
        yield
    finally:
        delattr(owner, method)


@contextmanager
def record_outputs(module: nn.Module) -> Iterator[list[Any]]:
    """While active, what ``module`` returns is appended to the list that this yields."""
    returned: list[Any] = []
    handle = module.register_forward_hook(lambda _, __, output: returned.append(output))
    try:
        yield returned
    finally:
        handle.remove()
