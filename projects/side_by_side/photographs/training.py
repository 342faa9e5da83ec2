"""One training of the study: in a process of its own, with a log and a row of figures."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.utils import import_modules_from_strings

from mmspanet import cli, files, surroundings
from mmspanet.analysis.costs import count_config
from mmspanet.analysis.tables import append_csv, read_csv, write_csv
from mmspanet.checkpoints.safe import guard_process
from mmspanet.datasets.paths import check_data
from mmspanet.engine import device
from mmspanet.engine import run as runs
from mmspanet.errors import DivergedError, InputError
from mmspanet.processes import start_pool_worker
from projects.side_by_side.photographs.contestants import ALL, CONFIGS, RATES

CROP = (256, 256)  # pixels: what the whole models' costs are counted at
WORK_DIRS = Path('work_dirs/photographs')
SCRATCH = 'scratch'
# Where metrics keep what is predicted.
PREDICTIONS = dict(
    CocoMetric='outfile_prefix', CrowdedCocoMetric='outfile_prefix', IoUMetric='output_dir'
)


@dataclass(frozen=True)
class Run:
    """What tells a run from the others.

    Attributes:
        data: Name of the data set.
        model: Name of the contestant.
        rate: Learning rate.
        seed: Of weights, order and augmentation.
        init: ``scratch``, or ``cifar10`` for the weights of :mod:`.pretrain`.
    """

    data: str
    model: str
    rate: float
    seed: int = 0
    init: str = SCRATCH

    @property
    def name(self) -> str:
        """Of its log and its folder."""
        return f'{self.data}_{self.model}_{self.init}_lr{self.rate:g}_seed{self.seed}'

    @property
    def weights(self) -> Path | None:
        """What its backbone begins with; None from scratch."""
        return None if self.init == SCRATCH else WORK_DIRS / self.init / f'{self.model}.pth'

    @property
    def work_dir(self) -> Path:
        """Where its checkpoint and its predictions are."""
        return WORK_DIRS / self.name


class ValidationLogHook(Hook):
    """Note the metrics of every validation, and the time that training took until then."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.images = 0

    def before_train_epoch(self, runner: Any) -> None:
        self.start = time.process_time()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.images += len(data_batch['inputs'])

    def after_train_epoch(self, runner: Any) -> None:
        self.seconds += time.process_time() - self.start

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        figures = {k.rpartition('/')[2]: round(float(v), 4) for k, v in (metrics or {}).items()}
        self.rows.append(dict(epoch=runner.epoch, cpu_seconds=round(self.seconds, 1)) | figures)


@contextmanager
def claim(run: Run, table: Path) -> Iterator[bool]:
    """Hold a run for this process; False where it has a row, or another process holds it."""
    place = WORK_DIRS / 'running'
    files.make_folder(place)
    descriptor = files.lock(place / f'{table.stem}_{run.name}', wait=False)
    try:
        yield descriptor is not None and run not in read_runs(table)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def read_runs(table: Path) -> dict[Run, dict[str, str]]:
    """The rows of a table by their runs; none where there is no file."""
    return {
        Run(row['data'], row['model'], float(row['rate']), int(row['seed']), row['init']): row
        for row in read_csv(table)
    }


def runs_with_seed(
    table: Path, data: str, models: Sequence[str], seed: int
) -> dict[str, tuple[Run, dict[str, str]]]:
    """The runs of models from scratch with a seed, with their rows; none where there is no row."""
    found = {
        run.model: (run, row)
        for run, row in read_runs(table).items()
        if (run.data, run.seed, run.init) == (data, seed, SCRATCH)
    }
    return {model: found[model] for model in models if model in found}


def sweep_scores(table: Path, data: str, family: str) -> dict[float, float]:
    """What a family's model reached in the sweep at each learning rate."""
    return {
        run.rate: float(row['at_end'])
        for run, row in read_runs(table).items()
        if run.data == data and ALL[run.model].family == family
    }


def rates_to_sweep(scores: Mapping[float, float]) -> list[float]:
    """The rates of a sweep: :data:`RATES`, then the double as long as the highest is the best."""
    rates = list(RATES)
    while all(rate in scores for rate in rates) and _best(scores) == rates[-1]:
        rates.append(2 * rates[-1])
    return rates


def best_rate(table: Path, data: str, family: str) -> float:
    """The learning rate at which a family's model was best in the sweep.

    Raises:
        InputError: If the table lacks a rate of this family on this data set.
    """
    scores = sweep_scores(table, data, family)
    chosen = chosen_rate(scores)
    if chosen is None:
        lacking = ', '.join(f'{rate:g}' for rate in rates_to_sweep(scores) if rate not in scores)
        raise InputError(
            f'{table} has no run of {family} on {data} at {lacking}: run '
            'projects.side_by_side.photographs.sweep first, or give --rate.'
        )
    return chosen


def chosen_rate(scores: Mapping[float, float]) -> float | None:
    """The best rate of a finished sweep; None while a rate is missing."""
    return _best(scores) if all(rate in scores for rate in rates_to_sweep(scores)) else None


def _best(scores: Mapping[float, float]) -> float:
    return max(sorted(scores), key=scores.__getitem__)


def read_config(run: Run) -> Config:
    """The data set's config with the model's backbone in it."""
    cfg = cli.load_config(str(Path(__file__).parent / 'configs' / CONFIGS[run.data]))
    model = ALL[run.model]
    cfg.model.backbone = model.backbone
    part = 'neck' if 'neck' in cfg.model else 'decode_head'
    cfg.model[part].in_channels = list(model.widths)
    if 'auxiliary_head' in cfg.model:
        cfg.model.auxiliary_head.in_channels = model.widths[cfg.model.auxiliary_head.in_index]
    cfg.optim_wrapper.optimizer.lr = run.rate
    cfg.randomness = dict(seed=run.seed)
    cfg.work_dir = str(run.work_dir)
    if run.weights:
        cfg.load_from = str(run.weights)
    cfg.log_level = 'WARNING'
    cfg.launcher = 'none'
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1, max_keep_ckpts=1, save_best=None)
    device.adapt_to_cpu(cfg)
    return cfg


def checkpoint_of(run: Run, row: Mapping[str, str]) -> Path:
    """Where the weights of a run are, by its row."""
    return run.work_dir / f'epoch_{row["epochs"]}.pth'


def metric_of(cfg: Config) -> str:
    """The metric by which models are compared."""
    return 'segm_mAP' if cfg.default_scope == 'mmdet' else 'mIoU'


def shorten(cfg: Config, epochs: int) -> None:
    """Train for fewer epochs, with the whole cosine, and validate at the end alone."""
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.param_scheduler[1].T_max = epochs


def train_and_record(cfg: Config, run: Run, table: Path) -> dict[str, Any]:
    """Train in a new process of one thread, and write its row and its log.

    The log goes to ``logs/TABLE`` beside the table; the predictions of the last validation stay in
    the config's ``work_dir``.

    Returns:
        The row.
    """
    check_data(cfg, ('train', 'val'))
    shutil.rmtree(cfg.work_dir, ignore_errors=True)  # of a run that was killed
    for evaluator in cfg.val_evaluator:
        if evaluator.type in PREDICTIONS:
            evaluator[PREDICTIONS[evaluator.type]] = f'{cfg.work_dir}/predictions'
    context = multiprocessing.get_context('spawn')  # a peak of memory of its own
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_pool_worker) as pool:
        measured, validations = pool.submit(_train, cfg).result()
    write_csv(log_path(table, run), validations)
    row = asdict(run) | measured
    append_csv(table, row)
    return row


def log_path(table: Path, run: Run) -> Path:
    """Where a run's validations are: a row each."""
    return table.parent / 'logs' / table.stem / f'{run.name}.csv'


def _train(cfg: Config) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train in this process, which does nothing else. A training that diverges scores 0."""
    torch.set_num_threads(1)
    guard_process()
    import_modules_from_strings(**cfg.custom_imports)
    start = time.monotonic()
    around = surroundings.record('timm')  # of this process, which has one thread
    versions = ', '.join(f'{name} {number}' for name, number in around.pop('versions').items())
    costs = count_config(cfg, CROP)[0]
    runner = runs.build(cfg)
    log = ValidationLogHook()
    runner.register_hook(log, priority='LOWEST')
    metric = metric_of(cfg)
    try:
        runs.train(runner)
    except DivergedError:
        log.rows = [{'epoch': runner.epoch, metric: 0.0}]
    backbone = sum(p.numel() for p in runner.model.backbone.parameters())
    measured = dict(
        epochs=runner.max_epochs,
        metric=metric,
        at_end=log.rows[-1][metric],
        best=max(row[metric] for row in log.rows),
        images_per_cpu_second=round(log.images / log.seconds, 3) if log.seconds else 0.0,
        peak_memory_mib=surroundings.peak_memory_mib(),
        backbone_params_m=round(backbone / 1e6, 3),
        macs_m=round(sum(costs.macs.values()) / 1e6, 1),
        minutes=round((time.monotonic() - start) / 60, 1),
    )
    return measured | around | dict(versions=versions), log.rows
