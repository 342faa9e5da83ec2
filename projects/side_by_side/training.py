"""One training of the comparison: in a process of its own, with a log and a row of figures."""

import multiprocessing
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from torch import nn

from mmspanet import cli, surroundings
from mmspanet.analysis.costs import count_costs
from mmspanet.analysis.plotting import save_figure
from mmspanet.analysis.tables import append_csv, write_csv
from mmspanet.datasets.paths import check_data
from mmspanet.engine import device
from mmspanet.processes import start_pool_worker
from projects.side_by_side import tables
from projects.side_by_side.tables import Epoch, TrainingRun

ROOT = Path(__file__).parents[2]


class EpochLogHook(Hook):
    """Note every epoch's time, loss and accuracy."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.epochs: list[Epoch] = []
        self.train_seconds = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        self.epoch_start = time.monotonic()
        self.losses: list[float] = []

    def after_train_iter(self, runner: Runner, *_: Any, outputs: Any = None, **__: Any) -> None:
        self.losses.append(float(outputs['loss']))

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


def read_config(path: Path, options: dict[str, Any] | None) -> Config:
    """Read a config, check its data, and turn off what a comparison does not need."""
    cfg = cli.load_config(str(path), options)
    device.adapt_to_cpu(cfg)
    check_data(cfg, ('train', 'val'))
    cfg.log_level = 'ERROR'
    cfg.default_hooks.checkpoint = None  # without the key, the Runner would add its own
    return cfg


def train_and_record(cfg: Config, name: str, seed: int, out_dir: Path) -> TrainingRun:
    """Train in a new process, and write row, log and curves to ``out_dir``.

    Args:
        cfg: Of the training.
        name: Stem of the config's file.
        seed: Of weights, order and augmentation.
        out_dir: Folder of the results.

    Returns:
        The row.
    """
    around = dict(
        commit=surroundings.commit(ROOT),  # before the training: the files may change meanwhile
        versions=', '.join(f'{k} {v}' for k, v in surroundings.versions('timm').items()),
        machine=surroundings.machine(),
    )
    context = multiprocessing.get_context('spawn')  # an own peak of memory, and CUDA needs it
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_pool_worker) as pool:
        measured, epochs = pool.submit(_train, cfg, seed).result()
    run = TrainingRun(config=name, seed=seed, **measured, **around)
    write_csv(tables.log_path(out_dir, name, seed), [asdict(epoch) for epoch in epochs])
    append_csv(out_dir / 'runs.csv', asdict(run))
    write_curves(out_dir)
    return run


def write_curves(folder: Path) -> None:
    """Draw the curves of all rows in ``folder``."""
    runs = tables.read_runs(folder / 'runs.csv')
    logs = {
        (r.config, r.seed): tables.read_log(tables.log_path(folder, r.config, r.seed)) for r in runs
    }
    rows = tables.curve_rows(runs, logs)
    save_figure(tables.draw_curves(rows), rows, folder / 'curves')


def _train(cfg: Config, seed: int) -> tuple[dict[str, Any], list[Epoch]]:
    """Train in this process, which does nothing else; the fields that only a training knows."""
    if cfg.get('custom_imports'):  # a config that comes from another process is not read anew
        import_modules_from_strings(**cfg.custom_imports)
    cfg.randomness = dict(seed=seed)
    runner = Runner.from_cfg(cfg)
    log = EpochLogHook()
    runner.register_hook(log, priority='LOWEST')
    runner.train()
    side = next(step.scale for step in cfg.test_pipeline if step.type == 'Resize')
    images = len(runner.train_dataloader) * runner.train_dataloader.batch_size
    ends = [0.0, *(epoch.train_seconds for epoch in log.epochs)]
    seconds = statistics.median(end - start for start, end in pairwise(ends))
    measured = dict(
        epochs=len(log.epochs),
        images=images,
        top1=log.epochs[-1].top1,
        images_per_second=round(images / seconds, 1),
        peak_memory_mib=surroundings.peak_memory_mib(),
        params_m=sum(p.numel() for p in runner.model.parameters()) / 1e6,
        macs_m=_macs_m(runner.model, side),
        minutes=round((time.monotonic() - log.start) / 60, 2),
    )
    return measured, log.epochs


def _macs_m(model: nn.Module, side: int) -> float:
    """Everything that a forward pass of one square image costs, in millions of MACs."""
    image = torch.zeros(1, 3, side, side, device=next(model.parameters()).device)
    whole = count_costs(model.eval(), lambda: model(image, mode='tensor'))[0]
    return round(sum(whole.macs.values()) / 1e6, 3)
