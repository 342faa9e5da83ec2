"""SPAM, the spectral-adaptive modulation mixer of SPANetV2."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.registry import MODELS

from .layers import PointwiseLinear
from .srf import SpectralRescalingFilter


class SpectralMixer(nn.Module):
    """The parts that SPAM has in its training and in its deployed form.

    Attributes:
        heads: Number of heads h.
        convs: The depthwise convolution of each head.
        srf: The filter behind them.
        reduce: The last step of the modulator m.
    """

    heads: int
    convs: nn.ModuleList
    srf: SpectralRescalingFilter
    reduce: PointwiseLinear


@MODELS.register_module()
class SPAM(SpectralMixer):
    """Spectral-adaptive modulation (arXiv 2503.23947): ``y = Wo (q * m)``.

    The query ``q = GELU(Wq x)`` is modulated by ``m``, which is made of a context
    ``Wc x`` in h heads: head i is convolved depthwise with kernel ``k_i``, its
    spectrum is re-scaled, and ``m = P2 GELU(GN(P1 s))`` mixes the heads.
    P1 is a 1x1 convolution in groups of h channels. With ``interleave`` a group
    holds the same channel of every head (the released model); without it,
    h neighbouring channels of one head (the revision of 2025-11): another
    function, so P1 has another name there and checkpoints can't be confused.

    Args:
        channels: Number of channels C, a multiple of the number of heads.
        map_size: Height and width of the maps that the filter is stored for.
        kernel_sizes: One odd kernel size per head.
        scaled_sigmoid: Learn the slope of the filter's sigmoid.
        interleave: Whether P1's groups run across the heads.
    """

    def __init__(
        self,
        channels: int,
        map_size: tuple[int, int],
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        scaled_sigmoid: bool = False,
        interleave: bool = True,
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
        self.interleave = interleave
        self.query = PointwiseLinear(channels, channels)
        self.context = PointwiseLinear(channels, channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(group, group, k, padding=k // 2, groups=group) for k in kernel_sizes
        )
        self.srf = SpectralRescalingFilter(channels, map_size, scaled_sigmoid)
        expand = nn.Conv2d(channels, 2 * channels, 1, groups=group, bias=False)
        if interleave:
            self.head_mix = expand
        else:
            self.channel_mix = expand
        self.norm = nn.GroupNorm(1, 2 * channels)
        self.reduce = PointwiseLinear(2 * channels, channels)
        self.proj = PointwiseLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps of shape (B, C, H, W)."""
        query = F.gelu(self.query(x))
        return self.proj(query * self.modulator(self.srf(self.multi_kernel(self.context(x)))))

    def multi_kernel(self, context: Tensor) -> Tensor:
        """Convolve each head of the context, (B, C, H, W), with a kernel of its own size."""
        heads = context.chunk(self.heads, dim=1)
        return torch.cat([conv(c) for conv, c in zip(self.convs, heads, strict=True)], dim=1)

    def modulator(self, s: Tensor) -> Tensor:
        """Mix the heads of the filtered context s, (B, C, H, W), into m of the same shape."""
        if self.interleave:
            # (B, head, channel, H, W) -> (B, H, W, channel, head), in the one copy of the layout.
            s = s.unflatten(1, (self.heads, -1)).permute(0, 3, 4, 2, 1).flatten(3)
            expanded = self.head_mix(s.permute(0, 3, 1, 2))
        else:
            expanded = self.channel_mix(s.contiguous(memory_format=torch.channels_last))
        return self.reduce(F.gelu(self.norm(expanded)))
