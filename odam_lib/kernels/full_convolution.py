"""Full convolution of small windows with kernels of 3x3: each output that any cell of a window has a part in."""

from functools import cache
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, pad

WIDE, MANY = 256, 16
"""Channels, and windows, from which fewer multiplications outweigh the additions that they are bought with."""
BLOCK = 64
"""Windows convolved at a time, so that what lies between the steps stays in a processor's cache."""
POINTS = {3: (0.0, 1.0, -1.0, 2.0), 4: (0.0, 1.0, -1.0, 2.0, -0.5)}
"""Where polynomials of so many coefficients times one of three are evaluated, besides infinity."""


def convolve_fully(windows: Tensor, kernel: Tensor) -> Tensor:
    """What ``conv_transpose2d`` makes of windows whose channels come last.

    Args:
        windows: ``Tensor[M, s, s, K]``.
        kernel: ``Tensor[K, C, 3, 3]``.

    Returns:
        ``Tensor[M, s + 2, s + 2, C]``.
    """
    wide = windows.device.type == "cpu" and windows.dtype == torch.float32 and min(kernel.shape[:2]) >= WIDE
    if not wide or len(windows) < MANY:
        return conv_transpose2d(windows.permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1)
    piece = min(POINTS, key=lambda piece: -(-windows.shape[1] // piece) * (piece + 2))
    at_kernel = _evaluations(piece)[1].to(kernel)
    weights = (at_kernel @ kernel.permute(2, 3, 0, 1).reshape(9, -1)).view(-1, *kernel.shape[:2])
    return torch.cat([_convolve_by_points(block, weights, piece) for block in windows.split(BLOCK)])


def _convolve_by_points(windows: Tensor, weights: Tensor, piece: int) -> Tensor:
    """By Toom's and Cook's products of polynomials (Winograd, 1980): a piece of n x n cells costs (n + 2)^2 products of
    channels, not 9 n^2.

    A convolution multiplies polynomials whose coefficients are the cells. Pieces of the windows and the kernel are
    evaluated at n + 2 points along each axis and multiplied there, channels by channels; from the products the
    coefficients are solved for. What neighbouring pieces send to the same cells is added up. ``weights`` are those of
    the kernel at each pair of points, ``[(n + 2)^2, K, C]``.
    """
    number, side, _, channels = windows.shape
    pieces, points = -(-side // piece), piece + 2
    at_piece, _, solve = (matrix.to(windows) for matrix in _evaluations(piece))
    beyond = pieces * piece - side
    cells = pad(windows, (0, 0, 0, beyond, 0, beyond)).view(number, pieces, piece, pieces, piece, channels)
    values = (at_piece @ cells.permute(2, 4, 0, 1, 3, 5).reshape(piece**2, -1)).view(points**2, -1, channels)
    sent = (
        (solve @ (values @ weights).flatten(1))
        .view(points, points, number, pieces, pieces, -1)
        .permute(2, 3, 0, 4, 1, 5)
    )
    total = sent.new_zeros((number, pieces + 1, piece, pieces + 1, piece, sent.shape[-1]))
    for down, right in product((0, 1), repeat=2):
        part = sent[:, :, piece * down : piece * (down + 1), :, piece * right : piece * (right + 1)]
        place = (slice(down, down + pieces), slice(part.shape[2]), slice(right, right + pieces), slice(part.shape[4]))
        total[:, *place] += part
    return total.flatten(3, 4).flatten(1, 2)[:, : side + 2, : side + 2]


@cache
def _evaluations(piece: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices from cells, row after row, to values at all pairs of points, and back to the coefficients of products.

    Returns:
        Of a piece ``[(n + 2)^2, n^2]``, of a kernel ``[(n + 2)^2, 9]``, and back ``[(n + 2)^2, (n + 2)^2]``.
    """

    def along(length: int) -> Tensor:
        powers = [[point**power for power in range(length)] for point in POINTS[piece]]
        return torch.tensor([*powers, [0.0] * (length - 1) + [1.0]], dtype=torch.float64)

    cells, kernel, back = along(piece), along(3), torch.linalg.inv(along(piece + 2))
    return torch.kron(cells, cells), torch.kron(kernel, kernel), torch.kron(back, back)
