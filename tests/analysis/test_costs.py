"""Costs: closed forms, and every figure that the authors print."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config

from mmspanet.analysis.costs import count_config, count_costs, default_shape
from mmspanet.models import SPANetV2
from mmspanet.models.srf import SpectralRescalingFilter

CONFIGS = Path(__file__).parents[2] / 'configs'


def costs_of_backbone(arch: str, size: int = 224) -> dict[str, int]:
    with torch.device('meta'):
        model = SPANetV2(arch=arch, output_norm=False).eval()
        images = torch.empty(1, 3, size, size)
    return count_costs(model, lambda: model(images))[0].macs


# Linear, convolution and attention MACs at 224 without FFT and norms, recomputed by others.
@pytest.mark.parametrize(
    ('arch', 'giga'),
    [
        ('s18-pure', 4.16),
        ('s18-hybrid', 4.17),
        ('s36-pure', 8.08),
        ('s36-hybrid', 8.13),
        ('m36-pure', 13.64),
        ('m36-hybrid', 13.61),
        ('b36-pure', 24.14),
        ('b36-hybrid', 23.84),
    ],
)
def test_backbone_at_224(arch, giga):
    macs = costs_of_backbone(arch)
    total = macs['linear and convolution'] + macs['attention products']
    classifier = {'s': 512, 'm': 576, 'b': 768}[arch[0]]
    total += 4 * classifier**2 + 4000 * classifier
    assert round(total / 1e9, 2) == giga


def test_attention_products():
    macs = costs_of_backbone('s18-hybrid')
    # QK^T and AV over N tokens: 2 N^2 C; nine blocks on 14 x 14, three on 7 x 7.
    assert macs['attention products'] == 9 * 2 * 196**2 * 320 + 3 * 2 * 49**2 * 512


def test_fft_of_a_filter():
    srf = SpectralRescalingFilter(8, (16, 32)).eval()
    maps = torch.randn(2, 8, 16, 32)
    macs = count_costs(srf, lambda: srf(maps))[0].macs
    points, transforms = 16 * 32, 2 * 2 * 8  # forth and back for each map
    assert macs['FFT'] == transforms * 2.5 * points * math.log2(points) / 2


def test_modules_are_listed_by_their_path():
    with torch.device('meta'):
        model = SPANetV2().eval()
        images = torch.empty(1, 3, 64, 64)
    costs = {cost.name: cost for cost in count_costs(model, lambda: model(images))}
    block = costs['stages.0.0']
    assert block.params == sum(p.numel() for p in model.stages[0][0].parameters())
    products = 16 * 16 * (5 * 64**2 + 64 * 8 + 64 * 41 + 8 * 64**2)
    assert block.macs['linear and convolution'] == products


# Printed figure in G MACs; whether it counts the attention products.
PRINTED = {
    'det/mask-rcnn_spanetv2-s18-pure_': (255, False),
    'det/mask-rcnn_spanetv2-s18-hybrid_': (251, False),
    'det/cascade-mask-rcnn_spanetv2-s18-pure_': (734, False),
    'det/cascade-mask-rcnn_spanetv2-s18-hybrid_': (729, False),
    'det/cascade-mask-rcnn_spanetv2-s36-pure_': (814, False),
    'det/cascade-mask-rcnn_spanetv2-s36-hybrid_': (806, False),
    'seg/fpn_spanetv2-s18-pure_': (43, True),
    'seg/fpn_spanetv2-s18-hybrid_': (48, True),
    'seg/fpn_spanetv2-s36-pure_': (64, True),
    'seg/fpn_spanetv2-s36-hybrid_': (74, True),
    'seg/upernet_spanetv2-s18-pure_h512_': (930, False),
    'seg/upernet_spanetv2-s18-hybrid_h512_': (925, False),
    'seg/upernet_spanetv2-s36-pure_h512_': (1012, False),
    'seg/upernet_spanetv2-s36-hybrid_h512_': (1004, False),
}


@pytest.mark.parametrize(
    ('head', 'width'),
    [
        (dict(type='FPNHead'), 512),
        (dict(type='UPerHead'), 2048),
        ([dict(type='FCNHead'), dict(type='OCRHead')], 2048),
    ],
)
def test_size_that_a_head_is_counted_at(head, width):
    cfg = Config(dict(default_scope='mmseg', model=dict(decode_head=head)))
    assert default_shape(cfg) == (512, width)


@pytest.mark.parametrize('start', PRINTED)
def test_printed_figures_come_out(start):
    pytest.importorskip('mmdet' if start.startswith('det') else 'mmseg')
    (path,) = CONFIGS.glob(f'{start}*.py')
    cfg = Config.fromfile(path)
    macs = count_config(cfg, default_shape(cfg))[0].macs
    printed, with_attention = PRINTED[start]
    counted = macs['linear and convolution'] + macs['LayerNorm']
    counted += macs['attention products'] if with_attention else 0
    assert round(counted / 1e9) == printed


def test_the_deployed_form_has_the_same_products():
    pytest.importorskip('mmpretrain')
    path = CONFIGS / 'cls/spanetv2-s18-hybrid_4xb64-amp-310e_in1k.py'
    trained, deployed = (
        count_config(Config.fromfile(path), (224, 224), deploy)[0].macs for deploy in (False, True)
    )
    for kind in ('linear and convolution', 'attention products', 'FFT'):
        assert deployed[kind] == trained[kind]
    assert deployed['other'] < trained['other']


def test_a_model_that_reads_numbers_while_it_is_made_is_counted():
    """MMPretrain's ConvNeXt can't be built on the meta device; published are 28.6 M and 4.5 G."""
    pytest.importorskip('mmpretrain')
    cfg = get_config('mmpretrain::convnext/convnext-tiny_32xb128_in1k.py')
    whole = count_config(cfg, (224, 224))[0]
    assert round(whole.params / 1e6, 1) == 28.6
    assert round(whole.macs['linear and convolution'] / 1e9, 1) == 4.5
