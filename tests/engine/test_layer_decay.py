"""Layer decay: the golden groups of every setting, and what is refused."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmspanet.checkpoints import backbone_to_authors
from mmspanet.models import SPANetV2
from tests import golden


class Model(nn.Module):
    """A backbone and the neck of one convolution that the golden groups have."""

    def __init__(self, arch, **kwargs):
        super().__init__()
        self.backbone = SPANetV2(arch, **kwargs)
        self.neck = nn.Conv2d(8, 8, 1)


def build_groups(model, paramwise_cfg, lr=1.0, weight_decay=0.05):
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='mmspanet.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(paramwise_cfg),
            optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay),
        ),
    )
    return wrapper.optimizer.param_groups


SETTINGS = golden.load('optimizer_groups')


@pytest.mark.parametrize('setting', SETTINGS)
def test_golden_groups(setting):
    record = SETTINGS[setting]
    model = Model(setting.split('/')[0].replace('_', '-'))
    groups = build_groups(
        model, record['paramwise_cfg'], record['base_lr'], record['base_weight_decay']
    )
    names = {id(p): name for name, p in model.named_parameters()}
    # Mark each parameter with its own scale, so that the authors' names tell it back.
    scales, decays = {}, {}
    for group in groups:
        scale = group['lr'] / record['base_lr']
        for param in group['params']:
            name = names[id(param)]
            scales[name] = torch.full_like(param, scale, dtype=torch.float64)
            decays[name] = torch.full_like(param, group['weight_decay'], dtype=torch.float64)
    assert len(scales) == len(names)
    scales, decays = authors_names(scales), authors_names(decays)
    assert scales.keys() == record['params'].keys()
    for name, (scale, decay) in record['params'].items():
        assert scales[name].unique().tolist() == pytest.approx([scale], rel=1e-12), name
        assert decays[name].unique().tolist() == [decay], name


def authors_names(values):
    backbone = {
        k.removeprefix('backbone.'): v for k, v in values.items() if k.startswith('backbone.')
    }
    others = {k: v for k, v in values.items() if not k.startswith('backbone.')}
    return others | {f'backbone.{k}': v for k, v in backbone_to_authors(backbone).items()}


def test_num_layers_defaults_to_what_the_depth_needs():
    with torch.device('meta'):
        model = Model('s36-pure')
    scales = {g['lr'] for g in build_groups(model, dict(decay_rate=0.5))}
    assert scales == {0.5**k for k in range(11)}


def test_an_optimizer_without_weight_decay_of_its_own():
    """Its default stays for weights; biases and norms never decay."""
    model = Model(dict(depths=(1,) * 4, channels=(32,) * 4))
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor='mmspanet.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(decay_rate=0.5),
            optimizer=dict(type='AdamW', lr=1.0),
        ),
    )
    for group in wrapper.optimizer.param_groups:
        decays = any(param.ndim > 1 for param in group['params'])
        assert group['weight_decay'] == (0.01 if decays else 0.0)


def test_too_few_layers_are_refused():
    with torch.device('meta'):
        model = Model('s36-pure')
    with pytest.raises(ValueError, match='give 9'):
        build_groups(model, dict(decay_rate=0.7, num_layers=6))
    with pytest.raises(ValueError, match='give 4'):
        build_groups(model, dict(decay_rate=0.7, decay_type='stage_wise', num_layers=3))


@pytest.mark.parametrize(
    ('paramwise_cfg', 'named'),
    [
        (dict(), 'decay_rate'),
        (dict(decay_rate=0.7, decay_typ='stage_wise'), 'decay_typ'),
        (dict(decay_rate=0.7, decay_type='depth_wise'), 'depth_wise'),
        (dict(decay_rate=0.7, decay_type='stage_wise'), 'num_layers'),
    ],
)
def test_wrong_settings_are_named(paramwise_cfg, named):
    with torch.device('meta'):
        model = Model('s18-pure')
    with pytest.raises(ValueError, match=named):
        build_groups(model, paramwise_cfg)


def test_a_model_without_spanetv2_is_refused():
    with pytest.raises(ValueError, match='no SPANetV2'):
        build_groups(nn.Conv2d(1, 1, 1), dict(decay_rate=0.7))


def test_frozen_parameters_are_left_out():
    model = Model('s18-pure', frozen_stages=2)
    count = sum(len(g['params']) for g in build_groups(model, dict(decay_rate=0.7)))
    assert count == sum(p.requires_grad for p in model.parameters()) < len(list(model.parameters()))
