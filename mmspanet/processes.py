"""Processes that do not outlive the one that started them, and their place among others."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # of Linux's prctl

# What a launcher tells its processes by environment variables, first the number of each, and how
# it is started. srun numbers runs, too, that are no group.
LAUNCHERS = dict(
    pytorch=(('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'), 'tools/dist_train.sh'),
    slurm=(('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'), 'tools/slurm_train.sh'),
    mpi=(('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'), 'mpirun'),
)


def is_first_process(launcher: str) -> bool:
    """Whether this is the first of a launcher's processes, or the only one.

    Args:
        launcher: ``launcher`` of the config: a key of :data:`LAUNCHERS`, or ``none``.
    """
    if launcher not in LAUNCHERS:
        return True
    (rank, *_), _ = LAUNCHERS[launcher]
    return os.environ.get(rank, '0') == '0'


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


def end_with_launcher() -> None:
    """Have this process end with the torchrun that started it, if one did.

    torchrun passes signals on, but it can't pass on a SIGKILL of itself: training would go on
    without it. This process gets SIGTERM, which lets it save its state.
    """
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        die_with_parent(signal.SIGTERM)


def start_pool_worker() -> None:
    """Prepare a process of a pool: it ends with its parent, and at SIGTERM without a word."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def start_loader_worker(initialize: Callable[[int], None] | None, number: int) -> None:
    """Prepare a worker of a data loader: a ``worker_init_fn``, its first argument given.

    It ends with its main process. Signals to the group of processes, as terminals and launchers
    send them, reach the main process alone, which ends its workers when it has saved its state.

    Args:
        initialize: The loader's own ``worker_init_fn``.
        number: Of the worker.
    """
    die_with_parent()
    if sys.platform == 'linux':
        os.setpgid(0, 0)
    if initialize is not None:
        initialize(number)
