"""Checkpoint files that try to run code, or to take all memory or time, when they are read.

``CODE`` and ``BOUNDS`` name the tricks; each is a function that returns the bytes of a file. The
code that they would run creates the file ``ran`` in the working directory.
"""

import importlib
import io
import json
import pickle
import struct
import types
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch._tensor import _rebuild_from_type_v2

CANARY = 'ran'
HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
SOURCE = f'open({CANARY!r}, "w").close()'
COMMAND = f'touch {CANARY}'


class Call:
    """Is pickled as a call of ``function``; ``arguments`` may hold other calls."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


class Built:
    """Is pickled as a call whose result is given a state."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], state: Any) -> None:
        self.reduced = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def genuine() -> dict[str, Any]:
    """A small checkpoint with what MMEngine's have: weights, optimizer, schedule and messages."""
    weight = torch.arange(6.0).reshape(2, 3)
    hub = MessageHub('hostile')
    for loss in (1.0, 0.5):
        hub.update_scalar('train/loss', loss)
    hub.update_info('best', np.float64(0.25))
    state_dict = OrderedDict({'weight': weight, 'tied': weight[1:], 'steps': torch.tensor(3)})
    state_dict._metadata = OrderedDict({'': dict(version=1)})  # type: ignore[attr-defined]
    adam = {0: dict(step=torch.tensor(3.0), exp_avg=weight + 1, exp_avg_sq=weight + 2)}
    groups = [dict(lr=0.1, betas=(0.9, 0.999), params=[0], fused=None)]
    return dict(
        meta=dict(epoch=1, iter=3, seed=2**40, dataset_meta=dict(classes=('a', 'b'))),
        state_dict=state_dict,
        message_hub=hub.state_dict(),
        optimizer=dict(state=adam, param_groups=groups),
        param_schedulers=[dict(milestones=Counter([2, 3]), gamma=0.1)],
    )


def saved(content: Any, **options: Any) -> bytes:
    """What ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_module=pickle, **options)
    return buffer.getvalue()


def archived(data: bytes, compression: int = zipfile.ZIP_STORED, **parts: bytes) -> bytes:
    """An archive as of ``torch.save`` around a given pickle and storages."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as archive:
        archive.writestr('archive/data.pkl', data)
        archive.writestr('archive/byteorder', 'little')
        for name, content in parts.items():
            archive.writestr(f'archive/data/{name.removeprefix("storage")}', content)
        archive.writestr('archive/version', '3\n')
    return buffer.getvalue()


def _named(name: str) -> bytes:
    module, _, attribute = name.rpartition('.')
    return f'c{module}\n{attribute}\n'.encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def _pickle(*instructions: bytes) -> bytes:
    return b''.join([b'\x80\x02', *instructions, b'.'])


def _inside(function: Any) -> Any:
    """The builtins of Python, by way of a function that checkpoints name."""
    return Call(getattr, function, '__builtins__')


def _by_type(function: Any, cls: Any, *arguments: Any, state: Any = None) -> Call:
    return Call(_rebuild_from_type_v2, function, cls, arguments, state)


def getattr_and_rebuild_from_type() -> bytes:
    get = Call(getattr, _inside(HistoryBuffer.mean), 'get')
    builtin = Call(getattr, getattr, '__class__')
    execute = _by_type(get, builtin, 'exec')
    none = Call(getattr, None, '__class__')
    return saved([HistoryBuffer(), _by_type(execute, none, SOURCE)])


def state_of_a_class() -> bytes:
    replaced = Built(getattr, (HistoryBuffer, 'mean'), {'__doc__': 'replaced'})
    return saved(dict(state_dict={}, message_hub=replaced))


def statistics(*mean: bytes) -> Callable[[], bytes]:
    """A history whose state brings a statistic of its own."""
    state = [_text('statistics_methods'), b'}', _text('mean'), *mean, b'ss']
    return opcode(_named(HISTORY), b')\x81}', *state, b'b')


def object_array() -> bytes:
    inner = np.empty(1, dtype=object)
    inner[0] = Call(eval, SOURCE)
    return saved(dict(state_dict={}, meta=inner))


def pickle_in_an_array_scalar() -> bytes:
    scalar = np.float64(0).__reduce__()[0]
    return saved([Call(scalar, np.dtype('O'), Call(eval, SOURCE))])


def nested_load(function: Any) -> bytes:
    return saved([Call(function, io.BytesIO, saved(Call(eval, SOURCE)))])


def meta_config() -> bytes:
    return saved(dict(genuine(), meta=dict(epoch=1, iter=3, config=SOURCE, cfg=SOURCE)))


def opcode(*instructions: bytes) -> Callable[[], bytes]:
    return lambda: archived(_pickle(*instructions))


def _function(code: str) -> Any:
    return types.FunctionType(compile(code, 'hostile', 'exec'), {})


CODE: dict[str, Callable[[], bytes]] = {
    'os.system': lambda: saved(Call(importlib.import_module('os').system, COMMAND)),
    'eval': lambda: saved(dict(state_dict={'a': Call(eval, SOURCE)})),
    'exec in meta': lambda: saved(dict(genuine(), meta=Call(exec, SOURCE))),
    'legacy eval': lambda: saved(Call(eval, SOURCE), _use_new_zipfile_serialization=False),
    'protocol 4': lambda: saved(Call(eval, SOURCE), pickle_protocol=4),
    'protocol 5': lambda: saved(Call(eval, SOURCE), pickle_protocol=5),
    'plain pickle': lambda: pickle.dumps(Call(eval, SOURCE)),
    'plain pickle 2': lambda: pickle.dumps(Call(eval, SOURCE), protocol=2),
    'plain pickle 0': lambda: pickle.dumps(Call(eval, SOURCE), protocol=0),
    'getattr and _rebuild_from_type_v2': getattr_and_rebuild_from_type,
    'getattr of builtins': lambda: saved([HistoryBuffer(), _inside(HistoryBuffer.mean)]),
    'getattr of a method': lambda: saved(Call(getattr, HistoryBuffer, '__init__')),
    '_rebuild_from_type_v2 of eval': lambda: saved(_by_type(eval, torch.Tensor, SOURCE)),
    'state of a class': state_of_a_class,
    'statistics replaced': statistics(
        _named('builtins.getattr'), _named(HISTORY), _text('max'), b'\x86R'
    ),
    'statistics of another class': statistics(
        _named('builtins.getattr'), _named('builtins.str'), _text('upper'), b'\x86R'
    ),
    'statistics that are eval': statistics(_named('builtins.eval')),
    'statistics that are text': statistics(_text('mean')),
    'object array': object_array,
    'pickle in a scalar': pickle_in_an_array_scalar,
    'torch.load inside': lambda: nested_load(torch.load),
    'pickle.loads inside': lambda: saved([Call(pickle.loads, pickle.dumps(Call(eval, SOURCE)))]),
    'storage from bytes': lambda: saved(
        [Call(torch.storage._load_from_bytes, saved(Call(eval, SOURCE)))]
    ),
    'wrapper subclass': lambda: saved(
        [Call(torch._utils._rebuild_wrapper_subclass, Call(eval, SOURCE), 1, 2, 3, 4, 5, 6, 7)]
    ),
    'device tensor from numpy': lambda: saved(
        [Call(torch._utils._rebuild_device_tensor_from_numpy, Call(eval, SOURCE), 1, 'cpu', False)]
    ),
    'hooks of a tensor': lambda: saved(
        [
            Call(
                torch._utils._rebuild_parameter_with_state,
                torch.ones(1),
                False,
                OrderedDict(),
                {'__class__': Call(eval, SOURCE)},
            )
        ]
    ),
    'meta config': meta_config,
    'named by the memo': opcode(
        _named('builtins.eval'), b'q\x00', b'0', b'h\x00', _text(SOURCE), b'\x85R'
    ),
    'named by dots': opcode(
        b'cmmengine.logging.history_buffer\nHistoryBuffer.mean.__globals__\n', _text('a'), b'\x85R'
    ),
    'STACK_GLOBAL': opcode(_text('builtins'), _text('eval'), b'\x93', _text(SOURCE), b'\x85R'),
    'INST': opcode(b'(', _text(SOURCE), b'ibuiltins\neval\n'),
    'OBJ': opcode(b'(', _named('builtins.eval'), _text(SOURCE), b'o'),
    'NEWOBJ': opcode(_named('subprocess.Popen'), b'(', _text('touch'), _text(CANARY), b'tt\x81'),
    'NEWOBJ of a call': opcode(_named('collections.OrderedDict'), b')\x81'),
    'NEWOBJ_EX': opcode(_named('builtins.str'), b')}\x92'),
    'EXT1': opcode(b'\x82\x01', _text(SOURCE), b'\x85R'),
    'EXT2': opcode(b'\x83\x01\x00)R'),
    'EXT4': opcode(b'\x84\x01\x00\x00\x00)R'),
    'PERSID': opcode(b'Pstorage\n'),
    'BINPERSID of a list': opcode(b']Q'),
    'BINPERSID of a module': opcode(
        b'(', _text('module'), _named('builtins.eval'), _text('a'), _text('b'), b'tQ'
    ),
    'NEXT_BUFFER': opcode(b'\x97'),
    'READONLY_BUFFER': opcode(b'\x97\x98'),
    'BUILD of a module': opcode(_named('torch.Tensor'), b'}', _text('__init__'), b'Nsb'),
    'BUILD of a function': opcode(
        _named('builtins.getattr'), _named(HISTORY),
        _text('mean'), b'\x86R}', _text('__code__'), b'Nsb',
    ),
    'APPEND to a call': opcode(_named('builtins.eval'), _text(SOURCE), b'a'),
    'SETITEM of a name': opcode(_named('torch.Tensor'), _text('__init__'), b'Ns'),
    'called value': opcode(_named('torch.Tensor'), b')R'),
    'called text': opcode(_text('builtins.eval'), _text(SOURCE), b'\x85R'),
    'set with hash': opcode(_named('builtins.set'), b'](', _named('torch.Tensor'), b'e\x85R'),
}  # fmt: skip
"""Files that call, replace or name what no checkpoint needs."""


def strided(size: int, stride: int, count: int = 4, offset: int = 0, held: int = 16) -> bytes:
    """A tensor of one dimension over a storage that claims ``count`` elements."""

    def number(value: int) -> bytes:
        return b'\x8a\x08' + value.to_bytes(8, 'little', signed=True)

    return archived(
        _pickle(
            b'}', _text('state_dict'), b'}', _text('weight'),
            _named('torch._utils._rebuild_tensor_v2'),
            b'((', _text('storage'), _named('torch.FloatStorage'), _text('0'), _text('cpu'),
            number(count), b'tQ', number(offset), number(size), b'\x85', number(stride), b'\x85',
            b'\x89', _named('collections.OrderedDict'), b')Rt', b'R', b's', b's',
        ),
        storage0=bytes(held),
    )  # fmt: skip


def zip_bomb() -> bytes:
    """3 GB of zeros in 3 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr('archive/data.pkl', pickle.dumps({}, protocol=2))
        with archive.open('archive/data/0', 'w', force_zip64=True) as entry:
            for _ in range(3 * 64):
                entry.write(bytes(1 << 24))
    return buffer.getvalue()


def overlapping_entries() -> bytes:
    """An archive whose entries are all the same bytes of the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', _pickle(b'}'))
        archive.writestr('archive/data/0', bytes(1 << 20))
        first = archive.infolist()[-1]
        for number in range(1, 2000):
            copy = zipfile.ZipInfo(f'archive/data/{number}')
            copy.file_size = copy.compress_size = first.file_size
            copy.header_offset, copy.CRC = first.header_offset, first.CRC
            archive.filelist.append(copy)
    return buffer.getvalue()


def memo_bomb() -> bytes:
    """A list of ten lists of ten lists and so on."""
    levels = (b'](' + bytes([ord('h'), i]) * 10 + b'eq' + bytes([i + 1]) for i in range(50))
    return archived(_pickle(b']q\x00', *levels))


def repeated_encode() -> bytes:
    """A megabyte of text that is encoded anew ten thousand times."""
    return archived(
        _pickle(
            _text('a' * (1 << 20)), b'q\x00', _text('latin1'), b'q\x01', _named('_codecs.encode'),
            b'q\x02', b'(', b'h\x02h\x00h\x01\x86R' * 10_000, b't',
        )
    )  # fmt: skip


def tensor_as_argument(function: str, *sizes: int) -> bytes:
    """A call with a tensor of one byte that would be taken apart into all of its numbers."""

    def number(value: int) -> bytes:
        return b'\x8a\x08' + value.to_bytes(8, 'little', signed=True)

    return archived(
        _pickle(
            _named(function), _named('torch._utils._rebuild_tensor_v2'),
            b'((', _text('storage'), _named('torch.ByteStorage'), _text('0'), _text('cpu'),
            number(1), b'tQ', number(0), b'(', *map(number, sizes), b't',
            b'(', number(0) * len(sizes), b't', b'\x89', _named('collections.OrderedDict'), b')R',
            b'tR', b'\x85R',
        ),
        storage0=bytes(1),
    )  # fmt: skip


def safetensors(tensors: dict[str, list[int]]) -> bytes:
    """A file of that format, with tensors of these sizes over the same four bytes."""
    count = {name: 4 * int(np.prod(size)) for name, size in tensors.items()}
    header = json.dumps(
        {
            name: dict(dtype='F32', shape=size, data_offsets=[0, count[name]])
            for name, size in tensors.items()
        }
    ).encode()
    return len(header).to_bytes(8, 'little') + header + bytes(max(count.values()))


def colliding_keys() -> bytes:
    """Numbers that all have the same hash."""
    numbers = (i * ((1 << 61) - 1) for i in range(1, 200_000))
    items = (b'\x8a\x0b' + n.to_bytes(11, 'little') + b'N' for n in numbers)
    return archived(_pickle(b'}(', *items, b'u'))


BOUNDS: dict[str, Callable[[], bytes]] = {
    '40 TB by stride 0': lambda: strided(10**13, 0),
    '4 TB storage': lambda: strided(10**12, 1, count=10**12),
    '4 TB storage, legacy': lambda: _legacy_of(10**12),
    'beyond the storage': lambda: strided(4, 2),
    'offset beyond the storage': lambda: strided(1, 1, offset=4),
    'negative offset': lambda: strided(1, 1, offset=-1),
    'negative stride': lambda: strided(2, -1),
    'negative size': lambda: strided(-1, 1),
    'negative storage': lambda: strided(1, 1, count=-4),
    'zip bomb': zip_bomb,
    'overlapping entries': overlapping_entries,
    'nested tuple as a key': lambda: archived(
        _pickle(b'}', b')\x85q\x00' + b'h\x00\x86q\x00' * 90, b'Ns')
    ),
    'deep lists': lambda: archived(_pickle(b']' * 300_000, b'a' * 299_999)),
    'deep tuples': lambda: archived(_pickle(b')', b'\x85' * 300_000)),
    'a list in itself': lambda: archived(_pickle(b']q\x00h\x00a')),
    'memo bomb': memo_bomb,
    'repeated encode': repeated_encode,
    'colliding keys': colliding_keys,
    'a mapping from a tensor': lambda: tensor_as_argument('collections.OrderedDict', 1, 2**28),
    'a set of a tensor': lambda: tensor_as_argument('builtins.set', 2_500_000),
    'safetensors of a million': lambda: safetensors({f'{i:x}': [0] for i in range(1_000_000)}),
    'safetensors of 100,000 dimensions': lambda: safetensors({'a': [1] * 100_000}),
    'a text of 4 GB': lambda: archived(_pickle(b'X\xff\xff\xff\xffabc')),
    'a memo index of 4 billion': lambda: archived(_pickle(b']r\xff\xff\xff\xffh\x00')),
    'ten million lists': lambda: archived(_pickle(b']' * 10_000_000)),
}  # fmt: skip
"""Files that take all memory or time where sizes are not checked first."""


def _legacy_of(count: int) -> bytes:
    """A file of PyTorch before 1.6 whose storage claims ``count`` elements."""
    data = saved({'weight': torch.zeros(3)}, _use_new_zipfile_serialization=False)
    claim = b'\x8a' + bytes([8]) + count.to_bytes(8, 'little')
    before, after = data.split(b'K\x03N', 1)  # the storage's size, in front of its view of another
    return before + claim + b'N' + after
