"""Reading checkpoint files without running code, and writing files to be published."""

import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from mmspanet.checkpoints.safe import training_globals_allowed
from mmspanet.errors import CheckpointError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict of a bare file or of one of the libraries' checkpoints, tensors on the CPU.

    Raises:
        CheckpointError: If the file would run foreign code, or holds no state dict.
    """
    return _state_dict_in(read_checkpoint(path), path)


def _state_dict_in(file: Any, path: Path) -> dict[str, Tensor]:
    state_dict = file.get('state_dict', file) if isinstance(file, dict) else None
    if not state_dict or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise CheckpointError(f'{path} holds no state dict, a mapping of names to tensors.')
    return dict(state_dict)


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint holds, tensors on the CPU, read without running foreign code.

    Raises:
        CheckpointError: If it would run such code.
    """
    try:
        with training_globals_allowed():
            return torch.load(path, map_location='cpu', weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f'{path} holds more than weights and the state of a training, and is not read: take '
            'it from a source that you trust, or have its author publish the weights alone.'
        ) from error


def file_hash(path: Path) -> str:
    """The first eight digits of a file's SHA-256, as names of released checkpoints carry them."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:8]


def publish(path: Path, out: Path) -> Path:
    """Write the weights of a training checkpoint, and nothing else but its data set's meta.

    Optimizer, schedule, messages and the second set of weights of an EMA hook stay
    behind (``state_dict`` holds the averaged ones).

    Returns:
        The path written: ``out`` with the first eight digits of its SHA-256 in the name.
    """
    checkpoint: dict[str, Any] = read_checkpoint(path)
    state_dict = {k: v.detach().clone() for k, v in _state_dict_in(checkpoint, path).items()}
    dataset_meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
    plain = {key: dataset_meta[key] for key in ('classes', 'palette') if key in dataset_meta}
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix('.tmp')
    torch.save(dict(meta=dict(dataset_meta=plain), state_dict=state_dict), temporary)
    return temporary.rename(out.with_name(f'{out.stem}-{file_hash(temporary)}.pth'))
