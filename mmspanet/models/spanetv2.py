"""The SPANetV2 backbone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmspanet.checkpoints.backbone import translate_backbone, translate_classifier
from mmspanet.errors import InputError
from mmspanet.registry import MODELS

from .deploy import deploy_block, deploy_downsample
from .layer_ids import layer_wise_id, num_layer_wise_ids
from .layers import LayerNorm2d
from .metaformer import Downsample, MetaFormerBlock, Stem

PURE = ('SPAM', 'SPAM', 'SPAM', 'SPAM')
HYBRID = ('SPAM', 'SPAM', 'MixAttention', 'Attention')


@MODELS.register_module()
class SPANetV2(BaseModule):
    """SPANetV2 (Spectral-Adaptive Modulation Networks, arXiv 2503.23947).

    A stem of stride 4, then four stages of MetaFormer blocks at strides 4, 8, 16
    and 32. It computes what the authors' released model computes and loads their
    checkpoints, of classifiers and of whole detectors, as they are.

    Args:
        arch: A name in ``SPANetV2.arch_settings`` or a dict with

            - ``depths`` and ``channels``: four numbers each;
            - ``mixers``: four registered mixers, each a type or a config dict
              such as ``dict(type='SPAM', kernel_sizes=(3, 9))``; a mixer is
              built with ``channels`` and ``map_size``. Defaults to SPAM in all
              stages.

        in_channels: Channels of the input images.
        input_size: Image size, one side or (H, W), that the spectral filters
            are stored for. Other sizes work, too: the filters are resized.
        drop_path_rate: Stochastic depth rate of the last block; it grows
            linearly from 0 at the first.
        out_indices: Stages whose maps are returned. Stages above the last one
            are not built.
        output_norm: Norm the returned maps (LayerNorms ``norm0``..``norm3``);
            without it, the raw maps are returned, as classification needs them.
        frozen_stages: Number of stages, from the first, that are kept in eval
            mode and without gradient; none for 0 or -1.
        with_cp: Recompute the blocks' activations in the backward pass to save
            memory.
        init_cfg: MMEngine initialization config.

    Raises:
        ValueError: If an argument is out of range or contradicts another.
        KeyError: If a mixer is not registered.
    """

    arch_settings: dict[str, dict[str, Any]] = {
        f'{size}-{family}': dict(depths=depths, channels=channels, mixers=mixers)
        for size, depths, channels in (
            ('s18', (3, 3, 9, 3), (64, 128, 320, 512)),
            ('s36', (3, 12, 18, 3), (64, 128, 320, 512)),
            ('m36', (3, 12, 18, 3), (96, 192, 384, 576)),
            ('b36', (3, 12, 18, 3), (128, 256, 512, 768)),
        )
        for family, mixers in (('pure', PURE), ('hybrid', HYBRID))
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 's18-pure',
        in_channels: int = 3,
        input_size: int | Sequence[int] = 224,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        output_norm: bool = True,
        frozen_stages: int = 0,
        with_cp: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02, bias=0.0)
        super().__init__(init_cfg)
        setting = self._arch_setting(arch)
        self.depths = tuple(setting['depths'])
        self.channels = tuple(setting['channels'])
        self.out_indices = self._checked_out_indices(out_indices)
        num_stages = self.out_indices[-1] + 1
        if not -1 <= frozen_stages <= num_stages:
            raise ValueError(
                f'frozen_stages={frozen_stages} must lie between -1 and {num_stages}, '
                'the number of stages that out_indices asks for.'
            )
        if not 0.0 <= drop_path_rate < 1.0:
            raise ValueError(f'drop_path_rate={drop_path_rate} must lie in [0, 1).')
        if min(_pair(input_size)) < 3:
            raise ValueError(f'input_size={input_size} must be at least 3 pixels a side.')
        self.deployed = False
        self.deployed_dtype: torch.dtype | None = None
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp

        self._build_stages(setting, in_channels, _pair(input_size), drop_path_rate)
        for i in self.out_indices if output_norm else ():
            self.add_module(f'norm{i}', LayerNorm2d(self.channels[i]))
        self.output_norm = output_norm
        self._freeze_stages()
        self.register_load_state_dict_pre_hook(_translate_checkpoint)

    @classmethod
    def _arch_setting(cls, arch: str | Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(arch, str):
            if arch not in cls.arch_settings:
                raise ValueError(f'arch={arch!r} is not one of {sorted(cls.arch_settings)}.')
            return cls.arch_settings[arch]
        if not {'depths', 'channels'} <= set(arch) <= {'depths', 'channels', 'mixers'}:
            raise ValueError(
                f'arch has the keys {sorted(arch)}; it needs depths and channels, and may have '
                'mixers.'
            )
        setting = dict(mixers=PURE) | dict(arch)
        for key in ('depths', 'channels', 'mixers'):
            if isinstance(setting[key], str) or len(setting[key]) != 4:
                raise ValueError(
                    f'arch[{key!r}]={setting[key]!r} must have four entries, one per stage.'
                )
        if min(setting['depths']) < 1:
            raise ValueError(f"arch['depths']={setting['depths']} must be at least 1 per stage.")
        return setting

    @staticmethod
    def _checked_out_indices(out_indices: int | Sequence[int]) -> tuple[int, ...]:
        given = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
        indices = sorted(i + 4 if i < 0 else i for i in given)
        if not indices or indices[0] < 0 or indices[-1] > 3 or len(set(indices)) < len(indices):
            raise ValueError(f'out_indices={out_indices} must name different stages from 0 to 3.')
        return tuple(indices)

    def _build_stages(
        self,
        setting: Mapping[str, Any],
        in_channels: int,
        map_size: tuple[int, int],
        drop_path_rate: float,
    ) -> None:
        """The stages up to the last of ``out_indices``; ``map_size`` is that of the images."""
        rates = np.linspace(0, drop_path_rate, sum(self.depths)).tolist()
        self.downsample_layers = nn.ModuleList()
        self.stages = nn.ModuleList()
        for i in range(self.out_indices[-1] + 1):
            layer = (
                Stem(in_channels, self.channels[0])
                if i == 0
                else Downsample(self.channels[i - 1], self.channels[i])
            )
            map_size = layer.output_size(map_size[0]), layer.output_size(map_size[1])
            first = sum(self.depths[:i])
            blocks = [
                MetaFormerBlock(
                    self.channels[i],
                    _build_mixer(setting['mixers'][i], self.channels[i], map_size),
                    drop_path_rate=rate,
                    res_scale=i >= 2,
                    with_cp=self.with_cp,
                )
                for rate in rates[first : first + self.depths[i]]
            ]
            self.downsample_layers.append(layer)
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps of an image batch.

        Args:
            x: Images of shape (B, in_channels, H, W), H and W from 3 pixels up.

        Returns:
            One contiguous (B, C, H / stride, W / stride) map per index in ``out_indices``.
        """
        if x.ndim != 4 or min(x.shape[2:]) < 3:
            raise ValueError(
                f'SPANetV2 takes images of shape (B, C, H, W) with H and W of 3 pixels or more, '
                f'not {tuple(x.shape)}.'
            )
        if self.deployed_dtype is None:
            return self._maps(x)
        return tuple(out.to(x.dtype) for out in self._maps(x.to(self.deployed_dtype)))

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        outs = []
        for i, (downsample, stage) in enumerate(
            zip(self.downsample_layers, self.stages, strict=True)
        ):
            x = stage(downsample(x))  # (B, channels[i], H / stride, W / stride)
            if i in self.out_indices:
                out = getattr(self, f'norm{i}')(x) if self.output_norm else x
                # mmcv's RoIAlign reads raw memory, whatever the strides say.
                outs.append(out.contiguous())
        return tuple(outs)

    def switch_to_deploy(self, dtype: torch.dtype | None = None) -> None:
        """Bring the model into its deployed form, in place: the same outputs, faster.

        For testing only, and for good: afterwards training, saving and loading weights are
        errors. A second call does nothing. Outputs agree to rounding, 1e-4 relative.

        Args:
            dtype: Half type of the folded weights and of the maps inside, such as
                ``torch.bfloat16``: images are cast to it and outputs back. Each block adds the
                type's rounding. None keeps the model's.
        """
        if self.deployed:
            return
        self.eval()
        for layer in self.downsample_layers:
            if isinstance(layer, Downsample):
                deploy_downsample(layer)
        for i, stage in enumerate(self.stages):
            self.stages[i] = nn.Sequential(*map(deploy_block, stage.children()))
        self.requires_grad_(False)
        if dtype is not None:
            self.to(dtype)
        self.eval()
        self.deployed = True
        self.deployed_dtype = dtype
        self.register_state_dict_pre_hook(_refuse_to_save)

    def train(self, mode: bool = True) -> 'SPANetV2':
        """Set the mode of all but the frozen stages."""
        if mode and self.deployed:
            raise RuntimeError(_DEPLOYED.format('trained'))
        super().train(mode)
        self._freeze_stages()
        return self

    def _freeze_stages(self) -> None:
        for i in range(self.frozen_stages):
            for part in (self.downsample_layers[i], self.stages[i]):
                part.eval()
                part.requires_grad_(False)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Layer-wise id of a parameter and the number of ids, as mmpretrain asks for them.

        Args:
            param_name: Name of the parameter in the whole model.
            prefix: Prefix of the backbone's parameters in that model.
        """
        num_layers = num_layer_wise_ids(self.depths)
        if not param_name.startswith(prefix):
            return num_layers + 1, num_layers + 2
        return layer_wise_id(param_name.removeprefix(prefix), num_layers), num_layers + 2

    def _checkpoint_filter(self, state_dict: dict, prefix: str, *_: Any) -> None:
        """Load hook that mmpretrain's ImageClassifier looks for by this name."""
        translate_classifier(state_dict, prefix)


def find_spanetv2(model: nn.Module) -> dict[str, SPANetV2]:
    """Every SPANetV2 in a model by its name, which is empty for the model itself.

    Args:
        model: Any model; semi-supervised detectors hold two backbones, for example.

    Raises:
        InputError: If there is none.
    """
    found = {name: m for name, m in model.named_modules() if isinstance(m, SPANetV2)}
    if not found:
        raise InputError(f'{type(model).__name__} holds no SPANetV2: choose a config that has one.')
    return found


_DEPLOYED = (
    'A deployed SPANetV2 can not be {}: its weights are folded. Build it anew from its config '
    'and checkpoint.'
)


def _refuse_to_save(*_: Any) -> None:
    raise RuntimeError(_DEPLOYED.format('saved'))


def _translate_checkpoint(
    backbone: SPANetV2, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    if backbone.deployed:
        raise RuntimeError(_DEPLOYED.format('loaded into'))
    translate_backbone(backbone, state_dict, prefix)


def _build_mixer(mixer: Any, channels: int, map_size: tuple[int, int]) -> nn.Module:
    options = dict(mixer) if isinstance(mixer, Mapping) else dict(type=mixer)
    # Looked up in mmspanet first, whatever library the config is of.
    return MODELS.build(options | dict(channels=channels, map_size=map_size, _scope_='mmspanet'))


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width
