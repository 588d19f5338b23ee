"""How a network is run so that nothing of it changes, and nothing of the caller's way of computing counts."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import partial
from math import isfinite
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

REMEMBERED = 64
"""The hashes of so many states of weights are kept."""


@contextmanager
def apart() -> Iterator[None]:
    """While active, gradients are recorded and numbers keep their precision, whatever the caller is within:
    ``torch.no_grad``, ``torch.inference_mode``, ``torch.autocast``. It decorates functions too."""
    kinds = {"cpu"}
    if (accelerator := torch.accelerator.current_accelerator()) is not None:
        kinds.add(accelerator.type)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in kinds:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that may take part in gradients where it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def twin(network: nn.Module) -> nn.Module:
    """A copy of a network that shares its weights: what happens to the copy, the network does not notice.

    All of the copy's modules are in evaluation mode, take hooks of their own, and keep to themselves what a pass writes
    into them. Its parameters are the network's numbers without a gradient; its buffers, which a pass may change in
    place, are copies. A compiled module is taken as it was written, since compiled code calls no hooks.
    """
    return _Twins().of(network)


class _Twins:
    """Copies of values of which each module is copied once."""

    def __init__(self) -> None:
        self._made: dict[int, nn.Module] = {}

    def of(self, value: Any) -> Any:
        if isinstance(value, nn.Module):
            return self._of_module(vars(value)["_modules"].get("_orig_mod", value))
        if isinstance(value, dict):
            made = copy(value)
            made.update({key: self.of(one) for key, one in value.items()})
            return made
        if type(value) in (list, tuple):
            return type(value)(map(self.of, value))
        if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            return MethodType(value.__func__, self.of(value.__self__))
        if isinstance(value, partial):
            return partial(self.of(value.func), *map(self.of, value.args), **self.of(value.keywords))
        return value

    def _of_module(self, module: nn.Module) -> nn.Module:
        if id(module) not in self._made:
            made = self._made[id(module)] = object.__new__(type(module))
            for name, value in vars(module).items():
                if name == "_parameters":
                    copied: Any = {key: value if value is None else _weights(value) for key, value in value.items()}
                elif name == "_buffers":
                    copied = {key: value if value is None else value.detach().clone() for key, value in value.items()}
                else:
                    copied = self.of(value)
                made.__dict__[name] = copied
            made.training = False
            made._compiled_call_impl = None  # type: ignore[assignment]
        return self._made[id(module)]


def path_of(module: nn.Module, network: nn.Module) -> str:
    """Where a module is in a network, as of ``get_submodule``."""
    return next(path for path, one in network.named_modules() if one is module)


def _weights(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(ordinary(parameter.detach()), requires_grad=False)


_hashes: OrderedDict[tuple[object, ...], str] = OrderedDict()


def weights_hash(network: nn.Module) -> str:
    """What tells one set of weights from another: all parameters and buffers, with their names and number formats.

    The hash is made anew only where a tensor has another norm, place or version than before: what is written to
    ``parameter.data`` changes no version.

    Raises:
        ValueError: a parameter is not finite, or a buffer holds NaN; names it.
    """
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    tensors = parameters | buffers
    norms = [_norm(value.detach()) for value in tensors.values()]
    values = torch.stack([norm.to(norms[0].device) for norm in norms]).tolist() if norms else []
    for name, value in zip(tensors, values):
        if not isfinite(value):
            _refuse_spoiled(name, parameters.get(name), buffers.get(name))
    places = ((name, one.data_ptr(), 0 if one.is_inference() else one._version) for name, one in parameters.items())
    key = (*tensors, *values, *places)
    found = _hashes.get(key)
    if found is None:
        found = _hashes[key] = _hash(tensors)
        while len(_hashes) > REMEMBERED:
            _hashes.popitem(last=False)
    return found


def _norm(value: Tensor) -> Tensor:
    value = value if value.is_floating_point() else value.double()
    return torch.linalg.vector_norm(value, dtype=torch.promote_types(value.dtype, torch.float32)).double()


def _refuse_spoiled(name: str, parameter: Tensor | None, buffer: Tensor | None) -> None:
    if (parameter is not None and not parameter.isfinite().all()) or (buffer is not None and buffer.isnan().any()):
        raise ValueError(
            f"The network's weights are spoiled: {name} holds numbers that are not finite, as after a training that "
            "diverged. Load weights that are sound."
        )


def _hash(tensors: dict[str, Tensor]) -> str:
    whole = hashlib.blake2b(digest_size=4)
    for name, value in tensors.items():
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return whole.hexdigest()


@contextmanager
def leaves(module: nn.Module) -> Iterator[list[Tensor]]:
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
def observed(owner: nn.Module, method: str, see: Callable[..., None]) -> Iterator[None]:
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
def outputs_of(module: nn.Module) -> Iterator[list[Any]]:
    """While active, what ``module`` returns is appended to the list that this yields."""
    returned: list[Any] = []
    handle = module.register_forward_hook(lambda _, __, output: returned.append(output))
    try:
        yield returned
    finally:
        handle.remove()
