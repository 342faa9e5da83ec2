"""Importing this module enters SPANetV2 into timm, by name.

Needs ``pip install -e '.[timm]'``::

    import mmspanet.timm
    import timm

    model = timm.create_model('spanetv2_s18_pure', pretrained=True)
    maps = timm.create_model('spanetv2_s18_hybrid', features_only=True, out_indices=(1, 2, 3))

``pretrained=True`` loads ``spanetv2://s18-pure`` and the like, or the file that
``pretrained_cfg_overlay=dict(file=PATH)`` names.
"""

from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from mmspanet.checkpoints import model_from_authors
from mmspanet.checkpoints.published import PROJECT, PUBLISHED, Status
from mmspanet.checkpoints.reader import read_state_dict
from mmspanet.checkpoints.sources import SCHEME, local_file
from mmspanet.models.classifier import SPANetV2Classifier, new_linear
from mmspanet.models.metaformer import MetaFormerBlock


class TimmSPANetV2(SPANetV2Classifier):
    """The classifier with the methods and arguments that timm's models have.

    The hidden layer of the classifier belongs to the pre-logits: without classes, the model gives
    its (B, 4C) activations, and without pooling, the last feature map (B, C, H / 32, W / 32).

    Args:
        arch: See :class:`~mmspanet.models.SPANetV2`.
        num_classes: Classes; 0 for the pre-logits.
        in_chans: Channels of the images.
        global_pool: ``'avg'``, or ``''`` for none, which needs ``num_classes=0``.
        img_size: Image size that the spectral filters are stored for; others work, too.
        drop_rate: Dropout rate in front of the last layer.
        drop_path_rate: Stochastic depth rate of the last block.
    """

    def __init__(
        self,
        arch: str | dict[str, Any],
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = 'avg',
        img_size: int | tuple[int, int] = 224,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(arch, max(num_classes, 1), in_chans, img_size, drop_rate, drop_path_rate)
        channels = self.backbone.channels
        self.num_features = channels[-1]
        self.head_hidden_size = 4 * channels[-1]
        self.feature_info = [
            dict(num_chs=c, reduction=4 * 2**i, module=f'backbone.stages.{i}')
            for i, c in enumerate(channels)
        ]
        self.global_pool = global_pool
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the model a new last layer; see the class for the arguments.

        Raises:
            ValueError: If there is no such pooling.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ('avg', '') or (num_classes and not pool):
            raise ValueError(
                f'global_pool={pool!r} with num_classes={num_classes} is not to be had: use "avg", '
                'or "" with num_classes=0.'
            )
        self.num_classes, self.global_pool = num_classes, pool
        new = new_linear(self.head_hidden_size, num_classes) if num_classes else nn.Identity()
        weight = self.get_parameter('neck.fc.weight')
        self.head.fc = new.to(weight.device, weight.dtype)

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.get_submodule('head.fc')

    def forward_features(self, x: Tensor) -> Tensor:
        """Map images to the last feature map (B, C, H / 32, W / 32)."""
        (features,) = self.backbone(x)
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map the last feature map to logits (B, num_classes), or to what stands before them."""
        if not self.global_pool:
            return x
        (x,) = self.neck((x,))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalized images (B, in_chans, H, W) to logits."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Give the maps of stages beside the last one.

        Args:
            x: Images (B, in_chans, H, W).
            indices: Which stages; a number for that many of the last, None for all.
            norm: Without effect: a classifier has no norms for the maps of its stages.
            stop_early: Leave out the stages above the last one that is asked for.
            output_fmt: ``'NCHW'`` is the only one.
            intermediates_only: Give the list alone.

        Returns:
            The last map that was computed and the list of (B, C, H / stride, W / stride) maps.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f'output_fmt={output_fmt!r}: SPANetV2 gives NCHW only.')
        taken, last = feature_take_indices(len(self.backbone.stages), indices)
        maps = []
        for i, (downsample, stage) in enumerate(
            zip(self.backbone.downsample_layers, self.backbone.stages, strict=True)
        ):
            x = stage(downsample(x)).contiguous()
            if i in taken:
                maps.append(x)
            if stop_early and i == last:
                break
        return maps if intermediates_only else (x, maps)

    def prune_intermediate_layers(
        self,
        indices: int | list[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Remove what the maps of some stages do not need; see :meth:`forward_intermediates`.

        Args:
            indices: Which stages.
            prune_norm: Without effect, like ``norm`` there.
            prune_head: Remove the classifier, too.

        Returns:
            The stages by number.
        """
        taken, last = feature_take_indices(len(self.backbone.stages), indices)
        self.backbone.stages = self.backbone.stages[: last + 1]
        self.backbone.downsample_layers = self.backbone.downsample_layers[: last + 1]
        self.backbone.out_indices = (last,)
        if prune_head:
            self.reset_classifier(0, '')
            self.neck = nn.Identity()
        return taken

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks' activations in the backward pass to save memory, or do not."""
        for block in self.backbone.modules():
            if isinstance(block, MetaFormerBlock):
                block.with_cp = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters belong together, from the images upwards: by stage, or by block."""
        stages = r'^backbone\.(?:stages|downsample_layers)\.(\d+)'
        blocks = [
            (r'^backbone\.downsample_layers\.(\d+)', (0,)),
            (r'^backbone\.stages\.(\d+)\.(\d+)', None),
        ]
        return dict(stem=r'^backbone\.downsample_layers\.0\.', blocks=stages if coarse else blocks)

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        """None by name: timm spares vectors and biases itself, and the filters do decay."""
        return set()


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Bring a file of the authors into our layout; MMPretrain's classifiers have it."""
    return model_from_authors(state_dict)


def _cfg(arch: str) -> dict[str, Any]:
    """What timm knows of a pretrained model: the released test, and the address if it is proved."""
    entry = PUBLISHED[arch]
    return dict(
        url=entry.url if entry.status is Status.PROVED else None,
        input_size=(3, 224, 224), pool_size=(7, 7), crop_pct=1.0, interpolation='bicubic',
        mean=IMAGENET_DEFAULT_MEAN, std=IMAGENET_DEFAULT_STD, num_classes=1000,
        first_conv='backbone.downsample_layers.0.conv', classifier='head.fc',
        origin_url=PROJECT, paper_ids='arXiv:2503.23947',
    )  # fmt: skip


default_cfgs = generate_default_cfgs(
    {
        f'spanetv2_{size}_{family}.in1k': _cfg(f'{size}-{family}')
        for size in ('s18', 's36', 'm36', 'b36')
        for family in ('pure', 'hybrid')
    }
)


def _create(
    arch: str,
    pretrained: bool,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build a variant; its weights are read by our reader and fitted to the model by timm."""
    overlay = dict(pretrained_cfg_overlay or {})
    if pretrained and (pretrained_cfg is None or isinstance(pretrained_cfg, str)):
        source = overlay.get('file') or f'{SCHEME}{arch}'
        overlay['state_dict'] = read_state_dict(local_file(source))
    model: Any = build_model_with_cfg(
        TimmSPANetV2,
        f'spanetv2_{arch.replace("-", "_")}',
        pretrained,
        pretrained_cfg=pretrained_cfg,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=(0, 1, 2, 3), feature_cls='getter'),
        arch=arch,
        **kwargs,
    )
    model.pretrained_cfg.pop('state_dict', None)  # else it keeps the memory
    return model


@register_model
def spanetv2_s18_pure(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-S18-pure."""
    return _create('s18-pure', pretrained, **kwargs)


@register_model
def spanetv2_s18_hybrid(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-S18-hybrid."""
    return _create('s18-hybrid', pretrained, **kwargs)


@register_model
def spanetv2_s36_pure(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-S36-pure."""
    return _create('s36-pure', pretrained, **kwargs)


@register_model
def spanetv2_s36_hybrid(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-S36-hybrid."""
    return _create('s36-hybrid', pretrained, **kwargs)


@register_model
def spanetv2_m36_pure(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-M36-pure."""
    return _create('m36-pure', pretrained, **kwargs)


@register_model
def spanetv2_m36_hybrid(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-M36-hybrid."""
    return _create('m36-hybrid', pretrained, **kwargs)


@register_model
def spanetv2_b36_pure(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-B36-pure."""
    return _create('b36-pure', pretrained, **kwargs)


@register_model
def spanetv2_b36_hybrid(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SPANetV2-B36-hybrid."""
    return _create('b36-hybrid', pretrained, **kwargs)
