"""Configs on a machine without an accelerator."""

import pytest
from mmengine.config import Config

from mmspanet.engine import device
from mmspanet.errors import InputError


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
