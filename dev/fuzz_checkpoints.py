"""Feed the checkpoint reader with files whose instructions are changed at random.

    python -m dev.fuzz_checkpoints [--files 10000] [--seed 0]

Each file is a genuine or a hostile checkpoint with a few instructions of its pickle deleted,
repeated, exchanged or replaced, or with bytes of its archive changed. They are read in batches,
each in a process of its own where an audit hook watches: whatever Python would run, import or open
while a file is read is a violation, as is any error but CheckpointError, a changed class, and a
value that is not plain data. Prints the counts; the status is 1 if there is a violation.
"""

import argparse
import io
import json
import pickletools
import random
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import HistoryBuffer

from dev.hostile_checkpoints import CODE, archived, genuine, saved
from mmspanet import surroundings
from mmspanet.checkpoints.pickles import CALLS, VALUES
from mmspanet.checkpoints.reader import read_file
from mmspanet.errors import CheckpointError
from mmspanet.files import write_text

BATCH = 500
SLOW = 5.0  # seconds of processor time, far more than any small file needs
FOREIGN = ('builtins.eval', 'os.system', 'builtins.getattr', 'copyreg._reconstructor')
HARMLESS = {'builtins.id'}
NUMERIC = ('dtype', 'float', 'int', 'uint', 'bool')  # of numpy's scalars and dtypes
PLAIN = {
    *{'NoneType', 'bool', 'int', 'float', 'str', 'bytes', 'list', 'tuple', 'dict', 'set', 'slice'},
    *{'OrderedDict', 'Counter', 'Tensor', 'Parameter', 'ndarray', 'HistoryBuffer'},
    *{'Size', 'device'},
}


def main() -> None:
    """Run the batches and print what became of the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--files', type=int, default=10_000, help='how many to make')
    parser.add_argument('--seed', type=int, default=0, help='of the first; others follow')
    parser.add_argument('--record', type=Path, help='JSON file for the counts')
    parser.add_argument('--batch', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.files)
    if args.batch:
        print(json.dumps(read_batch(seeds)))
        return
    total: Counter[str] = Counter()
    for start in seeds[::BATCH]:
        total += run_batch(start, min(BATCH, seeds.stop - start))
    for outcome, count in total.most_common():
        print(f'{count:7} {outcome}')
    if args.record:
        record = dict(surroundings.record(), files=args.files, outcomes=total)
        write_text(args.record, json.dumps(record, indent=1) + '\n')
    sys.exit(any(outcome.startswith('VIOLATION') for outcome in total))


def run_batch(seed: int, count: int) -> Counter[str]:
    """What became of the files of some seeds, by outcome, read in a process of their own."""
    command = [sys.executable, '-m', 'dev.fuzz_checkpoints', '--batch']
    command += ['--seed', str(seed), '--files', str(count)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        return Counter({f'VIOLATION: seeds from {seed} end the process: {process.stderr}': 1})
    return Counter(json.loads(process.stdout))


def read_batch(seeds: range) -> dict[str, int]:
    """Read the files of ``seeds`` in this process under an audit hook."""
    watch = Watch()
    sources = pickles()
    for source in sources:  # so that nothing is imported for the first time later on
        watch.read(archived(source[0], **source[1]))
    watch.classes = watch.state()
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        outcomes[watch.outcome(mutated(sources, random.Random(seed)), str(seed))] += 1
    return outcomes


class Watch:
    """Reads files, and notes what Python does meanwhile that reading has no need of."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.is_reading = False
        self.classes = self.state()
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook, which can not be taken back."""
        if self.is_reading and event not in HARMLESS:
            self.events.append(f'{event} {str(arguments)[:80]}')

    def state(self) -> list[Any]:
        """What a file could change for the whole process."""
        return [dict(vars(HistoryBuffer)), dict(HistoryBuffer._statistics_methods)]

    def read(self, data: bytes) -> Any:
        """What the reader makes of a file: the value, or the error."""
        self.events.clear()
        file = io.BytesIO(data)
        self.is_reading = True
        try:
            return read_file(file)
        except Exception as error:
            return error
        finally:
            self.is_reading = False

    def outcome(self, data: bytes, name: str) -> str:
        """A few words on what became of a file."""
        start = time.process_time()
        value = self.read(data)
        if self.events:
            return f'VIOLATION: {name} did {self.events[0]}'
        if self.state() != self.classes:
            return f'VIOLATION: {name} changed HistoryBuffer'
        if time.process_time() - start > SLOW:
            return f'VIOLATION: {name} took {time.process_time() - start:.0f} s'
        if isinstance(value, CheckpointError):
            return 'refused'
        if isinstance(value, Exception):
            return f'VIOLATION: {name} raised {value!r}'
        foreign = {type(part).__name__ for part in parts(value)}.difference(PLAIN)
        foreign = {kind for kind in foreign if not kind.lower().startswith(NUMERIC)}
        return f'VIOLATION: {name} gave a {foreign.pop()}' if foreign else 'read'


def parts(value: Any) -> Iterator[Any]:
    """A value and all that is in it."""
    yield value
    if isinstance(value, dict):
        for item in (*value, *value.values()):
            yield from parts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from parts(item)


def pickles() -> list[tuple[bytes, dict[str, bytes]]]:
    """The pickles to start from, with the storages beside them; genuine ones more often."""
    files = [saved(genuine())] * len(CODE) + [make() for make in CODE.values()]
    found = []
    for file in files:
        if zipfile.is_zipfile(io.BytesIO(file)):
            with zipfile.ZipFile(io.BytesIO(file)) as archive:
                names = {name.partition('/')[2]: name for name in archive.namelist()}
                storages = {
                    name.replace('data/', 'storage'): archive.read(full)
                    for name, full in names.items()
                    if name.startswith('data/')
                }
                found.append((archive.read(names['data.pkl']), storages))
    return found


def mutated(sources: list[tuple[bytes, dict[str, bytes]]], chance: random.Random) -> bytes:
    """One of the sources with some changes."""
    data, storages = chance.choice(sources)
    pieces = instructions(data)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        if not pieces:  # the only one was deleted
            break
        at, to = sorted(chance.choices(range(len(pieces)), k=2))
        match chance.randrange(10):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[to])
            case 2:
                pieces[at], pieces[to] = pieces[to], pieces[at]
            case 3:
                pieces[at] = random_instruction(chance)
            case 4:
                pieces.insert(at, random_instruction(chance))
            case 5:
                pieces[at:at] = instructions(chance.choice(sources)[0])[1:-1]
            case 6 | 7 | 8:  # one of the same kind, which gets further
                pieces[at] = chance.choice([p for p in pieces if p[:1] == pieces[at][:1]])
            case 9:
                pieces[at : at + 1] = [global_(chance), b')', b'R']
    file = bytearray(archived(b''.join(pieces), **storages))
    if chance.random() < 0.1:
        for _ in range(chance.randrange(1, 5)):
            file[chance.randrange(len(file))] = chance.randrange(256)
    if chance.random() < 0.02:
        del file[chance.randrange(len(file)) :]
    return bytes(file)


def instructions(data: bytes) -> list[bytes]:
    """A pickle, cut into its instructions."""
    try:
        places = [place for _, _, place in pickletools.genops(data)]
    except Exception:  # pickletools knows the order of all, and some are out of order on purpose
        return [data[i : i + 1] for i in range(len(data))]
    return [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]


def random_instruction(chance: random.Random) -> bytes:
    """An instruction with arguments that may fit."""
    kind = chance.choice(pickletools.opcodes)
    code = kind.code.encode('latin-1')
    match kind.arg.name if kind.arg else '':
        case '':
            return code
        case 'stringnl_noescape_pair':
            return global_(chance, code)
        case 'uint1':
            return code + bytes([chance.randrange(40)])
        case _:
            return code + chance.choice([b'\x00' * 8, b'\x01\x00\x00\x00a', b'\xff' * 8, b'abc\n'])


def global_(chance: random.Random, code: bytes = b'c') -> bytes:
    """The name of something that checkpoints name, or should not."""
    name = chance.choice([*CALLS, *VALUES, *FOREIGN])
    module, _, attribute = name.rpartition('.')
    return code + f'{module}\n{attribute}\n'.encode()


if __name__ == '__main__':
    main()
