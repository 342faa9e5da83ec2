"""The spectral re-scaling filter by torch.fft, which the exporter writes as ONNX's DFT.

Only complex transforms are used, and none with a length of its own: OpenVINO reads those alone as
ONNX means them. A gain that is zero at the negative frequencies of the width, and doubled where
those had been, gives the real transform's result as the real part of the complex one's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.models.deploy import FixedSRF
from mmspanet.models.srf import SpectralRescalingFilter

from .dynamic_dft import DynamicSpectralFilter


class DFTSpectralFilter(nn.Module):
    """:class:`SpectralRescalingFilter` for maps of one size, by a DFT.

    Args:
        srf: The filter, trained or deployed; its gain is computed here, once.
        size: Height and width of the maps.
    """

    gain: Tensor

    def __init__(self, srf: SpectralRescalingFilter | FixedSRF, size: tuple[int, int]) -> None:
        super().__init__()
        gain = one_sided(srf.gain(size).detach().float(), size[1])
        self.register_buffer('gain', gain)

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W), float32."""
        return rescale(u, self.gain)


class DynamicDFTSpectralFilter(DynamicSpectralFilter):
    """:class:`SpectralRescalingFilter` for maps of any size, by a DFT."""

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W), float32."""
        height, width = u.shape[2:]
        return rescale(u, one_sided(self.gain(height, width // 2 + 1), width))


def one_sided(gain: Tensor, width: int) -> Tensor:
    """The gain of all frequencies of the width, (C, H, W), from (C, H, W // 2 + 1).

    The frequencies above 0 and below W / 2 count twice, for the negative ones, which are 0.
    """
    half = gain.shape[2]
    place = torch.arange(half)
    once = (place == 0) | (2 * place == torch.full((), width))
    return F.pad(gain * torch.where(once, 1.0, 2.0), (0, width - half))


def rescale(u: Tensor, gain: Tensor) -> Tensor:
    """Multiply the spectrum of maps u, (B, C, H, W), with a :func:`one_sided` gain, (C, H, W)."""
    maps = torch.view_as_complex(torch.stack([u, torch.zeros_like(u)], dim=-1))
    # Real and imaginary part apart: the exporter takes a gain for a complex map.
    parts = torch.view_as_real(torch.fft.fft2(maps, norm='ortho')) * gain[..., None]
    return torch.view_as_real(torch.fft.ifft2(torch.view_as_complex(parts), norm='ortho'))[..., 0]
