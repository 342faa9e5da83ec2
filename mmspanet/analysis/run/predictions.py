"""Predictions that a test wrote, read without running anything that the file names."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmspanet.checkpoints.safe import load_storage
from mmspanet.engine.record import PREDICTIONS
from mmspanet.errors import InputError


def newest_predictions(work_dir: Path) -> Path | None:
    """The predictions that were written last in a work dir: a ``.pkl`` file or a folder of maps."""
    places = ['', '*/']
    found = [p for place in places for p in work_dir.glob(f'{place}{PREDICTIONS}.pkl')]
    found += [
        p
        for place in places
        for p in work_dir.glob(f'{place}{PREDICTIONS}')
        if any(p.glob('*.png'))
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """What MMEngine's DumpResults or MMDetection's DumpDetResults wrote.

    Args:
        path: A ``.pkl`` file.

    Returns:
        A mapping per image, with NumPy arrays in the place of tensors.

    Raises:
        InputError: If it is no such file, or asks for more than that.
    """
    try:
        with open(path, 'rb') as file:
            content = _Reader(file).load()
    except (OSError, MemoryError) as error:
        raise InputError(f'The predictions {path} can not be read: {error}.') from error
    except Exception as error:  # whatever the interpreter says of garbage
        raise InputError(
            f'The predictions {path} are not read: {" ".join(str(error).split())}; write them '
            'anew with tools/test.py --out.'
        ) from error
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise InputError(f'{path} is no list of predictions: write it with tools/test.py --out.')
    return content


class _Reader(pickle.Unpickler):
    """Builds containers, numbers, text and arrays; no name of the file is looked up elsewhere."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CALLS[f'{module}.{name}']
        except KeyError:
            raise pickle.UnpicklingError(f'they name {module}.{name}, which is not data') from None


def _array(storage: Any, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    """What is a tensor in the file."""
    memory = np.asarray(storage)
    shape, steps = tuple(map(int, size)), tuple(map(int, stride))
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    is_outside = min((offset, *shape, *steps)) < 0 or (all(shape) and last >= len(memory))
    if is_outside or math.prod(shape) > len(memory):
        raise pickle.UnpicklingError('a tensor reaches beyond its memory')
    nbytes = tuple(step * memory.itemsize for step in steps)
    return np.lib.stride_tricks.as_strided(memory[offset:], shape, nbytes).copy()


def _memory(content: bytes) -> np.ndarray:
    """The numbers of a tensor, which PyTorch pickles as a file of its own."""
    storage = load_storage(content)
    return torch.tensor([], dtype=storage.dtype).set_(storage).numpy()


def _bytes(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError('they hold bytes in an unknown form')
    return text.encode('latin-1')


def _mapping(*pairs: Any) -> dict:
    return dict(*pairs)


_CALLS = {
    'torch._utils._rebuild_tensor_v2': _array,
    'torch.storage._load_from_bytes': _memory,
    # As the first files of tools/test.py name it.
    'mmspanet.checkpoints.safe._load_storage': _memory,
    '_codecs.encode': _bytes,
    'collections.OrderedDict': _mapping,
}
"""What is done where the file calls the function of that name."""
