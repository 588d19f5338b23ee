"""Per-prediction gradients: how each target changes with each feature (Sec. 3.1, the partial derivatives)."""

import torch
from torch import Tensor


def exact(targets: Tensor, features: Tensor) -> Tensor:
    """The gradient of every target with respect to the whole feature map, all targets in one backward pass.

    Args:
        targets: ``Tensor[N]``, differentiable with respect to ``features``; one scalar a prediction.
        features: ``Tensor[1, K, h, w]`` that requires a gradient.

    Returns:
        ``Tensor[N, K, h, w]``: what N calls of ``torch.autograd.grad`` would return.

    Raises:
        UnconnectedTargetError: no target depends on the features.
    """
    if len(targets) == 0:
        return features.new_zeros((0, *features.shape[1:]))
    if not targets.requires_grad:
        raise UnconnectedTargetError("The targets have no gradient graph.")
    one_hot = torch.eye(len(targets), dtype=targets.dtype, device=targets.device)
    (gradients,) = torch.autograd.grad(
        targets, features, one_hot, retain_graph=True, is_grads_batched=True, allow_unused=True
    )
    if gradients is None:
        raise UnconnectedTargetError("The targets do not depend on these features.")
    return gradients.squeeze(1)


class UnconnectedTargetError(ValueError):
    """A target does not depend on the layer at which it was to be explained."""
