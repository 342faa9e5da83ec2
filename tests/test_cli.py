"""What the scripts do before the Runner: the machine's limits and the user's mistakes."""

import sys

import pytest
import torch
from mmengine.config import Config

from mmspanet import cli
from mmspanet.engine import device
from mmspanet.errors import InputError
from tests.helpers import ROOT, run
from tools import train


def machine_config(**kwargs) -> Config:
    return Config(
        dict(
            model=dict(neck=dict(norm_cfg=dict(type='SyncBN')), heads=[dict(type='SyncBN')]),
            optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', accumulative_counts=2),
            train_dataloader=dict(pin_memory=True, batch_size=2),
            **kwargs,
        )
    )


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cpu')


@pytest.mark.usefixtures('no_accelerator')
def test_fit_to_a_cpu(capsys):
    cfg = machine_config()
    device.adapt_to_cpu(cfg)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', accumulative_counts=2)
    assert cfg.model == dict(neck=dict(norm_cfg=dict(type='BN')), heads=[dict(type='BN')])
    assert cfg.train_dataloader == dict(pin_memory=False, batch_size=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    device.adapt_to_cpu(cfg)
    assert capsys.readouterr().out == ''


def test_an_accelerator_changes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    cfg = machine_config()
    device.adapt_to_cpu(cfg)
    assert cfg.to_dict() == machine_config().to_dict()
    assert capsys.readouterr().out == ''


@pytest.mark.usefixtures('no_accelerator')
def test_slurm_without_gpus_is_refused():
    with pytest.raises(InputError, match=r'dist_train\.sh'):
        device.adapt_to_cpu(machine_config(launcher='slurm'))


def test_options_that_do_not_fit(tmp_path):
    (tmp_path / 'config.py').write_text('hooks = [dict(a=1)]\n')
    assert cli.load_config(str(tmp_path / 'config.py'), {'hooks.0.a': 2}).hooks[0].a == 2
    with pytest.raises(InputError, match='--cfg-options do not fit'):
        cli.load_config(str(tmp_path / 'config.py'), {'hooks.3.a': 2})


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


@pytest.mark.parametrize('is_begun', [False, True])
def test_resume_starts_from_load_from_where_there_is_nothing_yet(is_begun, tmp_path, monkeypatch):
    """A fine-tuning that is always launched with --resume."""
    given = []
    monkeypatch.setattr('mmspanet.engine.run.build', given.append)
    monkeypatch.setattr('mmspanet.engine.run.train', lambda *_: None)
    monkeypatch.setattr('mmspanet.datasets.paths.check_data', lambda *_: None)
    start, newest = str(tmp_path / 'start.pth'), str(tmp_path / 'epoch_1.pth')
    for path in (start, newest) if is_begun else (start,):
        torch.save(dict(weight=torch.ones(1)), path)
    monkeypatch.setattr(
        sys, 'argv',
        ['train.py', str(ROOT / 'configs/cls/spanetv2_shapes.py'), '--work-dir', str(tmp_path),
         '--resume', '--cfg-options', f'load_from={start}'],
    )  # fmt: skip
    train.main()
    assert given[0].resume == is_begun
    assert given[0].load_from == (newest if is_begun else start)
