"""SPANetV2 in timm: what timm's own tests ask of every model, and the released model's numbers."""

import math

import pytest
import torch
from torch import nn

from tests import golden

timm = pytest.importorskip('timm')

import mmspanet.timm  # noqa: E402, F401 (registers the models)
from mmspanet.models.classifier import SPANetV2Classifier  # noqa: E402
from mmspanet.timm import checkpoint_filter_fn  # noqa: E402

SIDE = 64  # pixels; all sizes work, this one is fast
NAMES = sorted(f'spanetv2_{variant}' for variant in golden.VARIANTS)


def marked(name: str):
    """A variant as a parameter; all but the smallest ones are slow."""
    return pytest.param(name, marks=[] if '_s18_' in name else [pytest.mark.slow])


every_variant = pytest.mark.parametrize('name', [marked(name) for name in NAMES])


def images(batch: int = 1, channels: int = 3, side: int = SIDE):
    return torch.randn(batch, channels, side, side)


@pytest.fixture(autouse=True)
def no_gradients(request):
    with torch.set_grad_enabled('gradient' in request.node.name):
        yield


def test_all_eight_are_listed():
    assert timm.list_models('spanetv2*') == NAMES
    assert timm.list_pretrained('spanetv2*') == ['spanetv2_s18_pure.in1k']  # the proved address


@every_variant
def test_forward_with_and_without_checkpointing(name):
    model = timm.create_model(name).eval()
    x = images(2)
    logits = model(x)
    assert logits.shape == (2, 1000)
    assert logits.isfinite().all()
    model.set_grad_checkpointing()
    with torch.enable_grad():
        assert torch.allclose(model(x), logits, rtol=1e-4, atol=1e-5)


@every_variant
def test_every_parameter_gets_a_gradient(name):
    model = timm.create_model(name, num_classes=42).train()
    logits = model(images(2))
    logits.mean().backward()
    assert logits.shape == (2, 42)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@every_variant
def test_the_default_cfg_tells_the_truth(name):
    """Names of the first and last layer, size of the last map, and what is left without a head."""
    model = timm.create_model(name).eval()
    cfg, keys = model.pretrained_cfg, model.state_dict().keys()
    assert model.default_cfg is cfg
    assert cfg['architecture'] == name
    for layer in ('classifier', 'first_conv'):
        assert f'{cfg[layer]}.weight' in keys
    assert model.get_classifier() is model.get_submodule(cfg['classifier'])
    x = images(side=cfg['input_size'][-1])
    features = model.forward_features(x)
    assert features.shape == (1, model.num_features, *cfg['pool_size'])
    hidden = model.forward_head(features, pre_logits=True)
    assert hidden.shape == (1, model.head_hidden_size)
    logits = model.forward_head(features)
    assert torch.equal(logits, model.get_classifier()(hidden))
    model.reset_classifier(0)
    assert torch.equal(model(x), hidden)
    model.reset_classifier(0, '')
    assert torch.equal(model(x), features)
    bare = timm.create_model(name, num_classes=0, global_pool='').eval()
    assert bare(x).shape == features.shape
    model.reset_classifier(7, 'avg')
    assert model(x).shape == (1, 7)
    assert isinstance(model.get_classifier(), nn.Linear)


@every_variant
@pytest.mark.parametrize('indices', [None, (0, 2)])
def test_features_only(name, indices):
    options = {} if indices is None else dict(out_indices=indices)
    model = timm.create_model(name, features_only=True, **options).eval()
    channels, reductions = model.feature_info.channels(), model.feature_info.reduction()
    maps = model(images())
    assert len(maps) == len(channels) == (4 if indices is None else 2)
    for map_, channel, reduction in zip(maps, channels, reductions, strict=True):
        assert map_.shape == (1, channel, *(2 * [math.ceil(SIDE / reduction)]))
        assert map_.isfinite().all()
    assert 'classifier' not in model.pretrained_cfg
    with torch.enable_grad():
        sum(map_.sum() for map_ in model(images())).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())  # nothing unused


@every_variant
def test_intermediates_are_the_maps_of_the_backbone(name):
    model = timm.create_model(name).eval()
    info = timm.models.FeatureInfo(model.feature_info, len(model.feature_info))
    x = images()
    last, maps = model.forward_intermediates(x)
    assert torch.equal(last, model.forward_features(x))
    assert [map_.shape[1] for map_ in maps] == info.channels()
    assert [SIDE // map_.shape[2] for map_ in maps] == info.reduction()
    (second,) = model.forward_intermediates(x, [1], stop_early=True, intermediates_only=True)
    assert torch.equal(second, maps[1])
    model.set_grad_checkpointing()
    with torch.enable_grad():
        _, again = model.forward_intermediates(x)
    for map_, other in zip(maps, again, strict=True):
        assert torch.allclose(map_, other, rtol=1e-4, atol=1e-5)


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
    """By the name, from checkpoints/, and each other way for a file into the model."""
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
    other = timm.create_model(name, checkpoint_path=str(path))
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


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
