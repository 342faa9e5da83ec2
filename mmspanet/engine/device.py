"""What a machine without an accelerator can't do, and the end of a distributed run."""

import gc
import os
from typing import Any

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device

from mmspanet.errors import InputError


def adapt_to_cpu(cfg: Config) -> None:
    """Turn off in a config what a machine without an accelerator can't do, with a notice for each.

    Mixed precision, pinned memory and SyncBN go; with an accelerator nothing changes.

    Raises:
        InputError: If the launcher is one that needs GPUs.
    """
    if get_device() != 'cpu':
        return
    if cfg.get('launcher', 'none') not in ('none', 'pytorch'):
        raise InputError(
            f'The launcher {cfg.launcher} needs GPUs: on CPUs use tools/dist_train.sh or '
            'tools/dist_test.sh (launcher pytorch).'
        )
    wrapper = cfg.get('optim_wrapper')
    if wrapper is not None and wrapper.get('type') == 'AmpOptimWrapper':
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
        wrapper['type'] = 'OptimWrapper'
        _notice('mixed precision is off: AmpOptimWrapper needs an accelerator')
    loaders = [cfg.get(f'{part}_dataloader') for part in ('train', 'val', 'test')]
    pinned = [loader for loader in loaders if loader is not None and loader.get('pin_memory')]
    for loader in pinned:
        loader['pin_memory'] = False
    if pinned:
        _notice('pinned memory is off: there is no accelerator to copy to')
    if any([replace_sync_bn(cfg.model), cfg.pop('sync_bn', None)]):
        _notice('SyncBN is BN: it needs an accelerator')


def join_cpu_processes(cfg: Config) -> None:
    """Join the CPU processes of a launch by gloo; with an accelerator MMEngine does it by itself.

    MMEngine's own start calls CUDA, whatever the backend.
    """
    if get_device() != 'cpu' or cfg.get('launcher', 'none') == 'none':
        return
    dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    ) | dict(cfg.get('model_wrapper_cfg') or {}, device_ids=None)
    _notice(f'{dist.get_world_size()} CPU processes are joined by gloo')


def destroy_process_group() -> None:
    """Leave the process group at the end of a run that went well.

    A process that exits without it may be aborted in a thread of gloo (pytorch issue 190489), and
    its launch then fails although the run succeeded. The threads end with the group, and the group
    ends with the last model that holds it.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def replace_sync_bn(node: Any) -> bool:
    """Turn every SyncBN of a nested config into BN.

    Returns:
        Whether there was one.
    """
    if isinstance(node, dict):
        found = node.get('type') in ('SyncBN', 'MMSyncBN')
        if found:
            node['type'] = 'BN'
        return any([found, *(replace_sync_bn(value) for value in node.values())])
    if isinstance(node, (list, tuple)):
        return any([replace_sync_bn(value) for value in node])
    return False


def _notice(text: str) -> None:
    if os.environ.get('RANK', '0') == '0':
        print(f'no accelerator: {text}.', flush=True)
