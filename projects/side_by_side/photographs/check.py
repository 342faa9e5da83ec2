"""Repeat one short training of the study and compare it with its record.

SPANetV2-pure trains on CamVid for one epoch with seed 0. Its mIoU may differ from the recorded one
by what three seeds differ by (OUT_DIR/short.csv, whose rows are made where they are missing).
Ends with status 1 where it differs more.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from mmspanet import cli

HERE = Path(__file__).parent
DATA, MODEL, RATE, SEEDS = 'camvid', 'spanetv2-pure', 1e-3, (0, 1, 2)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def train(seed: int, table: Path) -> float:
    """The mIoU of a short training, which gets a row in the table unless it has one."""
    from projects.side_by_side.photographs import training

    run = training.Run(DATA, MODEL, RATE, seed)
    with training.claim(run, table) as is_mine:
        if is_mine:
            cfg = training.read_config(run)
            cfg.work_dir = f'{cfg.work_dir}_short'
            training.shorten(cfg, 1)
            training.train_and_record(cfg, run, table)
    return float(training.read_runs(table)[run]['at_end'])


def main() -> None:
    args = parse_args()
    recorded = [train(seed, args.out_dir / 'short.csv') for seed in SEEDS]
    with tempfile.TemporaryDirectory() as folder:
        again = train(SEEDS[0], Path(folder) / 'short.csv')
    spread, difference = max(recorded) - min(recorded), abs(again - recorded[0])
    print(f'mIoU {again}, recorded {recorded[0]}; three seeds differ by {spread:.2f}.')
    if difference > spread:
        sys.exit(1)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
