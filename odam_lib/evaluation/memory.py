"""Out of memory: the same work in smaller batches."""

import gc
import operator
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch

T = TypeVar("T")
FIRST_CHUNK = 8
"""Maps made at a time once as many as seemed to fit did not."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory is full, on an accelerator or here."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def release_memory() -> None:
    """Give back what PyTorch keeps of an accelerator's memory without using it."""
    gc.collect()
    torch.cuda.empty_cache()  # which does nothing where CUDA is not used


def halve(part: T) -> T:
    """A method or judge that takes half as much at a time, which changes no number; itself if it takes one already.

    Args:
        part: a dataclass whose field ``batch`` or ``chunk`` says how much it takes, or that of one of its fields. Of
            several, in a mapping or a tuple, each is halved.
    """
    if isinstance(part, Mapping):
        smaller = {name: halve(one) for name, one in part.items()}
        return smaller if any(smaller[name] is not one for name, one in part.items()) else part  # type: ignore[return-value]
    if isinstance(part, tuple):
        each = tuple(map(halve, part))
        return each if any(map(operator.is_not, each, part)) else part  # type: ignore[return-value]
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name == "batch" and value > 1:
            changes["batch"] = value // 2
        elif field.name == "chunk" and value != 1:
            changes["chunk"] = FIRST_CHUNK if value is None else value // 2
        elif is_dataclass(value) and (smaller_value := halve(value)) is not value:
            changes[field.name] = smaller_value
    return replace(part, **changes) if changes else part
