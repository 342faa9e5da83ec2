"""Writing checkpoints: converted from one layout to another, or fit to be published."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from mmspanet.engine.atomic_backend import AtomicBackend

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


def as_bytes(checkpoint: dict[str, Any]) -> bytes:
    """A checkpoint as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def publish(path: Path, out: Path) -> Path:
    """Write the weights of a training checkpoint, and nothing else but its data set's meta.

    Optimizer, schedule, messages and the second set of weights of an EMA hook stay
    behind (``state_dict`` holds the averaged ones).

    Args:
        path: The training checkpoint.
        out: The file to write, without the hash.

    Returns:
        The path written: ``out`` with the first eight digits of its SHA-256 in the name.

    Raises:
        CheckpointError: If the file is no checkpoint, or holds weights that are not finite.
        WriteError: If the disk does not take the file.
    """
    checkpoint = read_checkpoint(path)
    weights = checkpoint.get('state_dict', checkpoint)
    check_weights(weights, path)
    state_dict = {key: value.detach().clone() for key, value in weights.items()}
    dataset_meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    plain = {key: dataset_meta[key] for key in ('classes', 'palette') if key in dataset_meta}
    content = as_bytes(dict(meta=dict(dataset_meta=plain), state_dict=state_dict))
    final = out.with_name(f'{out.stem}-{short_hash(content)}.pth')
    AtomicBackend().put(content, final)
    return final
