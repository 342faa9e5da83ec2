"""Options and configs that can't work end in one sentence that names them."""

import argparse
from pathlib import Path

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
from tests.helpers import run

# Content of a config, and what the error names.
CONFIGS = {
    'a base that leads back': ("_base_ = 'config.py'\n", r'leads back to itself'),
    'a function without end': ('def f():\n    return f()\n\n\na = f()\n', 'leads back to itself'),
    'an import': ('a = 1\nfrom no_such_module import b\n', r'no_such_module'),
    'an attribute': ('a = 1\n\nb = a.nope\n', r'config\.py, line 3: AttributeError'),
    'a division': ('a = 1 / 0\n', r'config\.py, line 1: ZeroDivisionError'),
    'syntax': ('a = (\n', 'SyntaxError'),
    'a missing base': ("_base_ = 'gone.py'\n", r'gone\.py'),
    'a base that is a number': ('_base_ = 3\n', 'TypeError'),
    'an exit': ('raise SystemExit(3)\n', r'config\.py, line 1: SystemExit'),
    'bytes': ('\0', 'null bytes'),
}


@pytest.mark.parametrize('case', CONFIGS)
def test_a_config_that_can_not_be_read(case, tmp_path):
    text, named = CONFIGS[case]
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(InputError, match=named) as caught:
        cli.load_config(str(tmp_path / 'config.py'))
    assert '\n' not in str(caught.value)
    assert 'config.py' in str(caught.value)


def test_the_line_is_that_of_the_base(tmp_path):
    (tmp_path / 'base.py').write_text('\n\na = [][0]\n')
    (tmp_path / 'config.py').write_text("_base_ = 'base.py'\n")
    with pytest.raises(InputError, match=r'base\.py, line 3: IndexError'):
        cli.load_config(str(tmp_path / 'config.py'))


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


@pytest.mark.parametrize('path', sorted(Path('configs').glob('[!_]*/*.py')), ids=lambda p: p.stem)
def test_our_configs_pass(path):
    cfg = cli.load_config(str(path))
    check_model(cfg, str(path))
    check_numbers(cfg)


@pytest.mark.parametrize(
    'values', [['key'], ['=5'], ['a=1', 'b'], ['a=[1,(2'], ['a=dict(b=1,c=2)']]
)
def test_settings_of_another_form(values, capsys):
    parser = argparse.ArgumentParser()
    cli.add_cfg_options(parser, '')
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', *values])
    last = capsys.readouterr().err.splitlines()[-1]
    assert '--cfg-options' in last
    assert values[-1] in last


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_that_did_not_start_this(launcher, monkeypatch):
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=f'--launcher {launcher}'):
        check_launcher(launcher)
    check_launcher('none')


@pytest.mark.parametrize(
    ('read', 'good', 'bad'),
    [
        (cli.unit_interval, ['0', '0.5', '1'], ['nan', '-0.1', '1.1', 'inf', 'x']),
        (cli.amount, ['0', '0.1', '7'], ['nan', 'inf', '-1', 'x']),
        (cli.positive_int, ['1', '20'], ['0', '-1', '1.5', 'x']),
        (cli.image_side, ['32', '1280'], ['1', '31', '-64', '1000000', 'x']),
        (cli.seed, ['0', '4294967295'], ['-1', '4294967296', 'x']),
        (cli.device_name, ['cpu'], ['nope', 'cuda:99', '', 'cpu:x']),
    ],
)
def test_types_of_options(read, good, bad):
    for text in good:
        read(text)
    for text in bad:
        with pytest.raises((argparse.ArgumentTypeError, ValueError)):
            read(text)


def test_places_of_output(tmp_path):
    (tmp_path / 'file').touch()
    assert cli.output_file(str(tmp_path / 'new/a.csv')) == tmp_path / 'new/a.csv'
    assert cli.output_folder(str(tmp_path / 'new')) == tmp_path / 'new'
    assert not (tmp_path / 'new').exists()
    for read, name in (
        (cli.output_file, ''),
        (cli.output_file, 'file/a.csv'),
        (cli.output_folder, 'file'),
        (cli.output_folder, 'file/b'),
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            read(str(tmp_path / name))


@pytest.mark.slow
def test_the_traceback_can_be_had(tmp_path):
    (tmp_path / 'config.py').write_text('a = 1 / 0\n')
    command = ['tools/train.py', tmp_path / 'config.py']
    assert 'Traceback' not in run(command, status=1, MMSPANET_TRACEBACK='')
    assert (
        'ZeroDivisionError' in run(command, status=1, MMSPANET_TRACEBACK='1').partition('error:')[0]
    )
