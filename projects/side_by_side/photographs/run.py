"""Train detectors and segmentors side by side on photographs, one run after another.

A run is a data set, a model, a learning rate and a seed, in a process of its own with one thread.
When it ends, its row is appended to OUT_DIR/runs.csv and its validations to OUT_DIR/logs/; its
checkpoint stays in work_dirs/photographs. Runs that have a row are skipped, so the same command
goes on where it stopped; start it twice for two runs at a time. Data sets named -full train
backbones of full size, for a GPU.
"""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError
from projects.side_by_side.photographs.contestants import (
    ALL,
    CONFIGS,
    CONTESTANTS,
    check_models,
    models_of,
)

HERE = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', nargs='+', choices=CONFIGS, help='data sets')
    parser.add_argument(
        '--models',
        nargs='+',
        help='of contestants.py (default: all; with --init cifar10, without the parts of SPAM)',
    )
    parser.add_argument(
        '--rate', type=float, help="learning rate (default: the family's best of the sweep)"
    )
    parser.add_argument(
        '--init', choices=('scratch', 'cifar10'), default='scratch', help='default: scratch'
    )
    parser.add_argument('--seeds', nargs='+', type=cli.seed, default=[0], help='default: 0')
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from projects.side_by_side.photographs import training

    check_models(args.models or ())
    table, rates = args.out_dir / 'runs.csv', args.out_dir / 'rates.csv'
    wanted = [
        training.Run(
            data,
            model,
            args.rate or training.best_rate(rates, data, ALL[model].family),
            seed,
            args.init,
        )
        for seed in args.seeds
        for data in args.data
        for model in args.models
        or (models_of(data) if args.init == training.SCRATCH else CONTESTANTS)
    ]
    lacking = [run.model for run in wanted if (file := run.weights) and not file.is_file()]
    if lacking:
        raise InputError(
            f'There are no weights of {", ".join(dict.fromkeys(lacking))}: run '
            'projects.side_by_side.photographs.pretrain first.'
        )
    for run in wanted:
        with training.claim(run, table) as is_mine:
            if not is_mine:
                print(f'{run.name}: skipped, it has a row in {table} or is being trained')
            else:
                cfg = training.read_config(run)
                training.train_and_record(cfg, run, table)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
