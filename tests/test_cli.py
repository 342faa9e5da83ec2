"""What the scripts do before the Runner: what can't work ends in one sentence."""

import argparse
import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmspanet import cli
from mmspanet.errors import InputError
from tests.helpers import ROOT, run
from tools import test as tester
from tools import train

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


def test_options_that_do_not_fit(tmp_path):
    (tmp_path / 'config.py').write_text('hooks = [dict(a=1)]\n')
    assert cli.load_config(str(tmp_path / 'config.py'), {'hooks.0.a': 2}).hooks[0].a == 2
    with pytest.raises(InputError, match='--cfg-options do not fit'):
        cli.load_config(str(tmp_path / 'config.py'), {'hooks.3.a': 2})


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


@pytest.mark.parametrize(
    ('read', 'good', 'bad'),
    [
        (cli.unit_interval, ['0', '0.5', '1'], ['nan', '-0.1', '1.1', 'inf', 'x']),
        (cli.amount, ['0', '0.1', '7'], ['nan', 'inf', '-1', 'x']),
        (cli.positive_int, ['1', '20'], ['0', '-1', '1.5', 'x']),
        (cli.image_side, ['32', '1280'], ['1', '31', '-64', '1000000', 'x']),
        (cli.seed, ['0', '4294967295'], ['-1', '4294967296', 'x']),
        (cli.port, ['1', '65535'], ['0', '65536', 'http']),
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
        (cli.output_folder, 'a' * 300),
        (cli.output_file, 'a' * 300),
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            read(str(tmp_path / name))


def test_a_name_of_a_config_that_is_too_long():
    with pytest.raises(InputError, match='File name too long'):
        cli.load_config('a' * 300)


@pytest.mark.parametrize(
    ('command', 'expected'),
    [
        (['train.py', 'configs/gone.py'], 'configs/gone.py'),
        (
            ['train.py', 'configs/det/maskrcnn_spanetv2.py', '--cfg-options',
             'train_dataloader.dataset.data_root=nowhere'],
            'nowhere',
        ),
        (['test.py', 'configs/det/maskrcnn_spanetv2.py', 'gone.pth'], 'gone.pth'),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_mistake_ends_in_one_line(command, expected):
    script, *args = command
    log = run([f'tools/{script}', *args], status=1)
    errors = [line for line in log.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1
    assert expected in errors[0]
    assert 'Traceback' not in log


def test_a_half_type_is_of_the_deployed_form():
    parser = argparse.ArgumentParser()
    cli.add_deploy_options(parser)
    assert cli.half_type(parser.parse_args(['--deploy'])) is None
    assert cli.half_type(parser.parse_args(['--deploy', '--dtype', 'bf16'])) == 'bfloat16'
    with pytest.raises(InputError, match='--deploy'):
        cli.half_type(parser.parse_args(['--dtype', 'bf16']))


@pytest.mark.slow
def test_the_traceback_can_be_had(tmp_path):
    (tmp_path / 'config.py').write_text('a = 1 / 0\n')
    command = ['tools/train.py', tmp_path / 'config.py']
    assert 'Traceback' not in run(command, status=1, MMSPANET_TRACEBACK='')
    assert (
        'ZeroDivisionError' in run(command, status=1, MMSPANET_TRACEBACK='1').partition('error:')[0]
    )


@pytest.fixture
def given(monkeypatch):
    """The configs that tools/train.py builds runs of, which do not run."""
    configs = []

    def build(cfg):
        configs.append(cfg)
        return SimpleNamespace(register_hook=lambda *_: None)

    monkeypatch.setattr('mmspanet.engine.run.build', build)
    monkeypatch.setattr('mmspanet.engine.run.train', lambda *_: None)
    monkeypatch.setattr('mmspanet.datasets.paths.check_data', lambda *_: None)
    return configs


def train_with(monkeypatch, tmp_path, *options):
    command = ['train.py', str(ROOT / 'configs/cls/spanetv2_shapes.py'), '--no-report']
    monkeypatch.setattr(sys, 'argv', [*command, '--work-dir', str(tmp_path), *options])
    train.main()


def test_options_of_a_training(given, tmp_path, monkeypatch):
    monkeypatch.setattr('mmspanet.engine.device.adapt_to_cpu', lambda cfg: None)  # that undoes AMP
    train_with(monkeypatch, tmp_path / 'plain')
    assert given[0].optim_wrapper.type == 'OptimWrapper'
    assert not given[0].auto_scale_lr.get('enable')
    assert not given[0].get('resume')
    options = ['--amp', '--auto-scale-lr', '--resume', '--resume-lr', 'config']
    (tmp_path / 'resumed').mkdir()
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'resumed/epoch_1.pth')
    train_with(monkeypatch, tmp_path / 'resumed', *options)
    assert given[1].optim_wrapper.type == 'AmpOptimWrapper'
    assert given[1].optim_wrapper.loss_scale == 'dynamic'
    assert given[1].auto_scale_lr.enable
    (resume,) = [hook for hook in given[1].custom_hooks if hook.type == 'mmspanet.ResumeHook']
    assert resume.lr_from == 'config'


def test_a_config_without_a_base_batch_size(given, tmp_path, monkeypatch):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{ROOT}/configs/cls/spanetv2_shapes.py'\nauto_scale_lr = None\n")
    argv = ['train.py', str(config), '--work-dir', str(tmp_path / 'run'), '--auto-scale-lr']
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(InputError, match='base_batch_size'):
        train.main()


def test_processes_of_a_launcher_collect_in_the_work_dir(given, tmp_path, monkeypatch):
    variables = dict(RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='1')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('mmspanet.engine.device.join_cpu_processes', lambda cfg: None)
    kind = 'mmspanet.CollectInWorkDirHook'
    train_with(monkeypatch, tmp_path / 'alone')
    train_with(monkeypatch, tmp_path / 'launched', '--launcher', 'pytorch')
    assert [kind in [h.type for h in cfg.custom_hooks] for cfg in given] == [False, True]


@pytest.mark.parametrize('is_begun', [False, True])
def test_resume_starts_from_load_from_where_there_is_nothing_yet(
    is_begun, given, tmp_path, monkeypatch
):
    """A fine-tuning that is always launched with --resume."""
    start, newest = str(tmp_path / 'start.pth'), str(tmp_path / 'epoch_1.pth')
    for path in (start, newest) if is_begun else (start,):
        torch.save(dict(weight=torch.ones(1)), path)
    train_with(monkeypatch, tmp_path, '--resume', '--cfg-options', f'load_from={start}')
    assert given[0].resume == is_begun
    assert given[0].load_from == (newest if is_begun else start)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a.py', ('a.py', None)),
        ('timm:resnet18', ('timm:resnet18', None)),
        ('timm:resnet18=w/lr=1/a.pth', ('timm:resnet18', 'w/lr=1/a.pth')),
        ('lr=0.1/a.py', ('lr=0.1/a.py', None)),
        ('lr=0.1/a.py=lr=0.1/e.pth', ('lr=0.1/a.py', 'lr=0.1/e.pth')),
        ('mmpretrain::b/c.py=spanetv2://s18-pure', ('mmpretrain::b/c.py', 'spanetv2://s18-pure')),
    ],
)
def test_a_model_and_its_checkpoint(text, expected):
    assert cli.model_and_checkpoint(text) == expected


@pytest.mark.parametrize('name', ['det/maskrcnn_spanetv2_shapes', 'seg/upernet_spanetv2_shapes'])
def test_augmentation_at_test_time_is_around_the_model(name):
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    before = copy.deepcopy(cfg)
    tester.augment(cfg)
    assert cfg.model.type == before.tta_model.type
    assert cfg.model.module.backbone == before.model.backbone
    assert cfg.test_dataloader.dataset.pipeline == before.tta_pipeline
    with pytest.raises(InputError, match='tta_model'):
        tester.augment(Config(dict(model=dict(type='A'))))
