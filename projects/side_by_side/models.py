"""Models of this comparison alone: peers' backbones, and SPAM without one of its parts.

The configs of projects/side_by_side/configs import it by ``custom_imports``; the product does not.
"""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from mmpretrain.models import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck
from timm.models import metaformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmspanet.models import SPAM, ScaledSpectralRescalingFilter
from mmspanet.registry import MODELS


@MODELS.register_module()
class TimmMetaFormer(BaseModule):
    """timm's MetaFormer (ConvFormer, CAFormer) without its classifier, for any width and depth.

    Args:
        depths: Blocks per stage.
        channels: Channels per stage.
        mixers: A mixer of ``timm.models.metaformer`` per stage, such as ``'SepConv'``.
        init_cfg: MMEngine initialization config; without one, timm's own (std 0.02).
    """

    def __init__(
        self,
        depths: Sequence[int],
        channels: Sequence[int],
        mixers: Sequence[str],
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        classes = [getattr(metaformer, name) for name in mixers]
        model = metaformer.MetaFormer(
            depths=tuple(depths),
            dims=tuple(channels),
            token_mixers=classes,
            norm_layers=[_norm_of(mixer) for mixer in classes],
            num_classes=0,
        )
        self.stem = model.stem
        self.stages = model.stages

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map images (B, 3, H, W) to a tuple of the last stage's raw map, (B, C, H/32, W/32)."""
        return (self.stages(self.stem(x)),)


def _norm_of(mixer: type[nn.Module]) -> type[nn.Module]:
    """The norm of a stage: timm's attention takes tokens, its other mixers take maps."""
    takes_tokens = issubclass(mixer, metaformer.Attention)
    return metaformer.LayerNormNoBias if takes_tokens else metaformer.LayerNorm2dNoBias


@MODELS.register_module()
class ResNet23(ResNet):
    """ResNet of seven Bottleneck blocks: the design of ResNet-50, half as deep."""

    arch_settings = {23: (Bottleneck, (1, 1, 2, 3))}


@MODELS.register_module()
class SPAMWithoutSRF(SPAM):
    """SPAM whose context is not filtered: ``y = Wo (q * m(u))``."""

    def __init__(self, channels: int, map_size: tuple[int, int], **options: Any) -> None:
        super().__init__(channels, map_size, **options)
        del self.srf

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps of shape (B, C, H, W)."""
        modulator = self.modulator(self.multi_kernel(self.context(x)))
        return self.proj(F.gelu(self.query(x)) * modulator)


@MODELS.register_module()
class SPAMWithoutModulation(SPAM):
    """SPAM without its query: ``y = Wo m``, a chain of the context's steps."""

    def __init__(self, channels: int, map_size: tuple[int, int], **options: Any) -> None:
        super().__init__(channels, map_size, **options)
        del self.query

    def forward(self, x: Tensor) -> Tensor:
        """Mix maps of shape (B, C, H, W)."""
        return self.proj(self.modulator(self.srf(self.multi_kernel(self.context(x)))))


@MODELS.register_module()
class SPAMScaledSigmoid(SPAM):
    """SPAM whose filter has a learned slope: one of the two changes of ``SPAMRevision``."""

    def __init__(self, channels: int, map_size: tuple[int, int], **options: Any) -> None:
        super().__init__(channels, map_size, **options)
        self.srf = ScaledSpectralRescalingFilter(channels, map_size)
