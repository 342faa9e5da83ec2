"""Draw the figures of the README from the records in OUT_DIR.

Writes runs_figure, what every run reached, and robustness_figure, what is left of it under noise.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmspanet import cli
from mmspanet.analysis import plotting
from mmspanet.analysis.tables import read_csv
from mmspanet.errors import InputError
from projects.side_by_side.photographs import noise, training
from projects.side_by_side.photographs.contestants import CONTESTANTS
from projects.side_by_side.photographs.tables import in_percent, metric_name

HERE = Path(__file__).parent
WITHOUT_NOISE = min(noise.STRENGTHS) / 2  # where its point is drawn


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def run_rows(table: Path) -> list[dict[str, Any]]:
    """The points of :func:`draw_runs`: the runs of the small models from scratch.

    Args:
        table: runs.csv.
    """
    return [
        dict(
            data=run.data,
            model=run.model,
            seed=run.seed,
            percent=in_percent(row['at_end'], run.data),
        )
        for run, row in training.read_runs(table).items()
        if run.init == training.SCRATCH and not run.data.endswith('-full')
    ]


def draw_runs(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel per data set, a line per model, a dot per seed; SPAM's parts have their own color.

    Args:
        rows: Of :func:`run_rows`, at least one.
    """
    found = list(dict.fromkeys(row['data'] for row in rows))
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 3.6))
        for axes, data in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
            scores: dict[str, list[float]] = {}
            for row in rows:
                if row['data'] == data:
                    scores.setdefault(row['model'], []).append(row['percent'])
            models = sorted(scores, key=lambda model: statistics.mean(scores[model]))
            for place, model in enumerate(models):
                axes.plot(
                    scores[model],
                    [place] * len(scores[model]),
                    'o',
                    color=plotting.BLUE if model in CONTESTANTS else plotting.ORANGE,
                )
            axes.set_yticks(range(len(models)), models)
            axes.set_title(data)
            axes.set_xlabel(f'{metric_name(data)}, %')
    return figure


def draw_robustness(rows: Sequence[Mapping[str, str]]) -> Figure:
    """What is left of the metric against the strength of noise: a row per data set.

    Args:
        rows: Of robustness.csv.
    """
    found = list(dict.fromkeys(row['data'] for row in rows))
    models = list(dict.fromkeys(row['model'] for row in rows))
    with plotting.style():
        figure = Figure(figsize=(plotting.PAGE_WIDTH, 2.5 * len(found) + 0.8))
        panels = figure.subplots(len(found), len(noise.BANDS), squeeze=False, sharey='row')
        for line, data in zip(panels, found, strict=True):
            for axes, band in zip(line, noise.BANDS, strict=True):
                for number, model in enumerate(models):
                    _draw_line(axes, rows, (data, band, model), number)
                low, high = noise.BANDS[band]
                axes.set_title(f'{data}\n{low:.4g} to {min(high, 0.71):.4g} cycles per pixel')
                axes.set_xscale('log', base=2)
                axes.set_xticks(
                    [WITHOUT_NOISE, *noise.STRENGTHS],
                    ['none', *map('{:g}'.format, noise.STRENGTHS)],
                )
            line[0].set_ylabel(f'{metric_name(data)}, %')
        for axes in panels[-1]:
            axes.set_xlabel('root mean square of the noise')
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower center', ncols=4)
    return figure


def _draw_line(
    axes: Axes, rows: Sequence[Mapping[str, str]], key: tuple[str, str, str], number: int
) -> None:
    """One model's mean over seeds."""
    data, band, model = key
    of_model = [row for row in rows if row['data'] == data and row['model'] == model]
    points: dict[float, list[float]] = {}
    for row in of_model:
        if row['band'] in (band, 'none'):
            place = float(row['strength']) or WITHOUT_NOISE
            points.setdefault(place, []).append(in_percent(row['score'], data))
    places = sorted(points)
    axes.plot(
        places,
        [statistics.mean(points[place]) for place in places],
        color=plotting.COLORS[number % len(plotting.COLORS)],
        linestyle=('-', '--')[number // len(plotting.COLORS)],
        marker='o',
        label=model,
    )


def main() -> None:
    args = parse_args()
    runs = run_rows(args.out_dir / 'runs.csv')
    if runs:
        plotting.save_figure(draw_runs(runs), runs, args.out_dir / 'runs_figure')
    table = args.out_dir / 'robustness.csv'
    tests = read_csv(table)
    parts = {(row['data'], row['every']) for row in tests}
    if len(parts) > len({data for data, _ in parts}):
        raise InputError(
            f'{table} has tests of one data set on several parts: remove those of one.'
        )
    if tests:
        figure = draw_robustness(tests)
        plotting.save_figure(figure, tests, args.out_dir / 'robustness_figure')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
