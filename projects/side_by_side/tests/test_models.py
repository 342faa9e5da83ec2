"""The comparison on CIFAR-10: fair configs, faithful peers, ablations that leave out one thing."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.nn import functional as F

from mmspanet.analysis.costs import count_costs
from mmspanet.engine import device
from mmspanet.models import SPAM, SPANetV2

timm = pytest.importorskip('timm')
experiments = pytest.importorskip('projects.side_by_side.models')

FOLDER = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(path.name for path in FOLDER.glob('*_cifar10.py'))
ABLATIONS = [name for name in CONFIGS if '-pure-' in name]


def load(name: str) -> Config:
    cfg = Config.fromfile(FOLDER / name)
    device.adapt_to_cpu(cfg)
    return cfg


def classifier(name: str) -> nn.Module:
    from mmpretrain.registry import MODELS

    cfg = load(name)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_changes_the_model_alone(name):
    recipe = load('recipe.py').to_dict()
    given = load(name).to_dict()
    recipe.pop('model')
    given.pop('model')
    assert given == recipe


@pytest.mark.parametrize('name', CONFIGS)
def test_metaformers_have_one_classifier_head(name):
    model = load(name).model
    if 'MetaFormer' in model.backbone.type or 'SPANetV2' in model.backbone.type:
        assert model.neck.type == 'mmspanet.SPANetV2ClassifierNeck'
        assert model.head.in_channels == 4 * model.neck.in_channels


def cost(name: str) -> tuple[int, float]:
    model = classifier(name).eval().to('meta')
    image = torch.empty(1, 3, 64, 64, device='meta')
    whole = count_costs(model, lambda: model(image, mode='tensor'))[0]
    return whole.params, sum(whole.macs.values())


def test_the_small_family_costs_the_same():
    params, macs = zip(*(cost(name) for name in CONFIGS if name not in ABLATIONS), strict=True)
    assert len(params) == 6
    assert max(macs) <= 1.05 * min(macs)
    assert max(params) <= 1.15 * min(params)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_config_learns(name):
    from mmpretrain.structures import DataSample

    torch.manual_seed(0)
    model = classifier(name)
    model.init_weights()
    samples = [DataSample().set_gt_label(label) for label in (3, 7)]
    loss = model(torch.randn(2, 3, 64, 64), samples, mode='loss')['loss']
    assert torch.isfinite(loss)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ('peer', 'mixers'),
    [
        ('convformer_s18', ('SepConv',) * 4),
        ('caformer_s18', ('SepConv', 'SepConv', 'Attention', 'Attention')),
    ],
)
def test_the_peer_is_timms_own(peer, mixers):
    theirs = timm.create_model(peer, num_classes=0).eval()
    ours = experiments.TimmMetaFormer((3, 3, 9, 3), (64, 128, 320, 512), mixers).eval()
    body = {k: v for k, v in theirs.state_dict().items() if not k.startswith('head.')}
    ours.load_state_dict(body, strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image)[0], theirs.forward_features(image))


def same_weights(whole: nn.Module, part: nn.Module) -> None:
    missing = part.load_state_dict(whole.state_dict(), strict=False).missing_keys
    assert missing == []


def test_without_srf_is_spam_with_a_gain_of_one():
    spam = SPAM(16, (8, 8)).eval()
    nn.init.constant_(spam.srf.filter, 50.0)  # sigmoid(50) is 1 in float32
    part = experiments.SPAMWithoutSRF(16, (8, 8)).eval()
    same_weights(spam, part)
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(part(x), spam(x), rtol=1e-4, atol=1e-6)


def test_without_modulation_is_spam_with_a_query_of_one():
    class One(nn.Module):
        """What GELU maps to 1."""

        def forward(self, x):
            low, high = torch.tensor(0.0), torch.tensor(3.0)
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if F.gelu(middle) < 1 else (low, middle)
            return torch.full_like(x, middle.item())

    spam = SPAM(16, (8, 8)).eval()
    part = experiments.SPAMWithoutModulation(16, (8, 8)).eval()
    same_weights(spam, part)
    spam.query = One()
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(part(x), spam(x), rtol=1e-4, atol=1e-6)


def test_ablations_differ_from_the_model_in_their_part():
    whole = dict(built('spanetv2-xs-pure_b128-10e_cifar10.py').named_parameters())
    for name in ABLATIONS:
        params = dict(built(name).named_parameters())
        extra = {k for k in params if k not in whole}
        gone = {k for k in whole if k not in params}
        if '-no-srf' in name:
            assert not extra
            assert all(k.endswith('srf.filter') for k in gone)
        elif '-no-modulation' in name:
            assert not extra
            assert all(k.endswith('query.weight') for k in gone)
        elif '-scaled-sigmoid' in name:
            assert not gone
            assert all(k.endswith('srf.alpha') for k in extra)
        else:
            assert not extra
            assert not gone
            changed = {k for k in params if params[k].shape != whole[k].shape}
            assert all('.convs.' in k for k in changed)


def built(name: str) -> SPANetV2:
    from mmspanet.registry import MODELS

    options = dict(load(name).model.backbone)
    return MODELS.build(options)
