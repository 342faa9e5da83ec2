"""What a run notes for its page, the predictions that it keeps, and the rows of its log."""

import json
import logging
import pickle
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import METRICS
from mmengine.runner import BaseLoop, Runner
from PIL import Image

from mmspanet import surroundings
from mmspanet.files import open_for_replacement, write_text

NAME = 'run.json'
PREDICTIONS = 'predictions'  # .pkl, or a folder of segmentation maps


class RecordRunHook(Hook):
    """Note config, commit, versions and data set sizes of a run, and keep its predictions.

    The record is ``run.json`` beside the run's log. Predictions of a validation replace those of
    the one before. What can't be written is left out with a warning.

    Args:
        config: The config that the run was started with.
        keeps: Whether to keep predictions, beside the log.
        out: Where predictions are kept by someone else, to be noted.
        source: What is tested, such as a checkpoint.
    """

    priority = 'ABOVE_NORMAL'  # before CollectInWorkDirHook looks at the metrics

    def __init__(
        self, config: str, keeps: bool, out: str | None = None, source: str | None = None
    ) -> None:
        self.config = config
        self.keeps = keeps
        self.out = out
        self.source = source
        self.record: dict[str, Any] = {}

    def before_run(self, runner: Runner) -> None:
        """Write what is known from the start."""
        if not is_main_process():  # which alone writes the record
            return
        loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
        images = {
            part: len(loop.dataloader.dataset)
            for part, loop in loops.items()
            if isinstance(loop, BaseLoop)
        }
        self.record = dict(
            config=self.config,
            command=shlex.join(['python', *sys.argv]),
            images=images,
            **surroundings.record(),
        )
        self._write(runner)

    def before_val(self, runner: Runner) -> None:
        """Have the validation's predictions kept."""
        self._keep(runner, runner.val_loop.evaluator)

    def before_test(self, runner: Runner) -> None:
        """Have the test's predictions kept."""
        self._keep(runner, runner.test_loop.evaluator)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note which predictions they are."""
        if self.keeps:
            self.record |= dict(part='val', source=f'after {runner.iter} iterations')
            self._write(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note which predictions they are."""
        self.record |= dict(part='test', source=self.source)
        if self.out is not None:
            self.record['predictions'] = str(Path(self.out).resolve())
        self._write(runner)

    def _keep(self, runner: Runner, evaluator: Evaluator) -> None:
        if not self.keeps or any(isinstance(m, Kept) for m in evaluator.metrics):
            return
        metric = _metric(str(runner.cfg.get('default_scope')), Path(runner.log_dir) / PREDICTIONS)
        metric.dataset_meta = evaluator.dataset_meta
        evaluator.metrics.append(metric)

    def _write(self, runner: Runner) -> None:
        if is_main_process():
            try:
                write_text(Path(runner.log_dir) / NAME, json.dumps(self.record, indent=2) + '\n')
            except OSError as error:
                _warn(error)


class Kept:
    """What marks a metric that keeps predictions."""


def _metric(scope: str, stem: Path) -> BaseMetric:
    if scope == 'mmseg':
        return KeptMaps(stem)
    # MMDetection's own dump keeps masks run-length coded.
    with METRICS.switch_scope_and_registry(scope) as registry:
        kind = registry.get('DumpDetResults' if scope == 'mmdet' else 'DumpResults')
    return type('KeptResults', (_KeptResults, kind), {})(f'{stem}.pkl')


class _KeptResults(Kept):
    """Before a library's dump among the bases: its file is whole, and no failure ends a run."""

    default_prefix = 'kept'
    out_file_path: str

    def compute_metrics(self, results: list) -> dict:
        try:
            with open_for_replacement(self.out_file_path) as file:
                pickle.dump(results, file, protocol=2)  # as MMEngine does
        except OSError as error:
            _warn(error)
        return {}


class KeptMaps(Kept, BaseMetric):
    """Writes a segmentor's maps as PNG files, with the labels that MMSegmentation's IoUMetric has.

    Args:
        folder: A file goes there for each image, by the stem of its name.
    """

    default_prefix = 'kept'

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the maps of a batch."""
        for sample in data_samples:
            path = self.folder / f'{Path(sample["img_path"]).stem}.png'
            labels = sample['pred_sem_seg']['data'].squeeze().cpu().numpy()
            if sample.get('reduce_zero_label'):
                labels = labels + 1
            try:
                self.folder.mkdir(exist_ok=True)
                Image.fromarray(labels.astype(np.uint8)).save(path)
            except OSError as error:
                _warn(error)
            self.results.append(str(path))

    def compute_metrics(self, results: list) -> dict:
        """Nothing: the maps are written."""
        return {}


def _warn(error: OSError) -> None:
    print_log(f'Not kept for the page of the run: {error}', 'current', logging.WARNING)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; a last one that a kill cut short is left out."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding='utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and 'step' in row:
                rows.append(row)
    return rows
