"""Whole files: converted both ways, published, and read without running code."""

import hashlib
import json
import sys

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import load_checkpoint

from mmspanet.checkpoints import model_from_authors, model_to_authors
from mmspanet.checkpoints.publish import publish
from mmspanet.checkpoints.reader import read_checkpoint, read_state_dict
from mmspanet.errors import CheckpointError
from mmspanet.models import SPANetV2
from tests import golden
from tests.helpers import TINY, random_model
from tools.model_converters import convert


def detector_file(name: str) -> dict:
    """A trained detector as the authors publish it: dead classifier included."""
    body = {f'backbone.{k}': v for k, v in golden.state_dict(name, dense=True).items()}
    return body | {'neck.fpn_convs.0.conv.weight': torch.ones(4, 4, 3, 3)}


def assert_same(left: dict, right: dict) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize('name', ['s18_pure', 's18_hybrid', 's18_pure_revision'])
def test_round_trips_are_exact(name):
    bare = golden.state_dict(name)
    assert_same(model_to_authors(model_from_authors(bare)), bare)
    whole = detector_file(name)
    assert 'backbone.head.fc1.weight' in whole
    ours = model_from_authors(whole)
    assert ours.keys() != whole.keys()
    assert_same(model_to_authors(ours), whole)


def test_bare_file_becomes_an_image_classifier():
    ours = model_from_authors(golden.state_dict('s18_pure'))
    assert {key.split('.')[0] for key in ours} == {'backbone', 'neck', 'head'}
    assert 'backbone.stages.0.0.token_mixer.srf.filter' in ours


def test_published_file_is_plain_and_named_by_its_hash(tmp_path):
    weights = {'backbone.a': torch.randn(3)}
    hub = MessageHub.get_instance('published')
    hub.update_scalar('train/loss', 1.0)
    checkpoint = dict(
        state_dict=weights,
        ema_state_dict={'module.backbone.a': torch.zeros(3)},
        optimizer=dict(state={}),
        message_hub=hub.state_dict(),
        meta=dict(cfg='...', dataset_meta=dict(classes=('a', 'b'), palette=[(1, 2, 3)])),
    )
    torch.save(checkpoint, tmp_path / 'epoch_1.pth')
    assert_same(read_state_dict(tmp_path / 'epoch_1.pth'), weights)
    path = publish(tmp_path / 'epoch_1.pth', tmp_path / 'out' / 'model.pth')
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'model-{digest[:8]}.pth'
    file = torch.load(path, weights_only=True)
    assert file.keys() == {'meta', 'state_dict'}
    assert file['meta'] == dict(dataset_meta=dict(classes=('a', 'b'), palette=[(1, 2, 3)]))
    assert_same(read_state_dict(path), weights)


def test_a_bare_state_dict_is_published(tmp_path):
    weights = dict(weight=torch.randn(3))
    torch.save(weights, tmp_path / 'bare.pth')
    published = publish(tmp_path / 'bare.pth', tmp_path / 'out.pth')
    assert_same(read_state_dict(published), weights)


@pytest.fixture
def trained(tmp_path):
    """A training checkpoint of a model with a backbone, with weights that share their memory."""
    weights = {f'backbone.{k}': v for k, v in random_model(TINY).state_dict().items()}
    weights['tied'] = weights['backbone.stages.0.0.mlp.fc1.weight']
    weights['turned'] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    meta = dict(cfg='...', dataset_meta=dict(classes=('a', 'b'), palette=[(1, 2, 3), (4, 5, 6)]))
    torch.save(dict(state_dict=weights, optimizer={}, meta=meta), tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


def test_the_published_form_is_safetensors_if_its_name_says_so(trained, tmp_path):
    """Read back by the library itself, and by our reader with the meta of the .pth form."""
    files = pytest.importorskip('safetensors')
    path = publish(trained, tmp_path / 'out/model.safetensors')
    assert path.name == f'model-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.safetensors'
    weights = read_state_dict(trained)
    with files.safe_open(path, 'pt') as file:
        assert_same({key: file.get_tensor(key) for key in file.keys()}, weights)  # noqa: SIM118
        metadata = file.metadata()
    assert metadata['format'] == 'pt'
    assert json.loads(metadata['dataset_meta'])['classes'] == ['a', 'b']
    whole, pickled = read_checkpoint(path), read_checkpoint(publish(trained, tmp_path / 'out.pth'))
    assert whole['meta'] == pickled['meta']
    assert_same(whole['state_dict'], pickled['state_dict'])


@pytest.mark.parametrize(
    'text', ['{', '[1]', '{"classes": 1}', '{"palette": [["a"]]}', '[' * 10**5]
)
def test_metadata_of_strangers_are_refused(text, tmp_path):
    files = pytest.importorskip('safetensors.torch')
    weights = dict(weight=torch.randn(3))
    files.save_file(weights, tmp_path / 'file.safetensors', dict(dataset_meta=text))
    with pytest.raises(CheckpointError, match='metadata'):
        read_checkpoint(tmp_path / 'file.safetensors')


def test_safetensors_in_mmengines_hands(trained, tmp_path, monkeypatch):
    """init_cfg and load_from, by path and by name, in a process that nothing guards."""
    pytest.importorskip('safetensors')
    path = publish(trained, tmp_path / 'model.safetensors')
    weights = read_state_dict(trained)
    (tmp_path / 'checkpoints').mkdir()
    path.rename(tmp_path / 'checkpoints/fpn_s18-pure.safetensors')
    monkeypatch.chdir(tmp_path)
    for source in ('checkpoints/fpn_s18-pure.safetensors', 'spanetv2://fpn_s18-pure'):
        init = dict(type='Pretrained', checkpoint=source, prefix='backbone.')
        model = SPANetV2(TINY, init_cfg=init)
        model.init_weights()
        for key, value in model.state_dict().items():
            assert torch.equal(value, weights[f'backbone.{key}']), key
        again = torch.nn.ModuleDict(dict(backbone=SPANetV2(TINY)))
        meta = load_checkpoint(again, source)['meta']
        assert meta['dataset_meta']['classes'] == ('a', 'b')
        assert_same(again['backbone'].state_dict(), model.state_dict())


def test_the_converter_writes_and_reads_both_forms(tmp_path, monkeypatch):
    """There in one form, back in the other: the authors' file again."""
    pytest.importorskip('safetensors')
    given = golden.state_dict('s18_hybrid')
    torch.save(given, tmp_path / 'theirs.pth')
    monkeypatch.chdir(tmp_path)
    for argv in (
        ['ours', 'theirs.pth', 'ours.safetensors'],
        ['authors', 'ours.safetensors', 'again.pth'],
    ):
        monkeypatch.setattr(sys, 'argv', ['convert.py', '--to', *argv])
        convert.main()
    assert_same(read_state_dict(tmp_path / 'ours.safetensors'), model_from_authors(given))
    assert_same(read_state_dict(tmp_path / 'again.pth'), given)
