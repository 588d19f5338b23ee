"""The paper's maps: smoothing, Eq. (2), normalisation and H_comb."""

from collections.abc import Callable

import torch
from torch import Tensor

RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "none": lambda values: values,
    "abs": torch.abs,
}


def heat_map(
    gradients: Tensor,
    activations: Tensor,
    sigma: Tensor | None = None,
    sign: str = "positive",
    rectify: str = "relu",
) -> Tensor:
    r"""Heat maps by Eq. (2), from gradients to maps.

    .. math:: H = \mathrm{ReLU}\Big(\sum_k \Phi\Big(\frac{\partial Y}{\partial A_k}\Big) \odot A_k\Big)

    Args:
        gradients: ``Tensor[N, ..., K, h, w]``, how N predictions' targets Y change with each activation.
        activations: ``Tensor[..., K, h, w]``, A, broadcast against the gradients.
        sigma: ``Tensor[N]``, the widths of Phi in feature cells; ``None`` for no smoothing, which equals HiResCAM.
        sign: ``positive``: what raises the target; ``negative``: what lowers it (Fig. 16).
        rectify: ``relu`` as in the paper, ``none`` or ``abs``.

    Returns:
        ``Tensor[N, ..., h, w]``, raw values.
    """
    weights = gradients if sigma is None else smooth(gradients, sigma)
    return apply_rectifier((weights * activations).sum(dim=-3), sign, rectify)


def apply_rectifier(influence: Tensor, sign: str = "positive", rectify: str = "relu") -> Tensor:
    """The rectifier of Eq. (2), applied to the sum over channels; sign and kind as of :func:`heat_map`."""
    return RECTIFIERS[rectify](influence if sign == "positive" else -influence)


def smooth(gradients: Tensor, sigma: Tensor) -> Tensor:
    """The local smoothing operation, Phi in Eq. (2): a Gaussian of its own width for each prediction.

    Args:
        gradients: ``Tensor[N, ..., K, h, w]``.
        sigma: ``Tensor[N]`` in feature cells.

    Returns:
        Same shape.
    """
    alone = (len(sigma),) + (1,) * (gradients.dim() - 4)
    rows = gaussian_matrix(gradients.shape[-2], sigma).unflatten(0, alone)
    columns = gaussian_matrix(gradients.shape[-1], sigma).unflatten(0, (*alone, 1))
    values = gradients.movedim(-3, -1)  # channels last, so that both products are of large matrices
    down = (rows @ values.flatten(-2)).unflatten(-1, values.shape[-2:])
    return (columns @ down).movedim(-1, -3)


def gaussian_matrix(length: int, sigma: Tensor, margin: int = 0) -> Tensor:
    """One-dimensional Gaussian smoothing as a matrix, one for each sigma.

    Zero padding: the kernel sums to one on an endless line and is not renormalised at the border.

    Args:
        length: number of cells.
        sigma: ``Tensor[N]`` of non-negative standard deviations in cells; 0 leaves the values as they are.
        margin: cells before and after them that smoothing may reach.

    Returns:
        ``Tensor[N, margin + length + margin, length]``.

    Raises:
        ValueError: a sigma is negative or NaN.
    """
    if not (sigma >= 0).all():
        raise ValueError(f"A sigma is {sigma[~(sigma >= 0)][0]:g}: give numbers of cells of at least 0.")
    width = sigma.clamp(min=1e-3)[:, None, None]
    reach = int(torch.ceil(6 * sigma.max()).item()) + 1 if len(sigma) else 1
    endless = torch.arange(-reach, reach + 1, dtype=sigma.dtype, device=sigma.device)
    cells = torch.arange(-margin, length + margin, dtype=sigma.dtype, device=sigma.device)
    total = torch.exp(-0.5 * (endless / width) ** 2).sum(dim=-1, keepdim=True)
    return torch.exp(-0.5 * ((cells[:, None] - cells[margin : margin + length]) / width) ** 2) / total


def adaptive_sigma(boxes: Tensor, cell: Tensor, share: float) -> Tensor:
    """A sigma proportional to the predicted object's short side.

    Args:
        boxes: ``Tensor[N, 4]``, (x1, y1, x2, y2) in image pixels.
        cell: ``Tensor[N, 2]``, width and height of a feature cell in image pixels.
        share: sigma divided by the short side.

    Returns:
        ``Tensor[N]`` in feature cells.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0) / cell
    return share * sides.amin(dim=1)


def min_max(maps: Tensor) -> Tensor:
    """Scale each map to [0, 1]; a map of zeros stays zero, another constant map becomes its sign's 0 or 1.

    Args:
        maps: ``Tensor[..., h, w]``.

    Returns:
        Same shape; each map's own minimum is 0 and its maximum is 1. A constant has no minimum to subtract:
        it is 1 everywhere if it is positive (a level of one single cell is such a map), else 0.
    """
    low = maps.amin(dim=(-2, -1), keepdim=True)
    high = maps.amax(dim=(-2, -1), keepdim=True)
    spread = high - low
    constant = spread == 0
    scaled = (maps - low) / torch.where(constant, torch.ones_like(spread), spread)
    return torch.where(constant, (maps > 0).to(maps.dtype), scaled)


def combine(maps: Tensor) -> Tensor:
    """H_comb of Sec. 4.1: the element-wise maximum over attributes, each min-max normalised first.

    Args:
        maps: ``Tensor[..., attributes, h, w]``.

    Returns:
        ``Tensor[..., h, w]`` in [0, 1].
    """
    return min_max(maps).amax(dim=-3)
