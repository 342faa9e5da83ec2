"""Accuracy, size, time and memory of a model in each form that it can be run in."""

import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mmspanet.deployment import contestants
from mmspanet.deployment.contestants import Answer, Entry

WARM_UP = 3  # rounds that are left out

Record = dict[str, Any]


class Process:
    """A contestant in a process of its own; its methods run there.

    Args:
        entry: What it runs.

    Raises:
        InputError: If its file can't be run.
        CheckpointError: If its checkpoint can't be read, or is of another model.
    """

    def __init__(self, entry: Entry):
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
        try:
            self._call(contestants.enter, entry)
        except BaseException:
            self.close()
            raise

    def _call(self, function: Callable, *args: Any) -> Any:
        return self._pool.submit(function, *args).result()

    def answer(self, path: str) -> Answer:
        """Results for an image file: see :meth:`contestants.Contestant.answer`."""
        return self._call(contestants.answer, path)

    def seconds(self, path: str) -> float:
        """Time for an image file: see :func:`contestants.seconds`."""
        return self._call(contestants.seconds, path)

    def peak_memory(self) -> int:
        """In bytes: see :func:`contestants.peak_memory`."""
        return self._call(contestants.peak_memory)

    def size(self) -> int:
        """In bytes: see :meth:`contestants.Contestant.size`."""
        return self._call(contestants.size)

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(cancel_futures=True)


class TestSet:
    """A config's test data set with its evaluator.

    Args:
        cfg: The config.
        count: Number of images at most, taken at equal distances; None takes all.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, cfg: Any, count: int | None):
        from mmengine.registry import DATASETS, init_default_scope

        from mmspanet.datasets.paths import check_data
        from mmspanet.datasets.subset import subsample

        check_data(cfg, ('test',))
        init_default_scope(cfg.default_scope)
        self.cfg = cfg
        self.dataset = DATASETS.build(cfg.test_dataloader.dataset)
        total = len(self.dataset)
        self.indexes = subsample(range(total), count or total)

    def paths(self) -> list[str]:
        """The image files, in order."""
        return [self.dataset.get_data_info(i)['img_path'] for i in self.indexes]

    def score(self, answers: Iterator[Answer]) -> dict[str, float]:
        """The evaluator's metrics for the answers to :meth:`paths`, in its own units."""
        from mmengine.evaluator import Evaluator

        from .check import evaluated

        evaluator = Evaluator(self.cfg.test_evaluator)
        evaluator.dataset_meta = self.dataset.metainfo
        ids = []
        for index, answer in zip(self.indexes, answers, strict=True):
            sample = self.dataset[index]['data_samples']
            ids.append(sample.get('img_id'))
            evaluator.process([with_answer(sample, answer)])
        return evaluated(evaluator, ids)


def with_answer(sample: Any, answer: Answer) -> Any:
    """A library's data sample with an answer in its place."""
    import torch
    from mmengine.structures import InstanceData, PixelData

    if 'label_map' in answer:
        label_map = torch.from_numpy(answer['label_map'].astype(np.int64))
        sample.pred_sem_seg = PixelData(data=label_map[None])
    elif 'probabilities' in answer:
        sample.set_pred_score(torch.from_numpy(answer['probabilities']))
    else:
        names = ('bboxes', 'scores', 'labels')
        sample.pred_instances = InstanceData(**{n: torch.from_numpy(answer[n]) for n in names})
        if 'masks' in answer:
            sample.pred_instances.masks = answer['masks']
    return sample


def headline(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a table by their usual names, in percent."""
    from mmspanet.apis.reproduction import MEASURED

    return {
        name: metrics[key] * factor for name, (key, factor) in MEASURED.items() if key in metrics
    }


def time_in_turn(
    processes: Mapping[str, Process], paths: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    """Seconds of every contestant for one image a round; a slow minute hits them all alike.

    The first :data:`WARM_UP` rounds, of the same images, are left out.
    """
    times: dict[str, list[float]] = {name: [] for name in processes}
    for i in range(-WARM_UP, rounds):
        path = paths[i % len(paths)]
        for name, process in processes.items():
            taken = process.seconds(path)
            if i >= 0:
                times[name].append(taken)
    return times


def markdown(record: Record) -> str:
    """The table of a record: a row per form; figures that were not taken are left out."""
    metrics = list(dict.fromkeys(name for row in record['rows'] for name in row['metrics']))
    timed = any(row['seconds'] for row in record['rows'])
    head = ['form', 'MB', *metrics, 'peak MB', *(['ms, median', 'ms, quartiles'] if timed else [])]
    lines = [head, [':--', *['--:'] * (len(head) - 1)]]
    for row in record['rows']:
        cells = [row['form'], _mega(row['bytes'], 1)]
        cells += [f'{row["metrics"][n]:.1f}' if n in row['metrics'] else '-' for n in metrics]
        cells.append(_mega(row['peak'], 0))
        if timed and row['seconds']:
            low, middle, high = (1e3 * value for value in statistics.quantiles(row['seconds'], n=4))
            cells += [f'{middle:.1f}', f'{low:.1f} to {high:.1f}']
        elif timed:
            cells += ['-'] * 2
        lines.append(cells)
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    notes = [f'- {row["form"]}: {row["fault"]}' for row in record['rows'] if row['fault']]
    return '\n'.join([table, '', *notes, *([''] if notes else [])])


def _mega(count: int | None, digits: int) -> str:
    return '-' if count is None else f'{count / 1e6:.{digits}f}'


def draw(record: Record, stem: Path) -> list[Path]:
    """Draw the first metric over the time, or over the size where nothing was timed.

    Args:
        record: With a row for each form.
        stem: Path of the PNG, the SVG and the CSV of its numbers, without suffix.

    Returns:
        The files' paths; none if no form has a metric.
    """
    from matplotlib.figure import Figure

    from mmspanet.analysis import plotting

    rows = [row for row in record['rows'] if row['metrics']]
    if not rows:
        return []
    metric = next(iter(rows[0]['metrics']))
    timed = all(row['seconds'] for row in rows)
    axis = 'ms per image, median' if timed else 'MB of weights'
    points = [
        {
            'form': row['form'],
            axis: 1e3 * statistics.median(row['seconds']) if timed else row['bytes'] / 1e6,
            metric: row['metrics'][metric],
        }
        for row in rows
    ]
    runtimes = list(dict.fromkeys(point['form'].partition('-')[0] for point in points))
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH / 1.5, 3.2))
        axes = figure.subplots()
        for point in points:
            color = plotting.COLORS[runtimes.index(point['form'].partition('-')[0])]
            axes.plot(point[axis], point[metric], 'o', color=color)
            axes.annotate(
                point['form'], (point[axis], point[metric]), (3, 3),
                textcoords='offset points', fontsize=7, rotation=35, rotation_mode='anchor',
            )  # fmt: skip
        axes.margins(x=0.2, y=0.2)
        axes.set(xlabel=axis, ylabel=metric)
    return plotting.save_figure(figure, points, stem)
