"""No checkpoint runs code in the processes that our tools start, whichever library loads it.

A pickle names functions and has them called while it is read. PyTorch's ``weights_only=True``
allows a list of them, which libraries widen: onedl-mmengine by ``getattr``, and where that is not
enough it falls back to reading anything; timm and older torch read anything at once. Our own
reader (:mod:`mmspanet.checkpoints.reader`) calls nothing that a file names. :func:`guard_process`
puts it in the place of ``torch.load``.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from .pickles import DTYPES, HISTORY_BUFFER, NUMPY_CORES, STATISTICS, RefusedError
from .reader import inert_meta, read_file

Global = Callable[..., Any] | tuple[Callable[..., Any], str]

_torch_load = torch.load
_load_from_bytes = torch.storage._load_from_bytes


def guard_process() -> None:
    """Have every ``torch.load`` of this process, the libraries' included, read by our reader.

    For the ``main`` of scripts: it stays so until :func:`release_process`. Arguments other than
    the file and ``map_location`` have no meaning then; ``weights_only=False`` reads no more than
    ``weights_only=True``. Processes started from this one fall back at most to the latter.
    """
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    torch.load = torch.serialization.load = load_inert  # type: ignore[assignment]
    torch.storage._load_from_bytes = load_storage


def release_process() -> None:
    """Undo :func:`guard_process`, as tests do."""
    os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
    torch.load = torch.serialization.load = _torch_load
    torch.storage._load_from_bytes = _load_from_bytes


def load_storage(content: bytes) -> Any:
    """The memory of a tensor that another process of a run has pickled and sent.

    It is no checkpoint: ``torch.save`` wrote a bare storage, which PyTorch reads without code.
    """
    return _torch_load(io.BytesIO(content), weights_only=True)


# As pickles of tensors name it, such as predictions that other programs read.
load_storage.__module__, load_storage.__qualname__ = 'torch.storage', '_load_from_bytes'


def load_inert(f: str | Path | BinaryIO, map_location: Any = None, *_: object, **__: object) -> Any:
    """``torch.load`` by our reader: the same values, but for texts that MMEngine would execute.

    Args:
        f: A path, or an open binary file.
        map_location: As ``torch.load`` takes it, but None leaves the tensors on the CPU.

    Raises:
        CheckpointError: If the file is not read.
    """
    content = read_file(f, None if map_location is None else _mover(map_location))
    return inert_meta(content) if isinstance(content, dict) else content


def _mover(map_location: Any) -> Callable[[torch.UntypedStorage, str], Any]:
    move = torch.serialization._get_restore_location(map_location)

    def place(storage: torch.UntypedStorage, location: str) -> Any:
        try:
            return move(storage, location)
        except (RuntimeError, AssertionError) as error:
            raise RefusedError(
                f'can not be moved to {map_location}: name a device that is there'
            ) from error

    return place


def allow_training_checkpoints() -> None:
    """Let ``torch.load`` read MMEngine's training checkpoints as it is called by default.

    torch >= 2.6 defaults to ``weights_only=True``; mmengine 0.10.7 predates that and relies on the
    default, so its own checkpoints do not load in the libraries' launchers. Older torch needs
    nothing.

    This is all that the import of ``mmspanet.registry`` changes for others: the names in
    :func:`training_globals` are allowed, and stand for functions that do no more than build
    arrays of numbers and HistoryBuffers with the statistics that MMEngine gives them.
    """
    if digit_version(torch.__version__) >= digit_version('2.6'):
        torch.serialization.add_safe_globals(training_globals())


def training_globals() -> list[Global]:
    """What MMEngine's training checkpoints call beyond what PyTorch allows by default."""
    # By way of pickle, since numpy 1 and 2 keep this function in modules of different names.
    reconstruct: Any = np.array(0.0).__reduce__()[0]
    named: list[Global] = [
        (_statistic_name, 'builtins.getattr'),
        (_InertHistory, HISTORY_BUFFER),
    ]
    for core in NUMPY_CORES:
        named.append((reconstruct, f'{core}.multiarray._reconstruct'))
        named.append((_scalar, f'{core}.multiarray.scalar'))
    return [*named, np.ndarray, np.dtype, *(type(np.dtype(code)) for code in DTYPES)]


class _InertHistory(HistoryBuffer):
    """A HistoryBuffer that takes from a file its values, and no functions."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        logs, counts = state['_log_history'], state['_count_history']
        if type(logs) is not np.ndarray or type(counts) is not np.ndarray:
            raise UnpicklingError('The history of a HistoryBuffer is not an array.')
        self.__class__ = HistoryBuffer
        self._set_default_statistics()
        self.max_length, self._log_history, self._count_history = state['max_length'], logs, counts


def _statistic_name(owner: object, name: str) -> str:
    """In place of ``getattr``, for the one use that checkpoints have for it."""
    if owner is not _InertHistory or name not in STATISTICS:
        raise UnpicklingError(f'getattr({owner!r}, {name!r}) is not part of a checkpoint.')
    return name


def _scalar(dtype: object, data: object) -> np.generic:
    """In place of NumPy's, which returns any object as it is if the dtype is ``object``."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in 'biuf' or type(data) is not bytes:
        raise UnpicklingError(f'A scalar of {dtype!r} is not part of a checkpoint.')
    return np.frombuffer(data, dtype, count=1)[0]
