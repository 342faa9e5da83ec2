"""What our train and test scripts do to a config before the Runner gets it."""

import argparse
import gc
import json
import os
import re
import sys
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch.distributed as dist
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmspanet.checkpoints.files import read_state_dict
from mmspanet.checkpoints.safe import check_for_foreign_code, forbid_unsafe_loading
from mmspanet.data.check import classes_as_numbered
from mmspanet.data.meta import metainfo
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as train_dataloader.batch_size=8',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
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


def check_data(cfg: Config, parts: tuple[str, ...]) -> None:
    """Check that the data sets of ``parts`` ('train', 'val', 'test') are where ``cfg`` says.

    Raises:
        FileNotFoundError: Names what was looked for, the setting and the remedy.
        InputError: If the classes given for a COCO-style file are not its categories, in order.
    """
    for part in parts:
        loader = cfg.get(f'{part}_dataloader')
        if loader is None:
            continue
        for place, dataset in leaf_datasets(loader['dataset'], f'{part}_dataloader.dataset'):
            for setting, path in _dataset_paths(dataset):
                if not path.exists():
                    raise FileNotFoundError(_says_missing_data(path, f'{place}.{setting}'))
            _check_coco_classes(dataset, place)


def check_checkpoint(path: str) -> None:
    """Check that a local checkpoint is there, whole, and nothing but a checkpoint.

    Raises:
        FileNotFoundError: If it is not there.
        CheckpointError: If it is something else, cut short, or would run foreign code.
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
    if not is_legacy:
        check_for_foreign_code(path)


def newest_whole_checkpoint(work_dir: str) -> str | None:
    """The checkpoint that ``--resume auto`` continues from: the newest that is not damaged.

    Files that are cut short or fail their checksums are passed over with a warning.
    None where the folder holds no checkpoint at all.

    Raises:
        CheckpointError: If it holds checkpoints, but no whole one.
    """
    names = (
        (re.fullmatch(r'(?:epoch|iter)_(\d+)', p.stem), p) for p in Path(work_dir).glob('*.pth')
    )
    found = sorted(((int(name[1]), path) for name, path in names if name), reverse=True)
    for _, path in found:
        if is_whole(path):
            return str(path)
        print(f'warning: the checkpoint {path} is damaged and passed over.', flush=True)
    if found:
        raise CheckpointError(
            f'All checkpoints in {work_dir} are damaged: start anew in another --work-dir.'
        )
    return None


def is_whole(path: Path) -> bool:
    """Whether a checkpoint file is complete and passes its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def check_head_width(cfg: Config, path: str) -> None:
    """Check that a checkpoint of UperNet is as wide as the config's UPerHead.

    The authors' printed costs fit a width of 512, their config says 320: files of either
    may turn up, and a mismatch would otherwise leave most of the head at random.

    Raises:
        CheckpointError: Names both widths and the remedy.
    """
    head = cfg.model.get('decode_head', ConfigDict())
    if '://' in path or head.get('type') != 'UPerHead':
        return
    weight = read_state_dict(Path(path)).get('decode_head.fpn_bottleneck.conv.weight')
    if weight is not None and weight.shape[0] != head.channels:
        raise CheckpointError(
            f'The UPerHead of {path} is {weight.shape[0]} channels wide, that of the config '
            f'{head.channels}: take the config whose name has h{weight.shape[0]}, or '
            f'--cfg-options model.decode_head.channels={weight.shape[0]}.'
        )


def check_fit(model: nn.Module, path: str) -> None:
    """Check that a local checkpoint holds the weights of ``model`` (maybe wrapped), all of them.

    MMEngine loads what fits and leaves the rest at random, with a warning.

    Raises:
        CheckpointError: Names a weight that is missing, of another size, or of a deeper backbone.
    """
    if '://' in path:
        return
    is_wrapped = is_model_wrapper(model) or isinstance(model, BaseTTAModel)
    inner: nn.Module = model.module if is_wrapped else model  # type: ignore[assignment]
    try:
        missing, unexpected = inner.load_state_dict(read_state_dict(Path(path)), strict=False)
    except CheckpointError:
        raise
    except RuntimeError as error:
        *_, difference = str(error).splitlines()  # the last of those that differ in size
        raise CheckpointError(f'{path} is of another model: {difference.strip()}') from error
    foreign = [key for key in unexpected if key.startswith('backbone.')]
    if missing or foreign:
        kind, keys = ('lacks', missing) if missing else ('has beyond it', foreign)
        raise CheckpointError(
            f'{path} is of another model than the config: it {kind} {len(keys)} tensors, such as '
            f'{keys[0]}.'
        )


def use_checkpoint(cfg: Config, path: str) -> None:
    """Have the Runner load ``path``, and nothing else on the way."""
    check_checkpoint(path)
    check_head_width(cfg, path)
    cfg.load_from = path


def _notice(text: str) -> None:
    if os.environ.get('RANK', '0') == '0':
        print(f'no accelerator: {text}.', flush=True)


def leaf_datasets(dataset: ConfigDict, place: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset['dataset'], f'{place}.dataset')
    elif 'datasets' in dataset:
        for i, child in enumerate(dataset['datasets']):
            yield from leaf_datasets(child, f'{place}.datasets.{i}')
    else:
        yield place, dataset


def _dataset_paths(dataset: ConfigDict) -> Iterator[tuple[str, Path]]:
    root = Path(dataset.get('data_root') or '')
    if dataset.get('data_root'):
        yield 'data_root', root
    if dataset.get('ann_file'):
        yield 'ann_file', root / dataset['ann_file']
    if dataset.get('split') and dataset.get('type') == 'ImageNet':  # a name in other data sets
        yield 'split', root / dataset['split']
    prefix = dataset.get('data_prefix') or {}
    for key, value in (prefix if isinstance(prefix, dict) else {'': prefix}).items():
        if value:
            yield f'data_prefix.{key}'.rstrip('.'), root / value


def _check_coco_classes(dataset: ConfigDict, place: str) -> None:
    """MMDetection numbers classes in the file's order and leaves out unknown ones, silently."""
    if dataset.get('type') != 'CocoDataset' or 'classes' not in dataset.get('metainfo', {}):
        return
    classes = list(metainfo(dataset, 'mmdet')['classes'])
    path = Path(dataset.get('data_root') or '') / dataset['ann_file']
    names = [category['name'] for category in json.loads(path.read_text())['categories']]
    ordered = classes_as_numbered(names, classes)
    if ordered != classes:
        unknown = ', '.join(name for name in classes if name not in names)
        remedy = f'give them in the order of the file, {tuple(ordered)}'
        if unknown:
            remedy = f'it has no category {unknown}, only {", ".join(names)}'
        raise InputError(f'{place}.metainfo.classes do not fit {path}: {remedy}.')


def _says_missing_data(path: Path, setting: str) -> str:
    if 'shapes' in path.parts:
        return f'{path} ({setting}) does not exist: write it with python tools/make_shapes.py.'
    return (
        f'{path} ({setting}) does not exist: put the data set there (the README shows the '
        f'layout), or give its place with --cfg-options {setting}=PATH.'
    )
