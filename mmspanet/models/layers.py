"""The small layers that every part of SPANetV2 shares.

All feature maps inside the model are (B, C, H, W) tensors in channels_last
memory, so that a norm or a matrix product over C reads consecutive memory.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of a (B, C, H, W) map, without bias.

    Args:
        channels: Number of channels C.
        eps: Added to the variance.
        affine: Whether there is a weight per channel.
    """

    def __init__(self, channels: int, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__(channels, eps=eps, elementwise_affine=affine, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) over its channels."""
        if torch.compiler.is_dynamo_compiling() and x.device.type == 'cpu':
            return self._written_out(x)
        rows = x.permute(0, 2, 3, 1)
        return super().forward(rows).permute(0, 3, 1, 2)

    def _written_out(self, x: Tensor) -> Tensor:
        # Inductor of torch 2.11 on CPUs gives the output of F.layer_norm for a single image a batch
        # stride of 0, which makes oneDNN copy it before each convolution. No upstream issue found.
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x if self.weight is None else x * self.weight[:, None, None]


class PointwiseLinear(nn.Linear):
    """A Linear layer over the channels of a (B, C, H, W) map.

    Where it is not trained, the product is taken as a 1x1 convolution on CPUs, which oneDNN runs
    at up to twice the speed. In training it is a matrix product, since the gradient of a weight
    is one, too: oneDNN's own takes several times as long in bfloat16.

    Args:
        in_channels: Channels C of the input.
        out_channels: Channels D of the output.
        bias: Whether a bias is added.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, D, H, W)."""
        if x.device.type == 'cpu' and not self.training:
            return F.conv2d(x, self.weight[:, :, None, None], self.bias)
        return pointwise(x, self.weight, self.bias)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the channels of (B, C, H, W) by a (D, C) matrix: (B, D, H, W)."""
    # GroupNorm on GPUs gives (B, C, H, W) memory; of that, F.linear makes a product per row.
    rows = x.permute(0, 2, 3, 1).contiguous()
    return F.linear(rows, weight, bias).permute(0, 3, 1, 2)


class StarReLU(nn.Module):
    """StarReLU(z) = s * relu(z)^2 + b with two learnable scalars (MetaFormer, arXiv 2210.13452)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Activate a tensor of any shape."""
        # A square overflows float16 from 256 on, and autocast raises pow() on GPUs only.
        z = F.relu(x.float() if x.dtype == torch.float16 else x)
        return (self.scale * z.pow(2) + self.bias).to(self.scale.dtype)


class DropPath(nn.Module):
    """Stochastic depth: while training, zero a sample's branch with probability ``rate``.

    The kept samples are divided by ``1 - rate``, so that the mean stays.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop whole samples of (B, ...) in training."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows of it."""
        return f'rate={self.rate:.3f}'
