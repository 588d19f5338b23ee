"""Arguments are refused before any work, in one sentence: what was given, and what to give.

A wrong kind of thing is a ``TypeError``, a wrong value a ``ValueError``, a row that is not there an ``IndexError``.
NumPy's numbers and tensors of one number count as numbers; a bool never does.
"""

from collections.abc import Sequence
from math import inf
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

Rows = int | np.integer | slice | Sequence[int] | Sequence[bool] | np.ndarray | Tensor
"""What :func:`rows` understands."""

_KINDS = {"numbers": "a tensor", "float": "a float tensor", "int": "an int tensor", "bool": "a bool tensor"}


def told(value: object) -> str:
    """What was given, in few words that follow an "is"."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim:
        what = "tensor" if isinstance(value, Tensor) else "NumPy array"
        return f"a {what} of {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, list(value)[:5])) or 'nothing'}"
    plain = (str, bytes, bool, Real, np.generic, np.ndarray, Tensor, type(None), type(...))
    alike = value if isinstance(value, (list, tuple, set)) else (value,)
    if all(isinstance(one, plain) and getattr(one, "ndim", 0) == 0 for one in alike):
        text = repr(value.item() if isinstance(value, np.generic) else value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, (list, tuple, set)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"an object of type {type(value).__name__}"


def kind(name: str, value: object, kinds: type | tuple[type, ...], give: str) -> None:
    """Raise ``TypeError`` unless a value is of one of these types; ``give`` says what to give instead."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name} {_are(name)} {told(value)}: give {give}.")


def number(name: str, value: Any, interval: str = "(-inf, inf)", otherwise: str = "") -> Any:
    """A number as Python's own.

    Args:
        name: that the sentence begins with.
        value: the number; a NumPy number or a tensor without dimensions too.
        interval: where it must lie, such as ``"(0, 1]"``.
        otherwise: what else the caller takes, for the sentence, such as ``", or None"``.

    Raises:
        TypeError: not a number.
        ValueError: it lies outside, or is NaN.
    """
    plain = _plain(value)
    low, high = (float(end) for end in interval[1:-1].split(","))
    give = {(0.0, inf): "a positive number" if interval[0] == "(" else "a number of at least 0"}.get((low, high))
    give = give or ("a finite number" if low == -inf else f"a number in {interval}")
    if not _is_real(plain):
        raise TypeError(f"{name} is {told(value)}: give {give}{otherwise}.")
    above = plain > low if interval[0] == "(" else plain >= low
    below = plain < high if interval[-1] == ")" else plain <= high
    if not (above and below):
        raise ValueError(f"{name} is {plain}: give {give}{otherwise}.")
    return plain


def count(name: str, value: Any, least: int | None = 1, otherwise: str = "") -> int:
    """A whole number of at least ``least`` as an ``int``; ``None`` for no bound; else as :func:`number`."""
    plain, give = _plain(value), "a whole number" + ("" if least is None else f" of at least {least}")
    if not _is_whole(plain):
        raise TypeError(f"{name} is {told(value)}: give {give}{otherwise}.")
    if least is not None and plain < least:
        raise ValueError(f"{name} is {plain}: give {give}{otherwise}.")
    return plain


def choice(name: str, value: object, choices: Sequence[str], otherwise: str = "") -> None:
    """Raise ``TypeError`` unless a value is a string, and ``ValueError`` unless it is one of those."""
    listed = ", ".join(map(repr, choices))
    if not isinstance(value, str):
        raise TypeError(f"{name} is {told(value)}: give one of {listed}{otherwise}.")
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: give one of {listed}{otherwise}.")


def names(name: str, value: Any) -> tuple[str, ...]:
    """Several strings. One alone would be read letter by letter.

    Raises:
        TypeError: one string, or something else than strings.
    """
    if isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, one string: give a tuple, ({value!r},).")
    listed = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (None,)
    if wrong := [one for one in listed if not isinstance(one, str)]:
        given = told(value) if wrong == [None] else f"{told(value)}, of which one is {told(wrong[0])}"
        raise TypeError(f"{name} is {given}: give a tuple of strings.")
    return listed


def size(name: str, value: Any) -> tuple[int, int]:
    """(height, width) as two positive ``int``.

    Raises:
        TypeError: not two whole numbers.
        ValueError: one is not positive.
    """
    sides = [_plain(side) for side in value] if isinstance(value, (Sequence, np.ndarray, Tensor)) else []
    if len(sides) != 2 or not all(map(_is_whole, sides)):
        raise TypeError(f"{name} is {told(value)}: give (height, width), two whole numbers of at least 1.")
    if min(sides) < 1:
        raise ValueError(f"{name} is {tuple(sides)}: give (height, width), two whole numbers of at least 1.")
    return sides[0], sides[1]


def tensor(name: str, value: Any, shape: str, kind: str = "numbers") -> Tensor:
    """A tensor of a kind and shape; it is returned as it is.

    Args:
        name: of the argument.
        value: the tensor.
        shape: such as ``"[N, 4]"``: numbers must agree, letters stand for any, ``...`` for any number of dimensions.
        kind: ``numbers`` (of any kind), ``float``, ``int`` or ``bool``.

    Raises:
        TypeError: not a tensor, or one of another kind.
        ValueError: another shape.
    """
    name, give = f"The {name}", f"give {_KINDS[kind]} {shape}"
    if not isinstance(value, Tensor):
        hint = ", as torch.as_tensor makes" if isinstance(value, (np.ndarray, list, tuple)) else ""
        raise TypeError(f"{name} {_are(name)} {told(value)}: {give}{hint}.")
    if _kind_of(value.dtype) not in ({"int", "float"} if kind == "numbers" else {kind}):
        raise TypeError(f"{name} {_are(name)} {told(value)}: {give}.")
    wanted, found = [side.strip() for side in shape[1:-1].split(",")], list(value.shape)
    if "..." in wanted:
        before, after = wanted.index("..."), len(wanted) - 1 - wanted.index("...")
        wanted.remove("...")
        found = found[:before] + found[max(before, len(found) - after) :]
    if len(wanted) != len(found) or any(side.isdigit() and int(side) != at for side, at in zip(wanted, found)):
        raise ValueError(f"{name} {'have' if _are(name) == 'are' else 'has'} shape {list(value.shape)}: {give}.")
    return value


def rows(chosen: Rows, number: int, what: str = "Detection") -> Tensor:
    """The rows that somebody chose, as Python and NumPy would read it.

    Args:
        chosen: a row, counted from 0 or, negative, from the end: an ``int``, a NumPy integer or an integer tensor
            without dimensions; a slice; a sequence, array or tensor of rows; or a mask, a bool for each row.
        number: how many rows there are.
        what: they are, for the sentences.

    Returns:
        ``Tensor[R]``, int64, each from 0 to number - 1, in the given order; on the device of a tensor that was given.

    Raises:
        TypeError: no rows: a bool alone, floats, strings, ``None``.
        IndexError: a row that does not exist, a mask of another length, or of several dimensions.
    """
    plain = _plain(chosen)
    if _is_whole(plain):
        if not -number <= plain < number:
            raise IndexError(f"{what} {plain} does not exist: there are {number}, counted from 0.")
        return torch.tensor([plain % number])
    if isinstance(chosen, slice):
        try:
            return torch.tensor(range(number)[chosen], dtype=torch.int64)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"The {what.lower()}s are chosen by {chosen}: give a slice of whole numbers, its step not 0."
            ) from error
    picked = _as_rows(chosen)
    if picked is None:
        raise TypeError(
            f"The {what.lower()}s are chosen by {told(chosen)}: give a whole number, a slice, a list of whole numbers, "
            f"or a mask of {number} bools."
        )
    if picked.dim() != 1:
        raise IndexError(f"The {what.lower()}s are chosen by {told(chosen)}: give rows in one dimension, [R].")
    if picked.dtype == torch.bool:
        if len(picked) != number:
            raise IndexError(
                f"The mask has {len(picked)} bools, there are {number} {what.lower()}s: give one for each."
            )
        return torch.nonzero(picked).flatten()
    picked = picked.long()
    if len(wrong := picked[(picked < -number) | (picked >= number)]):
        raise IndexError(f"{what} {int(wrong[0])} does not exist: there are {number}, counted from 0.")
    return torch.where(picked < 0, picked + number, picked)


def row(chosen: int | np.integer | Tensor, number: int, what: str = "Detection") -> int:
    """One row, from 0 to number - 1; see :func:`rows`.

    Raises:
        TypeError: not one whole number.
        IndexError: it does not exist.
    """
    if not _is_whole(_plain(chosen)):
        raise TypeError(f"The {what.lower()} is chosen by {told(chosen)}: give one row, a whole number.")
    return int(rows(chosen, number, what)[0])


def _as_rows(chosen: Any) -> Tensor | None:
    """A tensor of whole numbers or of bools; ``None`` if it is neither."""
    listed = isinstance(chosen, Sequence) and not isinstance(chosen, (str, bytes))
    if not listed and not hasattr(chosen, "__array__"):
        return None
    plain = [_plain(one) for one in chosen] if listed else chosen  # PyTorch 2.6 takes no bools of NumPy's
    if listed and len({isinstance(one, bool) for one in plain}) > 1:  # True among numbers would be row 1
        return None
    try:
        # A copy of what is NumPy's: PyTorch takes no reversed array.
        picked = torch.as_tensor(plain if listed or isinstance(chosen, Tensor) else np.array(chosen))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
    if picked.layout != torch.strided or picked.is_meta:
        return None
    if picked.dim() and not picked.numel() and picked.dtype != torch.bool:  # of nothing the kind does not matter
        return picked.long()
    return picked if _kind_of(picked.dtype) == "int" or (_kind_of(picked.dtype) == "bool" and picked.dim()) else None


def _is_real(plain: object) -> bool:
    return isinstance(plain, Real) and not isinstance(plain, bool)


def _is_whole(plain: object) -> bool:
    return isinstance(plain, int) and not isinstance(plain, bool)


def _plain(value: Any) -> Any:
    """A number of NumPy or PyTorch as Python's own; anything else as it is."""
    return value.item() if isinstance(value, (np.generic, np.ndarray, Tensor)) and value.ndim == 0 else value


def _are(name: str) -> str:
    """The verb after "The boxes" or "The image"; the bare name of an argument is one name, whatever it ends in."""
    return "are" if name.startswith("The ") and name.endswith("s") else "is"


def _kind_of(dtype: torch.dtype) -> str:
    if dtype == torch.bool:
        return "bool"
    if dtype.is_complex:
        return "complex"
    return "float" if dtype.is_floating_point else "int"
