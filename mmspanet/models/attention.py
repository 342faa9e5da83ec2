"""The self-attention mixers of the hybrid variants."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.registry import MODELS

from .layers import PointwiseLinear


@MODELS.register_module()
class Attention(nn.Module):
    """Multi-head self-attention over all H * W positions, without position encoding.

    Args:
        channels: Number of channels C, a multiple of ``head_dim``.
        map_size: Unused: attention keeps nothing per position. Part of the
            signature that every mixer has.
        head_dim: Channels per head.
    """

    def __init__(self, channels: int, map_size: tuple[int, int], head_dim: int = 32) -> None:
        super().__init__()
        if channels % head_dim:
            raise ValueError(
                f'channels={channels} of {type(self).__name__} must be a multiple of '
                f'head_dim={head_dim}.'
            )
        self.head_dim = head_dim
        self.qkv = PointwiseLinear(channels, 3 * channels)
        self.proj = PointwiseLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps of shape (B, C, H, W)."""
        return self.proj(self._attend(self.qkv(x)))

    def _attend(self, qkv: Tensor) -> Tensor:
        batch, _, height, width = qkv.shape
        # (B, 3C, H, W) -> three of (B, heads, H * W, head_dim)
        tokens = qkv.permute(0, 2, 3, 1).reshape(batch, height * width, 3, -1, self.head_dim)
        query, key, value = tokens.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(query, key, value)
        return out.transpose(1, 2).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


@MODELS.register_module()
class MixAttention(Attention):
    """Attention plus a depthwise 7x7 convolution of the values, laid out as a map.

    Args:
        channels: Number of channels C, a multiple of ``head_dim``.
        map_size: See :class:`Attention`.
        head_dim: Channels per head.
    """

    def __init__(self, channels: int, map_size: tuple[int, int], head_dim: int = 32) -> None:
        super().__init__(channels, map_size, head_dim)
        self.local_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps of shape (B, C, H, W)."""
        qkv = self.qkv(x)
        value = qkv[:, 2 * x.shape[1] :]
        return self.proj(self._attend(qkv) + self.local_conv(value))
