"""What our train and test scripts do to a config before the Runner gets it."""

import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmspanet.errors import CheckpointError, InputError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line on stderr and status 1 at an error of the user's input."""
    try:
        yield
    except (InputError, CheckpointError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted')


def load_config(path: str, options: dict[str, Any] | None) -> Config:
    """Read a config file and merge the --cfg-options.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is not a valid config.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The config {path} does not exist: see configs/ for ours.')
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, NameError, TypeError, KeyError, ValueError) as error:
        raise InputError(f'The config {path} can not be read: {error}') from error
    if options:
        cfg.merge_from_dict(options)
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
    if _replace_type(cfg.model, 'SyncBN', 'BN'):
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


def check_data(cfg: Config, parts: tuple[str, ...]) -> None:
    """Check that the data sets of ``parts`` ('train', 'val', 'test') are where ``cfg`` says.

    Raises:
        FileNotFoundError: Names what was looked for, the setting and the remedy.
    """
    for part in parts:
        loader = cfg.get(f'{part}_dataloader')
        if loader is None:
            continue
        for place, dataset in _datasets(loader['dataset'], f'{part}_dataloader.dataset'):
            for setting, path in _dataset_paths(dataset):
                if not path.exists():
                    raise FileNotFoundError(_says_missing_data(path, f'{place}.{setting}'))


def check_checkpoint(path: str) -> None:
    """Check that a local checkpoint is there and is a whole PyTorch file.

    Raises:
        FileNotFoundError: If it is not there.
        CheckpointError: If it is something else or cut short.
    """
    if '://' in path:
        return
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'The checkpoint {path} does not exist: give the path of a .pth file or its URL.'
        )
    with open(path, 'rb') as file:
        is_legacy = file.read(2) == b'\x80\x02'
    if not is_legacy and not zipfile.is_zipfile(path):
        raise CheckpointError(
            f'The checkpoint {path} is not a PyTorch file, or is cut short: copy it again.'
        )


def use_checkpoint(cfg: Config, path: str) -> None:
    """Have the Runner load ``path``, and nothing else on the way."""
    check_checkpoint(path)
    cfg.load_from = path


def work_dir(config: str, given: str | None, cfg: Config) -> str:
    """The folder of a run: the option, else the config's ``work_dir``, else after the config."""
    return given or cfg.get('work_dir') or str(Path('work_dirs') / Path(config).stem)


def set_local_rank(rank: int) -> None:
    """Publish the launcher's local rank where MMEngine reads it."""
    os.environ.setdefault('LOCAL_RANK', str(rank))


def _notice(text: str) -> None:
    if os.environ.get('RANK', '0') == '0':
        print(f'no accelerator: {text}.', flush=True)


def _replace_type(node: Any, old: str, new: str) -> bool:
    """Replace every ``type=old`` in a nested config; whether there was one."""
    if isinstance(node, dict):
        found = node.get('type') == old
        if found:
            node['type'] = new
        return any([found, *(_replace_type(value, old, new) for value in node.values())])
    if isinstance(node, (list, tuple)):
        return any([_replace_type(value, old, new) for value in node])
    return False


def _datasets(dataset: ConfigDict, place: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'dataset' in dataset:
        yield from _datasets(dataset['dataset'], f'{place}.dataset')
    elif 'datasets' in dataset:
        for i, child in enumerate(dataset['datasets']):
            yield from _datasets(child, f'{place}.datasets.{i}')
    else:
        yield place, dataset


def _dataset_paths(dataset: ConfigDict) -> Iterator[tuple[str, Path]]:
    root = Path(dataset.get('data_root') or '')
    if dataset.get('data_root'):
        yield 'data_root', root
    if dataset.get('ann_file'):
        yield 'ann_file', root / dataset['ann_file']
    if dataset.get('split'):
        yield 'split', root / dataset['split']
    prefix = dataset.get('data_prefix') or {}
    for key, value in (prefix if isinstance(prefix, dict) else {'': prefix}).items():
        if value:
            yield f'data_prefix.{key}'.rstrip('.'), root / value


def _says_missing_data(path: Path, setting: str) -> str:
    if 'shapes' in path.parts:
        return f'{path} ({setting}) does not exist: write it with python tools/make_shapes.py.'
    return (
        f'{path} ({setting}) does not exist: put the data set there (the README shows the '
        f'layout), or give its place with --cfg-options {setting}=PATH.'
    )
