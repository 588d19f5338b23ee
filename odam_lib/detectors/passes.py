"""How a network is run so that nothing of it changes, and nothing of the caller's way of computing counts."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy, deepcopy
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = frozenset((str, int, float, bool, type(None)))
"""What needs no copy; most of what a module holds."""
CONTAINERS = frozenset((dict, OrderedDict, list, deque))


def find_accelerator() -> torch.device | None:
    """The accelerator that this machine has; asked in the way that PyTorch 2.6 takes too, which raises for none."""
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


@contextmanager
def record_gradients() -> Iterator[None]:
    """While active, gradients are recorded and numbers keep their precision, whatever the caller is within:
    ``torch.no_grad``, ``torch.inference_mode``, ``torch.autocast``. It decorates functions too."""
    kinds = {"cpu"}
    if (accelerator := find_accelerator()) is not None:
        kinds.add(accelerator.type)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in kinds:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def leave_inference(tensor: Tensor) -> Tensor:
    """The tensor itself, or a copy that may take part in gradients where it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def make_twin(network: nn.Module) -> nn.Module:
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
            if not made:
                return made
            for key, one in value.items() if isinstance(value, dict) else enumerate(value):
                made[key] = self.of(one)
            return made
        if isinstance(value, nn.Parameter):
            return nn.Parameter(leave_inference(value.detach()), requires_grad=False)
        if isinstance(value, Tensor):
            return value.detach().clone()
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
        held = made.__dict__
        for name, value in vars(module).items():
            held[name] = value if type(value) in PLAIN else self.of(value)
        made.training = False
        made._compiled_call_impl = None
        return made

    def _of_function(self, function: FunctionType) -> FunctionType:
        """A function that holds modules, as a forward pass that was put in the place of a module's own may."""
        cells = [_read_cell(cell) for cell in function.__closure__ or ()]
        kinds = (nn.Module, MethodType, FunctionType, partial)
        ours = [self.of(content) if isinstance(content, kinds) else content for content in cells]
        if all(one is content for one, content in zip(ours, cells)):
            return function
        closure = tuple(CellType(one) for one in ours)
        made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, closure)
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__.update(function.__dict__)
        return made


def _read_cell(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None
