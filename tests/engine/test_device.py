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
    assert capsys.readouterr().out
    device.adapt_to_cpu(cfg)
    assert capsys.readouterr().out == ''


@pytest.mark.usefixtures('no_accelerator')
def test_no_bn_is_made_sync_bn_on_a_cpu(capsys):
    cfg = Config(dict(model=dict(norm_cfg=dict(type='BN')), sync_bn='torch'))
    device.adapt_to_cpu(cfg)
    assert 'sync_bn' not in cfg
    assert 'SyncBN' in capsys.readouterr().out


@pytest.mark.usefixtures('no_accelerator')
def test_cpu_processes_are_joined_as_the_config_says(monkeypatch):
    monkeypatch.setattr(device.dist, 'init_process_group', lambda backend: None)
    monkeypatch.setattr(device.dist, 'get_world_size', lambda: 2)
    cfg = Config(dict(launcher='pytorch', find_unused_parameters=True))
    device.join_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model_wrapper_cfg.find_unused_parameters
    cfg = Config(dict(launcher='pytorch', model_wrapper_cfg=dict(static_graph=True)))
    device.join_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg.static_graph
    assert not cfg.model_wrapper_cfg.find_unused_parameters
    whole = dict(type='MMDistributedDataParallel', find_unused_parameters=True, device_ids=[0])
    cfg = Config(dict(launcher='pytorch', model_wrapper_cfg=whole))
    device.join_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg == dict(whole, device_ids=None)


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
