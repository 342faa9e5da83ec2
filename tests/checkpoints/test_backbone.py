"""Loading: both layouts of the authors through torch and mmengine, and what is refused."""

import logging
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint, load_state_dict
from torch import nn

from mmspanet.checkpoints import backbone_from_authors, backbone_to_authors
from mmspanet.errors import CheckpointError
from mmspanet.models import SPANetV2
from tests import golden
from tests.helpers import TINY, TINY_HYBRID, TINY_REVISION, random_model

pytestmark = pytest.mark.usefixtures('device')


class Detector(nn.Module):
    """A whole model around a backbone, as mmdet's and mmseg's are."""

    def __init__(self, **kwargs):
        super().__init__()
        self.backbone = SPANetV2(TINY_HYBRID, **kwargs)
        self.neck = nn.Conv2d(32, 8, 1)


def authors_file(arch=TINY_HYBRID, **kwargs) -> dict:
    """A bare ImageNet file: no output norms, a classifier."""
    model = random_model(arch, output_norm=False, **kwargs)
    classifier = {
        'norm.weight': torch.ones(64),
        'norm.bias': torch.zeros(64),
        'head.fc1.weight': torch.zeros(256, 64),
        'head.fc2.weight': torch.zeros(1000, 256),
    }
    return backbone_to_authors(model.state_dict()) | classifier


def assert_filled(model: SPANetV2, file: dict) -> None:
    loaded = backbone_to_authors(model.state_dict())
    for key, value in file.items():
        if not key.startswith(('norm.', 'head.')):
            assert torch.equal(loaded[key], value), key


@pytest.mark.parametrize('name', ['s18_pure', 's18_hybrid', 's18_pure_revision'])
def test_round_trip_is_exact(name):
    theirs = golden.state_dict(name)
    body = {k: v for k, v in theirs.items() if not k.startswith(('norm.', 'head.'))}
    back = backbone_to_authors(backbone_from_authors(body))
    assert back.keys() == body.keys()
    assert all(torch.equal(back[k], body[k]) for k in body)


def test_our_layout_passes_through():
    ours = random_model(TINY_HYBRID).state_dict()
    assert backbone_from_authors(ours).keys() == ours.keys()


def test_torch_strict():
    file = authors_file()
    model = SPANetV2(TINY_HYBRID)
    model.load_state_dict(file)
    assert_filled(model, file)
    assert all((getattr(model, f'norm{i}').weight == 1).all() for i in range(4))


def test_the_given_dict_is_left_as_it_was():
    file = authors_file()
    keys = list(file)
    SPANetV2(TINY_HYBRID).load_state_dict(file)
    assert list(file) == keys


def test_revision_file():
    file = authors_file(TINY_REVISION)
    assert 'stages.0.0.token_mixer.filter' in file
    model = SPANetV2(TINY_REVISION)
    model.load_state_dict(file)
    assert_filled(model, file)


def test_mmengine_pretrained(tmp_path):
    file = authors_file()
    torch.save(file, tmp_path / 'file.pth')
    model = SPANetV2(
        TINY_HYBRID, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'file.pth'))
    )
    model.init_weights()
    assert_filled(model, file)


def test_mmengine_pretrained_from_a_detector(tmp_path):
    file = {f'backbone.{k}': v for k, v in authors_file().items()} | {'neck.weight': torch.ones(1)}
    torch.save(dict(state_dict=file), tmp_path / 'file.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'file.pth'), prefix='backbone.')
    model = SPANetV2(TINY_HYBRID, init_cfg=init_cfg)
    model.init_weights()
    assert_filled(model, authors_file())


@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_a_whole_detector_with_the_dead_classifier(loader):
    source = Detector()
    file = OrderedDict(
        {f'backbone.{k}': v for k, v in authors_file().items()}
        | {
            f'backbone.norm{i}.weight': torch.full((c,), 2.0)
            for i, c in enumerate((32, 32, 64, 64))
        }
        | {f'neck.{k}': v for k, v in source.neck.state_dict().items()}
    )
    model = Detector()
    if loader == 'torch':
        model.load_state_dict(file)
    else:
        load_state_dict(model, file, strict=True)
    assert_filled(model.backbone, authors_file())
    assert (model.backbone.norm2.weight == 2).all()


def test_mmengine_lists_the_keys_of_a_partial_file(tmp_path, caplog):
    file = authors_file()
    del file['stages.2.1.norm1.weight']
    file['surprise'] = torch.ones(1)
    torch.save(file, tmp_path / 'file.pth')
    logger = logging.getLogger('partial')
    with caplog.at_level(logging.WARNING, logger='partial'):
        load_checkpoint(SPANetV2(TINY_HYBRID), str(tmp_path / 'file.pth'), logger=logger)
    assert 'stages.2.1.norm1.weight' in caplog.text
    assert 'surprise' in caplog.text
    assert 'norm0.weight' not in caplog.text
    assert 'head.fc1' not in caplog.text


def test_torch_strict_names_what_is_missing():
    file = authors_file()
    del file['stages.2.1.norm1.weight']
    with pytest.raises(RuntimeError, match=r'stages\.2\.1\.norm1\.weight'):
        SPANetV2(TINY_HYBRID).load_state_dict(file)


def test_stages_and_norms_that_are_left_out_are_skipped():
    file = authors_file() | {'norm0.weight': torch.ones(32), 'norm3.weight': torch.ones(64)}
    model = SPANetV2(TINY_HYBRID, out_indices=(0, 1))
    model.load_state_dict(file)
    raw = SPANetV2(TINY_HYBRID, output_norm=False)
    raw.load_state_dict(file)
    assert_filled(raw, {k: v for k, v in file.items() if not k.startswith('norm')})


@pytest.mark.parametrize('layout', ['ours', 'theirs'])
@pytest.mark.parametrize(
    ('file_arch', 'arch', 'remedy'),
    [
        (TINY_REVISION, TINY, 'put SPAMRevision in the place of SPAM'),
        (TINY, TINY_REVISION, 'put SPAM in the place of SPAMRevision'),
    ],
)
def test_a_file_of_the_other_mixer_is_refused(file_arch, arch, remedy, layout):
    file = random_model(file_arch).state_dict()
    if layout == 'theirs':
        file = backbone_to_authors(file)
    with pytest.raises(CheckpointError, match=remedy):
        SPANetV2(arch).load_state_dict(file, strict=False)


def test_a_file_with_slopes_is_refused_where_there_are_none():
    file = random_model(TINY).state_dict()
    alphas = {k.replace('.filter', '.alpha'): torch.ones(1) for k in file if k.endswith('.filter')}
    with pytest.raises(CheckpointError, match='scaled sigmoid'):
        SPANetV2(TINY).load_state_dict(file | alphas, strict=False)


def test_filters_of_another_input_size_are_refused():
    file = authors_file(input_size=384)
    for strict in (True, False):
        with pytest.raises(CheckpointError, match='input_size'):
            SPANetV2(TINY_HYBRID).load_state_dict(file, strict=strict)
    SPANetV2(TINY_HYBRID, input_size=384).load_state_dict(file)


@pytest.mark.parametrize(
    'file',
    [
        {},
        {'layer1.0.conv1.weight': torch.ones(1)},
        {'backbone.norm0.weight': torch.ones(32)},
        {'stages': torch.ones(1)},
        {
            'stages.x.weight': torch.ones(1),
            'stages.0.0.token_mixer.ctx.weight': torch.ones(1),
            'stages.0.0.token_mixer.proj.3.weight': torch.ones(()),
        },
    ],
)
def test_a_file_that_fills_nothing_is_refused(file):
    with pytest.raises(CheckpointError, match='fills nothing'):
        SPANetV2(TINY_HYBRID).load_state_dict(file, strict=False)


def test_a_detector_of_another_backbone_is_refused(tmp_path):
    torch.save({'backbone.layer1.0.weight': torch.ones(1)}, tmp_path / 'resnet.pth')
    with pytest.raises(CheckpointError, match='fills nothing'):
        load_checkpoint(Detector(), str(tmp_path / 'resnet.pth'))


def test_image_classifier_of_mmpretrain_takes_the_bare_file(tmp_path):
    registry = pytest.importorskip('mmpretrain.registry')
    from mmengine.config import Config

    config = Config.fromfile(Path(__file__).parents[2] / 'configs/cls/spanetv2.py')
    config.model.train_cfg = None
    init_default_scope('mmpretrain')
    classifier = registry.MODELS.build(config.model).eval()
    torch.save(golden.state_dict('s18_pure'), tmp_path / 'authors.pth')
    load_checkpoint(classifier, str(tmp_path / 'authors.pth'), strict=True)
    reference = golden.load('s18_pure')
    image = golden.image(reference['input_seed'], [2, 3, 224, 224])
    with torch.no_grad():
        logits = classifier.head(classifier.extract_feat(image))
    golden.assert_probe(logits, reference['logits_224'])
