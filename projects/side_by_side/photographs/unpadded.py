"""Test trained models on images that are not padded.

The tests of run.py pad images with zeros to multiples of 32, as MMDetection and MMSegmentation do.
No crop of the trainings has such a border. Every run of OUT_DIR/runs.csv whose checkpoint is in
work_dirs/photographs is tested without it. A row per run goes to OUT_DIR/unpadded.csv; runs that
have a row are skipped.
"""

import argparse
from pathlib import Path

from mmspanet import cli
from projects.side_by_side.photographs.robustness import score

HERE = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'data', nargs='+', choices=('nuclei', 'camvid', 'facades'), help='data sets'
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    import torch

    from mmspanet.analysis.tables import append_csv, read_csv
    from mmspanet.checkpoints.safe import guard_process
    from projects.side_by_side.photographs import training

    torch.set_num_threads(1)
    guard_process()
    table = args.out_dir / 'unpadded.csv'
    for run, row in training.read_runs(args.out_dir / 'runs.csv').items():
        checkpoint = training.checkpoint_of(run, row)
        is_done = run.name in {row['run'] for row in read_csv(table)}
        if run.data not in args.data or is_done or not checkpoint.is_file():
            continue
        cfg = training.read_config(run)
        if cfg.default_scope == 'mmdet':
            cfg.model.data_preprocessor.pad_size_divisor = 1
        else:
            cfg.model.data_preprocessor.test_cfg = None
        cfg.load_from = str(checkpoint)
        cfg.work_dir = str(run.work_dir / 'unpadded')
        value = score(cfg, None)
        append_csv(table, dict(run=run.name, padded=row['at_end'], unpadded=value))


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
