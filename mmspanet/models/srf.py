"""The spectral re-scaling filter (SRF): one learned gain per channel and frequency."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import lean


class SpectralRescalingFilter(nn.Module):
    """Multiply the spectrum of each channel by a learned real gain in (0, 1).

    ``s = irfft2(sigmoid(F) rfft2(u))``, with ``norm='ortho'``, on the half spectrum of
    H x (W // 2 + 1) frequencies. F is stored for maps of ``map_size``; for other sizes the raw F is
    resized (bicubic, align_corners) before the sigmoid, as the released checkpoints expect.

    The spectral part runs in float32 for half types and in the input's own type otherwise; the
    output has the type of the input.

    Args:
        channels: Number of channels C.
        map_size: Height and width of the maps that F is stored for.
    """

    def __init__(self, channels: int, map_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = map_size
        self.filter = nn.Parameter(torch.randn(channels, height, width // 2 + 1) * 0.02)  # F

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps u, (B, C, H, W); the output is contiguous."""
        gain = self.even_gain((u.shape[-2], u.shape[-1]))
        return lean.Rescale.apply(u, gain) if lean.applies(self) else rescale(u, gain)

    def gain(self, size: tuple[int, int]) -> Tensor:
        """The gain for maps of (H, W) = ``size``: (C, H, W // 2 + 1), float32 or float64."""
        return self.resized(size).sigmoid()

    def even_gain(self, size: tuple[int, int]) -> Tensor:
        """:meth:`gain`, the same at a frequency and its negative, as :func:`rescale` takes it."""
        return even(self.gain(size), size[1])

    def resized(self, size: tuple[int, int]) -> Tensor:
        """The raw F for maps of (H, W) = ``size``: (C, H, W // 2 + 1), float32 or float64."""
        raw = _at_least_float32(self.filter)
        half_spectrum = (size[0], size[1] // 2 + 1)
        if raw.shape[1:] == half_spectrum:
            return raw
        with _without_autocast(raw.device.type):
            return _resize(raw, half_spectrum)


class ScaledSpectralRescalingFilter(SpectralRescalingFilter):
    """:class:`SpectralRescalingFilter` with the gain ``sigmoid(alpha F)``: alpha is learned, too.

    Args:
        channels: Number of channels C.
        map_size: Height and width of the maps that F is stored for.
    """

    def __init__(self, channels: int, map_size: tuple[int, int]) -> None:
        super().__init__(channels, map_size)
        self.alpha = nn.Parameter(torch.ones(1))

    def gain(self, size: tuple[int, int]) -> Tensor:
        """The gain for maps of (H, W) = ``size``: (C, H, W // 2 + 1), float32 or float64."""
        raw = self.resized(size)
        return (self.alpha.to(raw.dtype) * raw).sigmoid()


def even(gain: Tensor, width: int) -> Tensor:
    """A gain of half of the frequencies that is the same at omega and -omega.

    The columns of frequency 0 and, of an even W, W / 2 hold both. On CPUs ``irfft2`` takes the
    mean of their gains; cuFFT says nothing about a spectrum that no real map has.

    Args:
        gain: (C, H, W // 2 + 1).
        width: W.

    Returns:
        (C, H, W // 2 + 1), where those columns hold the mean.
    """
    first, last = (
        torch.lerp(c, c.flip(-2).roll(1, -2), 0.5) for c in (gain[..., :1], gain[..., -1:])
    )
    if gain.shape[-1] == 1:
        return first
    # The last column of an odd W holds one of the two. A trace at one size has no branch for it.
    last = torch.lerp(gain[..., -1:], last, (width + 1) % 2)
    return torch.cat((first, gain[..., 1:-1], last), dim=-1)


def rescale(u: Tensor, gain: Tensor) -> Tensor:
    """Multiply the spectrum of maps u, (B, C, H, W), with an even gain, (C, H, W // 2 + 1)."""
    with _without_autocast(u.device.type):
        spectrum = torch.fft.rfft2(_at_least_float32(u), norm='ortho')  # (B, C, H, W // 2 + 1)
        s = torch.fft.irfft2(spectrum * gain, s=u.shape[-2:], norm='ortho')  # (B, C, H, W)
    return s.to(u.dtype)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W) to (C, *size), bicubic with aligned corners."""
    if maps.device.type != 'cpu' and not torch.are_deterministic_algorithms_enabled():
        return _bicubic(maps, *size)
    # The same as two products: on CPUs PyTorch's bicubic kernel, and Inductor's, are far slower,
    # and on GPUs its gradient is not deterministic.
    height, width = maps.shape[1:]
    along_height = _bicubic(torch.eye(height).to(maps)[None], size[0], height)[0]
    along_width = _bicubic(torch.eye(width).to(maps)[None], size[1], width)[0]
    return along_height @ maps @ along_width.T


def _bicubic(maps: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(maps[None], (height, width), mode='bicubic', align_corners=True)[0]


def _without_autocast(device_type: str) -> AbstractContextManager:
    # Dynamo can't trace is_autocast_available(); devices without autocast have no compiler.
    if torch.compiler.is_compiling() or torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
