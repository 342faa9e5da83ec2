"""SPANetV2 in timm: what timm's own tests ask of every model, and the released model's numbers."""

import copy
import math

import pytest
import torch
from torch import nn

from tests import golden

timm = pytest.importorskip('timm')

import mmspanet.timm  # noqa: E402, F401 (registers the models)
from mmspanet.models.classifier import SPANetV2Classifier  # noqa: E402
from mmspanet.timm import checkpoint_filter_fn  # noqa: E402

SIDE = 32  # pixels; all sizes work, this one is fast
NAMES = sorted(f'spanetv2_{variant}' for variant in golden.VARIANTS)


def marked(name: str):
    """A variant as a parameter; all but the smallest ones are slow."""
    return pytest.param(name, marks=[] if '_s18_' in name else [pytest.mark.slow])


every_variant = pytest.mark.parametrize('name', [marked(name) for name in NAMES])


@pytest.fixture(scope='module', params=[marked(name) for name in NAMES])
def model(request):
    """Each variant, shared by the tests, which leave it as it is."""
    torch.manual_seed(0)
    return timm.create_model(request.param).eval()


def images(batch: int = 1, channels: int = 3, side: int = SIDE):
    return torch.randn(batch, channels, side, side)


@pytest.fixture(autouse=True)
def no_gradients(request):
    with torch.set_grad_enabled('gradient' in request.node.name):
        yield


def test_all_eight_are_listed():
    assert timm.list_models('spanetv2*') == NAMES
    assert timm.list_pretrained('spanetv2*') == ['spanetv2_s18_pure.in1k']  # the proved address


def test_forward_and_intermediates_with_and_without_checkpointing(model):
    x = images(2)
    logits = model(x)
    assert logits.shape == (2, 1000)
    assert logits.isfinite().all()
    info = timm.models.FeatureInfo(model.feature_info, len(model.feature_info))
    last, maps = model.forward_intermediates(x)
    assert torch.equal(last, model.forward_features(x))
    assert [map_.shape[1] for map_ in maps] == info.channels()
    assert [SIDE // map_.shape[2] for map_ in maps] == info.reduction()
    (second,) = model.forward_intermediates(x, [1], stop_early=True, intermediates_only=True)
    assert torch.equal(second, maps[1])
    try:
        model.set_grad_checkpointing()
        assert all(block.with_cp for stage in model.backbone.stages for block in stage)
        with torch.enable_grad():
            again, its_maps = model(x), model.forward_intermediates(x)[1]
    finally:
        model.set_grad_checkpointing(False)
    for one, other in zip((logits, *maps), (again, *its_maps), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@every_variant
def test_every_parameter_gets_a_gradient(name):
    model = timm.create_model(name, num_classes=42).train()
    logits = model(images(2))
    logits.mean().backward()
    assert logits.shape == (2, 42)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def test_the_default_cfg_tells_the_truth(model):
    """Names of the first and the last layer, and the size of the last map."""
    cfg, keys = model.pretrained_cfg, model.state_dict().keys()
    assert model.default_cfg is cfg
    for layer in ('classifier', 'first_conv'):
        assert f'{cfg[layer]}.weight' in keys
    assert model.get_classifier() is model.get_submodule(cfg['classifier'])
    features = model.forward_features(images(side=cfg['input_size'][-1]))
    assert features.shape == (1, model.num_features, *cfg['pool_size'])


def test_what_is_left_without_a_head(model):
    x = images()
    features, logits = model.forward_features(x), model(x)
    hidden = model.forward_head(features, pre_logits=True)
    assert hidden.shape == (1, model.head_hidden_size)
    assert torch.equal(logits, model.get_classifier()(hidden))
    other = copy.deepcopy(model)
    other.reset_classifier(0)
    assert torch.equal(other(x), hidden)
    other.reset_classifier(0, '')
    assert torch.equal(other(x), features)
    other.reset_classifier(7, 'avg')
    assert other(x).shape == (1, 7)
    assert isinstance(other.get_classifier(), nn.Linear)


def test_a_model_is_made_without_a_head():
    model = timm.create_model('spanetv2_s18_pure', num_classes=0, global_pool='').eval()
    assert model(images()).shape == (1, 512, SIDE // 32, SIDE // 32)


def assert_features(model, count: int) -> None:
    channels, reductions = model.feature_info.channels(), model.feature_info.reduction()
    maps = model(images())
    assert len(maps) == len(channels) == count
    for map_, channel, reduction in zip(maps, channels, reductions, strict=True):
        assert map_.shape == (1, channel, *(2 * [math.ceil(SIDE / reduction)]))
        assert map_.isfinite().all()
    assert 'classifier' not in model.pretrained_cfg
    with torch.enable_grad():
        sum(map_.sum() for map_ in model(images())).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())  # nothing unused


@every_variant
def test_features_only(name):
    assert_features(timm.create_model(name, features_only=True).eval(), 4)


def test_features_of_some_stages():
    model = timm.create_model('spanetv2_s18_pure', features_only=True, out_indices=(0, 2))
    assert_features(model.eval(), 2)
    assert model.feature_info.channels() == [64, 320]


@pytest.mark.parametrize(('classes', 'channels'), [(1000, 3), (1000, 1), (5, 3)])
def test_pretrained_weights_are_fitted_to_the_model(tmp_path, classes, channels):
    """As timm fits them: another number of classes leaves the last layer as it is drawn."""
    weights = golden.state_dict('s18_pure')
    torch.save(weights, tmp_path / 'weights.pth')
    model = timm.create_model(
        'spanetv2_s18_pure',
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(tmp_path / 'weights.pth')),
        num_classes=classes,
        in_chans=channels,
    ).eval()
    assert 'state_dict' not in model.pretrained_cfg
    assert model(images(channels=channels)).shape == (1, classes)
    first = weights['downsample_layers.0.conv.weight']
    found = model.backbone.downsample_layers[0].conv.weight
    assert torch.allclose(found, first if channels == 3 else first.sum(1, keepdim=True))
    assert torch.equal(model.neck.fc.weight, weights['head.fc1.weight'])
    assert torch.equal(model.head.fc.weight, weights['head.fc2.weight']) == (classes == 1000)


@every_variant
def test_the_released_models_give_their_logits(name, tmp_path, monkeypatch):
    """By the name, from checkpoints/."""
    variant = name.removeprefix('spanetv2_')
    record = golden.load(variant)
    (tmp_path / 'checkpoints').mkdir()
    path = tmp_path / f'checkpoints/{variant.replace("_", "-")}.pth'
    torch.save(golden.state_dict(variant), path)
    monkeypatch.chdir(tmp_path)
    model = timm.create_model(name, pretrained=True).eval()
    x = golden.image(record['input_seed'], [2, 3, 224, 224])
    golden.assert_probe(model(x), record['logits_224'])
    assert sum(p.numel() for p in model.parameters()) == record['num_parameters']


def test_a_checkpoint_path_takes_the_authors_file(tmp_path):
    weights = golden.state_dict('s18_hybrid')
    torch.save(weights, tmp_path / 'weights.pth')
    model = timm.create_model('spanetv2_s18_hybrid', checkpoint_path=str(tmp_path / 'weights.pth'))
    assert torch.equal(model.head.fc.weight, weights['head.fc2.weight'])
    mixer = model.backbone.stages[0][0].token_mixer
    theirs = [weights[f'stages.0.0.token_mixer.filter_{i}'] for i in (1, 2, 3, 4)]
    assert torch.equal(mixer.srf.filter, torch.cat(theirs))


def test_pretrained_features_are_those_of_the_released_backbone(tmp_path):
    torch.save(golden.state_dict('s18_hybrid'), tmp_path / 'weights.pth')
    overlay = dict(file=str(tmp_path / 'weights.pth'))
    options = dict(pretrained=True, pretrained_cfg_overlay=overlay)
    whole = timm.create_model('spanetv2_s18_hybrid', **options).eval()
    x = images()
    maps = timm.create_model('spanetv2_s18_hybrid', features_only=True, **options).eval()(x)
    for map_, other in zip(maps, whole.forward_intermediates(x)[1], strict=True):
        assert torch.equal(map_, other)


def test_keys_are_those_of_mmpretrains_checkpoints():
    """So checkpoint_filter_fn lets them pass, and a file of a training here loads there."""
    pytest.importorskip('mmpretrain')
    from mmspanet.apis.build import build_model
    from mmspanet.apis.config_files import find_config
    from mmspanet.cli import load_config

    config = find_config('spanetv2-s18-pure_4xb128-amp-310e_in1k')
    trained = build_model(load_config(config)).state_dict()
    model = timm.create_model('spanetv2_s18_pure')
    assert {k: v.shape for k, v in trained.items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    assert checkpoint_filter_fn(trained, model).keys() == trained.keys()
    released = checkpoint_filter_fn(golden.state_dict('s18_pure'), model)
    assert released.keys() == trained.keys()


def test_the_classifier_starts_as_a_training_does():
    model = SPANetV2Classifier(dict(depths=(1, 1, 1, 1), channels=(32, 32, 64, 64)), num_classes=9)
    for key in ('head.fc', 'neck.fc', 'backbone.stages.0.0.mlp.fc1'):
        assert model.get_submodule(key).weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not model.head.fc.bias.any()


def test_groups_for_layer_decay_rise_from_the_stem_to_the_head():
    model = timm.create_model('spanetv2_s18_pure')
    from timm.models import group_parameters

    for coarse, count in ((True, 6), (False, 20)):  # stem, 4 stages or 18 blocks, the rest
        groups = group_parameters(model, model.group_matcher(coarse))
        assert sum(map(len, groups.values())) == len(list(model.parameters()))
        assert len(groups) == count
        assert 'backbone.downsample_layers.0.conv.weight' in groups[0]
        assert {key.split('.')[0] for key in groups[count - 1]} == {'neck', 'head'}
        assert 'backbone.stages.3.2.mlp.fc1.weight' in groups[count - 2]


def test_filters_decay_and_vectors_do_not():
    from timm.optim import create_optimizer_v2

    model = timm.create_model('spanetv2_s18_pure')
    groups = create_optimizer_v2(model, 'adamw', lr=1e-3, weight_decay=0.05).param_groups
    for group in groups:
        assert all((p.ndim > 1) == (group['weight_decay'] > 0) for p in group['params'])


def test_another_pooling_is_refused():
    with pytest.raises(ValueError, match='max'):
        timm.create_model('spanetv2_s18_pure', global_pool='max')
    with pytest.raises(ValueError, match='num_classes'):
        timm.create_model('spanetv2_s18_pure', global_pool='')
