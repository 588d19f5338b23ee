"""Which weights a network has and which picture it saw: explanations go with what made them."""

import hashlib
from collections import OrderedDict
from functools import lru_cache
from math import isfinite, isqrt

import torch
from torch import Tensor, nn

REMEMBERED = 64
"""The hashes of so many states of weights are kept."""


_hashes: OrderedDict[tuple[object, ...], str] = OrderedDict()


def hash_weights(network: nn.Module) -> str:
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
    values = _read([_sketch(value.detach()) for value in tensors.values()])
    for name, (norm, _) in zip(tensors, values):
        if isfinite(norm):
            continue
        masked = name in buffers and not name.endswith(("running_mean", "running_var"))  # minus infinity hides a place
        if tensors[name].isnan().any() or not (masked or tensors[name].isfinite().all()):
            raise ValueError(
                f"The network's weights are spoiled: {name} holds numbers that are not finite, as after a training "
                "that diverged. Load weights that are sound."
            )
    versions = (0 if one.is_inference() else one._version for one in parameters.values())
    key = (*tensors, *map(tuple, values), *versions)
    found = _hashes.get(key)
    if found is None:
        found = _hashes[key] = _hash(tensors)
        while len(_hashes) > REMEMBERED:
            _hashes.popitem(last=False)
    return found


def _read(sketches: list[tuple[Tensor, Tensor]]) -> list[list[float]]:
    """All of them as numbers, waiting for each device once."""
    by_kind: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, (norm, _) in enumerate(sketches):
        by_kind.setdefault((norm.device, norm.dtype), []).append(place)
    values: list[list[float]] = [[] for _ in sketches]
    for places in by_kind.values():
        norms, placed = (torch.stack([sketches[place][which] for place in places]) for which in (0, 1))
        for place, value in zip(places, torch.stack([norms, placed], dim=1).tolist()):
            values[place] = value
    return values


def _sketch(value: Tensor) -> tuple[Tensor, Tensor]:
    """Two numbers of a tensor: its norm, and a sum in which each place counts differently."""
    flat = (torch.view_as_real(value) if value.is_complex() else value).flatten()
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32)) if flat.is_floating_point() else flat.double()
    width = max(1, isqrt(flat.numel()))
    height, beyond = divmod(flat.numel(), width)
    square = flat[: height * width].view(height, width)
    placed = square @ _ramp(width, flat.dtype, flat.device) @ _ramp(height, flat.dtype, flat.device)
    return torch.linalg.vector_norm(flat), placed - flat[-beyond:].sum() if beyond else placed


@lru_cache(maxsize=1024)
def _ramp(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """From 1 to 2: made once, since an accelerator waits for each operator."""
    with torch.inference_mode(False):
        return torch.linspace(1, 2, side, dtype=dtype, device=device)


def _hash(tensors: dict[str, Tensor]) -> str:
    whole = hashlib.blake2b(digest_size=4)
    for name, value in tensors.items():
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def hash_image(image: Tensor) -> str:
    """What tells the pixels of one image from those of another."""
    pixels = image.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.blake2b(pixels.data, digest_size=6).hexdigest()
