"""Hooks of the Runner."""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import BaseLoop, Runner

from mmspanet.checkpoints.loading import fill
from mmspanet.checkpoints.reader import check_content, check_weights, inert_meta
from mmspanet.errors import DivergedError
from mmspanet.models import find_spanetv2
from mmspanet.processes import start_loader_worker
from mmspanet.registry import HOOKS

LEAST_LOSS_SCALE = 1e-4  # as fairseq's --min-loss-scale


@HOOKS.register_module()
class DeployHook(Hook):
    """Bring every SPANetV2 of the model into its deployed form before a test.

    The Runner has loaded the checkpoint by then. For test runs only: in a training run
    the validations would leave a model that can't be trained.

    Args:
        dtype: Half type of the backbone, ``'bfloat16'`` or ``'float16'``; the rest of the model
            keeps its own. None leaves the backbone's, too.
    """

    def __init__(self, dtype: str | None = None) -> None:
        self.dtype = None if dtype is None else getattr(torch, dtype)

    def before_test(self, runner: Runner) -> None:
        """Switch the model's backbones, once its checkpoint is loaded."""
        backbones = find_spanetv2(runner.model).values()
        for backbone in backbones:
            backbone.switch_to_deploy(self.dtype)
        form = 'the deployed form' + (f' in {self.dtype}' if self.dtype else '')
        print_log(f'{len(backbones)} SPANetV2 switched to {form}.', logger='current')


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Check a checkpoint between MMEngine's reading and its use.

    MMEngine loads what fits and leaves the rest of the model at random, with a warning. Where a
    run is resumed or tested, a checkpoint that is not of this model is an error here. Fine-tuning
    from ``load_from`` stays as lenient as MMEngine is, but takes plain, finite tensors only.

    MMEngine also executes the text in ``meta['config']`` of a checkpoint that it resumes. It is
    taken out here.
    """

    priority = 'VERY_HIGH'  # before hooks that change what is loaded

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at what was read, before it goes into the model and the optimizer.

        Raises:
            CheckpointError: If a run would go on, or be tested, with other weights than those of
                the checkpoint, or if these are no weights.
        """
        check_content(checkpoint, runner._load_from)
        inert_meta(checkpoint)
        is_training = isinstance(runner._train_loop, BaseLoop)
        if runner._resume or not is_training:
            fill(runner.model, checkpoint, runner._load_from)
        else:
            check_weights(checkpoint.get('state_dict', checkpoint), runner._load_from)


@HOOKS.register_module()
class FiniteWeightsHook(Hook):
    """End a training that diverged before it saves NaN in the place of good checkpoints.

    MMEngine trains on with a loss of NaN, and ``max_keep_ckpts`` then removes one good file
    after the other. In mixed precision the weights stay as they are instead: a step of infinite
    gradients is skipped and the loss scale halved, in a training that diverged for ever.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look through the weights that are about to be saved, and at the loss scale.

        Raises:
            DivergedError: Names the first weight that holds NaN or infinity, or the loss scale.
        """
        for name, value in checkpoint['state_dict'].items():
            if not value.isfinite().all():
                self._end(runner, f'{name} holds NaN or infinity')
        if isinstance(runner.optim_wrapper, AmpOptimWrapper):
            scale = runner.optim_wrapper.loss_scaler.get_scale()
            if scale < LEAST_LOSS_SCALE:
                fault = f'the loss scale fell to {scale:.1g}, by infinite gradients in each step,'
                self._end(runner, fault)

    def _end(self, runner: Runner, fault: str) -> NoReturn:
        raise DivergedError(
            f'{fault} after {runner.iter} iterations, and nothing was saved: the checkpoints in '
            f'{runner.work_dir} are from before; lower the learning rate and go on with --resume '
            '--resume-lr config, or clip gradients.'
        )


@HOOKS.register_module()
class EndWorkersHook(Hook):
    """Have the workers of data loaders end with their main process, even with a killed one.

    PyTorch's workers look for their main process only while they wait for work: one that waits
    for room to hand a batch over stays, with all its memory.
    """

    def before_run(self, runner: Runner) -> None:
        """Prepare the loaders of all loops, before their workers are started."""
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if isinstance(loop, BaseLoop):
                loader = loop.dataloader
                loader.worker_init_fn = partial(start_loader_worker, loader.worker_init_fn)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed all random generators anew at the start of every training epoch.

    The seed is drawn from the Runner's, the epoch and the process's rank. A run that is
    resumed at an epoch's end then goes on bit for bit as if it had never stopped, which
    MMEngine does not provide: it saves no random state. Loader workers draw their seeds from
    the same generators, unless ``persistent_workers`` keeps them over the epochs.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python's, NumPy's and PyTorch's generators."""
        entropy = np.random.SeedSequence((runner.seed, runner.epoch, runner.rank))
        seed = int(entropy.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


@HOOKS.register_module()
class CollectInWorkDirHook(Hook):
    """Let several processes put their results together in the run's own folder of logs.

    MMEngine's metrics do it in ``.dist_test`` of the current folder, where two runs that measure
    at one time would mix theirs, and leave that behind.
    """

    def before_val(self, runner: Runner) -> None:
        """Name the folder to the validation's metrics."""
        self._name_folder(runner, runner.val_loop.evaluator)

    def before_test(self, runner: Runner) -> None:
        """Name the folder to the test's metrics."""
        self._name_folder(runner, runner.test_loop.evaluator)

    def _name_folder(self, runner: Runner, evaluator: Evaluator) -> None:
        for metric in evaluator.metrics:  # one after the other, each removes what it made
            metric.collect_dir = f'{runner.log_dir}/collected'


@HOOKS.register_module()
class DrawInRGBHook(Hook):
    """Give MMPretrain's VisualizationHook RGB images, as it draws what it gets.

    It takes the loader's images, BGR, for RGB ones, so that its pictures have red and blue
    exchanged. This hook runs before it and after the model.
    """

    priority = 'ABOVE_NORMAL'

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence | None = None
    ) -> None:
        """Exchange the loader's channels, once the model has seen them."""
        data_batch['inputs'] = [image.flip(0) for image in data_batch['inputs']]

    after_val_iter = after_test_iter
