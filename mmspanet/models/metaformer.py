"""The MetaFormer parts of SPANetV2: stem, downsampling, MLP and block."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import DropPath, LayerNorm2d, PointwiseLinear, StarReLU
from .lean import star_relu_linear


class Stem(nn.Module):
    """Conv 7x7 with stride 4 and padding 2, then LayerNorm: (B, in, H, W) -> (B, out, H/4, W/4)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 7, stride=4, padding=2)
        self.post_norm = LayerNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to (B, channels, ...), a quarter of the size."""
        return self.post_norm(self.conv(x))

    @staticmethod
    def output_size(size: int) -> int:
        """Side of the output for an input side, in pixels; 0 below 3 pixels."""
        return (size + 2 * 2 - 7) // 4 + 1


class Downsample(nn.Module):
    """LayerNorm, then Conv 3x3 with stride 2: (B, in, H, W) -> (B, out, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pre_norm = LayerNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, ...), half of the size."""
        return self.conv(self.pre_norm(x))

    @staticmethod
    def output_size(size: int) -> int:
        """Side of the output for an input side."""
        return (size + 2 * 1 - 3) // 2 + 1


class Mlp(nn.Module):
    """Two bias-free Linear layers, C -> 4C -> C, with StarReLU between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = PointwiseLinear(channels, 4 * channels)
        self.act = StarReLU()
        self.fc2 = PointwiseLinear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (B, C, H, W)."""
        return star_relu_linear(self.fc1(x), self.act, self.fc2)


class MetaFormerBlock(nn.Module):
    """A token mixer and an MLP, each in a pre-norm residual branch.

    ``x = r1 * x + drop_path(mixer(norm1(x)))``, then
    ``x = r2 * x + drop_path(mlp(norm2(x)))``; r1 and r2 are learnable
    per-channel vectors where ``res_scale`` is set and 1 elsewhere.

    Args:
        channels: Number of channels C.
        mixer: The token mixer, (B, C, H, W) -> (B, C, H, W).
        drop_path_rate: Probability of dropping a branch of a sample.
        res_scale: Whether the residual is scaled.
        with_cp: Recompute the activations in the backward pass to save memory.
    """

    def __init__(
        self,
        channels: int,
        mixer: nn.Module,
        drop_path_rate: float,
        res_scale: bool,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(channels)
        self.token_mixer = mixer
        self.norm2 = LayerNorm2d(channels)
        self.mlp = Mlp(channels)
        self.drop_path = DropPath(drop_path_rate)
        self.res_scale1 = nn.Parameter(torch.ones(channels)) if res_scale else None
        self.res_scale2 = nn.Parameter(torch.ones(channels)) if res_scale else None
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, C, H, W) over space, then over channels."""
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        x = _residual(x, self.res_scale1, self.drop_path(self.token_mixer(self.norm1(x))))
        return _residual(x, self.res_scale2, self.drop_path(self.mlp(self.norm2(x))))


def _residual(x: Tensor, scale: Tensor | None, branch: Tensor) -> Tensor:
    if scale is None:
        return x + branch
    return x * scale[:, None, None] + branch
