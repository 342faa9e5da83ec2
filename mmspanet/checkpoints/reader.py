"""Reading checkpoint files: one reader for every tool, before any library sees the file.

It reads what ``torch.save`` writes (archives since PyTorch 1.6, and the older files that are not
archives) and ``.safetensors``. Nothing that a file names is imported or called, see
:mod:`mmspanet.checkpoints.pickles`; its sizes are checked before memory is taken.
"""

import ast
import io
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mmspanet.errors import CheckpointError

from .archive import Archive
from .pickles import CUT_SHORT, DO_NOT_TRUST, MAX_DIMENSIONS, RefusedError, Unpickler, printable

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
BEST = r'(?s:.*[/\\])?best_[^/\\]+\.pth'  # as CheckpointHook names the best so far
CONFIG_VALUES = 'config_values'  # in meta; see inert_meta
MAX_HEADER = 4 << 20  # bytes of a safetensors file; a tensor takes about 100
MOST_STEPS = 2**48  # of a training, far more than any has
LONGEST_CONFIG = 2**18  # characters; those of the libraries have some ten thousand

_BITS = (f'{sign}int{bits}' for sign in ('', 'u') for bits in range(1, 8))
_NAMES = ('bits1x8', 'bits2x4', 'bits4x2', 'bits8', 'bits16', 'float4_e2m1fn_x2', *_BITS)
UNUSUAL = {getattr(torch, name) for name in _NAMES if hasattr(torch, name)}
"""Types that PyTorch can hold, but not compute with; which there are depends on its version."""

Place = Callable[[torch.UntypedStorage, str], Any]
"""Moves a storage, given the device that it was saved from, as ``map_location`` says."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a checkpoint file holds, as plain data, tensors on the CPU.

    Beside tensors these are containers, numbers, text, NumPy arrays and MMEngine's HistoryBuffer.
    Tensors that share memory in the file share it here. ``meta`` holds no text that MMEngine would
    execute, see :func:`inert_meta`.

    Args:
        path: A local file.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is no checkpoint, is damaged, or would run or do anything when read.
    """
    checkpoint = read_file(path)
    check_content(checkpoint, path)
    return inert_meta(checkpoint)


def check_content(checkpoint: object, path: str | Path) -> None:
    """Check that what a file holds is a checkpoint: a mapping, and what describes it another.

    Raises:
        CheckpointError: If it is not.
    """
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'The checkpoint {path} holds a {type(checkpoint).__name__} instead of weights by '
            'name: give one that a training or torch.save(model.state_dict(), path) wrote.'
        )
    meta = checkpoint.get('meta')
    described = meta.get('dataset_meta') if isinstance(meta, dict) else None
    for name, value in (('meta', meta), ('dataset_meta', described)):
        if not isinstance(value, dict | None):
            raise CheckpointError(
                f'The {name} of the checkpoint {path} is a {type(value).__name__} instead '
                'of a mapping: have its author publish the weights alone.'
            )


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, bare or under ``state_dict``, checked by :func:`check_weights`.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is not read, or holds no weights that a model can take.
    """
    checkpoint = read_checkpoint(path)
    state_dict = checkpoint.get('state_dict', checkpoint)
    check_weights(state_dict, path)
    return state_dict


def check_weights(state_dict: object, path: str | Path) -> None:
    """Check that a state dict holds what a model can take: plain, finite tensors by name.

    Raises:
        CheckpointError: Names the first weight that is not, with the remedy.
    """
    if not isinstance(state_dict, dict):
        raise CheckpointError(
            f'The state_dict of the checkpoint {path} is a {type(state_dict).__name__} instead of '
            'weights by name: give a checkpoint that a training wrote.'
        )
    if not state_dict:
        raise CheckpointError(f'The checkpoint {path} holds no weights: give another.')
    for name, weight in state_dict.items():
        if not isinstance(name, str):
            raise CheckpointError(
                f'The checkpoint {path} has {printable(repr(name))} as the name of a weight: give '
                'a state dict, whose names are text.'
            )
        fault = _fault_of(weight)
        if fault:
            raise CheckpointError(f'{printable(name)} in the checkpoint {path} {fault}.')


def _fault_of(weight: object) -> str | None:
    """What keeps a weight from a model, as the predicate of a sentence."""
    if not isinstance(weight, Tensor):
        return f'is a {type(weight).__name__} instead of a tensor: give a state dict'
    if weight.layout != torch.strided or weight.is_quantized or weight.is_meta:
        return 'is sparse, quantized or empty: have its author convert it to a plain tensor'
    if weight.dtype in UNUSUAL:
        return f'is a {weight.dtype}, which no model here has: have its author convert it to floats'
    if weight.is_complex():
        return 'is complex, while the weights of all models here are real: give another checkpoint'
    if weight.is_floating_point() and not _is_finite(weight):
        return 'is not finite (NaN or infinite), the training diverged: take an earlier checkpoint'
    return None


def _is_finite(weight: Tensor) -> bool:
    if weight.dtype.itemsize == 1:  # float8, which has no sum
        weight = weight.to(torch.bfloat16)
    # The sum of all is finite if each is, unless it overflows; that needs no mask in memory.
    return bool(weight.sum().isfinite()) or bool(weight.isfinite().all())


def check_resumable(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Check that a training can go on from a checkpoint: progress, messages and optimizer.

    Raises:
        CheckpointError: Names what is missing or impossible, with the remedy.
    """
    meta = checkpoint.get('meta')
    optimizer, messages = checkpoint.get('optimizer'), checkpoint.get('message_hub')
    if not all(isinstance(part, dict) for part in (meta, optimizer, messages)):
        raise CheckpointError(
            f'The checkpoint {path} holds no state of a training: start from its weights with '
            f'--cfg-options load_from={path}.'
        )
    assert meta is not None
    for key in ('epoch', 'iter'):
        progress = meta.get(key)
        if type(progress) is not int or not 0 <= progress < MOST_STEPS:
            raise CheckpointError(
                f'The checkpoint {path} says {key}={printable(repr(progress))}, which is no '
                f'progress of a training: start from its weights with '
                f'--cfg-options load_from={path}.'
            )


def inert_meta(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint without the config in its ``meta``, which MMEngine executes as Python code.

    ``Runner.resume`` runs ``meta['config']`` (of MMCV 1, to compare ``gpu_ids``), its inferencers
    run ``meta['cfg']`` where they are given no config. The plain values of ``cfg`` stay in
    ``meta['config_values']``, so that a resumed run can say what it changes.
    The messages name the best checkpoint so far, which CheckpointHook removes for a better one: a
    path that is not that of such a file stays behind, too, as do numbers of old checkpoints that
    are none.
    """
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
        if 'cfg' in meta:
            meta[CONFIG_VALUES] = config_values(meta.pop('cfg'))
    hub = checkpoint.get('message_hub')
    messages = hub.get('runtime_info') if isinstance(hub, dict) else None
    if isinstance(messages, dict):
        for key in [key for key in messages if str(key).startswith('best_ckpt')]:
            if not re.fullmatch(BEST, str(messages[key])):
                del messages[key]
        kept = messages.get('keep_ckpt_ids', [])
        if type(kept) is not list or not all(type(number) is int for number in kept):
            del messages['keep_ckpt_ids']
    return checkpoint


def config_values(text: Any) -> dict[str, Any]:
    """The assignments of a config's text whose values are plain; nothing of it is executed.

    Args:
        text: As MMEngine writes it into checkpoints. Anything else has no values.
    """
    if not isinstance(text, str) or len(text) > LONGEST_CONFIG:
        return {}
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    values = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            values[statement.targets[0].id] = _plain(statement.value)
    return values


def _plain(node: ast.expr) -> Any:
    """A number, a text, or dict(...) of such; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        return {keyword.arg: _plain(keyword.value) for keyword in node.keywords}
    return None


def read_file(source: str | Path | BinaryIO, place: Place | None = None) -> Any:
    """What ``torch.save`` wrote, whatever it is, by path or from an open file that can be sought.

    Args:
        source: The path, or a binary file that is read from where it stands.
        place: Moves each storage to its device; by default all stay on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is not read.
    """
    if not isinstance(source, str | os.PathLike):
        return _read_open_file(source, getattr(source, 'name', 'given'), place)
    if not os.path.isfile(source):
        raise FileNotFoundError(missing_file(source))
    try:
        file = open(source, 'rb')  # noqa: SIM115
    except OSError as error:
        raise CheckpointError(f'The checkpoint {source} can not be read: {error}.') from error
    with file:
        return _read_open_file(file, source, place)


def missing_file(source: str | Path) -> str:
    """What to say where there is no file."""
    if os.path.exists(source):
        return f'The checkpoint {source} is no file: give the path of a .pth file or its URL.'
    return f'The checkpoint {source} does not exist: give the path of a .pth file or its URL.'


def _read_open_file(file: BinaryIO, name: object, place: Place | None) -> Any:
    try:
        return _read_any_kind(_whole(file), place or (lambda storage, _: storage))
    except RefusedError as refusal:
        raise CheckpointError(f'The checkpoint {name} {refusal}.') from refusal
    except OSError as error:
        raise CheckpointError(f'The checkpoint {name} can not be read: {error}.') from error
    except MemoryError as error:
        raise CheckpointError(f'The checkpoint {name} does not fit into the memory.') from error
    except Exception as error:  # whatever a step of the interpreter says of garbage
        raise CheckpointError(
            f'The checkpoint {name} is damaged, or no file of weights: its pickle is garbage '
            f'({type(error).__name__}); copy it again or give another.'
        ) from error


def _whole(file: BinaryIO) -> BinaryIO:
    """The file, if it is read from its start; else a copy of the rest, for places in it."""
    return file if file.tell() == 0 else io.BytesIO(file.read())


def _read_any_kind(file: BinaryIO, place: Place) -> Any:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    if not start:
        raise RefusedError('is empty: copy it again')
    if start.startswith(b'PK\3\4'):
        return _read_archive(file, size, place)
    if start.startswith(b'\x80\x02\x8a\x0a'):
        return _read_legacy(file, size, place)
    if _is_safetensors(start, size):
        return _read_safetensors(file, place)
    raise RefusedError(_name_kind(start))


def _name_kind(start: bytes) -> str:
    """Say what a file is whose first bytes are those of no checkpoint."""
    if start[0:1] == b'\x80' and start[1] in range(2, 6):
        return 'is a pickle that torch.save did not write: have its author save it with torch.save'
    if start[:2] == b'\x1f\x8b':
        return 'is compressed with gzip: unpack it first'
    if start.lstrip()[:1] == b'<':
        return 'is a web page, as servers send instead of a file: download it again'
    return (
        'is not a PyTorch file: give one that torch.save wrote, or copy it again if it should be '
        'one (files of PyTorch before 0.2 must be saved again by a newer one)'
    )


def _read_archive(file: BinaryIO, size: int, place: Place) -> Any:
    archive = Archive(file, size)
    folder, _, _ = archive.names[0].partition('/') if archive.names else ('', '', '')
    if f'{folder}/constants.pkl' in archive.names:
        raise RefusedError(
            'is a TorchScript program, which is code: give the state dict that it was made from'
        )
    if f'{folder}/data.pkl' not in archive.names:
        raise RefusedError(
            'is a zip archive, but not of torch.save: unpack it if a checkpoint is in it'
        )
    order = archive.find(f'{folder}/byteorder') if f'{folder}/byteorder' in archive.names else None
    if order and _read_part(file, order.start, min(order.size, 8)) != b'little':
        raise RefusedError('was written by a big-endian machine: save it again on another')
    storages = {}

    def load_storage(
        key: str, location: str, dtype: torch.dtype, count: int
    ) -> torch.UntypedStorage:
        if key not in storages:
            entry = archive.find(f'{folder}/data/{key}')
            if entry.size != count * dtype.itemsize:
                raise RefusedError(
                    'says another size of a tensor than it holds: it is damaged, copy it again'
                )
            memory = place(_read_storage(file, entry.start, entry.size), location)
            storages[key] = dtype, count, memory
        return _same(storages[key], dtype, count)

    entry = archive.find(f'{folder}/data.pkl')
    pickle = io.BytesIO(_read_part(file, entry.start, entry.size))
    return Unpickler(pickle, size, load_storage).load()


def _same(
    storage: tuple[torch.dtype, int, torch.UntypedStorage], dtype: torch.dtype, count: int
) -> torch.UntypedStorage:
    if storage[:2] != (dtype, count):
        raise RefusedError('calls the same storage by two types: it is damaged, or made by hand')
    return storage[2]


def _read_part(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    data = file.read(size)
    if len(data) < size:
        raise RefusedError(CUT_SHORT)
    return data


def _read_storage(file: BinaryIO, start: int, size: int) -> torch.UntypedStorage:
    """Bytes of the file, read to where the tensors will have them."""
    memory = torch.empty(size, dtype=torch.uint8)
    file.seek(start)
    if size and file.readinto(memory.numpy().data) < size:  # type: ignore[attr-defined]
        raise RefusedError(CUT_SHORT)
    return memory.untyped_storage()


def _read_legacy(file: BinaryIO, size: int, place: Place) -> Any:
    """A file of PyTorch before 1.6: five pickles, then the storages one behind the other.

    The sizes of the storages are in the fourth pickle, in front of them, so that it is read twice:
    at first with storages that take no memory.
    """
    sizes: dict[str, tuple[torch.dtype, int]] = {}
    locations: dict[str, str] = {}
    storages: dict[str, torch.UntypedStorage] = {}

    def refuse_storage(*_: Any) -> torch.UntypedStorage:
        raise RefusedError(f'has storages where there are none: {DO_NOT_TRUST}')

    def note_storage(
        key: str, location: str, dtype: torch.dtype, count: int
    ) -> torch.UntypedStorage:
        sizes.setdefault(key, (dtype, count))
        locations.setdefault(key, location)
        if count * dtype.itemsize > size:
            raise RefusedError(CUT_SHORT)
        memory = torch.UntypedStorage(count * dtype.itemsize, device='meta')
        return _same((*sizes[key], memory), dtype, count)

    def find_storage(
        key: str, location: str, dtype: torch.dtype, count: int
    ) -> torch.UntypedStorage:
        return storages[key]

    def load(load_storage: Callable[..., torch.UntypedStorage] = refuse_storage) -> Any:
        return Unpickler(file, size, load_storage).load()

    if load() != LEGACY_MAGIC or load() != LEGACY_PROTOCOL or type(load()) is not dict:
        raise RefusedError(_name_kind(b'\x80\x02'))
    start = file.tell()
    load(note_storage)
    keys = load()
    if type(keys) is not list or sorted(keys) != sorted(sizes):
        raise RefusedError('lists other storages than it uses: it is damaged, copy it again')
    for key in keys:
        dtype, count = sizes[key]
        if struct.unpack('<q', _read_part(file, file.tell(), 8)) != (count,):
            raise RefusedError(CUT_SHORT)
        nbytes = count * dtype.itemsize
        if file.tell() + nbytes > size:
            raise RefusedError(CUT_SHORT)
        storages[key] = place(_read_storage(file, file.tell(), nbytes), locations[key])
    file.seek(start)
    return load(find_storage)


def _is_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 8 and start[8:9] == b'{' and int.from_bytes(start[:8], 'little') < size


def _check_header(content: bytes) -> dict[str, Any]:
    """Check how many tensors and dimensions there are, for which the library has no bounds."""
    size = int.from_bytes(content[:8], 'little')
    if size > MAX_HEADER:
        raise RefusedError('is a safetensors file of too many tensors for a checkpoint')
    header = json.loads(content[8 : 8 + size], object_pairs_hook=_without_repetition)
    for tensor in header.values():
        if len(tensor.get('shape', ())) > MAX_DIMENSIONS:
            raise RefusedError(f'holds a tensor of more than {MAX_DIMENSIONS} dimensions')
    return header


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise RefusedError('names a tensor twice: it is damaged, or made by hand')
    return dict(pairs)


def _read_safetensors(file: BinaryIO, place: Place) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load as load_safetensors
    except ImportError as error:
        raise RefusedError('is a safetensors file: pip install safetensors to read it') from error
    content = file.read()
    header = _check_header(content)
    try:
        weights = load_safetensors(content)
    except SafetensorError as error:
        raise RefusedError(
            f'is a damaged safetensors file: copy it again ({printable(str(error))})'
        ) from error
    metadata = header.get('__metadata__') or {}
    if 'dataset_meta' not in metadata:
        return weights
    return dict(meta=dict(dataset_meta=_dataset_meta(metadata['dataset_meta'])), state_dict=weights)


def _dataset_meta(text: str) -> dict[str, Any]:
    """The names and colors of the classes, from JSON, with the tuples that the libraries have."""
    try:
        given = json.loads(text)
        classes, palette = given.get('classes'), given.get('palette')
        meta: dict[str, Any] = {}
        if classes is not None:
            meta['classes'] = tuple(str(name) for name in classes)
        if palette is not None:
            meta['palette'] = [tuple(int(value) for value in color) for color in palette]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(
            'has metadata that name no classes and colors: have its author publish it again'
        ) from error
    return meta
