"""Hooks of the Runner."""

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmspanet.models import SPANetV2
from mmspanet.registry import HOOKS


@HOOKS.register_module()
class DeployHook(Hook):
    """Bring every SPANetV2 of the model into its deployed form before a test.

    The Runner has loaded the checkpoint by then. For test runs only: in a training run
    the validations would leave a model that can't be trained.
    """

    def before_test(self, runner: Runner) -> None:
        backbones = [m for m in runner.model.modules() if isinstance(m, SPANetV2)]
        for backbone in backbones:
            backbone.switch_to_deploy()
        print_log(f'{len(backbones)} SPANetV2 switched to the deployed form.', logger='current')


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed all random generators anew at the start of every training epoch.

    The seed is the Runner's plus the epoch, and differs between processes. A run that is
    resumed at an epoch's end then goes on bit for bit as if it had never stopped, which
    MMEngine does not provide: it saves no random state. Loader workers draw their seeds from
    the same generators, unless ``persistent_workers`` keeps them over the epochs.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        seed = runner.seed + runner.epoch * runner.world_size + runner.rank
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)


@HOOKS.register_module()
class DrawInRGBHook(Hook):
    """Give MMPretrain's VisualizationHook RGB images in a test, as it draws what it gets.

    It takes the loader's images, BGR, for RGB ones, so that its pictures have red and blue
    exchanged. This hook runs before it and after the model.
    """

    priority = 'ABOVE_NORMAL'

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence | None = None
    ) -> None:
        data_batch['inputs'] = [image.flip(0) for image in data_batch['inputs']]
