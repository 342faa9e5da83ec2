"""The models of the study: a backbone and the widths of its four maps, by name.

All cost the same: whole models within 5 % of each other's MACs, backbones within 15 % of SPANetV2's
parameters (projects/side_by_side/tests/test_photographs.py). Widths and depths were chosen for
that alone. Weights start as each class starts them, HorNet's as MMPretrain's configs do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mmspanet.errors import InputError

# A data set's config in configs/, by its name.
CONFIGS = {
    'nuclei': 'mask-rcnn_nuclei.py',
    'camvid': 'upernet_camvid.py',
    'facades': 'mask-rcnn_facades.py',
    'nuclei-full': 'mask-rcnn_nuclei-full.py',
    'camvid-full': 'upernet_camvid-full.py',
    'facades-full': 'mask-rcnn_facades-full.py',
}

# Learning rates that a sweep begins with.
RATES = (5e-4, 1e-3, 2e-3, 4e-3)

WIDTHS = (24, 48, 96, 160)
DEPTHS = (1, 1, 3, 1)


@dataclass(frozen=True)
class Contestant:
    """A backbone.

    Attributes:
        family: Models of one family are trained at one learning rate.
        backbone: Its config.
        widths: Channels of its four maps.
    """

    family: str
    backbone: dict[str, Any]
    widths: Sequence[int] = WIDTHS


def spanetv2(mixers: Sequence[Any] = ('SPAM',) * 4) -> Contestant:
    """SPANetV2 whose filters are stored for the crops of the training."""
    arch = dict(depths=DEPTHS, channels=WIDTHS, mixers=tuple(mixers))
    return Contestant('spanetv2', dict(type='mmspanet.SPANetV2', arch=arch, input_size=256))


def everywhere(mixer: str, **options: Any) -> Contestant:
    """SPANetV2 with one mixer in all stages."""
    return spanetv2([dict(type=mixer, **options)] * 4)


def metaformer(
    mixers: Sequence[str], widths: Sequence[int], depths: Sequence[int] = DEPTHS
) -> Contestant:
    """timm's MetaFormer."""
    backbone = dict(
        type='mmspanet.TimmMetaFormerMaps', depths=depths, channels=tuple(widths), mixers=mixers
    )
    return Contestant('metaformer', backbone, widths)


def convolutional(
    family: str, kind: str, arch: Any, widths: Sequence[int], **options: Any
) -> Contestant:
    """MMPretrain's HorNet or ConvNeXt, with its four maps."""
    backbone = dict(
        type=f'mmpretrain.{kind}',
        arch=arch,
        out_indices=(0, 1, 2, 3),
        gap_before_final_norm=False,
        **options,
    )
    return Contestant(family, backbone, widths)


HORNET_START = dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0)


def hornet(*large: dict[str, Any]) -> Contestant:
    """MMPretrain's HorNet; the last stages have other spatial layers than the 7x7 of the first."""
    layers = [dict(type='DW', kernel_size=7)] * (4 - len(large)) + list(large)
    arch = dict(base_dim=24, depths=[1, 2, 3, 1], orders=[2, 3, 4, 5], dw_cfg=layers)
    return convolutional('hornet', 'HorNet', arch, (24, 48, 96, 192), init_cfg=[HORNET_START])


CONTESTANTS = {
    'spanetv2-pure': spanetv2(),
    'spanetv2-hybrid': spanetv2(('SPAM', 'SPAM', 'MixAttention', 'Attention')),
    'convformer': metaformer(('SepConv',) * 4, (24, 48, 104, 176)),
    'caformer': metaformer(('SepConv', 'SepConv', 'Attention', 'Attention'), (24, 48, 96, 192)),
    # The global filter's weights are stored for crops of 256 pixels, as in HorNet-T's arch for 224.
    'hornet-gf': hornet(dict(type='GF', h=16, w=9), dict(type='GF', h=8, w=5)),
    'hornet-7x7': hornet(),
    'convnext': convolutional(
        'convnext',
        'ConvNeXt',
        dict(depths=(2, 3, 3, 2), channels=(24, 48, 96, 184)),
        (24, 48, 96, 184),
    ),
    'resnet': Contestant(
        'resnet',
        dict(type='mmspanet.ResNet29', depth=29, stem_channels=16, base_channels=16),
        (64, 128, 256, 512),
    ),
}

# SPAM without one of its parts, or with another in its place.
PARTS = {
    'spanetv2-pure-no-srf': everywhere('SPAMWithoutSRF'),
    'spanetv2-pure-no-modulation': everywhere('SPAMWithoutModulation'),
    'spanetv2-pure-k3': everywhere('SPAM', kernel_sizes=(3, 3, 3, 3)),
    'spanetv2-pure-k9': everywhere('SPAM', kernel_sizes=(9, 9, 9, 9)),
    'spanetv2-pure-scaled-sigmoid': everywhere('SPAMScaledSigmoid'),
    'spanetv2-pure-open-filter': everywhere('SPAMOpenFilter'),
}

SMALL = CONTESTANTS | PARTS

# The sizes that the papers compare, for whoever has a GPU. Costs differ.
FULL = {
    'spanetv2-s18-pure': Contestant(
        'spanetv2', dict(type='mmspanet.SPANetV2', arch='s18-pure'), (64, 128, 320, 512)
    ),
    'convformer-s18': metaformer(('SepConv',) * 4, (64, 128, 320, 512), (3, 3, 9, 3)),
    'hornet-t-gf': convolutional(
        'hornet', 'HorNet', 'tiny-gf', (64, 128, 256, 512), init_cfg=[HORNET_START]
    ),
    'convnext-t': convolutional('convnext', 'ConvNeXt', 'tiny', (96, 192, 384, 768)),
}
ALL = SMALL | FULL


def check_models(names: Iterable[str]) -> None:
    """Refuse names of models that are not here.

    Raises:
        InputError: If there is one.
    """
    unknown = set(names) - ALL.keys()
    if unknown:
        raise InputError(f'There is no model {", ".join(unknown)}: there are {", ".join(ALL)}.')


def models_of(data: str) -> dict[str, Contestant]:
    """The models that a data set is for."""
    return FULL if data.endswith('-full') else SMALL
