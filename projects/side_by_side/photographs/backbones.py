"""Backbones of this study alone: peers with the four maps that detectors take, and a mixer.

Every map is normed by a LayerNorm of its own, as SPANetV2's are; ResNet's end in a ReLU.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from mmspanet.models import SPAM
from mmspanet.registry import MODELS
from projects.side_by_side.models import TimmMetaFormer


@MODELS.register_module()
class TimmMetaFormerMaps(TimmMetaFormer):
    """timm's MetaFormer (ConvFormer, CAFormer) with a normed map of each stage.

    Its arguments are those of :class:`TimmMetaFormer`, by name.
    """

    def __init__(self, channels: Sequence[int], **options: Any) -> None:
        super().__init__(channels=channels, **options)
        self.norms = nn.ModuleList(LayerNorm2d(width) for width in channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images (B, 3, H, W) to maps (B, C, H / stride, W / stride) of strides 4 to 32."""
        x = self.stem(x)
        maps = []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = stage(x)
            # mmcv's RoIAlign reads memory as NCHW; timm's norm leaves it channels-last.
            maps.append(norm(x).contiguous())
        return tuple(maps)


@MODELS.register_module()
class SPAMOpenFilter(SPAM):
    """SPAM whose filter starts at a gain of sigmoid(4) = 0.98, nearly open, instead of 0.5."""

    def __init__(self, channels: int, map_size: tuple[int, int], **options: Any) -> None:
        super().__init__(channels, map_size, **options)
        with torch.no_grad():
            self.srf.filter += 4


@MODELS.register_module()
class ResNet29(ResNet):
    """ResNet of nine Bottleneck blocks: the design of ResNet-50, half as deep; its four maps."""

    arch_settings = {29: (Bottleneck, (2, 2, 3, 2))}

    def __init__(self, depth: int = 29, **options: Any) -> None:
        super().__init__(depth, out_indices=(0, 1, 2, 3), **options)
