"""What a resumed training takes from its checkpoint, and what from the config."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmspanet.checkpoints.pickles import printable
from mmspanet.checkpoints.reader import CONFIG_VALUES, check_resumable
from mmspanet.errors import InputError
from mmspanet.registry import HOOKS

# Of a schedule's state, what a training changes.
_RUNNING = ('last_step', '_global_step', '_last_value', 'base_values', 'verbose')


@HOOKS.register_module()
class ResumeHook(Hook):
    """Say in the log where a checkpoint and the config differ, and which of the two goes on.

    MMEngine takes the learning rate, the optimizer's other settings and the schedule from the
    checkpoint without a word, whatever the config says of them.

    Args:
        lr_from: ``'checkpoint'``, or ``'config'`` to take the learning rate and the schedule
            from the config: the schedule is then where it would be after as many iterations.
    """

    def __init__(self, lr_from: str = 'checkpoint') -> None:
        self.from_config = lr_from == 'config'
        self.rates: list[float] | None = None  # the config's, by group

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare before the optimizer is loaded.

        Raises:
            InputError: If the checkpoint has no training to resume, or one of another optimizer.
        """
        if not runner._resume:
            return
        for key in ('meta', 'optimizer', 'message_hub'):
            if key not in checkpoint:
                raise InputError(
                    f'{runner._load_from} holds weights alone and no training to resume (it has '
                    f'no {key}): start from it with --cfg-options load_from=FILE, without --resume.'
                )
        check_resumable(checkpoint, runner._load_from)
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return  # several optimizers: MMEngine's way
        ours = runner.optim_wrapper.optimizer.param_groups
        theirs = checkpoint['optimizer']['param_groups']
        _check_optimizer(runner, ours, theirs)
        self.rates = [_initial_rate(group) for group in ours]
        for line in (
            *self._rates(theirs),
            *_settings(ours, theirs),
            *self._schedules(runner, checkpoint),
            *_run_settings(runner, checkpoint['meta']),
        ):
            print_log(f'resume: {line}', logger='current')

    def _rates(self, theirs: list[dict[str, Any]]) -> Iterator[str]:
        assert self.rates is not None
        rates = [_initial_rate(group) for group in theirs]
        if rates != self.rates:
            yield self._says('learning rate', f'{max(rates):g}', f'{max(self.rates):g}')

    def _schedules(self, runner: Runner, checkpoint: dict[str, Any]) -> Iterator[str]:
        ours, theirs = runner.param_schedulers or [], checkpoint.get('param_schedulers', [])
        if not isinstance(ours, list) or not isinstance(theirs, list):
            return
        settings = [
            [{k: v for k, v in state.items() if k not in _RUNNING} for state in states]
            for states in ([scheduler.state_dict() for scheduler in ours], theirs)
        ]
        if len(ours) != len(theirs):
            yield self._says('schedule', f'{len(theirs)} parts', f'{len(ours)} parts')
            return
        for i, (one, other) in enumerate(zip(*settings, strict=True)):
            for key in sorted(one.keys() | other.keys()):
                if one.get(key) != other.get(key):
                    yield self._says(f'param_scheduler.{i}.{key}', other.get(key), one.get(key))

    def _says(self, name: str, theirs: Any, ours: Any) -> str:
        theirs = printable(str(theirs))
        if self.from_config:
            return f'{name} {ours} of the config, instead of {theirs} of the checkpoint'
        return (
            f'{name} {theirs} of the checkpoint, not {ours} of the config (--resume-lr config '
            'takes that)'
        )

    def before_train(self, runner: Runner) -> None:
        """Take the config's learning rate, if it is asked for; say if nothing is left to do."""
        if not runner._resume:
            return
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        done, end = (
            (runner.epoch, runner.max_epochs) if by_epoch else (runner.iter, runner.max_iters)
        )
        if by_epoch and not _has_as_many_iterations(runner):
            print_log(
                f'resume: an epoch has {len(runner.train_dataloader)} iterations, and had another '
                'number: with other GPUs or another batch size, a schedule by iterations keeps its '
                'old length (--resume-lr config takes a new one).',
                logger='current',
            )
        unit = 'epochs' if by_epoch else 'iters'
        if done >= end:
            print_log(
                f'{runner._load_from} is of a finished run, after {done} of {end} {unit}: nothing '
                f'is left to do; raise train_cfg.max_{unit} to train on.',
                logger='current',
            )
        elif self.from_config and self.rates is not None:
            self._take_rates(runner)

    def _take_rates(self, runner: Runner) -> None:
        assert self.rates is not None
        assert isinstance(runner.optim_wrapper, OptimWrapper)
        groups = runner.optim_wrapper.optimizer.param_groups
        for group, rate in zip(groups, self.rates, strict=True):
            group['lr'] = group['initial_lr'] = rate
        settings = runner.cfg.get('param_scheduler')
        if not settings:
            return
        with warnings.catch_warnings():  # that the optimizer has not stepped before the schedule
            warnings.simplefilter('ignore')
            runner.param_schedulers = runner.build_param_scheduler(copy.deepcopy(settings))
            _replay(runner)


def _has_as_many_iterations(runner: Runner) -> bool:
    """Whether the epochs of the checkpoint were as long as those of the config."""
    length = len(runner.train_dataloader)
    return runner.epoch * length <= runner.iter <= (runner.epoch + 1) * length


def _replay(runner: Runner) -> None:
    """Step the schedules as ParamSchedulerHook has stepped them up to now."""
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    length = len(runner.train_dataloader)
    assert isinstance(runner.param_schedulers, list)
    done = runner.iter
    if by_epoch and not _has_as_many_iterations(runner):
        done = runner.epoch * length
    for iteration in range(1, done + 1):
        for scheduler in runner.param_schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
        if by_epoch and iteration % length == 0 and iteration // length <= runner.epoch:
            for scheduler in runner.param_schedulers:
                if scheduler.by_epoch:
                    scheduler.step()


def _check_optimizer(
    runner: Runner, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> None:
    """PyTorch takes the settings of another optimizer's groups, and fails at its first step."""
    if [_kind(group) for group in ours] == [_kind(group) for group in theirs]:
        return
    name = type(runner.optim_wrapper.optimizer).__name__
    raise InputError(
        f'{runner._load_from} holds the state of another optimizer, or of other parameter groups, '
        f'than optim_wrapper of the config asks for ({name} with {len(ours)} groups): give that '
        'of the checkpoint, or start a new run from its weights with --cfg-options load_from=FILE '
        'and another --work-dir, without --resume.'
    )


# Set by the schedule, by LAMB's first step, and by newer versions of PyTorch.
_ADDED = {
    'initial_lr', 'step', 'foreach', 'maximize', 'capturable', 'differentiable', 'fused',
    'decoupled_weight_decay',
}  # fmt: skip


def _kind(group: dict[str, Any]) -> tuple[set[str], int]:
    return group.keys() - _ADDED, len(group['params'])


def _initial_rate(group: dict[str, Any]) -> float:
    return float(group.get('initial_lr', group['lr']))


def _settings(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Iterator[str]:
    """The optimizer's settings beside the learning rate, which are the checkpoint's."""
    for key in ours[0]:
        if key in ('params', 'lr', 'initial_lr'):
            continue
        for one, other in zip(ours, theirs, strict=True):
            before, after = other.get(key, one[key]), one[key]
            if isinstance(after, tuple):
                before = tuple(before)
            if before != after:
                yield f'{key} {printable(str(before))} of the checkpoint, not {after} of the config'
                break


def _run_settings(runner: Runner, meta: dict[str, Any]) -> Iterator[str]:
    """The batch size and the end of the run, which are the config's."""
    before = meta.get(CONFIG_VALUES)
    for name, keys in (
        ('batch size', ('train_dataloader', 'batch_size')),
        ('end after', ('train_cfg', 'max_epochs')),
        ('end after', ('train_cfg', 'max_iters')),
    ):
        theirs: Any = before
        ours: Any = runner.cfg.to_dict()
        for key in keys:
            theirs, ours = ((v.get(key) if isinstance(v, dict) else None) for v in (theirs, ours))
        if type(theirs) is int and ours is not None and theirs != ours:
            yield f'{name} {ours} of the config, instead of {theirs} of the checkpoint'
