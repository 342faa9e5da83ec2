"""Kill a training run again and again, resume it, and compare it with one that was never stopped.

A small classifier trains on Shapes in processes of their own. At random moments, in an
iteration, a validation or while a checkpoint is written, the run is killed (SIGKILL) and
resumed with --resume; every few kills the newest checkpoint is damaged, too. After each kill
no checkpoint may be half-written under its final name; at the end, the weights have to equal
those of the uninterrupted run bit for bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from rich.progress import Progress

from mmspanet.engine import launch

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/cls/spanetv2_shapes.py'
PATIENCE = 300  # seconds that a start may take


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=20, help='how often to kill')
    parser.add_argument('--epochs', type=int, default=60, help='length of the run')
    parser.add_argument('--processes', type=int, choices=(1, 2), default=1, help='2: by gloo')
    parser.add_argument('--damage-every', type=int, default=5, help='damage a file at each n-th')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/fault_drill'))
    return parser.parse_args()


def command(args: argparse.Namespace, folder: Path) -> list[str]:
    data = args.work_dir.resolve() / 'shapes' / 'imagenet'
    start = ['tools/train.py', CONFIG]
    if args.processes == 2:
        start = ['-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=29655', *start]
        start += ['--launcher', 'pytorch']
    return [
        sys.executable, *start, '--work-dir', str(folder), '--resume', '--cfg-options',
        *(f'{part}_dataloader.dataset.data_root={data}' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val', 'test')),
        *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val', 'test')),
        'train_dataloader.batch_size=4', 'train_cfg.val_interval=1',
        f'train_cfg.max_epochs={args.epochs}', f'param_scheduler.1.T_max={args.epochs}',
        'default_hooks.logger.interval=1',
    ]  # fmt: skip


def run(args: argparse.Namespace, folder: Path, log: Path, lifetime: float | None) -> int:
    """Train until the end, or for ``lifetime`` seconds from the first iteration; exit status."""
    with log.open('w') as file:
        process = subprocess.Popen(
            command(args, folder),
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(OMP_NUM_THREADS='1'),
            start_new_session=True,
        )
        if lifetime is not None:
            begun = time.monotonic()
            while process.poll() is None and 'Epoch(train)' not in log.read_text():
                if time.monotonic() - begun > PATIENCE:
                    os.killpg(process.pid, signal.SIGKILL)
                    raise SystemExit(f'error: no iteration within {PATIENCE} s, see {log}.')
                time.sleep(0.02)
            time.sleep(lifetime)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def cut(path: Path) -> None:
    """Damage a checkpoint as a full disk or a broken copy would."""
    os.truncate(path, path.stat().st_size // 2)


def weights(folder: Path, epochs: int) -> dict[str, torch.Tensor]:
    path = folder / f'epoch_{epochs}.pth'
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def drill(args: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Kill and resume; what was seen, by kind."""
    rng = random.Random(args.seed)
    seen = {'kills survived': 0, 'files damaged': 0, 'writes cut short': 0}
    damaged: dict[Path, int] = {}  # size that we cut a file to
    with Progress() as progress:
        task = progress.add_task('kills', total=args.kills)
        while seen['kills survived'] < args.kills:
            log = args.work_dir / f'kill_{seen["kills survived"]}.log'
            status = run(args, folder, log, rng.uniform(0, 4))
            if status == 0:
                raise SystemExit('error: the run ended before the kills: give it more --epochs.')
            if status not in (-signal.SIGKILL, 1):
                raise SystemExit(f'error: the run ended with {status}, see {log}.')
            if 'Epoch(train)' not in log.read_text():
                raise SystemExit(f'error: the run did not get going, see {log}.')
            seen['kills survived'] += 1
            files = sorted(folder.glob('epoch_*.pth'), key=lambda p: int(p.stem.split('_')[1]))
            for path in files:
                ours = damaged.get(path) == path.stat().st_size
                if not ours and not launch.is_whole(path):
                    raise SystemExit(f'error: {path} is half-written.')
            seen['writes cut short'] += len([*folder.glob('.epoch_*')])
            for path in folder.glob('.epoch_*'):
                path.unlink()
            if seen['kills survived'] % args.damage_every == 0 and len(files) > 1:
                cut(files[-1])
                damaged[files[-1]] = files[-1].stat().st_size
                seen['files damaged'] += 1
            progress.advance(task)
    return seen


def main() -> None:
    args = parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    whole, killed = args.work_dir / 'whole', args.work_dir / 'killed'
    for folder in (whole, killed):
        if folder.exists():
            raise launch.InputError(f'{folder} exists: remove it, or give another --work-dir.')
    make = ['tools/make_shapes.py', 'imagenet', '--root', str(args.work_dir.resolve() / 'shapes')]
    subprocess.run([sys.executable, *make, '--train', '24', '--val', '8'], cwd=ROOT, check=True)
    start = time.monotonic()
    print('a run that nothing stops')
    if run(args, whole, args.work_dir / 'whole.log', None):
        raise SystemExit(f'error: the uninterrupted run failed, see {args.work_dir}/whole.log.')
    seen = drill(args, killed)
    print('the last resume, to the end')
    if run(args, killed, args.work_dir / 'last.log', None):
        raise SystemExit(f'error: the last resume failed, see {args.work_dir}/last.log.')
    expected, actual = weights(whole, args.epochs), weights(killed, args.epochs)
    different = [key for key in expected if not torch.equal(expected[key], actual[key])]
    for kind, count in seen.items():
        print(f'{kind}: {count}')
    print(f'final weights equal bit for bit: {len(expected) - len(different)} of {len(expected)}')
    print(f'{time.monotonic() - start:.0f} s')
    if different:
        raise SystemExit(f'error: {different[0]} differs.')


if __name__ == '__main__':
    with launch.one_line_errors():
        main()
