"""Writing checkpoints: converted from one layout to another, or fit to be published."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

from mmspanet.errors import InputError
from mmspanet.files import write_bytes

from .reader import check_weights, read_checkpoint


def short_hash(content: bytes) -> str:
    """The first eight digits of a SHA-256, as names of released checkpoints carry them."""
    return hashlib.sha256(content).hexdigest()[:8]


def file_hash(path: Path) -> str:
    """The :func:`short_hash` of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:8]


def write_checkpoint(checkpoint: dict[str, Any], out: Path) -> None:
    """Write a checkpoint in the form that the ending of its name says.

    Args:
        checkpoint: Weights under ``state_dict``, and plain values under ``meta`` if there are any.
        out: ``NAME.safetensors``, or any other name for a file of ``torch.save``.

    Raises:
        InputError: If safetensors is asked for and not installed.
        WriteError: If the disk does not take it.
    """
    write_bytes(out, _encode(checkpoint, out.suffix))


def _encode(checkpoint: dict[str, Any], ending: str) -> bytes:
    return _safetensors(checkpoint) if ending == '.safetensors' else _pickle(checkpoint)


def _pickle(checkpoint: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def _safetensors(checkpoint: dict[str, Any]) -> bytes:
    """The values of ``meta`` become JSON in the metadata, which holds nothing but text."""
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise InputError('pip install safetensors to write .safetensors files.') from error
    weights = {
        name: weight.detach().clone(memory_format=torch.contiguous_format)  # shares no memory
        for name, weight in checkpoint['state_dict'].items()
    }
    meta = {key: json.dumps(value) for key, value in (checkpoint.get('meta') or {}).items()}
    return save(weights, dict(format='pt') | meta)


def publish(path: Path, out: Path) -> Path:
    """Write the weights of a training checkpoint, and nothing else but its data set's meta.

    Optimizer, schedule, messages and the second set of weights of an EMA hook stay
    behind (``state_dict`` holds the averaged ones).

    Args:
        path: The training checkpoint.
        out: The file to write, without the hash; a name that ends in ``.safetensors`` chooses
            that form.

    Returns:
        The path written: ``out`` with the first eight digits of its SHA-256 in the name.

    Raises:
        CheckpointError: If the file is no checkpoint, or holds weights that are not finite.
        InputError: If safetensors is asked for and not installed.
        WriteError: If the disk does not take the file.
    """
    checkpoint = read_checkpoint(path)
    weights = checkpoint.get('state_dict', checkpoint)
    check_weights(weights, path)
    state_dict = {key: value.detach().clone() for key, value in weights.items()}
    dataset_meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    plain = {key: dataset_meta[key] for key in ('classes', 'palette') if key in dataset_meta}
    ending = out.suffix if out.suffix == '.safetensors' else '.pth'
    content = _encode(dict(meta=dict(dataset_meta=plain), state_dict=state_dict), ending)
    final = out.with_name(f'{out.stem}-{short_hash(content)}{ending}')
    write_bytes(final, content)
    return final
