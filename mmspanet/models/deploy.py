"""The blocks of a SPANetV2 in their deployed form: the same function in fewer passes over memory.

What the training form computes step by step is folded once, from trained weights:

- the weight of a LayerNorm goes into the layer behind it: ``W (w * n) = (W diag(w)) n``;
- StarReLU's scalars go into fc2: ``W (s z^2 + b) = (s W) z^2 + b W 1``;
- query and context become one product;
- elementwise steps write in place, and the residual's scale and sum are one pass.

Equal to the training form up to rounding; see :meth:`mmspanet.models.SPANetV2.switch_to_deploy`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .layers import LayerNorm2d, PointwiseLinear
from .metaformer import Downsample, MetaFormerBlock, Mlp
from .spam import SPAM


class PlainLayerNorm2d(nn.Module):
    """LayerNorm over the channels of a (B, C, H, W) map, its weight folded into the next layer."""

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over its channels."""
        channels = (x.shape[1],)
        return F.layer_norm(x.permute(0, 2, 3, 1), channels, eps=self.eps).permute(0, 3, 1, 2)


class DeployedMlp(nn.Module):
    """:class:`Mlp` behind a norm of weight ``norm_weight``, (C,)."""

    def __init__(self, mlp: Mlp, norm_weight: Tensor) -> None:
        super().__init__()
        self.fc1 = _linear(mlp.fc1.weight * norm_weight)
        weight = mlp.fc2.weight
        self.fc2 = _linear(mlp.act.scale * weight, mlp.act.bias * weight.sum(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (B, C, H, W)."""
        hidden = F.relu_(self.fc1(x))
        if hidden.dtype == torch.float16:  # a square overflows from 256 on
            return self.fc2(hidden.float().square_().to(self.fc2.weight.dtype))
        return self.fc2(hidden.square_())


class DeployedSPAM(nn.Module):
    """:class:`SPAM` behind a norm of weight ``norm_weight``, (C,)."""

    def __init__(self, spam: SPAM, norm_weight: Tensor) -> None:
        super().__init__()
        self.spam = spam
        both = torch.cat([spam.query.weight, spam.context.weight]) * norm_weight
        self.query_context = _linear(both)
        del spam.query, spam.context

    def forward(self, x: Tensor) -> Tensor:
        """Modulate (B, C, H, W)."""
        query, context = self.query_context(x).chunk(2, dim=1)
        m = self.spam.modulator(self.spam.srf(self.spam.multi_kernel(context)))
        return self.spam.proj(m.mul_(F.gelu(query)))


class DeployedBlock(nn.Module):
    """:class:`MetaFormerBlock` without what only training needs."""

    def __init__(self, block: MetaFormerBlock) -> None:
        super().__init__()
        self.norm1 = PlainLayerNorm2d(block.norm1)
        self.token_mixer = _deployed_mixer(block.token_mixer, block.norm1.weight)
        self.norm2 = PlainLayerNorm2d(block.norm2)
        self.mlp = DeployedMlp(block.mlp, block.norm2.weight)
        self.res_scale1 = _as_map(block.res_scale1)
        self.res_scale2 = _as_map(block.res_scale2)

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, C, H, W) over space, then over channels."""
        x = _residual(x, self.res_scale1, self.token_mixer(self.norm1(x)))
        return _residual(x, self.res_scale2, self.mlp(self.norm2(x)))


def deploy_block(block: nn.Module) -> nn.Module:
    """The deployed form of a block; the block itself where its mixer has none."""
    if isinstance(block, MetaFormerBlock) and isinstance(block.token_mixer, (SPAM, Attention)):
        return DeployedBlock(block)
    return block


def deploy_downsample(layer: Downsample) -> None:
    """Fold the norm of a downsampling layer into its convolution, in place."""
    norm = layer.pre_norm
    assert isinstance(norm, LayerNorm2d)
    layer.conv.weight = _fixed(layer.conv.weight * norm.weight[:, None, None])
    layer.pre_norm = PlainLayerNorm2d(norm)


def _deployed_mixer(mixer: nn.Module, norm_weight: Tensor) -> nn.Module:
    if isinstance(mixer, SPAM):
        return DeployedSPAM(mixer, norm_weight)
    assert isinstance(mixer, Attention)
    mixer.qkv = _linear(mixer.qkv.weight * norm_weight)
    return mixer


def _residual(x: Tensor, scale: Tensor | None, branch: Tensor) -> Tensor:
    if scale is not None:
        return torch.addcmul(branch, x, scale)
    # The branch is fresh memory; x may be an output of the stage before.
    return branch.add_(x) if branch.dtype == x.dtype else x + branch


def _linear(weight: Tensor, bias: Tensor | None = None) -> PointwiseLinear:
    layer = PointwiseLinear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = _fixed(weight)
    if bias is not None:
        layer.bias = _fixed(bias)
    return layer


def _as_map(vector: Tensor | None) -> nn.Parameter | None:
    return None if vector is None else _fixed(vector[:, None, None])


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=False)
