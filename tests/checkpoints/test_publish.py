"""Whole files: converted both ways, published, and read without running code."""

import hashlib

import pytest
import torch
from mmengine.logging import MessageHub

from mmspanet.checkpoints import model_from_authors, model_to_authors
from mmspanet.checkpoints.publish import publish
from mmspanet.checkpoints.reader import read_state_dict
from tests import golden


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
