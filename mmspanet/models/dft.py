r"""Real Fourier transforms as products with constant matrices.

On maps of one size the transform is linear with constant coefficients, so it is a product with a
constant matrix per axis. With the real and imaginary parts side by side, X = [Re, Im], and N
points of an axis:

- real DFT along the width (``rfft``): ``u @ F``, F of shape (W, 2K), K = W // 2 + 1, with the
  columns cos(2 pi x k / W) and -sin(2 pi x k / W), over sqrt(W);
- complex DFT along the height (``fft``), the parts stacked: ``D @ X`` with
  D = [[C, S], [-S, C]] / sqrt(H), C and S the cosines and sines. D is orthogonal, so the
  inverse is its transpose;
- back along the width (``irfft``): ``X @ G``, G = diag(w) F^T, where w counts each frequency:
  1 for those that are their own mirror image (0 and, of an even W, W / 2), else 2.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST_COPIES = 2**23  # bytes of the copies of a matrix


def real_dft(size: int) -> Tensor:
    """The matrix F of the module's text, (size, 2 * (size // 2 + 1)), float32."""
    angles = _angles(size)[:, : size // 2 + 1]
    return (torch.cat([angles.cos(), -angles.sin()], dim=1) / math.sqrt(size)).float()


def inverse_real_dft(size: int) -> Tensor:
    """The matrix G of the module's text, (2 * (size // 2 + 1), size), float32."""
    counts = torch.full((size // 2 + 1,), 2.0)
    counts[0] = 1
    if size % 2 == 0:
        counts[-1] = 1
    return torch.cat([counts, counts])[:, None] * real_dft(size).T


def complex_dft(size: int) -> Tensor:
    """The matrix D of the module's text, (2 * size, 2 * size), float32."""
    cos, sin = _angles(size).cos(), _angles(size).sin()
    stacked = torch.cat([torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)])
    return (stacked / math.sqrt(size)).float()


def _angles(size: int) -> Tensor:
    """2 pi x k / size, reduced to one turn before it is multiplied: (size, size), float64."""
    points = torch.arange(size)
    return torch.outer(points, points).remainder(size).double() * (2 * math.pi / size)


class MapMatrices(NamedTuple):
    """The four products for channels-last maps, where the matrix stands on the left.

    Behind the first product each row of a map holds its real, then its imaginary parts, so the
    complex one takes (row, part) for its index instead of (part, row): nothing is moved.
    """

    along_width: Tensor
    along_height: Tensor
    back_along_height: Tensor
    back_along_width: Tensor


@lru_cache(maxsize=16)
def map_matrices(
    height: int, width: int, dtype: torch.dtype = torch.float32, rows: int = 1
) -> MapMatrices:
    """The matrices for maps of one size, on the CPU.

    Args:
        height: Height of the maps.
        width: Width of the maps.
        dtype: Type of the matrices.
        rows: How often the matrices along the width are repeated: a product with a batch of rows
            needs one each, and PyTorch copies it at every call otherwise.
    """
    with torch.inference_mode(False):
        order = torch.arange(2 * height).view(2, height).T.flatten()
        along_height = complex_dft(height)[order][:, order].contiguous()
        matrices = (
            real_dft(width).T.expand(rows, -1, -1),
            along_height,
            along_height.T,
            inverse_real_dft(width).T.expand(rows, -1, -1),
        )
        return MapMatrices(*(matrix.to(dtype).contiguous() for matrix in matrices))


def filter_maps(u: Tensor, gain: Tensor) -> Tensor:
    """Multiply the spectra of maps by a gain, in channels-last memory throughout.

    Args:
        u: Maps (B, H, W, C), float32 or bfloat16, on the CPU. In bfloat16 the sums of the products
            are float32, and what is written between them is rounded.
        gain: Gain of each frequency and channel, (H, 1, W // 2 + 1, C), of the type of ``u``.

    Returns:
        Maps of the shape of ``u``.
    """
    batch, height, width, channels = u.shape
    half = gain.shape[2]
    copies = max(1, LARGEST_COPIES // (2 * half * width * u.element_size()))
    matrices = map_matrices(height, width, u.dtype, min(copies, batch * height))
    rows = _along_width(matrices.along_width, u).view(batch, 2 * height, half * channels)
    spectrum = matrices.along_height @ rows
    spectrum.view(batch, height, 2, half, channels).mul_(gain)
    rows = (matrices.back_along_height @ spectrum).view(batch, height, 2 * half, channels)
    return _along_width(matrices.back_along_width, rows)


def _along_width(matrices: Tensor, maps: Tensor) -> Tensor:
    """The products of equal matrices (rows, M, W) with maps (B, H, W, C): (B, H, M, C)."""
    parts = [
        torch.bmm(matrices[: len(part)], part) for part in maps.flatten(0, 1).split(len(matrices))
    ]
    product = parts[0] if len(parts) == 1 else torch.cat(parts)
    return product.unflatten(0, maps.shape[:2])
