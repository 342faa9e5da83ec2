"""Kill a training run again and again, resume it, and compare it with one that was never stopped.

A small classifier trains on Shapes in processes of their own. At random moments, in an
iteration, a validation or while a checkpoint is written, one of them is killed (SIGKILL) and
the run resumed with --resume; every few kills the newest checkpoint is damaged, too, and once
the disk is full. After each fault no checkpoint may be half-written under its final name; at
the end, the weights have to equal those of the uninterrupted run bit for bit. With two
processes, a launch with MAX_RESTARTS has to recover from a killed worker by itself, too.
"""

import argparse
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from dev.kill_hook import MOMENTS
from mmspanet import cli, surroundings
from mmspanet.checkpoints.loading import is_whole
from mmspanet.checkpoints.reader import read_state_dict
from mmspanet.errors import InputError

ROOT = Path(__file__).parents[1]
IMAGES = dict(train=24, val=8)
BATCH = 4
NO_KILL = dict(moment='iteration', count=0, delay=0.0, rank=0)
EPOCHS_A_KILL = 3  # at most: two until the moment, one lost with a damaged file
PATIENCE = 1800  # seconds that one life of the run may take
END = 60  # seconds in which a launch has to end after one of its workers was killed


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20, help='how often to kill')
    parser.add_argument('--processes', type=int, choices=(1, 2), default=1, help='2: by gloo')
    parser.add_argument('--damage-every', type=int, default=4, help='damage a file at each n-th')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/fault_injection'))
    return parser.parse_args()


class FaultInjection:
    """One run that is killed and one that is not, side by side in ``work_dir``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.processes = args.processes
        self.kills = args.kills
        self.damage_every = args.damage_every
        self.epochs = EPOCHS_A_KILL * (args.kills + 1)
        self.work_dir = args.work_dir.resolve()
        self.data = self.work_dir / 'shapes/imagenet'
        self.whole, self.killed, self.restarted = (
            self.work_dir / name for name in ('whole', 'killed', 'restarted')
        )
        self.rng = random.Random(args.seed)
        self.seen: Counter[str] = Counter({'kills survived': 0})
        self.damaged: dict[Path, int] = {}  # the size that we left of a file

    def write_config(self) -> None:
        loaders = '\n'.join(
            f'{part}_dataloader = dict(batch_size={BATCH // self.processes}, num_workers=0, '
            f'persistent_workers=False, dataset=dict(data_root={str(self.data)!r}))'
            for part in ('train', 'val', 'test')
        )
        (self.work_dir / 'config.py').write_text(
            f'_base_ = {str(ROOT / "configs/cls/spanetv2_shapes.py")!r}\n'
            "custom_imports = dict(imports=['dev.kill_hook'])\n"
            'custom_hooks = [\n'
            "    dict(type='mmspanet.EpochSeedHook'),\n"
            f"    dict(type='KillHook', **{NO_KILL}),\n"
            ']\n'
            f'{loaders}\n'
            f'train_cfg = dict(max_epochs={self.epochs}, val_interval=1)\n'
            "param_scheduler = [dict(type='CosineAnnealingLR', convert_to_iter_based=True, "
            f'T_max={self.epochs})]\n'
            # Without the best checkpoint, a resumed run has no validation to make up for.
            'default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))\n'
        )

    def start(
        self,
        folder: Path,
        log: Path,
        hook: dict[str, Any] = NO_KILL,
        before: Callable[[], None] | None = None,
        restarts: int = 0,
    ) -> int:
        """Train in ``folder`` until the end, or a fault; the exit status."""
        command = [sys.executable, 'tools/train.py', str(self.work_dir / 'config.py')]
        if self.processes == 2:
            command = ['bash', 'tools/dist_train.sh', command[-1], '2']
        command += ['--work-dir', str(folder), '--resume', '--no-report', '--cfg-options']
        command += [f'custom_hooks.1.{key}={value}' for key, value in hook.items()]
        with log.open('w') as file:
            return subprocess.run(
                command,
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=before,
                env=os.environ
                | dict(
                    OMP_NUM_THREADS='1',
                    MAX_RESTARTS=str(restarts),
                    PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
                    PYTHONPATH=f'{ROOT}:{os.environ.get("PYTHONPATH", "")}',
                ),
                timeout=PATIENCE,
            ).returncode

    def uninterrupted(self, folder: Path) -> None:
        log = self.work_dir / f'{folder.name}.log'
        status = self.start(folder, log)
        if status:
            raise SystemExit(f'error: the run ended with {status}, see {log}.')

    def checkpoints(self) -> list[Path]:
        files = self.killed.glob('epoch_*.pth')
        return sorted(files, key=lambda path: int(path.stem.split('_')[1]))

    def kill(self) -> None:
        """One life of the run, up to its kill, and a look at what it left."""
        number = self.seen['kills survived']
        moment = MOMENTS[number % len(MOMENTS)]
        count = self.rng.randint(1, dict(iteration=12, validation=4, write=2)[moment])
        rank = 0 if moment == 'write' else self.rng.randrange(self.processes)
        delay = self.rng.uniform(0, 0.005 if moment == 'write' else 0.1)
        log = self.work_dir / f'kill_{number}.log'
        status = self.start(
            self.killed, log, dict(moment=moment, count=count, delay=delay, rank=rank)
        )
        if status != (-signal.SIGKILL if self.processes == 1 else 1):
            raise SystemExit(f'error: the run ended with {status}, see {log}.')
        if self.processes == 2:
            self.check_end(log)
        self.seen['kills survived'] += 1
        self.seen[f'kills in the middle of: {moment}'] += 1
        if moment == 'write' and any(self.killed.glob('.*.part')):
            self.seen['writes cut short'] += 1
        self.check_files()
        if self.seen['kills survived'] % self.damage_every == 0 and len(self.checkpoints()) > 1:
            self.damage(self.checkpoints()[-1])

    def damage(self, path: Path) -> None:
        """Cut a checkpoint, as a full disk or a broken copy would."""
        self.damaged[path] = path.stat().st_size // 2
        os.truncate(path, self.damaged[path])
        self.seen['newest checkpoints damaged'] += 1

    def check_end(self, log: Path) -> None:
        """A launch has to end soon after the death of a worker, and to name it."""
        text = log.read_text()
        killed = re.search(r'KillHook: (\S+)', text)
        if not killed or 'Signal 9 (SIGKILL)' not in text:
            raise SystemExit(f'error: the launch ended without a word, see {log}.')
        seconds = round(log.stat().st_mtime - float(killed[1]))
        if seconds > END:
            raise SystemExit(f'error: the launch ended {seconds} s after its worker, see {log}.')
        self.seen['longest wait for the end of a launch, s'] = max(
            seconds, self.seen['longest wait for the end of a launch, s']
        )

    def check_files(self) -> None:
        for path in self.checkpoints():
            if self.damaged.get(path) != path.stat().st_size and not is_whole(path):
                raise SystemExit(f'error: {path} is half-written.')

    def fill_disk(self) -> None:
        """A life in which no checkpoint fits: a limit on file sizes is a disk that is full."""
        size = self.checkpoints()[-1].stat().st_size // 2
        limit = (resource.RLIMIT_FSIZE, (size, size))
        log = self.work_dir / 'full_disk.log'
        status = self.start(self.killed, log, before=lambda: resource.setrlimit(*limit))
        if status != 1 or 'could not be written' not in log.read_text().splitlines()[-1]:
            raise SystemExit(f'error: the full disk ended in {status} without a word, see {log}.')
        self.check_files()
        self.seen['full disks'] += 1

    def restart(self) -> None:
        """A launch whose worker is killed once goes on by itself."""
        log = self.work_dir / 'restart.log'
        hook = dict(moment='iteration', count=20, delay=0, rank=1)
        status = self.start(self.restarted, log, hook, restarts=1)
        if status or 'KillHook:' not in log.read_text():
            raise SystemExit(f'error: the launch ended with {status}, see {log}.')
        self.compare(self.whole, self.restarted)
        self.seen['launches that restarted by themselves'] += 1

    def compare(self, *folders: Path) -> None:
        """Hold the final weights of the runs against each other, bit for bit."""
        expected, actual = (
            read_state_dict(folder / f'epoch_{self.epochs}.pth') for folder in folders
        )
        different = [key for key in expected if not torch.equal(expected[key], actual[key])]
        if different:
            raise SystemExit(f'error: {len(different)} of {len(expected)} tensors differ.')
        self.seen['final tensors equal bit for bit'] = len(expected)

    def run(self) -> None:
        for folder in (self.whole, self.killed, self.restarted):
            if folder.exists():
                raise InputError(f'{folder} exists: remove it, or give another --work-dir.')
        self.work_dir.mkdir(parents=True, exist_ok=True)
        make_shapes(self.work_dir / 'shapes')
        self.write_config()
        faults: list[Callable[[], None]] = [self.kill] * self.kills
        if self.processes == 1:
            faults.append(self.fill_disk)
        else:
            faults.append(self.restart)
        with Progress() as progress:
            task = progress.add_task('the uninterrupted run', total=len(faults) + 2)
            self.uninterrupted(self.whole)
            for fault in faults:
                progress.update(task, advance=1, description=fault.__name__)
                fault()
            progress.update(task, advance=1, description='the last resume')
            self.uninterrupted(self.killed)
            progress.advance(task)
        self.compare(self.whole, self.killed)


def make_shapes(root: Path) -> None:
    sizes = [f'--{part}={count}' for part, count in IMAGES.items()]
    command = [sys.executable, 'tools/make_shapes.py', 'imagenet', '--root', str(root), *sizes]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    args = parse_args()
    begun = time.monotonic()
    injection = FaultInjection(args)
    injection.run()
    injection.seen['seconds'] = round(time.monotonic() - begun)
    for kind, count in injection.seen.items():
        print(f'{kind}: {count}')
    record = dict(surroundings.record(), seen=injection.seen)
    (injection.work_dir / 'record.json').write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
