"""The released model's own numbers: features, logits, gradients and parameter counts."""

import zlib

import numpy as np
import pytest
import torch

from mmspanet.checkpoints import backbone_to_authors, classifier_from_authors
from mmspanet.models import SPANetV2, SPANetV2ClassifierNeck
from tests import golden

pytestmark = pytest.mark.usefixtures('device')


def build(name: str, revision: bool = False, **kwargs) -> SPANetV2:
    arch = SPANetV2.arch_settings[name.replace('_', '-')]
    if revision:
        arch = arch | dict(mixers=('SPAMRevision',) * 4)
    return SPANetV2(arch, **kwargs).eval()


def dense_model(name: str) -> SPANetV2:
    model = build(name)
    model.load_state_dict(golden.state_dict(name, dense=True))
    return model


@pytest.mark.parametrize('name', golden.VARIANTS)
def test_features(name):
    record = golden.load(name)
    model = dense_model(name)
    for case in record['cases']:
        with torch.no_grad():
            maps = model(golden.image(record['input_seed'], case['input']))
        for actual, probe in zip(maps, case['features'], strict=True):
            golden.assert_probe(actual, probe)


def test_revision_stage_outputs():
    record = golden.load('s18_pure_revision')
    model = build('s18_pure', revision=True, output_norm=False)
    model.load_state_dict(golden.state_dict('s18_pure_revision'))
    for case in record['cases']:
        with torch.no_grad():
            maps = model(golden.image(record['input_seed'], case['input']))
        for actual, probe in zip(maps, case['stage_outputs'], strict=True):
            golden.assert_probe(actual, probe)


@pytest.mark.parametrize('name', [*golden.VARIANTS, 's18_pure_revision'])
def test_logits_and_parameter_count(name):
    record = golden.load(name)
    revision = name.endswith('revision')
    backbone = build(record['variant'], revision, output_norm=False)
    neck = SPANetV2ClassifierNeck(backbone.channels[-1]).eval()
    head = torch.nn.Linear(4 * backbone.channels[-1], 1000)
    model = torch.nn.ModuleDict(
        dict(backbone=backbone, neck=neck, head=torch.nn.ModuleDict(dict(fc=head)))
    )
    model.load_state_dict(classifier_from_authors(golden.state_dict(name)))
    with torch.no_grad():
        maps = backbone(golden.image(record['input_seed'], [2, 3, 224, 224]))
        golden.assert_probe(head(neck(maps)[0]), record['logits_224'])
    assert sum(p.numel() for p in model.parameters()) == record['num_parameters']


@pytest.mark.parametrize('name', ['s18_pure', 's18_hybrid'])
def test_gradients(name):
    record = golden.load(name)
    expected = record['backward']
    model = dense_model(name)
    image = golden.image(record['input_seed'], expected['input']).requires_grad_()
    loss = torch.zeros(())
    for i, out in enumerate(model(image)):
        weights = np.random.RandomState(1000 + i).standard_normal(out.shape).astype(np.float32)
        loss = loss + (out * torch.tensor(weights)).mean()
    loss.backward()
    assert abs(loss.item() - expected['loss']) <= 1e-6
    assert image.grad.double().norm().item() == pytest.approx(
        expected['input_grad_norm'], rel=golden.TOLERANCE
    )
    gradients = backbone_to_authors({name: p.grad for name, p in model.named_parameters()})
    assert gradients.keys() == expected['grad'].keys()
    for key, (norm, dot) in expected['grad'].items():
        grad = gradients[key].double().cpu().numpy()
        seed = zlib.crc32(f'grad:{key}'.encode())
        probe = np.random.RandomState(seed).standard_normal(grad.shape)
        # StarReLU's two scalars are sums that cancel in float32.
        rel = 5e-3 if '.act.' in key else golden.TOLERANCE
        assert abs(np.linalg.norm(grad) - norm) <= rel * norm, key
        assert abs((grad * probe).sum() - dot) <= rel * norm, key
