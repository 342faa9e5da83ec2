"""Rows, table and curves of the trainings side by side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure
from tabulate import tabulate

from mmspanet.analysis import plotting
from mmspanet.analysis.tables import read_csv


@dataclass(frozen=True)
class TrainingRun:
    """One training of a config with a seed.

    Attributes:
        config: Stem of the config's file.
        seed: Seed of weights, order and augmentation.
        epochs: Epochs trained.
        images: Training images per epoch.
        top1: Accuracy after the last epoch, percent.
        images_per_second: Median over the epochs; loading included, validation not.
        peak_memory_mib: Of the training process on a CPU (without loader workers), or allocated
            on the GPU.
        params_m: Parameters of the whole classifier, millions.
        macs_m: MACs of one image in a forward pass, all that ``analysis.costs`` counts, millions.
        minutes: Wall-clock time from start to end, validation included.
        commit: Commit of the checkout, with ``+`` where files differed from it.
        versions: Versions of Python and the libraries.
        machine: Processor and threads, or GPU.
    """

    config: str
    seed: int
    epochs: int
    images: int
    top1: float
    images_per_second: float
    peak_memory_mib: int
    params_m: float
    macs_m: float
    minutes: float
    commit: str
    versions: str
    machine: str

    @property
    def model(self) -> str:
        """The model's name: the first part of the config's."""
        return self.config.split('_')[0]


@dataclass(frozen=True)
class Epoch:
    """State after one epoch.

    Attributes:
        epoch: 1 for the first.
        train_seconds: Seconds spent in training epochs so far.
        loss: Mean training loss of the epoch.
        top1: Accuracy on the test images, percent.
    """

    epoch: int
    train_seconds: float
    loss: float
    top1: float


Row = TypeVar('Row', TrainingRun, Epoch)


def log_path(folder: Path, config: str, seed: int) -> Path:
    """Where the log of a run lies under the folder of the results."""
    return folder / 'logs' / f'{config}_seed{seed}.csv'


def read_log(path: Path) -> list[Epoch]:
    """Read the epochs of a run from its log."""
    return _read(path, Epoch)


def read_runs(path: Path) -> list[TrainingRun]:
    """Read the runs of a table; none where there is no file."""
    return _read(path, TrainingRun)


def by_model(runs: Sequence[TrainingRun]) -> dict[str, list[TrainingRun]]:
    """The runs of each model, the model of the best mean accuracy first."""
    groups: dict[str, list[TrainingRun]] = {}
    for run in runs:
        groups.setdefault(run.model, []).append(run)
    order = sorted(groups, key=lambda model: -_mean_top1(groups[model]))
    return {model: groups[model] for model in order}


def markdown(runs: Sequence[TrainingRun]) -> str:
    """Sum the runs up in a Markdown table: a row per model, the best first."""
    rows = []
    for model, group in by_model(runs).items():
        tops = [run.top1 for run in group]
        rows.append(
            {
                'model': model,
                'seeds': len(group),
                'top-1 %': f'{_mean_top1(group):.2f}',
                'range': f'{min(tops):.2f}-{max(tops):.2f}' if len(tops) > 1 else '',
                'params M': f'{group[0].params_m:.3f}',
                'MACs M': f'{group[0].macs_m:.2f}',
            }
        )
    lines = [tabulate(rows, headers='keys', tablefmt='github', disable_numparse=True)]
    for what in ('epochs', 'machine', 'versions'):
        values = '; '.join(sorted({str(getattr(run, what)) for run in runs}))
        lines.append(f'\n{what.capitalize()}: {values}.')
    return '\n'.join(lines) + '\n'


def curve_rows(
    runs: Sequence[TrainingRun], logs: Mapping[tuple[str, int], Sequence[Epoch]]
) -> list[dict[str, Any]]:
    """What the curves show, a row per epoch of each run.

    Args:
        runs: The runs.
        logs: The log of each run, by config and seed.

    The seconds are those of the run's median speed, so that a pause of the machine is not in
    them. The MACs are of the forward passes over the training images; with the backward passes
    they are about three times as many.
    """
    return [
        dict(
            model=run.model,
            seed=run.seed,
            epoch=e.epoch,
            train_seconds=round(e.epoch * run.images / run.images_per_second, 1),
            forward_macs_t=round(run.macs_m * run.images * e.epoch / 1e6, 3),
            top1=e.top1,
        )
        for run in runs
        for e in logs[run.config, run.seed]
    ]


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy against epochs, seconds of training and MACs; a color per model.

    Args:
        rows: Of :func:`curve_rows`, at least one.
    """
    models = list(dict.fromkeys(row['model'] for row in rows))
    axes_of = (
        ('epoch', 'epoch'),
        ('train_seconds', 'seconds of training'),
        ('forward_macs_t', 'forward MACs, T'),
    )
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.6))
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (key, label) in zip(panels, axes_of, strict=True):
            for number, model in enumerate(models):
                color = plotting.COLORS[number % len(plotting.COLORS)]
                dashes = ('-', '--', ':')[number // len(plotting.COLORS)]
                of_model = [row for row in rows if row['model'] == model]
                for seed in dict.fromkeys(row['seed'] for row in of_model):
                    points = [row for row in of_model if row['seed'] == seed]
                    axes.plot(
                        [row[key] for row in points],
                        [row['top1'] for row in points],
                        color=color,
                        linestyle=dashes,
                        label=model if seed == of_model[0]['seed'] else None,
                    )
            axes.set_xlabel(label)
        panels[0].set_ylabel('top-1 on the test images, %')
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower center', ncols=3)
    return figure


def _read(path: Path, kind: type[Row]) -> list[Row]:
    """Read a CSV whose columns are the attributes of ``kind``."""
    types = kind.__annotations__
    return [
        kind(**{key: types[key](value) for key, value in row.items()}) for row in read_csv(path)
    ]


def _mean_top1(runs: Sequence[TrainingRun]) -> float:
    return statistics.mean(run.top1 for run in runs)
