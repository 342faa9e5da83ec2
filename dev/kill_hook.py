"""A hook that kills its own process at a chosen moment, for fault_injection.py."""

import os
import signal
import sys
import threading
import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

MOMENTS = ('iteration', 'validation', 'write')


@HOOKS.register_module()
class KillHook(Hook):
    """SIGKILL to this process, ``delay`` seconds after a moment came for the ``count``-th time.

    The moments are the start of a training iteration, the start of a validation iteration and
    the opening of a checkpoint for writing. A launch that torchrun restarted is left alone.
    """

    def __init__(self, moment: str, count: int, delay: float, rank: int = 0) -> None:
        self.moment, self.left, self.delay, self.rank = moment, count, delay, rank

    def before_run(self, runner: Runner) -> None:
        if runner.rank != self.rank or os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') != '0':
            self.left = 0
        sys.addaudithook(self._see_file)

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        self._see('iteration')

    def before_val_iter(self, runner: Runner, **_: Any) -> None:
        self._see('validation')

    def _see_file(self, event: str, args: tuple[Any, ...]) -> None:
        if event == 'open' and str(args[0]).endswith('.pth.part'):
            self._see('write')

    def _see(self, moment: str) -> None:
        if moment != self.moment or self.left == 0:
            return
        self.left -= 1
        if self.left == 0:
            timer = threading.Timer(self.delay, kill)
            timer.daemon = True
            timer.start()


def kill() -> None:
    os.write(1, f'KillHook: {time.time()}\n'.encode())  # at once, between no other line
    os.kill(os.getpid(), signal.SIGKILL)
