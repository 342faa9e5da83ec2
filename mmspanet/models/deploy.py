"""The blocks of a SPANetV2 in their deployed form: the same function in fewer passes over memory.

What the training form computes step by step is folded once, from trained weights:

- the weight of a LayerNorm goes into the layer behind it: ``W (w * n) = (W diag(w)) n``;
- StarReLU's scalars go into fc2: ``W (s z^2 + b) = (s W) z^2 + b W 1``;
- the filter's channels are put into the order that P1, the grouped 1x1 convolution behind the
  filter, reads, so that the heads are joined in that order and not moved again;
- elementwise steps write in place, and the residual's scale and sum are one pass.

On a CPU there are shortcuts, all chosen by :func:`takes_shortcuts`. Elsewhere, and where gradients,
autocast, a compiler or an exporter need it, the same is computed by plain operators:

- products run in oneDNN's own layout of the weights, with the activation in the same pass
  (:class:`FixedLinear`);
- P1 avoids a loop over its groups (:meth:`DeployedSPAM._expand`);
- small maps are filtered by matrix products, without an FFT (:class:`FixedSRF`);
- the MLP passes over large maps in tiles that stay in the processor's cache
  (:meth:`DeployedBlock.forward`).

Equal to the training form up to rounding; see :meth:`mmspanet.models.SPANetV2.switch_to_deploy`.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, MixAttention
from .dft import filter_maps
from .layers import LayerNorm2d, PointwiseLinear
from .metaformer import Downsample, MetaFormerBlock, Mlp
from .spam import SPAM, SPAMRevision
from .srf import SpectralRescalingFilter, rescale

# Measured on CPUs, see benchmarks/README.md: points of an axis up to which matrix products beat the
# FFT, which runs in float32 always.
LARGEST_MATRIX = {torch.float32: 28, torch.bfloat16: 400}
TILE = 8192  # positions of a map, all images together
SIZES = 4  # map sizes whose gains a filter keeps


def takes_shortcuts(x: Tensor) -> bool:
    """Whether the CPU's shortcuts serve for ``x``: inference in eager mode.

    In float32 and, where the processor has products of it, in bfloat16.
    """
    return (
        not torch.compiler.is_compiling()  # first: Dynamo can't trace the others
        and not torch.jit.is_tracing()
        and x.device.type == 'cpu'
        and torch.backends.mkldnn.is_available()
        and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and has_bfloat16_products()))
        and not torch.is_autocast_enabled('cpu')
        and not (torch.is_grad_enabled() and x.requires_grad)
    )


@cache
def has_bfloat16_products() -> bool:
    """Whether this processor multiplies bfloat16 in oneDNN."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def has_packed_products() -> bool:
    """Whether this torch has oneDNN's products with packed weights, two private operators."""
    return all(
        hasattr(torch.ops.mkldnn, name) for name in ('_reorder_linear_weight', '_linear_pointwise')
    )


class FixedLinear(PointwiseLinear):
    """A product with fixed weights over the channels of a map, and the activation behind it.

    Args:
        weight: Weight (out, in).
        bias: Bias (out,).
        activation: ``'none'``, ``'relu'`` or ``'gelu'``.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, activation: str = 'none'
    ) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias is not None)
        self.weight = _fixed(weight)
        if bias is not None:
            self.bias = _fixed(bias)
        self.activation = activation
        self._packed: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out_features, H, W)."""
        if takes_shortcuts(x) and has_packed_products():
            return self._by_onednn(x, 1)[0]
        return _ACTIVATIONS[self.activation](super().forward(x))

    def in_parts(self, x: Tensor, parts: int) -> Sequence[Tensor]:
        """Map (B, C, H, W) to ``parts`` maps of some of the output channels each, in order.

        With the CPU's shortcuts each is a product of its own, in consecutive memory.
        """
        if takes_shortcuts(x) and has_packed_products():
            return self._by_onednn(x, parts)
        return self(x).chunk(parts, dim=1)

    def _by_onednn(self, x: Tensor, parts: int) -> list[Tensor]:
        """The operators that torch.compile uses on CPUs, here without compiling."""
        if len(self._packed) != parts:
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self._packed = [reorder(weight) for weight in self.weight.chunk(parts)]
        biases = [None] * parts if self.bias is None else self.bias.chunk(parts)
        rows = x.permute(0, 2, 3, 1)
        outs = [
            torch.ops.mkldnn._linear_pointwise(rows, weight, bias, self.activation, [], 'none')
            for weight, bias in zip(self._packed, biases, strict=True)
        ]
        return [out.permute(0, 3, 1, 2) for out in outs]

    def _apply(self, fn: Callable, recurse: bool = True) -> 'FixedLinear':
        self._packed = []
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict(_packed=[])  # they can't be copied; a copy packs anew


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = dict(
    none=lambda x: x, relu=F.relu_, gelu=F.gelu
)


class FixedSRF(nn.Module):
    """A :class:`SpectralRescalingFilter` with fixed weights and its channels in another order.

    Args:
        srf: The trained filter, whose channels are reordered in place.
        order: For each channel of the maps, the trained filter's channel, (C,).

    Attributes:
        reordered: The filter in the order of the maps' channels.
    """

    def __init__(self, srf: SpectralRescalingFilter, order: Tensor) -> None:
        super().__init__()
        srf.filter = _fixed(srf.filter[order])
        self.reordered = srf
        self.order = order
        self._gains: dict[tuple, Tensor] = {}

    def forward(self, u: Tensor) -> Tensor:
        """Filter maps of shape (B, C, H, W); the output is in channels_last memory."""
        size = (u.shape[-2], u.shape[-1])
        if filters_by_matrices(u):
            gain = self._kept(('map', *size), lambda: self._map_gain(size).to(u.dtype))
            return filter_maps(u.permute(0, 2, 3, 1), gain).permute(0, 3, 1, 2)
        gain = self._kept(('even', *size), lambda: self.reordered.even_gain(size))
        return rescale(u, gain).contiguous(memory_format=torch.channels_last)

    def gain(self, size: tuple[int, int]) -> Tensor:
        """The gain for maps of (H, W) = ``size``: (C, H, W // 2 + 1), float32 or float64."""
        return self._kept(size, lambda: self.reordered.gain(size))

    def _map_gain(self, size: tuple[int, int]) -> Tensor:
        gain = self.reordered.gain(size)
        return gain.permute(1, 2, 0)[:, None].contiguous()  # (H, 1, W // 2 + 1, C)

    def _kept(self, key: tuple, compute: Callable[[], Tensor]) -> Tensor:
        """The gain under ``key``, computed at first use and kept for the last few sizes."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return compute()
        if key not in self._gains:
            while len(self._gains) >= SIZES:
                del self._gains[next(iter(self._gains))]
            # A plain tensor serves inference_mode, no_grad and a gradient through u alike.
            with torch.inference_mode(False), torch.no_grad():
                self._gains[key] = compute()
        return self._gains[key]

    def _apply(self, fn: Callable, recurse: bool = True) -> 'FixedSRF':
        self._gains = {}
        return super()._apply(fn, recurse)


def filters_by_matrices(u: Tensor) -> bool:
    """Whether maps of this size, (..., H, W), are filtered without an FFT."""
    return takes_shortcuts(u) and max(u.shape[-2:]) <= LARGEST_MATRIX[u.dtype]


class DeployedMlp(nn.Module):
    """:class:`Mlp` behind a norm of weight ``norm_weight``, (C,).

    The square of StarReLU leaves float16's range from 256 on. So the first weights are a sixteenth
    and the second 256 times as large, which changes no digit in the other types.
    """

    def __init__(self, mlp: Mlp, norm_weight: Tensor) -> None:
        super().__init__()
        self.fc1 = FixedLinear(mlp.fc1.weight * norm_weight / 16, activation='relu')
        weight = mlp.fc2.weight
        self.fc2 = FixedLinear(256 * mlp.act.scale * weight, mlp.act.bias * weight.sum(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of (B, C, H, W)."""
        hidden = self.fc1(x)
        if hidden.requires_grad:  # relu's backward pass reads what it gave
            return self.fc2(hidden.square())
        return self.fc2(hidden.square_())


class DeployedSPAM(nn.Module):
    """:class:`SPAM` behind a norm of weight ``norm_weight``, (C,)."""

    def __init__(self, spam: SPAM, norm_weight: Tensor) -> None:
        super().__init__()
        self.heads = spam.heads
        self.query = FixedLinear(spam.query.weight * norm_weight, activation='gelu')
        self.context = FixedLinear(spam.context.weight * norm_weight)
        self.convs = spam.convs
        # A group of P1 reads the same channel of all heads or, in the revision, of one head.
        interleaved = not isinstance(spam, SPAMRevision)
        self.head_dim = 2 if interleaved else 1
        channels = torch.arange(len(spam.srf.filter)).view(spam.heads, -1)
        self.srf = FixedSRF(spam.srf, (channels.T if interleaved else channels).flatten())
        self.p1: Any = spam.head_mix if interleaved else spam.channel_mix
        self.norm = spam.norm
        self.reduce = FixedLinear(spam.reduce.weight)
        self.proj = FixedLinear(spam.proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map x, (B, C, H, W), into y of the same shape."""
        q = self.query(x)
        contexts = self.context.in_parts(x, self.heads)
        s = self.srf(self._join([conv(c) for conv, c in zip(self.convs, contexts, strict=True)]))
        m = self.reduce(torch.ops.aten.gelu_(self.norm(self._expand(s))))
        return self.proj(m.mul_(q))

    def _expand(self, s: Tensor) -> Tensor:
        """P1: (B, C, H, W) -> (B, 2C, H, W)."""
        # On one thread PyTorch computes a batch under 16 in a loop over the groups, unless the
        # convolution is dilated, which means nothing to a kernel of one point.
        dilation = 2 if takes_shortcuts(s) else 1
        return F.conv2d(s, self.p1.weight, groups=self.p1.groups, dilation=dilation)

    def _join(self, heads: Sequence[Tensor]) -> Tensor:
        """The heads, each (B, C / h, H, W), in P1's order: (B, C, H, W), as the filter reads it."""
        if filters_by_matrices(heads[0]):
            maps = torch.stack([head.permute(0, 2, 3, 1) for head in heads], dim=self.head_dim + 2)
            return maps.flatten(3).permute(0, 3, 1, 2)
        planes = [head.contiguous() for head in heads]  # the FFT reads a channel at a time
        return torch.stack(planes, dim=self.head_dim).flatten(1, 2)


class DeployedBlock(nn.Module):
    """:class:`MetaFormerBlock` without what only training needs."""

    def __init__(self, block: MetaFormerBlock) -> None:
        super().__init__()
        self.norm1 = _without_weight(block.norm1)
        self.token_mixer = _deployed_mixer(block.token_mixer, block.norm1.weight)
        self.norm2 = _without_weight(block.norm2)
        self.mlp = DeployedMlp(block.mlp, block.norm2.weight)
        self.res_scale1 = _as_map(block.res_scale1)
        self.res_scale2 = _as_map(block.res_scale2)

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, C, H, W) over space, then over channels."""
        x = _residual(x, self.res_scale1, self.token_mixer(self.norm1(x)))
        batch, channels, height, width = x.shape
        positions = batch * height * width
        if not takes_shortcuts(x) or positions <= TILE:
            return self._mix_channels(x)
        rows = x.permute(0, 2, 3, 1).reshape(1, positions, 1, channels).permute(0, 3, 1, 2)
        mixed = torch.cat([self._mix_channels(tile) for tile in rows.split(TILE, dim=2)], dim=2)
        return mixed.permute(0, 2, 3, 1).view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _mix_channels(self, x: Tensor) -> Tensor:
        return _residual(x, self.res_scale2, self.mlp(self.norm2(x)))


def deploy_block(block: nn.Module) -> nn.Module:
    """Return the deployed form of a block, or the block itself if its mixer has none."""
    known = (SPAM, SPAMRevision, Attention, MixAttention)  # their subclasses compute other things
    if type(block) is MetaFormerBlock and type(block.token_mixer) in known:
        return DeployedBlock(block)
    return block


def deploy_downsample(layer: Downsample) -> None:
    """Fold the norm of a downsampling layer into its convolution, in place."""
    norm = layer.pre_norm
    layer.conv.weight = _fixed(layer.conv.weight * norm.weight[:, None, None])
    layer.pre_norm = _without_weight(norm)


def _deployed_mixer(mixer: nn.Module, norm_weight: Tensor) -> nn.Module:
    if isinstance(mixer, SPAM):
        return DeployedSPAM(mixer, norm_weight)
    assert isinstance(mixer, Attention)
    mixer.qkv = FixedLinear(mixer.qkv.weight * norm_weight)
    mixer.proj = FixedLinear(mixer.proj.weight)
    return mixer


def _without_weight(norm: LayerNorm2d) -> LayerNorm2d:
    return LayerNorm2d(norm.normalized_shape[0], norm.eps, affine=False)


def _residual(x: Tensor, scale: Tensor | None, branch: Tensor) -> Tensor:
    if scale is not None:
        return torch.addcmul(branch, x, scale)
    # The branch is fresh memory; x may be an output of the stage before.
    return branch.add_(x) if branch.dtype == x.dtype else x + branch


def _as_map(vector: Tensor | None) -> nn.Parameter | None:
    return None if vector is None else _fixed(vector[:, None, None])


def _fixed(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=False)
