"""A Runner's training or test, with what may end it said in one sentence."""

import re
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, all_reduce, barrier, is_distributed, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.logging import print_log
from mmengine.registry import OPTIMIZERS
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmspanet.config_check import building_errors
from mmspanet.datasets.paths import broken_label_map
from mmspanet.errors import InputError, Stopped, WorkerError
from mmspanet.files import write_text

from .coco_metric import use_faster_coco_eval
from .hooks import EndWorkersHook

BEGINNING = 'The run can not begin'
# How crops, losses, metrics and image readers fail at a label map that does not fit, and the places
# where they do; a GPU tells of a label beyond the classes wherever it is asked next.
LABEL_MAP_ERRORS = re.compile(
    r'shape of the mask|size mismatch|out of bounds|spatial targets|UnidentifiedImage'
    r'|truncated|broken PNG|image file|device-side assert|invalid for input of size'
    r'|size of tensor|out of range'
)
LABEL_MAP_PLACES = re.compile(
    r'mmseg[\\/](?:datasets|evaluation|models[\\/]losses)|mmcv[\\/](?:transforms|image)'
    r'|device-side assert'
)
SAVING_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # of launchers, and of Slurm's --signal
REPEATS = 10.0  # seconds; Slurm and torchrun both pass a SIGTERM on
FFT_PLANS = 128  # that PyTorch keeps for a GPU, instead of 4096


def build(cfg: Config) -> Runner:
    """The Runner of a config.

    Raises:
        InputError: If the config can't be built.
    """
    with building_errors(BEGINNING):
        _check_optimizer_type(cfg)
        if cfg.get('default_scope') == 'mmdet':
            use_faster_coco_eval()
        runner = Runner.from_cfg(cfg)
        runner.register_hook(EndWorkersHook())
    if torch.cuda.is_available():
        # Each size of a map has plans of its own, which hold memory outside of PyTorch's pool.
        torch.backends.cuda.cufft_plan_cache.max_size = FFT_PLANS
    _check_start(runner)
    return runner


def _check_start(runner: Runner) -> None:
    """Refuse processes that begin with other checkpoints, for their weights would differ."""
    name = Path(runner._load_from).name if runner._load_from else 'no checkpoint'
    found = sorted(set(all_gather_object(name)))
    if len(found) > 1:
        raise InputError(
            f'Some processes begin with {found[0]}, others with {found[1]}: let all machines see '
            'one work dir.'
        )


def _check_optimizer_type(cfg: Config) -> None:
    """MMEngine's constructors fail at a name that they don't find without saying it."""
    name = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('type')
    with OPTIMIZERS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        if isinstance(name, str) and registry.get(name) is None:
            raise InputError(f'There is no optimizer {name} (optim_wrapper.optimizer.type).')


def train(runner: Runner, save_on_signal: bool = False) -> None:
    """Train until the end.

    Args:
        runner: The Runner.
        save_on_signal: At SIGTERM or SIGUSR1, finish the iteration, write a checkpoint and end.

    Raises:
        InputError: If the training can't begin as the config has it.
        Stopped: If a signal ended it, once its checkpoint is written.
        WorkerError: If a worker of a data loader was killed.
    """
    hook = _RunHook()
    runner.register_hook(hook, priority='LOWEST')  # when checkpoints and schedules are done
    with _ending_errors(runner, hook), _asked_by_signals(hook, save_on_signal):
        runner.train()


def test(runner: Runner) -> dict[str, float]:
    """Test, and return the metrics.

    Raises:
        InputError: If the test can't begin as the config has it.
        WorkerError: If a worker of a data loader was killed.
    """
    hook = _RunHook()
    runner.register_hook(hook, priority='LOWEST')
    with _ending_errors(runner, hook):
        return runner.test()


class _RunHook(Hook):
    """Notes that the loop has begun; on request, saves a checkpoint and ends the loop."""

    def __init__(self) -> None:
        self.has_begun = False
        self.asked_by: signal.Signals | None = None
        self.may_be_asked = False

    def before_train(self, runner: Runner) -> None:
        self.has_begun = True

    def before_test(self, runner: Runner) -> None:
        self.has_begun = True

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Between two iterations of an epoch; at its end comes :meth:`after_train_epoch`."""
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        is_last = by_epoch and batch_idx + 1 == len(runner.train_dataloader)
        if self._all_asked() and not is_last:
            done = runner.iter + 1
            name = f'epoch_{runner.epoch}_iter_{done}' if by_epoch else f'iter_{done}'
            self._save_and_stop(runner, name, runner.epoch, done)

    def after_train_epoch(self, runner: Runner) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and self._all_asked():
            done = runner.epoch + 1
            self._save_and_stop(runner, f'epoch_{done}', done, runner.iter)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence | None = None,
    ) -> None:
        # Processes that are elsewhere in a validation end together, after it.
        if self.asked_by is None or is_distributed():
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # its average is in the model's place
                hook.after_val_epoch(runner)
        self._stop_validation(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self._all_asked():
            self._stop_validation(runner)

    def _stop_validation(self, runner: Runner) -> NoReturn:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        name = f'epoch_{runner.epoch}' if by_epoch else f'iter_{runner.iter}'
        self._save_and_stop(runner, name, runner.epoch, runner.iter)

    def _all_asked(self) -> bool:
        """Whether a signal came to any of the processes, which have to end together."""
        if not self.may_be_asked or not is_distributed():
            return self.asked_by is not None
        asked = torch.tensor(int(self.asked_by or 0))
        all_reduce(asked, 'max')
        if asked:
            self.asked_by = signal.Signals(int(asked))
        return bool(asked)

    def _written(self, runner: Runner) -> set[Path]:
        """The checkpoints of this state: that of the hook, and the one that the run began with."""
        hooks = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
        paths = [getattr(hook, 'last_ckpt', None) for hook in hooks]
        paths.append(runner._load_from if runner._resume else None)
        return {Path(path).absolute() for path in paths if path}

    def _save_and_stop(self, runner: Runner, name: str, epoch: int, iteration: int) -> NoReturn:
        path = Path(runner.work_dir) / f'{name}.pth'
        if is_main_process() and path not in self._written(runner):
            runner.save_checkpoint(
                runner.work_dir,
                path.name,
                meta=dict(epoch=epoch, iter=iteration),
                backend_args=dict(backend='atomic'),
            )
            write_text(path.with_name('last_checkpoint'), str(path))
        barrier()  # srun --kill-on-bad-exit ends the main process, once another has ended
        assert self.asked_by is not None
        raise Stopped(self.asked_by, f'{path} is written, go on with --resume')


@contextmanager
def _asked_by_signals(hook: _RunHook, save_on_signal: bool) -> Iterator[None]:
    """Have signals ask for an end; one that is repeated later ends the process at once."""
    if not save_on_signal:
        yield
        return

    asked: dict[int, float] = {}

    def ask(number: int, frame: Any) -> None:
        hook.asked_by = signal.Signals(number)
        if time.monotonic() - asked.setdefault(number, time.monotonic()) >= REPEATS:
            signal.signal(number, before[hook.asked_by])
            signal.raise_signal(number)
        if not hook.has_begun:
            raise Stopped(hook.asked_by, 'the training had not begun')

    hook.may_be_asked = True
    before = {number: signal.signal(number, ask) for number in SAVING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _ending_errors(runner: Runner, hook: _RunHook) -> Iterator[None]:
    try:
        yield
    except (InputError, Stopped):
        raise
    except Exception as error:
        if isinstance(error, SyntaxError):
            _name_what_formatting_hid(error)
        _name_killed_worker(error)
        _name_unread_file(error)
        _name_label_map(error, runner.cfg)
        if hook.has_begun:
            raise
        with building_errors(BEGINNING):
            raise


def _name_what_formatting_hid(error: SyntaxError) -> None:
    """Raise what came while MMEngine formatted the config, which it does at every checkpoint.

    It calls whatever comes meanwhile a SyntaxError.
    """
    hidden = error.__context__
    while hidden is not None:
        if isinstance(hidden, KeyboardInterrupt):
            raise hidden from None
        _name_killed_worker(hidden)
        hidden = hidden.__context__


def _name_unread_file(error: Exception) -> None:
    """Raise InputError if a loader says that a file of the data is missing, or no image."""
    if not isinstance(error, (AssertionError, FileNotFoundError)):
        return
    unread = re.search(
        r"(?:failed to load image: |No such file or directory: ')([^'\n]+)", str(error)
    )
    if unread:
        raise InputError(
            f'The file {unread[1]} is missing or broken: python tools/check_data.py CONFIG lists '
            'all that are.'
        ) from error


def _name_label_map(error: Exception, cfg: Config) -> None:
    """Raise InputError if a run failed as it does at a broken label map, and there is one."""
    may_be = (
        cfg.get('default_scope') == 'mmseg'
        and LABEL_MAP_ERRORS.search(f'{type(error).__name__}: {error}')
        and LABEL_MAP_PLACES.search(''.join(traceback.format_exception(error)))
    )
    if not may_be:
        return
    print_log('The images and label maps are read, for one may have stopped the run.', 'current')
    fault = broken_label_map(cfg)
    if fault is not None:
        raise InputError(
            f'{fault.file} has a fault, {fault.kind}: {fault.detail}; python '
            'tools/check_data.py CONFIG lists all that have one.'
        ) from error


def _lost_connection_to_worker(error: BaseException) -> bool:
    """Whether a loader lost a worker's connection: a dying worker closes it before it is gone."""
    return isinstance(error, (ConnectionError, EOFError)) and (
        'in pin memory thread' in str(error)
        or any(frame.name == '_try_get_data' for frame in traceback.extract_tb(error.__traceback__))
    )


def _name_killed_worker(error: BaseException) -> None:
    """Raise WorkerError if PyTorch says that a worker of a data loader is no more."""
    killed = re.search(r'DataLoader worker \(pid.*?\) (?:is killed by signal: ([\w ]+)|exited un)',
                       str(error))  # fmt: skip
    is_named = isinstance(error, RuntimeError) and killed is not None
    if not is_named and not _lost_connection_to_worker(error):
        return
    reason = (killed and killed[1]) or 'unknown'
    remedy = "most likely by the system's memory limit: lower num_workers or the batch size"
    if 'Bus error' in reason:
        remedy = 'most likely for lack of shared memory: enlarge /dev/shm, or lower num_workers'
    raise WorkerError(
        f'A data loader worker was killed (signal: {reason}), {remedy}, and go on with --resume.'
    ) from error
