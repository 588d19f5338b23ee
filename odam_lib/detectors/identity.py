"""Which weights a network has and which picture it saw: explanations go with what made them."""

import hashlib
from collections import OrderedDict
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
    sketches = [_sketch(value.detach()) for value in tensors.values()]
    values = torch.stack([one.to(sketches[0].device) for one in sketches]).tolist() if sketches else []
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


def _sketch(value: Tensor) -> Tensor:
    """Two numbers of a tensor: its norm, and a sum in which each place counts differently."""
    flat = (torch.view_as_real(value) if value.is_complex() else value).flatten()
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32)) if flat.is_floating_point() else flat.double()
    width = max(1, isqrt(flat.numel()))
    square = flat[: flat.numel() // width * width].unflatten(0, (-1, width))
    across, down = (torch.linspace(1, 2, side, dtype=flat.dtype, device=flat.device) for side in square.shape[::-1])
    placed = (square @ across) @ down - flat[square.numel() :].sum()
    return torch.stack([torch.linalg.vector_norm(flat), placed]).double()


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
