"""Configs that can't work end in one sentence that names what is wrong."""

import pytest
from mmengine.config import Config

from mmspanet import cli
from mmspanet.config_check import (
    building_errors,
    check_backbone,
    check_launcher,
    check_model,
    check_numbers,
    check_scope,
)
from mmspanet.errors import InputError
from tests.helpers import ROOT


@pytest.mark.parametrize('model', [None, 3, 'ResNet', [], {}, dict(depth=3)])
def test_a_config_without_a_model(model):
    with pytest.raises(InputError, match=r'a\.py has no model'):
        check_model(Config(dict(model=model)), 'a.py')
    check_model(Config(dict(model=dict(type='A'))), 'a.py')


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (dict(default_scope=None), 'default_scope'),
        (dict(default_scope='nope'), 'default_scope'),
        (dict(model=dict(type='A')), 'no backbone'),
        (dict(model='A'), 'no model'),
    ],
)
def test_a_config_of_no_backbone(change, named):
    good = dict(default_scope='mmdet', model=dict(type='A', backbone=dict(type='B')))
    check_backbone(Config(good), 'a.py')
    with pytest.raises(InputError, match=named):
        check_backbone(Config(good | change), 'a.py')


def test_the_scope_is_a_library_that_is_there():
    for scope in (None, 'mmdet', 'mmengine'):
        check_scope(Config(dict(default_scope=scope)))
    for scope in ('nope', 3):
        with pytest.raises(InputError, match=repr(scope)):
            check_scope(Config(dict(default_scope=scope)))


def test_what_a_library_can_not_build_is_one_sentence():
    text = 'A is in no registry. Please check it. More is at https://example.org.'
    with pytest.raises(InputError) as caught, building_errors('It fails'):
        raise KeyError(text)
    assert str(caught.value).startswith('It fails: KeyError: A is in no registry')
    assert 'Please' not in str(caught.value)


def test_a_bug_of_ours_stays_a_bug(monkeypatch):
    """What our code raises on purpose is about the config; what it does not is not."""

    def read_layers(cfg):
        with building_errors('It fails'):
            check_model(cfg, 'a.py')

    with pytest.raises(AttributeError):
        read_layers(None)
    with pytest.raises(InputError, match='no model'):
        read_layers(Config())


NUMBERS = [
    ('train_dataloader.batch_size', [1, 8], [0, -1, 1.5, 'x', True, [1]]),
    ('test_dataloader.num_workers', [0, 2], [-1, 'x', 0.5]),
    ('train_dataloader.dataset.indices', [5, -5, [0, 3]], [0, 'x', [-1], [], 2.5]),
    ('train_cfg.max_epochs', [1], [0, -1, 'x', 1.5]),
    ('train_cfg.max_iters', [1], [0, -1]),
    ('train_cfg.val_interval', [1], [0, -1, 'x']),
    (
        'optim_wrapper.optimizer.lr',
        [0, 0.1, 1],
        [-1e-3, 'x', float('nan'), float('inf'), True],
    ),
    ('optim_wrapper.optimizer.weight_decay', [0, 0.05], [-1, 'x']),
    ('default_hooks.logger.interval', [1], [0, -1, 'x']),
    ('default_hooks.checkpoint.interval', [1, -1], [0, -2, 'x']),
]


@pytest.mark.parametrize(('setting', 'good', 'bad'), NUMBERS, ids=[name for name, *_ in NUMBERS])
def test_numbers_of_a_config(setting, good, bad):
    for value in good:
        check_numbers(Config().fromstring('', '.py') if value is None else config(setting, value))
    for value in bad:
        with pytest.raises(InputError, match=setting):
            check_numbers(config(setting, value))


def config(setting, value):
    cfg = Config()
    cfg.merge_from_dict({setting: value})
    return cfg


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'configs').glob('[!_]*/*.py')), ids=lambda p: p.stem
)
def test_our_configs_pass(path):
    cfg = cli.load_config(str(path))
    check_model(cfg, str(path))
    check_numbers(cfg)


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_that_did_not_start_this(launcher, monkeypatch):
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=f'--launcher {launcher}'):
        check_launcher(launcher)
    check_launcher('none')
