"""The spectral re-scaling filter for maps of any size, its matrices made in the graph.

:mod:`mmspanet.models.dft` has the formulas. Here sizes are symbols: the cosines come from integers
that are reduced to one turn before they are made angles, so that float32 holds the tolerance at
any size; and the filter's bicubic resizing, whose kernel no exporter writes for symbolic sizes as
the model does it, is written as one product per axis.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from mmspanet.models.deploy import FixedSRF
from mmspanet.models.srf import ScaledSpectralRescalingFilter, SpectralRescalingFilter

CUBIC = -0.75  # the coefficient of PyTorch's bicubic interpolation


class DynamicSpectralFilter(nn.Module):
    """:class:`SpectralRescalingFilter` for maps of any size, without an FFT.

    Args:
        srf: The filter, trained or deployed.
    """

    alpha: Tensor

    def __init__(self, srf: SpectralRescalingFilter | FixedSRF) -> None:
        super().__init__()
        trained: Any = srf.reordered if isinstance(srf, FixedSRF) else srf
        self.filter = nn.Parameter(trained.filter.detach().float(), requires_grad=False)
        scaled = isinstance(trained, ScaledSpectralRescalingFilter)
        self.register_buffer('alpha', trained.alpha.detach().float() if scaled else torch.ones(1))

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W), float32."""
        height, width = u.shape[2:]
        along_width, back = rows_of_real_dft(width)
        cos, sin = cos_and_sin(height, height)
        scale = torch.rsqrt(torch.full((), height, dtype=torch.float32))
        # Ranks are equal throughout: OpenVINO's CPU plugin asks for it where sizes are free.
        cos, sin = (cos * scale)[None, None], (sin * scale)[None, None]
        real, imaginary = (u @ matrix[None, None] for matrix in along_width)
        gain = self.gain(height, width // 2 + 1)[None]
        down = (
            (cos @ real + sin @ imaginary) * gain,
            (cos @ imaginary - sin @ real) * gain,
        )
        real = cos @ down[0] - sin @ down[1]
        imaginary = sin @ down[0] + cos @ down[1]
        return real @ back[0][None, None] + imaginary @ back[1][None, None]

    def gain(self, height: int, half: int) -> Tensor:
        """The gain (C, height, half)."""
        along_height = bicubic(self.filter.shape[1], height)
        along_width = bicubic(self.filter.shape[2], half)
        flat = self.filter.transpose(0, 1).flatten(1)  # a plain matrix, as OpenVINO asks for
        rows = (along_height @ flat).unflatten(1, (self.filter.shape[0], -1))
        resized = (rows @ along_width.T).transpose(0, 1)
        return (self.alpha * resized).sigmoid()


def cos_and_sin(size: int, count: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of 2 pi n k / size for n < size and k < count: (size, count) each."""
    turns = torch.arange(size)[:, None] * torch.arange(count)
    turns = turns % torch.full((), size)  # integers, exact
    angles = turns.float() * (2 * math.pi / torch.full((), size, dtype=torch.float32))
    return angles.cos(), angles.sin()


def rows_of_real_dft(size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Real and imaginary parts of the real DFT and of its inverse, (N, K) and (K, N) each."""
    half = size // 2 + 1
    cos, sin = cos_and_sin(size, half)
    scale = torch.rsqrt(torch.full((), size, dtype=torch.float32))
    cos, sin = cos * scale, -sin * scale
    place = torch.arange(half)
    once = (place == 0) | (2 * place == torch.full((), size))
    counts = torch.where(once, 1.0, 2.0)[:, None]
    return (cos, sin), (counts * cos.T, counts * sin.T)


def bicubic(points: int, size: int) -> Tensor:
    """Bicubic interpolation with aligned corners as a matrix: (size, points)."""
    # Cubic convolution: points outside count as the last one inside.
    steps = torch.full((), size - 1, dtype=torch.float32).clamp(min=1)
    place = torch.arange(size)
    # Whole and broken part from integers: float32 would round large places.
    along = place * (points - 1)
    count = torch.full((), size - 1).clamp(min=1)
    whole = along // count
    part = (along - whole * count).float() / steps
    columns = torch.arange(points)
    matrix = torch.zeros(())
    for offset in (-1, 0, 1, 2):
        neighbor = (whole + offset).clamp(min=0, max=points - 1)
        weight = _cubic((part - offset).abs())
        matrix = matrix + torch.where(
            neighbor[:, None] == columns, weight[:, None], torch.zeros(())
        )
    return matrix


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel at distances x, 0 to 2."""
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC
    return torch.where(x <= 1, near, far)
