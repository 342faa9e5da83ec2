"""What the command-line tools share: one-line errors, common options, reading a config.

Importing this module loads neither PyTorch nor OpenCV, so that ``--help`` answers at once.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmspanet.errors import (
    CheckpointError,
    DivergedError,
    InputError,
    Stopped,
    WorkerError,
    WriteError,
)

_USERS_ERRORS = (InputError, CheckpointError, DivergedError, WorkerError, WriteError)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line on stderr and status 1 at an error that is the user's to mend.

    Errors of any other kind keep their traceback. The environment variable
    ``MMSPANET_TRACEBACK=1`` shows the traceback of every error. SIGTERM is one line, too.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except Stopped as stop:
        print(stop, file=sys.stderr, flush=True)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        sys.exit('interrupted')
    except Exception as error:
        is_ours = isinstance(error, _USERS_ERRORS)
        if not is_ours and type(error).__module__ != 'cv2':
            raise
        if not is_ours or os.environ.get('MMSPANET_TRACEBACK') == '1':
            traceback.print_exc()
        if is_ours:
            sys.exit(f'error: {error}')
        # OpenCV does not name the file.
        sys.exit('error: an image is broken: tools/check_data.py CONFIG names it.')


def _stop(number: int, frame: Any) -> None:
    """End the program where it is; a second signal ends it without a word."""
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(signal.Signals(number))


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


def run_config(args: argparse.Namespace) -> Config:
    """Read the config of a run, given the arguments of :func:`add_run_options`."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # where MMEngine reads it
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    folder = args.work_dir or cfg.get('work_dir')
    cfg.work_dir = folder or str(Path('work_dirs') / Path(args.config).stem)
    if cfg.launcher != 'none':
        collect = dict(type='mmspanet.CollectInWorkDirHook')
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), collect]
    return cfg


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and merge the ``--cfg-options``.

    Raises:
        InputError: If there is no such file, if it is not a valid config, or if the options
            do not fit it.
    """
    if not Path(path).is_file():
        raise InputError(f'The config {path} does not exist: see configs/ for ours.')
    try:
        cfg = Config.fromfile(path)
    except (SyntaxError, NameError, TypeError, KeyError, ValueError) as error:
        raise InputError(f'The config {path} can not be read: {error}') from error
    try:
        cfg.merge_from_dict(options or {})
    except (TypeError, KeyError, IndexError) as error:
        raise InputError(f'--cfg-options do not fit {path}: {error}') from error
    return cfg


def positive_int(text: str) -> int:
    """Read a whole number from 1 up: a ``type`` for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} must be at least 1')
    return number


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, of everything random in the command."""
    parser.add_argument('--seed', type=int, default=0, help='seed of random weights (default 0)')


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``; None stands for ``mmengine.device.get_device()``."""
    parser.add_argument(
        '--device', help='where to compute, such as cuda:0 (default: the accelerator, if any)'
    )


def add_batch_size_option(parser: argparse.ArgumentParser, default: int) -> None:
    """Add ``--batch-size``."""
    parser.add_argument(
        '--batch-size',
        type=positive_int,
        default=default,
        help=f'images at a time (default {default})',
    )


def add_out_dir_option(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--out-dir``, the folder that a command writes its files to."""
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path(default),
        help=f'folder of figures and tables (default {default})',
    )


# Help texts of the names in mmspanet.analysis.images.SIZE_POLICIES.
POLICY_HELP = dict(
    crop='resize the short side to --size and cut the center square (the default)',
    stretch='resize both sides to --size',
    keep='keep the pixels, cut to multiples of 32 a side',
)


def add_image_options(
    parser: argparse.ArgumentParser, count: int, policies: Sequence[str] = ('crop', 'stretch')
) -> None:
    """Add ``--images``, ``--count``, ``--size`` and ``--policy``.

    Args:
        parser: The command's.
        count: The default number of images.
        policies: Keys of :data:`POLICY_HELP` that the command can do with.
    """
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder that is searched for images (default: the test data set of the config)',
    )
    parser.add_argument(
        '--count',
        type=positive_int,
        default=count,
        help=f'number of images, taken at equal distances in order of their names ({count})',
    )
    parser.add_argument(
        '--size',
        type=positive_int,
        help='side of the images in pixels (default: the size that the first model was made for)',
    )
    parser.add_argument(
        '--policy',
        choices=policies,
        default='crop',
        help='; '.join(f'{name}: {POLICY_HELP[name]}' for name in policies),
    )
