"""SPAM, the spectral-adaptive modulation mixer of SPANetV2, and its revision."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmspanet.registry import MODELS

from .layers import PointwiseLinear
from .lean import gated_linear, norm_gelu_linear
from .srf import ScaledSpectralRescalingFilter, SpectralRescalingFilter


@MODELS.register_module()
class SPAM(nn.Module):
    """Spectral-adaptive modulation (arXiv 2503.23947).

    With C channels in h heads, a map x is mixed by::

        q = GELU(Wq x)                   the query
        u = [K1 * c1, ..., Kh * ch]      the context c = Wc x, a depthwise convolution per head
        s = irfft2(sigmoid(F) rfft2(u))  its spectrum, re-scaled
        m = P2 GELU(GN(P1 s))            the modulator
        y = Wo (q m)

    P1 is a 1x1 convolution, C -> 2C, in groups of h channels: the same channel of every head.

    Args:
        channels: Number of channels C, a multiple of the number of heads.
        map_size: Height and width of the maps that the filter is stored for.
        kernel_sizes: One odd kernel size per head.

    Raises:
        ValueError: If the heads do not divide the channels, or a kernel size is even.
    """

    def __init__(
        self,
        channels: int,
        map_size: tuple[int, int],
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
    ) -> None:
        super().__init__()
        self.heads = len(kernel_sizes)
        if channels % self.heads:
            raise ValueError(
                f'channels={channels} of SPAM must be a multiple of its {self.heads} heads, '
                'one per entry of kernel_sizes.'
            )
        if any(k % 2 == 0 for k in kernel_sizes):
            raise ValueError(f'kernel_sizes={tuple(kernel_sizes)} of SPAM must all be odd.')
        group = channels // self.heads
        self.query = PointwiseLinear(channels, channels)  # Wq
        self.context = PointwiseLinear(channels, channels)  # Wc
        self.convs = nn.ModuleList(  # K1 .. Kh
            nn.Conv2d(group, group, k, padding=k // 2, groups=group) for k in kernel_sizes
        )
        self.srf = SpectralRescalingFilter(channels, map_size)
        self.head_mix = nn.Conv2d(channels, 2 * channels, 1, groups=group, bias=False)  # P1
        self.norm = nn.GroupNorm(1, 2 * channels)  # GN
        self.reduce = PointwiseLinear(2 * channels, channels)  # P2
        self.proj = PointwiseLinear(channels, channels)  # Wo

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map x, (B, C, H, W), into y of the same shape."""
        q = self.query(x)  # (B, C, H, W), as all maps here
        u = self.multi_kernel(self.context(x))
        s = self.srf(u)
        m = self.modulator(s)
        return gated_linear(q, m, self.proj)  # Wo (GELU(q) m)

    def multi_kernel(self, context: Tensor) -> Tensor:
        """Convolve each head of the context, (B, C, H, W), with a kernel of its own size."""
        heads = context.chunk(self.heads, dim=1)  # h of (B, C / h, H, W)
        return torch.cat([conv(c) for conv, c in zip(self.convs, heads, strict=True)], dim=1)

    def modulator(self, s: Tensor) -> Tensor:
        """Mix the filtered context s, (B, C, H, W), into the modulator m of the same shape."""
        return norm_gelu_linear(self.expand(s), self.norm, self.reduce)  # P2 GELU(GN(P1 s))

    def expand(self, s: Tensor) -> Tensor:
        """P1: (B, C, H, W) -> (B, 2C, H, W)."""
        # (B, head, channel, H, W) -> (B, H, W, channel, head), in the one copy of the layout.
        s = s.unflatten(1, (self.heads, -1)).permute(0, 3, 4, 2, 1).flatten(3)
        return self.head_mix(s.permute(0, 3, 1, 2))


@MODELS.register_module()
class SPAMRevision(SPAM):
    """SPAM as the authors revised it in November 2025: another function than :class:`SPAM`.

    The filter's gain is ``sigmoid(alpha F)`` with a learned slope alpha, and a group of P1 holds
    h neighboring channels of one head. P1 is called ``channel_mix`` here, so that a checkpoint
    says by its keys which of the two functions it belongs to.

    Args:
        channels: Number of channels C, a multiple of the number of heads.
        map_size: Height and width of the maps that the filter is stored for.
        kernel_sizes: One odd kernel size per head.
    """

    def __init__(
        self,
        channels: int,
        map_size: tuple[int, int],
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
    ) -> None:
        super().__init__(channels, map_size, kernel_sizes)
        self.srf = ScaledSpectralRescalingFilter(channels, map_size)
        self.channel_mix = self.head_mix
        del self.head_mix

    def expand(self, s: Tensor) -> Tensor:
        """P1: (B, C, H, W) -> (B, 2C, H, W)."""
        return self.channel_mix(s.contiguous(memory_format=torch.channels_last))
