"""Model cards: read by Hugging Face's parser, their figures from the records, their code run."""

import re
import sys

import pytest
import torch
import yaml

pytest.importorskip('huggingface_hub')
pytest.importorskip('safetensors')

from huggingface_hub import ModelCard

from mmspanet.checkpoints.publish import file_hash
from mmspanet.errors import InputError
from tests import golden
from tests.helpers import ROOT
from tools.model_converters import publish

CONFIG = 'spanetv2-s18-pure_4xb128-amp-310e_in1k'


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run publish.py in a folder with a checkpoint."""
    monkeypatch.chdir(tmp_path)
    torch.save(dict(weight=torch.randn(3)), 'theirs.pth')

    def run(*options: str) -> ModelCard:
        argv = ['publish.py', 'theirs.pth', 'out/s18.safetensors', *options]
        monkeypatch.setattr(sys, 'argv', argv)
        publish.main()
        return ModelCard.load('out/README.md')

    return run


def test_published_and_measured_figures_are_told_apart(command, tmp_path):
    entry = dict(
        config=f'configs/cls/{CONFIG}.py',
        checkpoint=file_hash(tmp_path / 'theirs.pth'),
        metrics={'top-1': dict(claimed=83.4, measured=83.37, difference=-0.03)},
    )
    other = entry | dict(checkpoint='00000000', metrics={'top-1': dict(measured=1.0)})
    (tmp_path / 'record.yml').write_text(yaml.safe_dump([entry, other]))
    card = command('--card', CONFIG, '--record', 'record.yml')
    assert {r.metric_name: r.metric_value for r in card.data.eval_results} == {
        'top-1 (published)': 83.4,
        'top-1 (measured)': 83.37,
    }
    assert card.data.license == 'unknown'
    data = card.data.to_dict()
    assert (data['library_name'], data['pipeline_tag']) == ('mmspanet', 'image-classification')
    assert 'spanetv2' in card.data.tags


def test_nothing_is_called_measured_that_was_not(command):
    card = command('--card', CONFIG, '--license', 'cc-by-4.0')
    assert 'measured)' not in card.data.to_yaml()
    assert card.data.license == 'cc-by-4.0'
    assert 'The authors of SPANetV2 give none' not in card.text


def test_the_code_of_a_card_loads_the_file(command, tmp_path, monkeypatch):
    """Both ways: through the config, and through timm."""
    pytest.importorskip('mmpretrain')
    torch.save(golden.state_dict('s18_pure'), tmp_path / 'theirs.pth')
    card = command('--card', f'configs/cls/{CONFIG}.py')
    monkeypatch.chdir(tmp_path / 'out')
    blocks = re.findall(r'```python\n(.*?)```', card.text, re.DOTALL)
    assert len(blocks) == 2
    weight = golden.state_dict('s18_pure')['head.fc2.weight']
    for block in blocks:
        names: dict = {}
        exec(block, names)
        assert torch.equal(names['model'].head.fc.weight, weight)


def test_a_card_of_a_detector_has_its_figures_and_no_timm(tmp_path, monkeypatch):
    from mmspanet.apis.card import model_card

    name = 'mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco'
    (tmp_path / 'README.md').write_text(model_card(tmp_path / 'a.pth', name, ROOT / 'configs', {}))
    card = ModelCard.load(tmp_path / 'README.md')
    values = {r.metric_name: r.metric_value for r in card.data.eval_results}
    assert values == {'box AP (published)': 48.0, 'mask AP (published)': 42.9}
    assert 'timm' not in card.text


def test_a_readme_is_not_written_over(command, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/README.md').write_text('mine')
    with pytest.raises(InputError, match='README'):
        command('--card', CONFIG)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['README.md']


def test_a_config_of_no_metafile_is_refused(command):
    with pytest.raises(InputError, match=r'metafile\.yml'):
        command('--card', 'other')
