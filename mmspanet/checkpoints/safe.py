"""Loading checkpoints without running the code that a stranger may have put into them.

A pickle names functions and has them called while it is read. PyTorch's ``weights_only=True``
allows a short list of them; training checkpoints of MMEngine need a few more, which are
registered here. MMEngine itself does not help: the upstream line always loads with
``weights_only=False``, onedl-mmengine falls back to it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from mmspanet.errors import CheckpointError

STATISTICS = ('min', 'max', 'current', 'mean')
NUMPY_CORES = ('numpy.core', 'numpy._core')  # where numpy 1 and numpy 2 say they keep these
DTYPES = ('?', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8')

Global = Callable[..., Any] | tuple[Callable[..., Any], str]


def forbid_unsafe_loading() -> None:
    """Make every ``torch.load`` of this process, the libraries' included, refuse foreign code.

    Training checkpoints of MMEngine stay loadable.
    """
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    torch.serialization.add_safe_globals(training_globals())


def allow_training_checkpoints() -> None:
    """Let ``torch.load`` read MMEngine's training checkpoints as it is called by default.

    Since torch 2.6 that is with ``weights_only=True``, and mmengine 0.10.7, of before, calls it so:
    its own checkpoints do not load then in the libraries' launchers. Older torch needs nothing.
    """
    if digit_version(torch.__version__) >= digit_version('2.6'):
        torch.serialization.add_safe_globals(training_globals())


def training_globals() -> list[Global]:
    """What MMEngine's training checkpoints call beyond what PyTorch allows by default."""
    # By way of pickle, since numpy 1 and 2 keep these functions in modules of different names.
    reconstruct: Any = np.array(0.0).__reduce__()[0]
    scalar: Any = np.float64(0).__reduce__()[0]
    named: list[Global] = [(_statistics_method, 'builtins.getattr')]
    for core in NUMPY_CORES:
        named.append((reconstruct, f'{core}.multiarray._reconstruct'))
        named.append((scalar, f'{core}.multiarray.scalar'))
    return [
        *named,
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *(type(np.dtype(code)) for code in DTYPES),
    ]


@contextmanager
def training_globals_allowed() -> Iterator[None]:
    """Allow :func:`training_globals` for a while, and leave what was allowed before as it was.

    PyTorch's own context manager takes back at its end what had been allowed for good, too.
    """
    before = torch.serialization.get_safe_globals()
    try:
        with torch.serialization.safe_globals(training_globals()):
            yield
    finally:
        torch.serialization.add_safe_globals(before)


def check_for_foreign_code(path: str | Path) -> None:
    """Read the names of what a checkpoint calls, without calling any of it.

    Raises:
        CheckpointError: If they are not only those of weights and training states, or if the file
            is none that ``torch.save`` writes, such as a TorchScript archive.
    """
    try:
        with training_globals_allowed():
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f'The checkpoint {path} is no file of weights as torch.save writes it: give another.'
        ) from error
    if foreign:
        raise CheckpointError(
            f'The checkpoint {path} would run {", ".join(sorted(foreign))} when it is read: take '
            'it from a source that you trust, or have its author publish the weights alone.'
        )


def _statistics_method(owner: object, name: str) -> Callable[..., Any]:
    """``getattr`` for the one use that checkpoints have for it: HistoryBuffer's statistics."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(f'getattr({owner!r}, {name!r}) is not part of a checkpoint.')
    return getattr(HistoryBuffer, name)
