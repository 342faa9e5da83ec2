"""Kill the main process of a training again and again, and show that nothing of it is left.

    python -m dev.kill_main [--kills 50] [--seed 0] [--work-dir DIR]

A small classifier trains on Shapes with two loader workers. Every other time its main process gets
SIGTERM, with --save-on-signal, and every other time SIGKILL, at a random moment: while it loads
what it needs, at its first iterations or between later ones. Then each process that it had started
has to be gone, and --resume goes on from the newest checkpoint. At the end a run without a kill
has to finish. Linux only.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.progress import track

from dev.fault_injection import ROOT, make_shapes
from mmspanet import cli, surroundings
from mmspanet.engine.lock import NAME
from mmspanet.errors import InputError
from mmspanet.files import write_text

WORKERS = 2
PATIENCE = 300  # seconds in which something has to happen
END = 10  # seconds in which all processes have to be gone


EVENTS = (
    'killed by SIGTERM',
    'killed by SIGKILL',
    'killed before the first iteration',
    'killed while they trained',
    'killed with loader workers alive',
    'checkpoints written at SIGTERM',
    'starts that resumed from a checkpoint',
    'processes left',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--kills', type=cli.positive_int, default=50, help='how often to kill')
    cli.add_seed_option(parser)
    parser.add_argument('--work-dir', type=cli.output_folder, default=Path('work_dirs/kill_main'))
    return parser.parse_args()


def start(folder: Path, *settings: str) -> subprocess.Popen[bytes]:
    """A training in ``folder``, resumed if there is something, as a group of processes."""
    command = [sys.executable, 'tools/train.py', 'configs/cls/spanetv2_shapes.py']
    command += ['--work-dir', str(folder / 'run'), '--resume', '--save-on-signal']
    command += ['--no-report', '--cfg-options']
    data = folder / 'shapes/imagenet'
    command += [f'{part}_dataloader.dataset.data_root={data}' for part in ('train', 'val', 'test')]
    command += ['train_dataloader.batch_size=4', f'train_dataloader.num_workers={WORKERS}']
    command += ['default_hooks.logger.interval=1', 'train_cfg.val_interval=100000', *settings]
    with (folder / 'log').open('w') as log:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def processes_of(session: int) -> list[int]:
    """The living processes of a session, by what the system says of them."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = path.read_text().rpartition(')')[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until something is so; for how long."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise SystemExit(f'error: {what} did not happen in {seconds} s.')
        time.sleep(0.02)
    return time.monotonic() - begun


def kill(folder: Path, number: signal.Signals, chance: random.Random, seen: Counter[str]) -> float:
    """One life of the training; for how long its processes outlived the main one."""
    process = start(folder, 'train_cfg.max_epochs=100000')
    log = folder / 'log'

    def is_training() -> bool:
        if process.poll() is not None:
            raise SystemExit(f'error: the training ended by itself, see {log}.')
        return 'Epoch(train)' in log.read_text()

    is_early = chance.random() < 0.2
    if is_early:
        time.sleep(chance.uniform(0, 10))
    else:
        wait_for(is_training, 'the first iteration')
        time.sleep(chance.uniform(0, 2))
    before = processes_of(process.pid)
    process.send_signal(number)
    status = process.wait(PATIENCE)
    seconds = wait_for(lambda: not processes_of(process.pid), 'the end of all processes', END)
    text = log.read_text()
    expected = (-number, 128 + number)
    # Before Python has read our handler, SIGTERM ends it without a word.
    if status not in expected or (number == signal.SIGKILL and status != -number):
        raise SystemExit(f'error: the training ended with {status}, see {log}.')
    if 'train.py", line' in text:  # a worker may end in a traceback of its own
        raise SystemExit(f'error: the training ended with a traceback, see {log}.')
    moment = 'while they trained' if 'Epoch(train)' in text else 'before the first iteration'
    seen[f'killed by {number.name}'] += 1
    seen[f'killed {moment}'] += 1
    seen['killed with loader workers alive'] += len(before) >= 1 + WORKERS
    seen['checkpoints written at SIGTERM'] += bool(re.search(r'\.pth is written', text))
    seen['starts that resumed from a checkpoint'] += bool(re.search(r'resumed epoch: \d+', text))
    seen['processes left'] += len(processes_of(process.pid))
    return seconds


def main() -> None:
    args = parse_args()
    folder = args.work_dir.resolve()
    if folder.exists():
        raise InputError(f'{folder} exists: remove it, or give another --work-dir.')
    folder.mkdir(parents=True)
    os.environ['PYTHONPATH'] = str(ROOT)
    os.environ['OMP_NUM_THREADS'] = '1'
    make_shapes(folder / 'shapes')
    chance = random.Random(args.seed)
    seen: Counter[str] = Counter(dict.fromkeys(EVENTS, 0))  # in the order of the table
    longest = 0.0
    for i in track(range(args.kills), 'kills'):
        number = (signal.SIGTERM, signal.SIGKILL)[i % 2]
        longest = max(longest, kill(folder, number, chance, seen))
    done = max(
        (int(path.stem.split('_')[1]) for path in (folder / 'run').glob('epoch_*.pth')), default=0
    )
    last = start(folder, f'train_cfg.max_epochs={done + 1}')
    if last.wait(PATIENCE) or not (folder / f'run/epoch_{done + 1}.pth').exists():
        raise SystemExit(f'error: the last run did not finish, see {folder / "log"}.')
    if (folder / 'run' / NAME).exists():
        raise SystemExit('error: the last run left its lock.')
    record = dict(
        surroundings.record(),
        kills=args.kills,
        seen=dict(seen),
        epochs=done + 1,
        longest_wait=round(longest, 2),
    )
    for kind, count in (*seen.items(), ('longest wait for the workers, s', round(longest, 2))):
        print(f'{kind}: {count}')
    write_text(folder / 'kill_main.json', json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
