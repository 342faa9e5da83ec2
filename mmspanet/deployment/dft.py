r"""The spectral re-scaling filter as products with constant matrices, for graphs without an FFT.

Every product stands on the left of maps in channels-last memory, which is what the layers beside it
read and write. With N = n1 n2 points of an axis, n = n2 m1 + m2 the position and k = k1 + n1 k2 the
frequency,

    exp(-2 pi i n k / N) = exp(-2 pi i m1 k1 / n1) exp(-2 pi i m2 k / N)

so that the transform of an axis is a product of n1 points and then, for each k1, one of n2 points:
N (n1 + n2) operations instead of N^2, and no copy between them. The height comes first, from real
maps, of which half of the frequencies k1 are enough; the width is complex.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from mmspanet.models.deploy import FixedSRF
from mmspanet.models.srf import SpectralRescalingFilter, even

# Measured with OpenVINO, see benchmarks/README.md: in float32 the factors are faster from 50 points
# on, by less than the product is in bfloat16 up to 76.
LARGEST_DENSE = 80  # points of an axis up to which it is one product


class MatrixSpectralFilter(nn.Module):
    """:class:`SpectralRescalingFilter` for maps of one size, without an FFT.

    Args:
        srf: The filter, trained or deployed; its gain is computed here, once.
        size: Height and width of the maps.
    """

    gain: Tensor
    products: Any  # a ModuleList of Product

    def __init__(self, srf: SpectralRescalingFilter | FixedSRF, size: tuple[int, int]) -> None:
        super().__init__()
        gain = whole_spectrum(srf.gain(size).detach().double(), size[1])
        channels = len(gain)
        along_height, rows = real_products(size[0], size[1] * channels)
        along_width, columns = complex_products(size[1], channels)
        self.products = nn.ModuleList([*along_height, *along_width])
        gain = gain[:, rows[:, None], columns.flatten()].unflatten(2, columns.shape).flatten(1, 2)
        # (rows and k1 of the width, part, k2 of the width, C)
        self.register_buffer('gain', gain.permute(1, 2, 0)[:, None].float().contiguous())

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W), float32; the output is in channels_last memory."""
        maps = u.permute(0, 2, 3, 1)
        x, zero = maps, self.zero(u)
        for product in self.products:
            x = product(x, zero)
        outer, _, inner, channels = self.gain.shape
        x = x.reshape(-1, outer, 2, inner, channels) * self.gain
        for product in reversed(self.products):
            x = product.back(x, zero)
        return x.reshape(maps.shape).permute(0, 3, 1, 2)

    def zero(self, u: Tensor) -> Tensor:
        """A zero that depends on the maps, (1,); added to a matrix it makes it no constant.

        OpenVINO keeps a product with a constant on its left in float32 where bfloat16 is asked for,
        with a copy before and behind it.
        """
        return (u[:1, :1, :1, :1] * 0).flatten()


class Product(nn.Module):
    """A product from the left with one axis of maps, and the one that inverts it.

    Args:
        there: The matrix, (rows, points), or a batch of them, (batch, rows, points).
        back: The same for the way back, (points, rows) or (batch, points, rows).
        columns: Values behind the axis.
    """

    there: Tensor
    back_again: Tensor

    def __init__(self, there: Tensor, back: Tensor, columns: int) -> None:
        super().__init__()
        self.register_buffer('there', there.float().contiguous())
        self.register_buffer('back_again', back.float().contiguous())
        self.columns = columns

    def forward(self, x: Tensor, zero: Tensor) -> Tensor:
        """Maps of any shape, (..., points, columns) in memory: (N, [batch], rows, columns)."""
        return self._product(self.there + zero, x)

    def back(self, x: Tensor, zero: Tensor) -> Tensor:
        """The same from (..., rows, columns): (N, [batch], points, columns)."""
        return self._product(self.back_again + zero, x)

    def _product(self, matrix: Tensor, x: Tensor) -> Tensor:
        *batch, _, points = matrix.shape
        return matrix @ x.reshape(-1, *batch, points, self.columns)


def real_products(size: int, columns: int) -> tuple[list[Product], Tensor]:
    """The transform of an axis of real maps, and the frequency of each row behind it.

    Behind it the axis holds (k, part): frequencies, and of each the real and the imaginary part.
    Only one of two frequencies of the same absolute value is computed, but for some whose
    ``k1`` has none of another absolute value; these are counted half on the way back.
    """
    n1, n2 = factors(size)
    half = torch.arange(n1 // 2 + 1)
    counts = torch.where((half == 0) | (2 * half == n1), 1.0, 2.0)
    first = _parts(_turns(half, torch.arange(n1), n1), 'k part', 'point part')[:, ::2]
    there, back = first, first.mT * counts.repeat_interleave(2)
    products = [Product(there, back, n2 * columns)]
    frequencies = half[:, None] + n1 * torch.arange(n2)
    if n2 > 1:
        second = _parts(_turns(frequencies, torch.arange(n2), size), 'k part', 'part point')
        products.append(Product(second, second.mT, columns))
    return products, frequencies.flatten()


def complex_products(size: int, columns: int) -> tuple[list[Product], Tensor]:
    """The transform of an axis of complex maps, (part, point), and its frequencies, (n1, n2).

    Behind it the axis holds (k1, part, k2).
    """
    n1, n2 = factors(size)
    ones = torch.arange(n1)
    frequencies = ones[:, None] + n1 * torch.arange(n2)
    order = 'part k' if n2 == 1 else 'k part'
    first = _parts(_turns(ones, ones, n1), order, 'part point')
    products = [Product(first, first.mT, n2 * columns)]
    if n2 == 1:
        return products, frequencies.T  # no k1 in front of the part
    second = _parts(_turns(frequencies, torch.arange(n2), size), 'part k', 'part point')
    return [*products, Product(second, second.mT, columns)], frequencies


def factors(size: int) -> tuple[int, int]:
    """n1 >= n2 of the module's text, n1 n2 = size; n2 is 1 for small sizes and for primes."""
    if size <= LARGEST_DENSE:
        return size, 1
    n1 = next(n for n in range(math.isqrt(size - 1) + 1, size + 1) if size % n == 0)
    return n1, size // n1


def whole_spectrum(gain: Tensor, width: int) -> Tensor:
    """The gain of all frequencies, (C, H, W), from that of half of them, (C, H, W // 2 + 1).

    It is even.
    """
    gain = even(gain, width)
    mirrored = gain[:, :, 1 : (width + 1) // 2].flip(1, 2).roll(1, 1)
    return torch.cat([gain, mirrored], dim=2)


def _turns(frequencies: Tensor, points: Tensor, size: int) -> Tensor:
    """2 pi k m / size, reduced to one turn before it is multiplied: (..., points), float64."""
    return (frequencies[..., None] * points).remainder(size).double() * (2 * math.pi / size)


def _parts(turns: Tensor, rows: str, columns: str) -> Tensor:
    """The real matrix of exp(-i turns) / sqrt(points), with its parts before or behind the index.

    Args:
        turns: Angles, (..., k, points).
        rows: ``'part k'`` or ``'k part'``.
        columns: ``'part point'`` or ``'point part'``.
    """
    cos, sin = turns.cos(), turns.sin()
    # (..., k, part, point, part)
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -3)
    if rows == 'part k':
        matrix = matrix.transpose(-4, -3)
    if columns == 'part point':
        matrix = matrix.transpose(-2, -1)
    return matrix.flatten(-2).flatten(-3, -2) / math.sqrt(turns.shape[-1])
