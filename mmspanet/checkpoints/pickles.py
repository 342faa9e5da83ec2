"""An interpreter of the pickles in checkpoint files that calls nothing that a file names.

Python's own unpickler imports what a file names and calls it. Here a name is only looked up in
two tables: of plain values, and of the few calls that weights and the state of a training need.
Each of those calls is made by a function of this module, which checks its arguments first. There
is no import, no ``getattr``, and no call of anything that the file itself brought onto the stack.

The interpreter knows the instructions that ``torch.save`` writes (protocol 2), and bounds what it
builds by the size of the file, before anything is allocated.
"""

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmspanet.garbage import collection_off

MAX_INSTRUCTIONS = 1_000_000  # a training checkpoint has about 40 for each tensor
MAX_DIMENSIONS = 32
MAX_DEPTH = 64  # of lists in lists; MMEngine's files have 8
OBJECT = 4096  # bytes that a tensor or array counts beside its data, which bounds their number
ENTRY = 100  # bytes of an entry in a mapping
STATISTICS = ('min', 'max', 'current', 'mean')
NUMPY_CORES = ('numpy.core', 'numpy._core')  # where numpy 1 and numpy 2 say they keep these
HISTORY_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'


class RefusedError(Exception):
    """A checkpoint that is not read: the predicate of a sentence whose subject is the file."""


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names; never the thing itself."""

    name: str


@dataclass(frozen=True)
class StorageType:
    """What a pickle calls ``torch.FloatStorage`` and the like."""

    dtype: torch.dtype


@dataclass(frozen=True)
class Storage:
    """The memory of one or more tensors, with the dtype that it was saved under."""

    memory: torch.UntypedStorage
    dtype: torch.dtype


@dataclass(frozen=True)
class Statistic:
    """What a pickle calls ``getattr(HistoryBuffer, name)``."""

    name: str


StorageLoader = Callable[[str, str, torch.dtype, int], torch.UntypedStorage]
"""From key, device, dtype and number of elements to the memory of a storage."""


class Unpickler:
    """Reads one pickle from the place where ``file`` stands, and stops behind it.

    Args:
        file: A binary file, open for reading.
        file_size: The size in bytes of the whole checkpoint, which bounds what is built.
        load_storage: Called for each storage that the pickle refers to.
    """

    def __init__(self, file: BinaryIO, file_size: int, load_storage: StorageLoader) -> None:
        self._file = file
        self._file_size = file_size
        self._room = room_for(file_size)
        self._load_storage = load_storage
        self._stack: list[Any] = []
        self._outer_stacks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._built = 0  # bytes of what was made so far beside the instructions

    def load(self) -> Any:
        """The value of the pickle: containers, numbers, text, tensors, arrays, HistoryBuffers.

        Raises:
            RefusedError: If it names or does more than weights and training states need.
            Exception: Of many types, if it is garbage.
        """
        with collection_off():
            value = self._run()
            check_extent(value, self._room)
        return value

    def _run(self) -> Any:
        read = self._file.read
        for _ in range(MAX_INSTRUCTIONS):
            code = read(1)
            if code == b'.':
                return self._stack.pop()
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                raise _unknown_instruction(code)
            instruction(self)
        raise RefusedError(
            f'has more than {MAX_INSTRUCTIONS} instructions in its pickle, which no checkpoint '
            'needs: have its author publish the weights alone'
        )

    # What the instructions share.

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _take(self, count: int) -> bytes:
        if count > self._file_size:
            raise RefusedError(CUT_SHORT)
        data = self._file.read(count)
        if len(data) < count:
            raise RefusedError(CUT_SHORT)
        return data

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        return self._file.readline(200).decode('ascii').removesuffix('\n')

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._outer_stacks.pop()
        return items

    def _tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError('stack')
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _spend(self, size: int) -> None:
        """Count bytes before they are allocated: a file must hold what is built from it."""
        self._built += size
        if self._built > self._room:
            raise RefusedError(TOO_LARGE)

    # Instructions, by the names that pickletools gives them.

    def _proto(self) -> None:
        protocol = self._take(1)[0]
        if protocol != 2:
            raise RefusedError(
                f'is pickled with protocol {protocol}, while torch.save writes 2: have its '
                'author write it with the default of torch.save'
            )

    def _mark(self) -> None:
        self._outer_stacks.append(self._stack)
        self._stack = []

    def _binunicode(self) -> None:
        self._push(self._take(self._number('<I')).decode('utf-8'))

    def _short_binstring(self) -> None:
        self._push(self._take(self._take(1)[0]).decode('utf-8'))

    def _long1(self) -> None:
        self._push(int.from_bytes(self._take(self._take(1)[0]), 'little', signed=True))

    def _tuple(self) -> None:
        items = self._since_mark()
        self._push(tuple(items))

    def _append(self) -> None:
        item = self._stack.pop()
        self._list().append(item)

    def _appends(self) -> None:
        items = self._since_mark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        target = self._stack[-1]
        if type(target) is not list:
            raise TypeError('append')
        return target

    def _setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._mapping()[_checked_key(key)] = value

    def _setitems(self) -> None:
        items = self._since_mark()
        target = self._mapping()
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_checked_key(key)] = value

    def _mapping(self) -> dict[Any, Any]:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict):
            raise TypeError('setitem')
        return target

    def _put(self, layout: str) -> None:
        self._memo[self._number(layout)] = self._stack[-1]

    def _get(self, layout: str) -> None:
        self._push(self._memo[self._number(layout)])

    def _global(self) -> None:
        module, name = self._line(), self._line()
        module = 'builtins' if module == '__builtin__' else module  # as protocol 2 calls it
        full = f'{module}.{name}'
        if full in VALUES:
            self._push(VALUES[full])
        elif full in CALLS:
            self._push(Name(full))
        elif kind := UNUSUAL_TENSORS.get(name):
            raise RefusedError(
                f'holds {kind} tensors, which no model here has: have its author convert them '
                'to plain ones'
            )
        else:
            raise RefusedError(
                f'would run {printable(full)} when it is read: take it from a source that you '
                'trust, or have its author publish the weights alone'
            )

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise TypeError('reduce')
        if function.name not in CALLS:
            raise RefusedError(f'would call {function.name} when it is read: {DO_NOT_TRUST}')
        self._push(CALLS[function.name](self, *arguments))

    def _newobj(self) -> None:
        arguments, cls = self._stack.pop(), self._stack.pop()
        if cls != Name(HISTORY_BUFFER) or arguments != ():
            raise RefusedError(f'makes objects of other classes than HistoryBuffer: {DO_NOT_TRUST}')
        self._spend(OBJECT)
        self._push(HistoryBuffer())

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        build = STATES.get(type(target))
        if build is None and isinstance(target, np.dtype):
            build = _check_dtype_state
        if build is None:
            raise RefusedError(f'sets the state of a {type(target).__name__}: {DO_NOT_TRUST}')
        build(self, target, state)

    def _binpersid(self) -> None:
        kind, storage_type, key, location, count, *rest = self._stack.pop()
        if rest not in ([], [None]):  # legacy files say None, or that it is a part of another
            raise RefusedError('holds storages inside of others: save it again with torch.save')
        if kind != 'storage' or type(storage_type) is not StorageType or type(count) is not int:
            raise TypeError('persistent id')
        if type(key) is not str or type(location) is not str or count < 0:
            raise TypeError('storage')
        dtype = storage_type.dtype
        self._push(Storage(self._load_storage(key, location, dtype, count), dtype))

    # The calls of a checkpoint: functions of those names, with checked arguments.

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        return self._strided(storage, storage.dtype, offset, size, stride)

    def _tensor_v2(
        self,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any,
        hooks: Any,
        metadata: Any = None,
    ) -> Tensor:
        return self._tensor_v3(
            storage, offset, size, stride, requires_grad, hooks, storage.dtype, metadata
        )

    def _tensor_v3(
        self,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any,
        hooks: Any,
        dtype: Any,
        metadata: Any = None,
    ) -> Tensor:
        if hooks or metadata:
            raise RefusedError(f'holds tensors with hooks or unusual metadata: {DO_NOT_TRUST}')
        tensor = self._strided(storage, dtype, offset, size, stride)
        return tensor.requires_grad_(_checked(requires_grad, bool))

    def _strided(self, storage: Any, dtype: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        """A view of a storage, inside of it."""
        _checked(storage, Storage)
        _checked(dtype, torch.dtype)
        size, stride = _checked_sizes(size), _checked_sizes(stride)
        _checked_sizes((offset,))
        if len(size) != len(stride):
            raise ValueError('stride')
        count = _product(size)
        itemsize = dtype.itemsize
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count and (last + 1) * itemsize > storage.memory.nbytes():
            raise RefusedError('holds a tensor that reaches beyond its storage: it is damaged')
        if count * itemsize > self._room:
            raise RefusedError(TOO_LARGE)
        self._spend(OBJECT)
        empty = torch.empty(0, dtype=dtype, device=storage.memory.device)
        return empty.set_(storage.memory, offset, size, stride)

    def _parameter(self, data: Any, requires_grad: Any, hooks: Any) -> nn.Parameter:
        if hooks:
            raise RefusedError(f'holds parameters with hooks: {DO_NOT_TRUST}')
        return nn.Parameter(_checked(data, Tensor), _checked(requires_grad, bool))

    def _from_type(self, function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
        """A tensor with attributes, which PyTorch saves by this way; they are left behind."""
        makers = {Name('torch._utils._rebuild_tensor_v2'), Name('torch._utils._rebuild_parameter')}
        kinds = {Name('torch.Tensor'), Name('torch.nn.parameter.Parameter')}
        if type(function) is not Name or type(kind) is not Name:
            raise TypeError('_rebuild_from_type_v2')
        if function not in makers or kind not in kinds:
            raise RefusedError(
                f'would call {function.name} by _rebuild_from_type_v2 when it is read: '
                f'{DO_NOT_TRUST}'
            )
        return CALLS[function.name](self, *arguments)

    def _size(self, size: Any) -> torch.Size:
        return torch.Size(_checked_sizes(size))

    def _device(self, kind: Any, index: Any = None) -> torch.device:
        _checked(kind, str)
        return torch.device(kind) if index is None else torch.device(kind, _checked(index, int))

    def _ordered_dict(self, pairs: Any = ()) -> OrderedDict[Any, Any]:
        if type(pairs) not in (list, tuple) or not all(type(p) in (list, tuple) for p in pairs):
            raise TypeError('pairs')  # a tensor would be taken apart into as many as it has numbers
        self._spend(ENTRY * len(pairs))
        return OrderedDict((_checked_key(key), value) for key, value in pairs)

    def _counter(self, counts: Any = None) -> Counter[Any]:
        counts = _checked({} if counts is None else counts, dict)
        self._spend(ENTRY * len(counts))
        return Counter(counts)

    def _set(self, members: Any = ()) -> set[Any]:
        if type(members) not in (list, tuple):
            raise TypeError('members')
        self._spend(ENTRY * len(members))
        return {_checked_key(member) for member in members}

    def _slice(self, *bounds: Any) -> slice:
        return slice(*(bound if bound is None else _checked(bound, int) for bound in bounds))

    def _bytes(self) -> bytes:
        return b''

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """How protocol 2 writes bytes: as the text of the same numbers."""
        if encoding != 'latin1':
            raise ValueError('encoding')
        self._spend(len(_checked(text, str)))
        return text.encode('latin-1')

    def _getattr(self, owner: Any, name: Any) -> Statistic:
        if owner != Name(HISTORY_BUFFER) or name not in STATISTICS:
            raise RefusedError(f'would call getattr on more than HistoryBuffer: {DO_NOT_TRUST}')
        return Statistic(name)

    def _dtype(self, code: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
        if code not in DTYPES:
            raise RefusedError(f'holds arrays that are not of numbers: {DO_NOT_TRUST}')
        return np.dtype(code)

    def _array(self, cls: Any, shape: Any, code: Any) -> np.ndarray:
        if cls != Name('numpy.ndarray') or shape != (0,) or code != b'b':
            raise ValueError('array')
        self._spend(OBJECT)
        return np.ndarray((0,), 'b')

    def _scalar(self, dtype: Any, data: Any) -> np.generic:
        if not isinstance(dtype, np.dtype) or len(_checked(data, bytes)) != dtype.itemsize:
            raise ValueError('scalar')
        self._spend(OBJECT)
        return np.frombuffer(data, dtype)[0]

    # The states of a checkpoint's objects.

    def _set_array_state(self, array: np.ndarray, state: Any) -> None:
        _, shape, dtype, is_fortran, data = _checked(state, tuple)
        if not isinstance(dtype, np.dtype):
            raise TypeError('dtype')
        size = _product(_checked_sizes(shape)) * dtype.itemsize
        if len(_checked(data, bytes)) != size:
            raise ValueError('array')
        self._spend(size)
        own = bytes(memoryview(data))  # numpy takes the bytes as they are, and may write to them
        array.__setstate__((1, shape, dtype, _checked(is_fortran, bool), own))

    def _set_history_state(self, history: HistoryBuffer, state: Any) -> None:
        if len(_checked(state, dict)) > 4:
            raise ValueError('HistoryBuffer')
        state = dict(state)
        statistics = state.pop('statistics_methods', {})
        if any(method != Statistic(name) for name, method in _checked(statistics, dict).items()):
            raise RefusedError(f'would replace statistics of HistoryBuffer: {DO_NOT_TRUST}')
        if set(state) != {'max_length', '_log_history', '_count_history'}:
            raise ValueError('HistoryBuffer')
        logs = _checked(state['_log_history'], np.ndarray)
        counts = _checked(state['_count_history'], np.ndarray)
        length = _checked(state['max_length'], int)
        if logs.ndim != 1 or logs.shape != counts.shape or length < 1:
            raise ValueError('HistoryBuffer')
        history.max_length = length
        history._log_history, history._count_history = logs, counts

    def _set_mapping_state(self, mapping: OrderedDict[Any, Any], state: Any) -> None:
        """The versions of the modules, which ``nn.Module.state_dict`` notes beside the weights."""
        if set(_checked(state, dict)) - {'_metadata'}:
            raise RefusedError(f'sets attributes of a mapping: {DO_NOT_TRUST}')
        self._spend(ENTRY * len(state.get('_metadata', {})))
        for versions in state.get('_metadata', {}).values():
            if type(versions) is not dict or type(versions.get('version')) not in (int, type(None)):
                raise ValueError('_metadata')
        mapping.__dict__.update(state)


CUT_SHORT = 'is cut short: copy it again'
TOO_LARGE = 'claims to hold far more than its size: it is damaged, or made to fill the memory'
DO_NOT_TRUST = 'take it from a source that you trust'

DTYPES = ('b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8')

STORAGES = {
    'Double': torch.float64,
    'Float': torch.float32,
    'Half': torch.float16,
    'BFloat16': torch.bfloat16,
    'Long': torch.int64,
    'Int': torch.int32,
    'Short': torch.int16,
    'Char': torch.int8,
    'Byte': torch.uint8,
    'Bool': torch.bool,
    'ComplexDouble': torch.complex128,
    'ComplexFloat': torch.complex64,
}

VALUES: dict[str, Any] = {
    **{str(dtype): dtype for dtype in vars(torch).values() if type(dtype) is torch.dtype},
    **{f'torch.{kind}Storage': StorageType(dtype) for kind, dtype in STORAGES.items()},
    **{f'torch.cuda.{kind}Storage': StorageType(dtype) for kind, dtype in STORAGES.items()},
    'torch.storage.UntypedStorage': StorageType(torch.uint8),
    'torch.Tensor': Name('torch.Tensor'),
    'torch.nn.parameter.Parameter': Name('torch.nn.parameter.Parameter'),
    'numpy.ndarray': Name('numpy.ndarray'),
    HISTORY_BUFFER: Name(HISTORY_BUFFER),
}
"""What a name of a file stands for where nothing is called."""

CALLS: dict[str, Callable[..., Any]] = {
    'torch._utils._rebuild_tensor': Unpickler._tensor,
    'torch._utils._rebuild_tensor_v2': Unpickler._tensor_v2,
    'torch._utils._rebuild_tensor_v3': Unpickler._tensor_v3,
    'torch._utils._rebuild_parameter': Unpickler._parameter,
    'torch._tensor._rebuild_from_type_v2': Unpickler._from_type,
    'torch.Size': Unpickler._size,
    'torch.device': Unpickler._device,
    'collections.OrderedDict': Unpickler._ordered_dict,
    'collections.Counter': Unpickler._counter,
    'builtins.set': Unpickler._set,
    'builtins.slice': Unpickler._slice,
    'builtins.bytes': Unpickler._bytes,
    'builtins.getattr': Unpickler._getattr,
    '_codecs.encode': Unpickler._encode,
    'numpy.dtype': Unpickler._dtype,
    **{f'{core}.multiarray._reconstruct': Unpickler._array for core in NUMPY_CORES},
    **{f'{core}.multiarray.scalar': Unpickler._scalar for core in NUMPY_CORES},
}
"""What is done where a file calls the function of that name."""

UNUSUAL_TENSORS = {
    '_rebuild_sparse_tensor': 'sparse',
    '_rebuild_sparse_csr_tensor': 'sparse',
    '_rebuild_qtensor': 'quantized',
    'QInt8Storage': 'quantized',
    'QUInt8Storage': 'quantized',
    'QInt32Storage': 'quantized',
    '_rebuild_meta_tensor_no_storage': 'meta (empty)',
    '_rebuild_nested_tensor': 'nested',
}


def _check_dtype_state(_: Unpickler, dtype: np.dtype[Any], state: Any) -> None:
    version, order, *rest = _checked(state, tuple)
    if version not in (3, 4) or order not in ('<', '|', '=') or rest[:3] != [None] * 3:
        raise ValueError('dtype')


STATES: dict[type, Callable[..., None]] = {
    np.ndarray: Unpickler._set_array_state,
    HistoryBuffer: Unpickler._set_history_state,
    OrderedDict: Unpickler._set_mapping_state,
}
"""How a state is set; that of a dtype only repeats what is known."""

INSTRUCTIONS: dict[bytes, Callable[[Unpickler], None]] = {
    b'\x80': Unpickler._proto,
    b'(': Unpickler._mark,
    b'N': lambda self: self._push(None),
    b'\x88': lambda self: self._push(True),
    b'\x89': lambda self: self._push(False),
    b'J': lambda self: self._push(self._number('<i')),
    b'K': lambda self: self._push(self._number('<B')),
    b'M': lambda self: self._push(self._number('<H')),
    b'\x8a': Unpickler._long1,
    b'G': lambda self: self._push(self._number('>d')),
    b'X': Unpickler._binunicode,
    b'U': Unpickler._short_binstring,
    b')': lambda self: self._push(()),
    b']': lambda self: self._push([]),
    b'}': lambda self: self._push({}),
    b't': Unpickler._tuple,
    b'\x85': lambda self: self._tuple_of(1),
    b'\x86': lambda self: self._tuple_of(2),
    b'\x87': lambda self: self._tuple_of(3),
    b'a': Unpickler._append,
    b'e': Unpickler._appends,
    b's': Unpickler._setitem,
    b'u': Unpickler._setitems,
    b'q': lambda self: self._put('<B'),
    b'r': lambda self: self._put('<I'),
    b'h': lambda self: self._get('<B'),
    b'j': lambda self: self._get('<I'),
    b'c': Unpickler._global,
    b'R': Unpickler._reduce,
    b'\x81': Unpickler._newobj,
    b'b': Unpickler._build,
    b'Q': Unpickler._binpersid,
}
"""The instructions that ``torch.save`` writes, and no other."""


def room_for(file_size: int) -> int:
    """How many bytes the contents of a file may take: shared parts count where they are used."""
    return 8 * file_size + (256 << 20)


def printable(text: str) -> str:
    """Text from a file as it may be shown on a terminal: one line, short, without controls."""
    short = text if len(text) <= 100 else f'{text[:97]}...'
    return short if short.isprintable() and short.isascii() else ascii(short)


def check_extent(value: Any, room: int) -> None:
    """Check that a value is plain data, not nested too deep, and not too large when written out.

    A pickle may use one list in many places, and lists of such lists: what is a few hundred bytes
    in memory would then take forever to compare, copy or print.

    Raises:
        RefusedError: If it is not.
    """
    known: dict[int, tuple[int, int]] = {}  # by id: size when written out, levels below

    def visit(item: Any, depth: int) -> tuple[int, int]:
        measure = LEAVES.get(type(item))
        if measure is not None:
            return measure(item), 0
        if depth > MAX_DEPTH:
            raise RefusedError(f'is nested more than {MAX_DEPTH} levels deep: {DO_NOT_TRUST}')
        if id(item) in known:
            size, height = known[id(item)]
            if depth + height > MAX_DEPTH:
                raise RefusedError(f'is nested more than {MAX_DEPTH} levels deep: {DO_NOT_TRUST}')
            return size, height
        size, height = 64, 0
        for part in _parts(item):
            part_size, part_height = visit(part, depth + 1)
            size += part_size
            height = max(height, part_height)
        if size > room:
            raise RefusedError(TOO_LARGE)
        known[id(item)] = size, height + 1
        return size, height + 1

    size, _ = visit(value, 0)
    if size > room:
        raise RefusedError(TOO_LARGE)


def _parts(item: Any) -> list[Any]:
    """What is inside a container; keys have been checked before."""
    kind = type(item)
    if kind in (list, tuple, set):
        return list(item)
    if kind in (dict, Counter):
        return [*item, *item.values()]
    if kind is OrderedDict:
        return [*item, *item.values(), *vars(item).values()]
    if kind is HistoryBuffer:
        return [item._log_history, item._count_history]
    raise RefusedError(f'holds a {kind.__name__} that is not data: {DO_NOT_TRUST}')


LEAVES: dict[type, Callable[[Any], int]] = {
    **dict.fromkeys((type(None), bool, int, float), lambda _: 16),
    **dict.fromkeys((str, bytes), lambda item: 16 + len(item)),
    **dict.fromkeys((Tensor, nn.Parameter, np.ndarray), lambda item: 16 + item.nbytes),
    **dict.fromkeys((np.dtype(code).type for code in DTYPES), lambda _: 16),
    **dict.fromkeys((type(np.dtype(code)) for code in DTYPES), lambda _: 16),
    **dict.fromkeys((torch.dtype, torch.device, torch.Size, slice), lambda _: 64),
}


def _checked(value: Any, kind: type) -> Any:
    """``value``, if it is of just that type."""
    if type(value) is not kind and not (kind is Tensor and type(value) is nn.Parameter):
        raise TypeError(kind.__name__)
    return value


def _checked_key(key: Any) -> Any:
    """A key that is cheap to hash: of mappings or of sets."""
    if type(key) is int and abs(key) < 1 << 60:  # larger ones may all have the same hash
        return key
    if type(key) not in (str, float, bool, type(None)):
        raise RefusedError(f'has a {type(key).__name__} as a key: {DO_NOT_TRUST}')
    return key


def _checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Sizes, strides or an offset: few, and not negative."""
    if type(sizes) not in (tuple, torch.Size) or len(sizes) > MAX_DIMENSIONS:
        raise TypeError('sizes')
    if not all(type(size) is int and 0 <= size < 1 << 60 for size in sizes):
        raise ValueError('sizes')
    return sizes


def _product(sizes: tuple[int, ...]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _unknown_instruction(code: bytes) -> RefusedError:
    if not code:
        return RefusedError(CUT_SHORT)
    return RefusedError(
        f'holds the pickle instruction {code!r}, which torch.save does not write: it is damaged, '
        'or made to do more than to be read'
    )
