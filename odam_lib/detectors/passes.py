"""How a network is run so that nothing of it changes, and nothing of the caller's way of computing counts."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy, deepcopy
from functools import partial
from math import isfinite, isqrt
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (str, int, float, bool, type(None))
"""What needs no copy; most of what a module holds."""
CONTAINERS = (dict, OrderedDict, list, deque)
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
    into them. Its parameters are the network's numbers without a gradient; its buffers and other tensors, which a pass
    may change in place, are copies. A compiled module is taken as it was written, since compiled code calls no hooks.
    """
    return _Twins().of(network)


class _Twins:
    """Copies of values of which each module, each tensor and each container is copied once."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if type(value) in PLAIN:
            return value
        if id(value) not in self._made:
            copied = self._copied(value)
            if copied is value:
                return value
            self._made[id(value)] = copied
        return self._made[id(value)]

    def _copied(self, value: Any) -> Any:
        if isinstance(value, (dict, list, deque)):
            # Before what is in it, which may hold it again; copy() is slow and a module has a dozen of these.
            made = self._made[id(value)] = value.copy() if type(value) in CONTAINERS else copy(value)
            for key, one in value.items() if isinstance(value, dict) else enumerate(value):
                made[key] = self.of(one)
            return made
        if isinstance(value, Tensor):
            return _weights(value) if isinstance(value, nn.Parameter) else value.detach().clone()
        if isinstance(value, torch.jit.ScriptModule):
            return deepcopy(value).eval()
        if isinstance(value, nn.Module):
            return self._of_module(value)
        if isinstance(value, tuple):
            parts = [self.of(one) for one in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        if isinstance(value, np.ndarray):
            return value.copy()
        if isinstance(value, MethodType):
            owner = self.of(value.__self__)
            return value if owner is value.__self__ else MethodType(value.__func__, owner)
        if isinstance(value, partial):
            return partial(self.of(value.func), *map(self.of, value.args), **self.of(value.keywords))
        if isinstance(value, FunctionType):
            return self._of_function(value)
        held = vars(value) if hasattr(value, "__dict__") and not isinstance(value, type | ModuleType) else {}
        if any(isinstance(one, nn.Module) for one in held.values()):
            made = self._made[id(value)] = copy(value)
            made.__dict__.update({name: self.of(one) for name, one in held.items() if isinstance(one, nn.Module)})
            return made
        return value

    def _of_module(self, module: nn.Module) -> nn.Module:
        compiled = vars(module)["_modules"].get("_orig_mod")
        if compiled is not None:
            return self.of(compiled)
        made = self._made[id(module)] = object.__new__(type(module))
        for name, value in vars(module).items():
            made.__dict__[name] = self.of(value)
        made.training = False
        made._compiled_call_impl = None  # type: ignore[assignment]
        return made

    def _of_function(self, function: FunctionType) -> FunctionType:
        """A function that holds modules, as a forward pass that was put in the place of a module's own may."""
        cells = [_content(cell) for cell in function.__closure__ or ()]
        kinds = (nn.Module, MethodType, FunctionType, partial)
        ours = [self.of(content) if isinstance(content, kinds) else content for content in cells]
        if all(one is content for one, content in zip(ours, cells)):
            return function
        closure = tuple(CellType(one) for one in ours)
        made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, closure)
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__.update(function.__dict__)
        return made


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def path_of(module: nn.Module, network: nn.Module) -> str:
    """Where a module is in a network, as of ``get_submodule``."""
    return next(path for path, one in network.named_modules() if one is module)


def _weights(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(ordinary(parameter.detach()), requires_grad=False)


_hashes: OrderedDict[tuple[object, ...], str] = OrderedDict()


def weights_hash(network: nn.Module) -> str:
    """What tells one set of weights from another: all parameters and buffers, with their names and number formats.

    The hash is made anew only where a parameter's version or what can be seen of a tensor at a glance is not as before:
    what is written to ``parameter.data`` changes no version.

    Raises:
        ValueError: there are no weights, or some are not finite; names them.
    """
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    tensors = parameters | buffers
    if any(value.is_meta for value in tensors.values()):
        raise ValueError("The network is on the device meta, where it has no weights: load them first.")
    sketches = [_sketch(value.detach()) for value in tensors.values()]
    values = torch.stack([one.to(sketches[0].device) for one in sketches]).tolist() if sketches else []
    for name, (norm, _) in zip(tensors, values):
        if not isfinite(norm):
            _refuse_spoiled(name, tensors[name], name in buffers)
    versions = (0 if one.is_inference() else one._version for one in parameters.values())
    key = (*tensors, *map(tuple, values), *versions)
    found = _hashes.get(key)
    if found is None:
        found = _hashes[key] = _hash(tensors)
        while len(_hashes) > REMEMBERED:
            _hashes.popitem(last=False)
    return found


def _sketch(value: Tensor) -> Tensor:
    """Two numbers of a tensor: its norm, and a sum in which each place counts differently."""
    flat = (torch.view_as_real(value) if value.is_complex() else value).flatten()
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32)) if flat.is_floating_point() else flat.double()
    width = max(1, isqrt(flat.numel()))
    square = flat[: flat.numel() // width * width].unflatten(0, (-1, width))
    across, down = (torch.linspace(1, 2, side, dtype=flat.dtype, device=flat.device) for side in square.shape[::-1])
    placed = (square @ across) @ down - flat[square.numel() :].sum()
    return torch.stack([torch.linalg.vector_norm(flat), placed]).double()


def _refuse_spoiled(name: str, value: Tensor, is_buffer: bool) -> None:
    masked = is_buffer and not name.endswith(("running_mean", "running_var"))  # minus infinity hides a place
    if value.isnan().any() or not (masked or value.isfinite().all()):
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
