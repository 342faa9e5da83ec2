"""Train classifiers side by side and draw the curves of the README.

The unit of work is a pair of config and seed, in a process of its own. When it ends, its row is
appended to runs.csv, its log is written to logs/, and the curves are drawn anew. Pairs that have a
row are skipped, so the same command continues where it stopped; an interrupted pair starts again
from its beginning. python -m projects.render then writes the table.
"""

import argparse
from pathlib import Path

from mmspanet import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', type=Path, help='configs of classifiers')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0], help='seeds; all configs of one after another'
    )
    cli.add_out_dir_option(parser, 'work_dirs/side_by_side')
    cli.add_cfg_options(parser, 'such as data_root=PATH')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from projects.side_by_side import tables, training

    for path in args.configs:
        training.read_config(path, args.cfg_options)  # an error in any of them ends it here
    table = args.out_dir / 'runs.csv'
    done = {(run.config, run.seed) for run in tables.read_runs(table)}
    wanted = [(p, s) for s in args.seeds for p in args.configs if (p.stem, s) not in done]
    for number, (path, seed) in enumerate(wanted, start=1):
        print(f'{number} of {len(wanted)}: {path.stem}, seed {seed}', flush=True)
        cfg = training.read_config(path, args.cfg_options)
        cfg.work_dir = str(Path('work_dirs') / path.stem)
        run = training.train_and_record(cfg, path.stem, seed, args.out_dir)
        print(
            f'{run.model}, seed {seed}: top-1 {run.top1:.2f} %, '
            f'{run.images_per_second:.0f} images/s, {run.minutes:.1f} min',
            flush=True,
        )


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
