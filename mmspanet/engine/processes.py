"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux's prctl


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the system send this process a signal when the one that started it is gone.

    Without that, a process that waits for another, or for room in a pipe that nobody reads,
    waits for good after a SIGKILL of its parent. Linux only; elsewhere nothing is done.
    """
    if sys.platform != 'linux':
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the system was asked
        os.kill(os.getpid(), number)
