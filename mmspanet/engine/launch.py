"""What our train and test scripts do to a config before the Runner gets it."""

import argparse
import copy
import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope

from mmspanet.checkpoints.check import check_checkpoint, check_head_width
from mmspanet.checkpoints.safe import forbid_unsafe_loading
from mmspanet.errors import CheckpointError, DivergedError, InputError, WriteError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line on stderr and status 1 at an error of the user's input."""
    try:
        yield
    except (InputError, CheckpointError, DivergedError, FileNotFoundError, WriteError) as error:
        sys.exit(f'error: {error}')
    except cv2.error:
        traceback.print_exc()  # OpenCV doesn't name the file
        sys.exit('error: an image is broken: python tools/misc/check_data.py CONFIG names it.')
    except KeyboardInterrupt:
        sys.exit('interrupted')


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--work-dir', help='folder of logs, metrics and checkpoints')
    add_cfg_options(parser, 'such as train_dataloader.batch_size=8')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``, with an example for its help."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'settings that replace those of the config, {example}',
    )


def start_config(args: argparse.Namespace) -> Config:
    """The config of a run, from the arguments of :func:`add_run_options`."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # where MMEngine reads it
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    folder = args.work_dir or cfg.get('work_dir')
    cfg.work_dir = folder or str(Path('work_dirs') / Path(args.config).stem)
    if cfg.launcher != 'none':
        collect = dict(type='mmspanet.CollectInWorkDirHook')
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), collect]
    return cfg


def load_config(path: str, options: dict[str, Any] | None) -> Config:
    """Read a config file and merge the --cfg-options.

    From here on, no checkpoint can run code in this process.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is not a valid config.
    """
    forbid_unsafe_loading()
    if not Path(path).is_file():
        raise FileNotFoundError(f'The config {path} does not exist: see configs/ for ours.')
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, NameError, TypeError, KeyError, ValueError) as error:
        raise InputError(f'The config {path} can not be read: {error}') from error
    try:
        cfg.merge_from_dict(options or {})
    except (TypeError, KeyError, IndexError) as error:
        raise InputError(f'--cfg-options do not fit {path}: {error}') from error
    return cfg


def fit_to_machine(cfg: Config) -> None:
    """Turn off in ``cfg`` what a machine without an accelerator can't do; say so, a line each.

    Several CPU processes (launcher ``pytorch``) are joined by gloo here, since
    MMEngine's own start calls CUDA whatever the backend.
    """
    if get_device() != 'cpu':
        return
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
    if replace_sync_bn(cfg.model):
        _notice('SyncBN is BN: it needs an accelerator')
    if cfg.get('launcher', 'none') == 'none':
        return
    if cfg.launcher != 'pytorch':
        raise InputError(
            f'The launcher {cfg.launcher} needs GPUs: on CPUs use tools/dist_train.sh or '
            'tools/dist_test.sh (launcher pytorch).'
        )
    dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    _notice(f'{dist.get_world_size()} CPU processes are joined by gloo')


def build_model(cfg: Config) -> Any:
    """The model of a config as one process can have it on any device, without the Runner.

    A pretrained file that the config names for its backbone is not read, SyncBN is BN. The
    library's own random initialisation is drawn by ``init_weights()``.
    """
    init_default_scope(cfg.default_scope)
    settings = copy.deepcopy(cfg.model)
    if (settings.backbone.get('init_cfg') or {}).get('type') == 'Pretrained':
        settings.backbone.init_cfg = None
    replace_sync_bn(settings)
    if 'data_preprocessor' in cfg:
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(settings)


def leave_processes() -> None:
    """Part from the other processes, at the end of a run that went well.

    A process that just exits may be aborted in one of gloo's threads (pytorch issue 190489), and
    its launch then fails though all was done. The threads end with the group, and that ends with
    the last model in it.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def replace_sync_bn(node: Any) -> bool:
    """Turn every SyncBN of a nested config into BN; whether there was one."""
    if isinstance(node, dict):
        found = node.get('type') == 'SyncBN'
        if found:
            node['type'] = 'BN'
        return any([found, *(replace_sync_bn(value) for value in node.values())])
    if isinstance(node, (list, tuple)):
        return any([replace_sync_bn(value) for value in node])
    return False


def use_checkpoint(cfg: Config, path: str) -> None:
    """Have the Runner load ``path``, and nothing else on the way."""
    check_checkpoint(path)
    check_head_width(cfg, path)
    cfg.load_from = path


def _notice(text: str) -> None:
    if os.environ.get('RANK', '0') == '0':
        print(f'no accelerator: {text}.', flush=True)
