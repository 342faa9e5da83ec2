"""The spectral re-scaling filter as products with constant matrices, for graphs without an FFT.

ONNX has no inverse real FFT, and most runtimes have no FFT at all; :mod:`mmspanet.models.dft` has
the formulas.
"""

import torch
from torch import Tensor, nn

from mmspanet.models.deploy import FixedSRF
from mmspanet.models.dft import complex_dft, inverse_real_dft, real_dft
from mmspanet.models.metaformer import Downsample, Stem
from mmspanet.models.spanetv2 import SPANetV2
from mmspanet.models.srf import SpectralRescalingFilter


class MatrixSpectralFilter(nn.Module):
    """:class:`SpectralRescalingFilter` for maps of one size, without an FFT.

    Args:
        srf: The filter, trained or deployed; its gain is computed here, once.
        size: Height and width of the maps.
    """

    along_width: Tensor
    along_height: Tensor
    back_along_height: Tensor
    back_along_width: Tensor
    gain: Tensor

    def __init__(self, srf: SpectralRescalingFilter | FixedSRF, size: tuple[int, int]) -> None:
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


def replace_ffts(backbone: SPANetV2, size: tuple[int, int]) -> None:
    """Put a :class:`MatrixSpectralFilter` in the place of every filter, for images of (H, W)."""
    for layer, stage in zip(backbone.downsample_layers, backbone.stages, strict=True):
        assert isinstance(layer, (Stem, Downsample))
        size = (layer.output_size(size[0]), layer.output_size(size[1]))
        for parent in list(stage.modules()):
            srf = getattr(parent, 'srf', None)
            if isinstance(srf, (SpectralRescalingFilter, FixedSRF)):
                parent.srf = MatrixSpectralFilter(srf, size)
