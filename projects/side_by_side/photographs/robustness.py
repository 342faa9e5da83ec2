"""Test trained models on images with noise of low, middle and high frequencies.

Every run from scratch of OUT_DIR/runs.csv whose checkpoint is in work_dirs/photographs is tested on
part of the held-out images, without noise and with three bands at five strengths (noise.py). A row
per test goes to OUT_DIR/robustness.csv; tests that have a row are skipped.
"""

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmspanet import cli
from projects.side_by_side.photographs.parts import image_ids, write_part

if TYPE_CHECKING:
    from mmengine.config import Config

HERE = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--models', nargs='+', help='default: all contestants, no parts')
    parser.add_argument(
        '--every',
        type=cli.positive_int,
        default=4,
        help='test every n-th held-out image (default: 4)',
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def keep_part(cfg: 'Config', every: int, folder: Path) -> None:
    """Test every n-th of the held-out images alone."""
    dataset = cfg.val_dataloader.dataset
    if dataset.type == 'CocoDataset':
        source = Path(cfg.data_root) / dataset.ann_file
        path = (folder / f'every_{every}.json').resolve()
        write_part(source, set(image_ids(source)[::every]), path)
        dataset.ann_file = cfg.val_evaluator[0].ann_file = str(path)
    else:
        count = len(list((Path(cfg.data_root) / dataset.data_prefix.img_path).iterdir()))
        dataset.indices = list(range(0, count, every))


def score(cfg: 'Config', noise: dict[str, Any] | None) -> float:
    """What models are compared by, of a config's checkpoint on its held-out images with noise."""
    from mmspanet.engine import run as runs
    from projects.side_by_side.photographs import training

    cfg = copy.deepcopy(cfg)
    if noise:
        # Behind all that resizes: its frequencies are those that the model sees.
        cfg.val_dataloader.dataset.pipeline.insert(-1, dict(type='BandNoise', **noise))
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    metrics = runs.test(runs.build(cfg))
    figures = {key.rpartition('/')[2]: value for key, value in metrics.items()}
    return round(float(figures[training.metric_of(cfg)]), 4)


def main() -> None:
    args = parse_args()
    import torch

    from mmspanet.analysis.tables import append_csv, read_csv
    from mmspanet.checkpoints.safe import guard_process
    from projects.side_by_side.photographs import training
    from projects.side_by_side.photographs.contestants import CONTESTANTS
    from projects.side_by_side.photographs.noise import BANDS, STRENGTHS

    torch.set_num_threads(1)
    guard_process()
    table = args.out_dir / 'robustness.csv'
    noises = [dict(band=band, strength=s) for band in BANDS for s in STRENGTHS]
    for run, row in training.read_runs(args.out_dir / 'runs.csv').items():
        checkpoint = training.checkpoint_of(run, row)
        if (
            run.model not in (args.models or CONTESTANTS)
            or run.init != training.SCRATCH
            or not checkpoint.is_file()
        ):
            continue
        cfg = training.read_config(run)
        keep_part(cfg, args.every, run.work_dir)
        cfg.load_from = str(checkpoint)
        cfg.work_dir = str(run.work_dir / 'robustness')
        done = {(row['run'], row['band'], row['strength'], row['every']) for row in read_csv(table)}
        for noise in (dict(band='none', strength=0.0), *noises):
            if (run.name, noise['band'], str(noise['strength']), str(args.every)) in done:
                continue
            value = score(cfg, noise if noise['strength'] else None)
            what = dict(run=run.name, data=run.data, model=run.model, seed=run.seed)
            append_csv(table, what | noise | dict(every=args.every, score=value))


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
