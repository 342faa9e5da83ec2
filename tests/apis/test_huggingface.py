"""save_pretrained and from_pretrained through a folder of this machine."""

import json

import pytest
import torch

pytest.importorskip('huggingface_hub')
pytest.importorskip('safetensors')

from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from mmspanet.apis import huggingface
from mmspanet.apis.huggingface import SPANetV2ForImageClassification
from mmspanet.errors import CheckpointError, InputError
from tests import golden
from tests.helpers import TINY


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A saved model and its folder, which is left as if there were no network."""
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    model = SPANetV2ForImageClassification(TINY, num_classes=7, dropout=0.1)
    model.save_pretrained(tmp_path / 'model')
    return model.eval(), tmp_path / 'model'


def rewrite(folder, **values) -> None:
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(config | values))


def test_a_model_comes_back_as_it_was(saved):
    model, folder = saved
    again = SPANetV2ForImageClassification.from_pretrained(folder)
    assert not again.training
    assert again.neck.dropout.p == 0.1
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    assert load_file(folder / 'model.safetensors').keys() == model.state_dict().keys()
    config = json.loads((folder / 'config.json').read_text())
    assert config['num_classes'] == 7
    assert config['arch']['channels'] == list(TINY['channels'])


def test_options_of_mixers_come_back(tmp_path):
    mixers = (dict(type='SPAM', kernel_sizes=(3, 5)),) * 3 + (dict(type='Attention', head_dim=16),)
    model = SPANetV2ForImageClassification(TINY | dict(mixers=mixers), num_classes=7).eval()
    model.save_pretrained(tmp_path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(SPANetV2ForImageClassification.from_pretrained(tmp_path)(x), model(x))


def test_the_card_claims_no_license(saved):
    card = ModelCard.load(saved[1] / 'README.md')
    assert card.data.license == 'unknown'
    assert card.data.to_dict()['library_name'] == 'mmspanet'
    assert 'from_pretrained' in card.text


def test_the_released_model_gives_its_logits_from_a_folder(tmp_path):
    """Its file in the authors' own layout, behind a config of one line."""
    record = golden.load('s18_hybrid')
    (tmp_path / 'config.json').write_text('{"arch": "s18-hybrid"}')
    save_file(golden.state_dict('s18_hybrid'), tmp_path / 'model.safetensors')
    model = SPANetV2ForImageClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = model(golden.image(record['input_seed'], [2, 3, 224, 224]))
    golden.assert_probe(logits, record['logits_224'])


ARCH = {key: list(value) for key, value in TINY.items()}
HOSTILE = {
    'a class of torch': dict(arch=ARCH | dict(mixers=['torch.nn.Identity'] * 4)),
    'a function': dict(arch=ARCH | dict(mixers=[dict(type='os.system', command='touch ran')] * 4)),
    'a module of the library': dict(arch=ARCH | dict(mixers=['SPANetV2'] * 4)),
    'an option that is none': dict(arch=ARCH | dict(mixers=[dict(type='SPAM', x=1)] * 4)),
    'a text for an option': dict(
        arch=ARCH | dict(mixers=[dict(type='SPAM', kernel_sizes='os.system')] * 4)
    ),
    'a huge kernel': dict(
        arch=ARCH | dict(mixers=[dict(type='SPAM', kernel_sizes=[10**6 + 1] * 4)] * 4)
    ),
    'a list for a name': dict(arch=ARCH | dict(mixers=[['SPAM']] * 4)),
    'no list': dict(arch=ARCH | dict(mixers=dict(type='builtins.exec'))),
    'a number for a name': dict(arch=18),
    'too deep': dict(arch=ARCH | dict(depths=[1, 1, 10**9, 1])),
    'too wide': dict(arch=ARCH | dict(channels=[32, 32, 64, 2**20])),
    'too many classes': dict(num_classes=10**9),
    'a large input': dict(input_size=10**6),
    'a text for a number': dict(num_classes='7'),
    'a truth for a number': dict(num_classes=True),
    'a rate that is none': dict(dropout=[0.1]),
}


@pytest.mark.parametrize('values', HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_config_builds_nothing(saved, values, monkeypatch, tmp_path):
    rewrite(saved[1], **values)
    built = []
    monkeypatch.setattr(huggingface.checkpoints, 'load', lambda *_: built.append('loaded'))
    with pytest.raises(InputError, match=r'config\.json'):
        SPANetV2ForImageClassification.from_pretrained(saved[1])
    assert not built


def test_what_a_model_has_no_argument_for_is_passed_over(saved):
    """As Hugging Face does it: init_cfg, which could name a file, is none of the arguments."""
    rewrite(saved[1], init_cfg=dict(type='Pretrained', checkpoint='http://127.0.0.1:9/'))
    SPANetV2ForImageClassification.from_pretrained(saved[1])


def test_weights_of_another_model_are_refused(saved):
    rewrite(saved[1], num_classes=8)
    with pytest.raises(CheckpointError, match='another model'):
        SPANetV2ForImageClassification.from_pretrained(saved[1])
    rewrite(saved[1], num_classes=7)
    weights = load_file(saved[1] / 'model.safetensors')
    del weights['neck.fc.bias']
    save_file(weights, saved[1] / 'model.safetensors')
    with pytest.raises(CheckpointError, match=r'lacks 1 tensors, such as neck\.fc\.bias'):
        SPANetV2ForImageClassification.from_pretrained(saved[1])
