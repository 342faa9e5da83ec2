"""What the command-line tools share: one-line errors, common options, reading a config.

Importing this module loads neither PyTorch nor OpenCV, so that ``--help`` answers at once.
"""

import argparse
import ast
import os
import re
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmspanet.errors import (
    CheckpointError,
    DivergedError,
    InputError,
    Stopped,
    WorkerError,
    WriteError,
)
from mmspanet.processes import LAUNCHERS

SMALLEST_SIDE = 32  # pixels: one position in the last of four stages
LARGEST_SIDE = 2**16 - 1  # pixels: the most that JPEG has
LONGEST_REPORT = 3600  # seconds
_USERS_ERRORS = (InputError, CheckpointError, DivergedError, WorkerError, WriteError)

if TYPE_CHECKING:  # MMEngine loads PyTorch
    from mmengine.config import Config


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
        lacks_memory = _lacks_memory(error)
        if not is_ours and not lacks_memory and type(error).__module__ != 'cv2':
            raise
        if os.environ.get('MMSPANET_TRACEBACK') == '1':
            traceback.print_exc()
        if is_ours:
            sys.exit(f'error: {error}')
        if lacks_memory:
            sys.exit('error: the memory is not enough: lower the batch size or that of the images.')
        # OpenCV does not name the file.
        sys.exit(
            f'error: OpenCV failed ({" ".join(str(error).split())}): if an image is broken, '
            'tools/check_data.py CONFIG names it.'
        )


def _lacks_memory(error: Exception) -> bool:
    """Whether Python, PyTorch or its accelerator could not have the memory that they asked for."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == 'OutOfMemoryError' or "can't allocate memory" in str(error))
    )


def _stop(number: int, frame: Any) -> None:
    """End the program where it is; a second signal ends it without a word."""
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(signal.Signals(number))


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the config and the options that training and testing share."""
    parser.add_argument('config', help='path of the config file')
    add_run_settings(parser)


def add_run_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`add_run_options` alone."""
    parser.add_argument(
        '--work-dir', type=output_folder, help='folder of logs, metrics and checkpoints'
    )
    add_cfg_options(parser, 'such as train_dataloader.batch_size=8')
    parser.add_argument(
        '--launcher',
        choices=['none', *LAUNCHERS],
        default='none',
        help='what started the processes',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def model_and_checkpoint(text: str) -> tuple[str, str | None]:
    """A model and its checkpoint, of ``MODEL`` or ``MODEL=CHECKPOINT``: a ``type`` for argparse.

    Folders of either may hold ``=``, too.
    """
    found = re.fullmatch(r'(.+?\.py|[^=]+)(?:=(.+))?', text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text} is not of the form MODEL or MODEL=CHECKPOINT')
    return found[1], found[2]


def add_report_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-report``."""
    parser.add_argument(
        '--no-report', action='store_true', help='make no page of the run, and keep no predictions'
    )


def make_run_report(script: Path, work_dir: str, launcher: str) -> None:
    """Make the page of a run in a process of its own; no failure of it is one of the run.

    Of several processes the first makes it.

    Args:
        script: tools/analysis_tools/run_report.py.
        work_dir: Of the run.
        launcher: That started the processes, or ``none``.
    """
    from mmspanet.processes import is_first_process

    if not is_first_process(launcher):
        return
    try:
        made = subprocess.run(
            [sys.executable, script, work_dir],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_REPORT,
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(f'The run is done, without a page: {error}')
        return
    said = made.stdout.strip().splitlines() or ['']
    if made.returncode:
        again = shlex.join(['python', str(script), work_dir])
        print(f'The run is done, without a page ({said[-1]}); to try again: {again}')
    else:
        print(f'The page of the run: {said[-1]}')


def add_cfg_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``, with an example for its help."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeysAndValues,
        metavar='KEY=VALUE',
        help=f'settings that replace those of the config, {example}',
    )


class KeysAndValues(argparse.Action):
    """``KEY=VALUE ...`` as MMEngine reads it; anything else is an error of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the values of one occurrence of the option."""
        from mmengine.config import DictAction

        for value in values:
            if value.find('=') < 1:
                raise argparse.ArgumentError(self, f'{value!r} is not of the form KEY=VALUE')
        read = DictAction(self.option_strings, self.dest, nargs='+')
        try:
            read(parser, namespace, values, option_string)
        except RecursionError as error:  # at a comma in what is no list
            says = 'a value is a number, a text, or a list of such in brackets'
            raise argparse.ArgumentError(self, f'{" ".join(values)}: {says}') from error
        except (AssertionError, SyntaxError, TypeError, ValueError) as error:
            raise argparse.ArgumentError(self, f'{" ".join(values)}: {error}') from error


def run_config(args: argparse.Namespace) -> 'Config':
    """Read the config of a run, given the arguments of :func:`add_run_options`."""
    from mmspanet.config_check import check_launcher, check_model, check_numbers, check_scope
    from mmspanet.processes import end_with_launcher

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # where MMEngine reads it
    check_launcher(args.launcher)
    end_with_launcher()
    cfg = load_config(args.config, args.cfg_options)
    check_model(cfg, args.config)
    check_scope(cfg)
    check_numbers(cfg)
    cfg.launcher = args.launcher
    folder = args.work_dir or cfg.get('work_dir')
    cfg.work_dir = str(folder or Path('work_dirs') / Path(args.config).stem)
    if cfg.get('custom_hooks', []) is None:  # as MMEngine takes it, too
        cfg.custom_hooks = []
    if cfg.launcher != 'none':
        collect = dict(type='mmspanet.CollectInWorkDirHook')
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), collect]
    return cfg


def load_config(path: str, options: dict[str, Any] | None = None) -> 'Config':
    """Read a config file and merge the ``--cfg-options``.

    Raises:
        InputError: If there is no such file, if it is not a valid config, or if the options
            do not fit it.
    """
    try:
        if Path(path).is_dir():
            raise InputError(f'The config {path} is a folder: give the path of a file.')
        if not Path(path).is_file():
            raise InputError(f'The config {path} does not exist: see configs/ for ours.')
    except OSError as error:  # a name that is too long, a folder that is closed
        raise InputError(f'The config {path} can not be read: {error.strerror}.') from error
    from mmengine.config import Config

    try:
        _check_imports(path)
        cfg = Config.fromfile(path)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a config is a program, and may fail as any does
        raise InputError(_says_where(path, error)) from error
    try:
        cfg.merge_from_dict(options or {})
    except Exception as error:
        says = ' '.join(str(error).split())
        raise InputError(f'--cfg-options do not fit {path}: {says}') from error
    return cfg


def load_model_config(path: str, options: dict[str, Any] | None = None) -> 'Config':
    """Read a config, as :func:`load_config` does, of which the model alone is wanted.

    Raises:
        InputError: See :func:`load_config`; or if it is of no model with a backbone.
    """
    from mmspanet.config_check import check_backbone

    cfg = load_config(path, options)
    check_backbone(cfg, path)
    return cfg


def _check_imports(path: str) -> None:
    """Look for the modules that a config imports, which MMEngine does only when it builds from it.

    Raises:
        InputError: Names the line and the module.
    """
    if not path.endswith('.py'):
        return
    for node in ast.walk(ast.parse(Path(path).read_bytes(), path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for name in names:
            if find_spec(name.partition('.')[0]) is None:
                line = f'{path}, line {node.lineno}'
                raise InputError(f'The config {line}: there is no module {name} to import.')


def _says_where(path: str, error: BaseException) -> str:
    """File and line of what went wrong in a config or one of its ``_base_``, and what it was."""
    if isinstance(error, ImportError):  # MMEngine's has the whole path of search in it
        error = error.__cause__ or error.__context__ or error
    reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
    if isinstance(error, RecursionError):
        reason = 'it does not end: a _base_ or a function leads back to itself'
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not is_library(frame.filename)
    ]
    place = f'{frames[-1].filename}, line {frames[-1].lineno}: ' if frames else ''
    return f'The config {path} can not be read: {place}{reason}'


def is_library(path: str) -> bool:
    """Whether code is Python's own or an installed package's."""
    return path.startswith((sys.prefix, sys.base_prefix, '<')) or 'site-packages' in path


def unit_interval(text: str) -> float:
    """Read a number from 0 to 1: a ``type`` for argparse."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return number


def amount(text: str) -> float:
    """Read a finite number from 0 up: a ``type`` for argparse."""
    number = float(text)
    if not 0 <= number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is no number from 0 up')
    return number


@contextmanager
def _path_errors(text: str) -> Iterator[None]:
    """Turn what the system says of a path, such as a name that is too long, into one sentence."""
    try:
        yield
    except OSError as error:
        raise argparse.ArgumentTypeError(f'{text}: {error.strerror}') from error


def output_file(text: str) -> Path:
    """Path of a file that can be written: a ``type`` for argparse."""
    path = Path(text)
    with _path_errors(text):
        if path.is_dir():
            raise argparse.ArgumentTypeError(f'{text} is a folder: give the path of a file')
    output_folder(str(path.parent))
    return path


def output_folder(text: str) -> Path:
    """Path of a folder that is there or can be made: a ``type`` for argparse."""
    path = Path(text)
    with _path_errors(text):
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f'{there} is a file: give a folder')
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f'{there} can not be written to')
    return path


def device_name(text: str) -> str:
    """Name of a device that is here: a ``type`` for argparse. Imports PyTorch."""
    import torch

    try:
        torch.empty(1, device=text)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(
            f'{text} is no device of this machine and this PyTorch (cpu always is)'
        ) from error
    return text


def positive_int(text: str) -> int:
    """Read a whole number from 1 up: a ``type`` for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} must be at least 1')
    return number


def port(text: str) -> int:
    """Read the number of a port: a ``type`` for argparse."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'{number} is not between 1 and 65535')
    return number


def seed(text: str) -> int:
    """Read a seed of NumPy's and PyTorch's generators: a ``type`` for argparse."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f'{number} is not between 0 and 2**32 - 1')
    return number


def pattern(text: str) -> str:
    """A regular expression: a ``type`` for argparse."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f'{text} is no regular expression: {error}') from error
    return text


def image_side(text: str) -> int:
    """Read height, width or both of images in pixels: a ``type`` for argparse."""
    number = int(text)
    if not SMALLEST_SIDE <= number <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f'{number} is not between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels'
        )
    return number


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, of everything random in the command."""
    parser.add_argument('--seed', type=seed, default=0, help='seed of random weights (default 0)')


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``; None stands for ``mmengine.device.get_device()``."""
    parser.add_argument(
        '--device',
        type=device_name,
        help='where to compute, such as cuda:0 (default: the accelerator, if any)',
    )


# What --dtype calls PyTorch's types.
HALF_TYPES = dict(bf16='bfloat16', fp16='float16')


def add_deploy_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--deploy`` and ``--dtype``; :func:`half_type` reads the latter."""
    parser.add_argument(
        '--deploy', action='store_true', help='fold the backbone into its faster deployed form'
    )
    parser.add_argument(
        '--dtype',
        choices=HALF_TYPES,
        help="half type of the deployed backbone (default: the model's own)",
    )


def half_type(args: argparse.Namespace) -> str | None:
    """The name of PyTorch's type that ``--dtype`` asks for.

    Raises:
        InputError: If the backbone is not deployed.
    """
    if args.dtype and not args.deploy:
        raise InputError('--dtype is the type of the deployed backbone: add --deploy.')
    return HALF_TYPES.get(args.dtype)


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
        type=output_folder,
        default=Path(default),
        help=f'folder of figures and tables (default {default})',
    )


def add_prediction_options(parser: argparse.ArgumentParser, out_dir: str) -> None:
    """Add the images and videos to predict for, ``--out-dir`` and ``--score``."""
    parser.add_argument('input', nargs='+', help='image, folder, quoted glob or video')
    parser.add_argument(
        '--out-dir', type=output_folder, default=Path(out_dir), help=f'default: {out_dir}'
    )
    parser.add_argument(
        '--score',
        type=unit_interval,
        default=0.5,
        help='lowest score of a drawn detection (default 0.5)',
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
        type=image_side,
        help='side of the images in pixels (default: the size that the first model was made for)',
    )
    parser.add_argument(
        '--policy',
        choices=policies,
        default='crop',
        help='; '.join(f'{name}: {POLICY_HELP[name]}' for name in policies),
    )
