"""The tables of the README, from the records in results/."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from mmspanet.analysis.tables import read_csv
from mmspanet.errors import InputError
from projects.side_by_side.photographs import training
from projects.side_by_side.photographs.contestants import CONTESTANTS
from projects.side_by_side.photographs.training import Run

OURS = 'spanetv2-pure'
# What a data set's table shows beside the metric: a log's column and its heading.
DETAILS = {
    # No nucleus of the held-out images has 96 x 96 pixels.
    'nuclei': dict(bbox_mAP='box AP', segm_mAP_s='small', segm_mAP_m='medium'),
    'facades': dict(bbox_mAP='box AP', segm_mAP_s='small', segm_mAP_m='medium', segm_mAP_l='large'),
    'camvid': dict(boundary_mIoU='boundary IoU'),
}


def results(folder: Path, data: str, init: str = training.SCRATCH) -> str:
    """The runs of a data set in Markdown: a row per model, the best first.

    Args:
        folder: Of the records.
        data: Name of the data set.
        init: What the models began with.
    """
    table = folder / 'runs.csv'
    runs = {
        run: row
        for run, row in training.read_runs(table).items()
        if run.data == data and run.init == init
    }
    if not runs:
        return 'No run yet.\n'
    if len({(run.model, run.seed) for run in runs}) < len(runs):
        raise InputError(f'{table} has a model on {data} with one seed at two rates: remove one.')
    ends = {run: in_percent(row['at_end'], data) for run, row in runs.items()}
    ours = {run.seed: value for run, value in ends.items() if run.model == OURS}
    unpadded = {
        row['run']: in_percent(row['unpadded'], data) for row in read_csv(folder / 'unpadded.csv')
    }
    bootstrap = {
        row['run']: row
        for row in read_csv(folder / 'intervals.csv')
        if f'_{OURS}_{init}_' in row['against']
    }
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.model, []).append(run)
    rows = []
    for model, group in sorted(groups.items(), key=lambda pair: -_mean(ends, pair[1])):
        group = sorted(group, key=lambda run: run.seed)
        first = runs[group[0]]
        peaks = [int(runs[run]['peak_memory_mib']) for run in group]
        without = {run.seed: f'{unpadded[run.name]:.1f}' for run in group if run.name in unpadded}
        logs = [read_csv(training.log_path(table, run))[-1] for run in group]
        best = statistics.mean(in_percent(runs[run]['best'], data) for run in group)
        row = {
            'model': model,
            'seeds': len(group),
            metric_name(data): _with_range([ends[run] for run in group]),
            'without padding': _by_seed(without, len(group)),
            'best': f'{best:.1f}',
        }
        for column, heading in DETAILS[data].items():
            known = [in_percent(log[column], data) for log in logs if column in log]
            # A run that diverged has none.
            row[heading] = f'{statistics.mean(known):.1f}' if known else ''
        apart = [ends[run] - ours[run.seed] for run in group if run.seed in ours]
        ends_of = {
            run.seed: '{low} to {high}'.format_map(bootstrap[run.name])
            for run in group
            if run.name in bootstrap
        }
        row |= {
            f'to {OURS}': _with_range(apart) if apart and model != OURS else '',
            '95 % over images': _by_seed(ends_of, len(group)),
            'rate': f'{group[0].rate:g}',
            'peak MiB': f'{min(peaks)} to {max(peaks)}' if len(peaks) > 1 else peaks[0],
            'backbone M': first['backbone_params_m'],
            'GMACs': f'{float(first["macs_m"]) / 1e3:.2f}',
        }
        rows.append(row)
    lines = [_markdown(rows)]
    for column in ('epochs', 'machine', 'versions'):
        values = '; '.join(sorted({row[column] for row in runs.values()}))
        lines.append(f'\n{column.capitalize()}: {values}.')
    return '\n'.join(lines) + '\n'


def summary(folder: Path) -> str:
    """What the contestants reached from scratch in Markdown: a row per data set, means over seeds.

    Args:
        folder: Of the records.
    """
    ends: dict[str, dict[str, list[float]]] = {}
    for run, row in training.read_runs(folder / 'runs.csv').items():
        if run.init == training.SCRATCH and run.model in CONTESTANTS:
            of_data = ends.setdefault(run.data, {})
            of_data.setdefault(run.model, []).append(in_percent(row['at_end'], run.data))
    rows = [
        {'data': f'{data}, {metric_name(data)}'}
        | {model: _with_seeds(of_data[model]) if model in of_data else '' for model in CONTESTANTS}
        for data, of_data in ends.items()
    ]
    return _markdown(rows) + '\n'


def rates(folder: Path) -> str:
    """The sweep in Markdown: a row per data set and model, the chosen rate in bold."""
    scores: dict[tuple[str, str], dict[float, float]] = {}
    for run, row in training.read_runs(folder / 'rates.csv').items():
        scores.setdefault((run.data, run.model), {})[run.rate] = in_percent(row['at_end'], run.data)
    if not scores:
        return 'No run yet.\n'
    columns = sorted({rate for by_rate in scores.values() for rate in by_rate})
    rows = []
    for (data, model), by_rate in scores.items():
        row = {'data': data, 'model': model}
        chosen = training.chosen_rate(by_rate)
        for rate in columns:
            value = by_rate.get(rate)
            text = '' if value is None else f'{value:.1f}'
            row[f'{rate:g}'] = f'**{text}**' if rate == chosen else text
        rows.append(row)
    return _markdown(rows) + '\n'


def pretraining(folder: Path) -> str:
    """The classifiers that weights come from, in Markdown."""
    rows = [
        {'model': row['model'], 'epochs': row['epochs'], 'top-1 %': row['top1']}
        for row in read_csv(folder / 'pretraining.csv')
    ]
    return _markdown(rows) + '\n' if rows else 'No run yet.\n'


def gains(folder: Path) -> str:
    """The ranges of the filters' mean gains in Markdown: a row per data set, stage and head."""
    rows = [
        {
            'data': data,
            'seed': row['seed'],
            'stage': row['stage'],
            'kernels': '{kernel_size} x {kernel_size}'.format_map(row),
            'lowest, at': '{lowest}, {lowest_at}'.format_map(row),
            'highest, at': '{highest}, {highest_at}'.format_map(row),
        }
        for data in DETAILS
        for row in read_csv(folder / 'inside' / data / 'gains.csv')
    ]
    return _markdown(rows) + '\n' if rows else 'No run yet.\n'


def kinds(folder: Path, data: str) -> str:
    """The metric by kind of image in Markdown: a row per model from scratch and seed."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    images: dict[str, str] = {}
    for row in read_csv(folder / 'kinds.csv'):
        if (row['data'], row['init']) == (data, training.SCRATCH):
            cells.setdefault((row['model'], row['seed']), {})[row['kind']] = row['percent']
            images[row['kind']] = row['images']
    rows = [
        {'model': model, 'seed': seed}
        | {f'{kind} ({images[kind]} images)': value for kind, value in of_run.items()}
        for (model, seed), of_run in cells.items()
    ]
    return _markdown(rows) + '\n' if rows else 'No run yet.\n'


def metric_name(data: str) -> str:
    """What a data set's models are compared by."""
    return 'mIoU' if data.startswith('camvid') else 'mask AP'


def in_percent(text: str, data: str) -> float:
    """A metric of a record in percent: MMDetection's are shares."""
    return float(text) if data.startswith('camvid') else 100 * float(text)


def _mean(ends: Mapping[Run, float], group: Sequence[Run]) -> float:
    return statistics.mean(ends[run] for run in group)


def _with_range(values: Sequence[float]) -> str:
    """The mean, and the range where there are several."""
    mean = f'{statistics.mean(values):.1f}'
    return f'{mean} ({min(values):.1f} to {max(values):.1f})' if len(values) > 1 else mean


def _with_seeds(values: Sequence[float]) -> str:
    """The mean, and the number of seeds where there are several."""
    mean = f'{statistics.mean(values):.1f}'
    return f'{mean} ({len(values)} seeds)' if len(values) > 1 else mean


def _by_seed(texts: Mapping[int, str], seeds: int) -> str:
    """What is known of some of a model's seeds, which are named where it has several."""
    if seeds == 1:
        return ''.join(texts.values())
    return '; '.join(f'seed {seed}: {text}' for seed, text in texts.items())


def _markdown(rows: Sequence[Mapping[str, object]]) -> str:
    return tabulate(rows, headers='keys', tablefmt='github', disable_numparse=True)
