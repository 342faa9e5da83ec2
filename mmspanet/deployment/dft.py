r"""The spectral re-scaling filter as products with constant matrices.

ONNX has no inverse real FFT, and most runtimes have no FFT at all. On maps of one size the
transform is linear with constant coefficients, so it is a product with a constant matrix per
axis. With the real and imaginary parts side by side, X = [Re, Im], and N points of an axis:

- real DFT along the width (``rfft``): ``u @ F``, F of shape (W, 2K), K = W // 2 + 1, with the
  columns cos(2 pi x k / W) and -sin(2 pi x k / W), over sqrt(W);
- complex DFT along the height (``fft``), the parts stacked: ``D @ X`` with
  D = [[C, S], [-S, C]] / sqrt(H), C and S the cosines and sines. D is orthogonal, so the
  inverse is its transpose;
- back along the width (``irfft``): ``X @ G``, G = diag(w) F^T, where w counts each frequency:
  1 for those that are their own mirror image (0 and, of an even W, W / 2), else 2.
"""

import math

import torch
from torch import Tensor, nn

from mmspanet.models.metaformer import Downsample, Stem
from mmspanet.models.spanetv2 import SPANetV2
from mmspanet.models.srf import SpectralRescalingFilter


class MatrixSpectralFilter(nn.Module):
    """:class:`SpectralRescalingFilter` for maps of one size, without an FFT.

    Args:
        srf: The trained filter; its gain is computed here, once.
        size: Height and width of the maps.
    """

    along_width: Tensor
    along_height: Tensor
    back_along_height: Tensor
    back_along_width: Tensor
    gain: Tensor

    def __init__(self, srf: SpectralRescalingFilter, size: tuple[int, int]) -> None:
        super().__init__()
        height, width = size
        self.register_buffer('along_width', real_dft(width))
        self.register_buffer('along_height', complex_dft(height))
        self.register_buffer('back_along_height', complex_dft(height).T.contiguous())
        self.register_buffer('back_along_width', inverse_real_dft(width))
        # (C, 1, H, K): one gain for the real and the imaginary part.
        self.register_buffer('gain', srf.gain(size).detach().float()[:, None])

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W), float32."""
        parts = (u @ self.along_width).chunk(2, dim=-1)
        spectrum = self.along_height @ torch.cat(parts, dim=-2)  # (B, C, 2H, K)
        scaled = (spectrum.unflatten(2, (2, -1)) * self.gain).flatten(2, 3)
        parts = (self.back_along_height @ scaled).chunk(2, dim=-2)
        return torch.cat(parts, dim=-1) @ self.back_along_width


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


def replace_ffts(backbone: SPANetV2, size: tuple[int, int]) -> None:
    """Put a :class:`MatrixSpectralFilter` in the place of every filter, for images of (H, W)."""
    for layer, stage in zip(backbone.downsample_layers, backbone.stages, strict=True):
        assert isinstance(layer, (Stem, Downsample))
        size = (layer.output_size(size[0]), layer.output_size(size[1]))
        for parent in list(stage.modules()):
            srf = getattr(parent, 'srf', None)
            if isinstance(srf, SpectralRescalingFilter):
                parent.srf = MatrixSpectralFilter(srf, size)
