"""Layers of a deployed SPANetV2 in the form that runtimes compute fastest: the same functions.

Runtimes keep maps in channels-last memory between convolutions. What stands between them is written
here so that it reads and writes that memory as it is, and in few passes:

- norms take means over the channel axis of a map, instead of moving it to the end and back;
- the kernels of SPAM's heads are filled up with zeros to the largest of them, so that one depthwise
  convolution takes the place of a split, one for each head, and a joint;
- groups of P1, of a few channels each, are joined to some that a convolution has a kernel for.

benchmarks/README.md has the measurements.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspanet.models.deploy import DeployedMlp, DeployedSPAM, FixedLinear
from mmspanet.models.layers import LayerNorm2d

JOINED_GROUPS = 8  # groups of P1 in one of the graph's


class ChannelNorm(nn.Module):
    """:class:`LayerNorm2d`, by the moments of the channels of a map (B, C, H, W)."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = None if norm.weight is None else _fixed(norm.weight[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) over its channels."""
        mean = x.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        x = (x - mean) * _factor(mean, norm * norm / x.shape[1], self.eps)
        return x if self.weight is None else x * self.weight


class WholeNorm(nn.Module):
    """GroupNorm of one group, by the moments of a whole map (B, C, H, W)."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = _fixed(norm.weight[:, None, None])
        self.bias = _fixed(norm.bias[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W) over all but the batch."""
        # Rows first: in one sum over a large map float32 loses its last four digits.
        width = x.shape[3]
        mean = (x.sum(3, keepdim=True) / width).mean((1, 2), keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=3, keepdim=True)
        square = (norm * norm / width).mean((1, 2), keepdim=True)
        scale = self.weight * _factor(mean, square, self.eps)  # (B, C, 1, 1)
        return x * scale + (self.bias - mean * scale)


def _factor(mean: Tensor, square: Tensor, eps: float) -> Tensor:
    """1 / sqrt(variance + eps) from the means of x and of x^2, two sums that both read x."""
    return torch.rsqrt(square - mean * mean + eps)


def _gelu(x: Tensor) -> Tensor:
    """GELU, written so that onnxruntime and OpenVINO find it and make one step of it."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


class GraphMlp(nn.Module):
    """:class:`DeployedMlp` with a product for its square: onnxruntime's power is far slower.

    Args:
        mlp: The MLP, of which the two layers are used.
    """

    def __init__(self, mlp: DeployedMlp) -> None:
        super().__init__()
        self.fc1, self.fc2 = mlp.fc1, mlp.fc2

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (B, C, H, W)."""
        hidden = self.fc1(x)
        return self.fc2(hidden * hidden)


class GraphSPAM(nn.Module):
    """:class:`DeployedSPAM`, one convolution for the kernels of all heads.

    Args:
        spam: The mixer. Its filter is kept as it is.
    """

    def __init__(self, spam: DeployedSPAM) -> None:
        super().__init__()
        self.query = FixedLinear(spam.query.weight).eval()  # a convolution, not a product
        self.context = spam.context
        self.conv, self.p1 = _joined_heads(spam), joined_groups(spam.p1)
        self.srf, self.norm = spam.srf, WholeNorm(spam.norm)
        self.reduce, self.proj = spam.reduce, spam.proj

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map x, (B, C, H, W), into y of the same shape."""
        e = self.p1(self.srf(self.conv(self.context(x))))
        return self.proj(self.reduce(_gelu(self.norm(e))) * _gelu(self.query(x)))


def _joined_heads(spam: DeployedSPAM) -> nn.Conv2d:
    """One depthwise convolution for all heads; it puts the channels of ``context`` in its order."""
    convs: list[Any] = list(spam.convs)
    size = max(conv.kernel_size[0] for conv in convs)
    margins = [(size - conv.kernel_size[0]) // 2 for conv in convs]
    channels = torch.arange(spam.context.out_features).view(spam.heads, -1)
    order = (channels.T if spam.head_dim == 2 else channels).flatten()
    joined = nn.Conv2d(
        len(order), len(order), size, padding=size // 2, groups=len(order), device='meta'
    )
    filled = [F.pad(c.weight, [m] * 4) for c, m in zip(convs, margins, strict=True)]
    joined.weight = _fixed(torch.cat(filled)[order])
    joined.bias = _fixed(torch.cat([conv.bias for conv in convs])[order])
    spam.context.weight = _fixed(spam.context.weight[order])
    return joined


def joined_groups(conv: nn.Conv2d, together: int = JOINED_GROUPS) -> nn.Conv2d:
    """A grouped 1x1 convolution with fewer groups, and zeros for what they do not share.

    Args:
        conv: The convolution, without bias.
        together: Groups of it in one; their greatest common divisor where there are fewer.
    """
    together = math.gcd(conv.groups, together)
    blocks = conv.weight[..., 0, 0].unflatten(0, (-1, together, conv.out_channels // conv.groups))
    joined = nn.Conv2d(
        conv.in_channels, conv.out_channels, 1, groups=len(blocks), bias=False, device='meta'
    )
    weight = torch.cat([torch.block_diag(*block) for block in blocks])
    joined.weight = _fixed(weight[..., None, None])
    return joined


FORMS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    LayerNorm2d: ChannelNorm,
    DeployedMlp: GraphMlp,
    DeployedSPAM: GraphSPAM,
}


def rewrite_layers(model: nn.Module) -> None:
    """Put the forms of this file in the place of norms and of deployed mixers and MLPs."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in FORMS:
                setattr(parent, name, FORMS[type(child)](child))


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=False)
