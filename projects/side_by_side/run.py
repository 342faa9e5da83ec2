"""Train classifiers side by side and write the table and the curves of the README.

The unit of work is a pair of config and seed, in a process of its own. When it ends, its row is
appended to runs.csv and its log written to logs/; --commit commits both, and the table, at once.
Pairs that have a row are skipped, so that the same command goes on where it stopped; what an
interrupted pair had done is lost. Table and curves are made anew of all rows after each pair.
"""

import argparse
import csv
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import mmcv
import mmengine
import mmpretrain
import timm
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from rich.console import Console
from torch import nn

from benchmarks import timing
from mmspanet import cli
from mmspanet.analysis.costs import count_costs
from mmspanet.analysis.plotting import save_figure
from mmspanet.datasets.paths import check_data
from mmspanet.engine import device
from mmspanet.errors import InputError
from projects.side_by_side import tables
from projects.side_by_side.tables import Epoch, TrainingRun

ROOT = Path(__file__).parents[2]


class EpochLogHook(Hook):
    """Note every epoch's time, loss and accuracy, and end a pair that takes too long."""

    def __init__(self, limit_seconds: float) -> None:
        self.limit = limit_seconds
        self.start = time.monotonic()
        self.epochs: list[Epoch] = []
        self.train_seconds = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        self.epoch_start = time.monotonic()
        self.losses: list[float] = []

    def after_train_iter(self, runner: Runner, *_: Any, outputs: Any = None, **__: Any) -> None:
        self.losses.append(float(outputs['loss']))
        if time.monotonic() - self.start > self.limit:
            raise InputError(
                f'the pair is over its {self.limit / 60:.0f} minutes after {runner.epoch} epochs: '
                'give more with --pair-minutes, or a smaller model.'
            )

    def after_train_epoch(self, runner: Runner) -> None:
        self.train_seconds += time.monotonic() - self.epoch_start

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        assert metrics is not None
        epoch = Epoch(
            epoch=runner.epoch,
            train_seconds=round(self.train_seconds, 2),
            loss=round(statistics.mean(self.losses), 4),
            top1=round(metrics['accuracy/top1'], 3),
        )
        self.epochs.append(epoch)
        minutes = (time.monotonic() - self.start) / 60
        print(
            f'  epoch {epoch.epoch} of {runner.max_epochs}: loss {epoch.loss:.3f}, '
            f'top-1 {epoch.top1:.2f} % ({minutes:.1f} min)',
            flush=True,
        )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', type=Path, help='configs of classifiers')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0], help='seeds; all configs of one after another'
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=float('inf'),
        help='start no pair that could end later than this (default: no limit)',
    )
    parser.add_argument(
        '--pair-minutes', type=float, default=15, help='longest time of a pair (default: 15)'
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/evidence'),
        help='folder of rows, logs, table and curves (default: work_dirs/evidence)',
    )
    parser.add_argument(
        '--commit',
        action='store_true',
        help="commit each pair's row and log and the table, and nothing else",
    )
    parser.add_argument(
        '--load',
        default='not stated',
        help='what else runs on the machine, for the table, such as "tests"',
    )
    cli.add_cfg_options(parser, 'such as data_root=PATH')
    return parser.parse_args()


def read_config(path: Path, options: dict[str, Any] | None) -> Config:
    cfg = cli.load_config(str(path), options)
    device.adapt_to_cpu(cfg)
    check_data(cfg, ('train', 'val'))
    cfg.log_level = 'ERROR'
    cfg.default_hooks.checkpoint = None  # without the key, the Runner would add its own
    return cfg


def train_pair(cfg: Config, seed: int, limit_seconds: float) -> tuple[dict[str, Any], list[Epoch]]:
    """Train in this process, which does nothing else; the fields that only a training knows."""
    if cfg.get('custom_imports'):  # a config that comes from another process is not read anew
        import_modules_from_strings(**cfg.custom_imports)
    cfg.randomness = dict(seed=seed)
    runner = Runner.from_cfg(cfg)
    log = EpochLogHook(limit_seconds)
    runner.register_hook(log, priority='LOWEST')
    runner.train()
    side = next(step.scale for step in cfg.test_pipeline if step.type == 'Resize')
    images = len(runner.train_dataloader) * runner.train_dataloader.batch_size
    ends = [0.0, *(epoch.train_seconds for epoch in log.epochs)]
    seconds = statistics.median(end - start for start, end in pairwise(ends))
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() // 2**20
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
    measured = dict(
        epochs=len(log.epochs),
        images=images,
        top1=log.epochs[-1].top1,
        images_per_second=round(images / seconds, 1),
        peak_memory_mib=int(memory),
        params_m=sum(p.numel() for p in runner.model.parameters()) / 1e6,
        macs_m=macs_m(runner.model, side),
        minutes=round((time.monotonic() - log.start) / 60, 2),
    )
    return measured, log.epochs


def in_own_process(cfg: Config, seed: int, limit: float) -> tuple[dict[str, Any], list[Epoch]]:
    context = multiprocessing.get_context('spawn')  # an own peak of memory, and CUDA needs it
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        return pool.submit(train_pair, cfg, seed, limit).result()


def end_with_parent() -> None:
    """Let a process end when the one that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)  # from a thread, and in the midst of a training

    threading.Thread(target=watch, daemon=True).start()


def surroundings(load: str) -> dict[str, str]:
    """Commit, versions and machine."""
    git = ['git', '-C', str(ROOT)]
    commit = subprocess.check_output([*git, 'rev-parse', '--short', 'HEAD'], text=True).strip()
    changed = subprocess.check_output([*git, 'diff', 'HEAD', '--name-only', 'mmspanet', 'configs'])
    libraries = (torch, mmengine, mmcv, mmpretrain, timm)
    versions = [f'{lib.__name__} {lib.__version__}' for lib in libraries]
    return dict(
        commit=commit + ('+' if changed.strip() else ''),
        versions=', '.join([f'Python {platform.python_version()}', *versions]),
        machine=timing.surroundings()['machine'],
        load=load,
    )


def macs_m(model: nn.Module, side: int) -> float:
    """Everything that a forward pass of one square image costs, in millions of MACs."""
    image = torch.zeros(1, 3, side, side, device=next(model.parameters()).device)
    whole = count_costs(model.eval(), lambda: model(image, mode='tensor'))[0]
    return round(sum(whole.macs.values()) / 1e6, 3)


def write_csv(path: Path, rows: list[dict[str, Any]], mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = mode == 'w' or not path.is_file()
    with open(path, mode, newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def write_summary(folder: Path, runs: list[TrainingRun]) -> None:
    (folder / 'table.md').write_text(tables.markdown(runs))
    logs = {
        (r.config, r.seed): tables.read_log(tables.log_path(folder, r.config, r.seed)) for r in runs
    }
    rows = tables.curve_rows(runs, logs)
    save_figure(tables.draw_curves(rows), rows, folder / 'curves')


def commit_files(message: str, paths: list[Path]) -> None:
    git = ['git', '-C', str(ROOT)]
    files = [str(path.resolve()) for path in paths]
    subprocess.run([*git, 'add', *files], check=True)
    subprocess.run([*git, 'commit', '--quiet', '-m', message, '--only', *files], check=True)


def main() -> None:
    args = parse_args()
    start = time.monotonic()
    console = Console()
    table = args.out_dir / 'runs.csv'
    for path in args.configs:
        read_config(path, args.cfg_options)  # what is wrong with any of them ends it here
    runs = tables.read_runs(table)
    done = {(run.config, run.seed) for run in runs}
    wanted = [(p, s) for s in args.seeds for p in args.configs if (p.stem, s) not in done]
    for number, (path, seed) in enumerate(wanted, start=1):
        if (time.monotonic() - start) / 60 + args.pair_minutes > args.minutes:
            console.print(f'The time is up: {len(wanted) - number + 1} pairs are left.')
            return
        console.print(f'{number} of {len(wanted)}: {path.stem}, seed {seed}')
        cfg = read_config(path, args.cfg_options)
        cfg.work_dir = str(Path('work_dirs') / path.stem)
        around = surroundings(args.load)
        measured, epochs = in_own_process(cfg, seed, 60 * args.pair_minutes)
        run = TrainingRun(config=path.stem, seed=seed, **measured, **around)
        log = tables.log_path(args.out_dir, path.stem, seed)
        write_csv(log, [asdict(epoch) for epoch in epochs], 'w')
        write_csv(table, [asdict(run)], 'a')
        runs.append(run)
        write_summary(args.out_dir, runs)
        if args.commit:
            message = f'Evidence: {path.stem}, seed {seed}: top-1 {run.top1:.2f} %'
            commit_files(message, [log, table, args.out_dir / 'table.md'])
        console.print(
            f'{run.model}, seed {seed}: top-1 {run.top1:.2f} %, '
            f'{run.images_per_second:.0f} images/s, {run.minutes:.1f} min'
        )


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
