"""Our classifiers in MMPretrain's hub."""

from pathlib import Path

import pytest
import torch

from mmspanet.checkpoints.publish import write_checkpoint
from mmspanet.checkpoints.published import PUBLISHED
from tests import golden
from tests.helpers import DEVICE

CONFIGS = Path(__file__).parents[2] / 'configs/cls'
FRONT_DOOR = 'spanetv2'  # a second name of another config, without a row of its own


@pytest.fixture
def hub():
    mmpretrain = pytest.importorskip('mmpretrain')
    import mmspanet.apis.hub  # noqa: F401

    return mmpretrain


def test_every_classifier_is_listed_beside_mmpretrains_own(hub):
    names = {path.stem for path in CONFIGS.glob('*.py')} - {FRONT_DOOR}
    assert set(hub.list_models('spanetv2')) == names
    assert 'resnet18_8xb32_in1k' in hub.list_models('resnet18')


@pytest.mark.parametrize('file', [PUBLISHED['s18-pure'].file, 's18-pure.safetensors'])
def test_a_model_by_name_reads_the_authors_file(hub, tmp_path, monkeypatch, file):
    (tmp_path / 'checkpoints').mkdir()
    write_checkpoint(
        dict(state_dict=golden.state_dict('s18_pure')), tmp_path / 'checkpoints' / file
    )
    monkeypatch.chdir(tmp_path)
    model = hub.get_model(
        'spanetv2-s18-pure_4xb128-amp-310e_in1k', pretrained='spanetv2://s18-pure'
    ).to(DEVICE)
    record = golden.load('s18_pure')
    with torch.no_grad():
        logits = model(golden.image(record['input_seed'], [2, 3, 224, 224]).to(DEVICE))
    golden.assert_probe(logits, record['logits_224'])
