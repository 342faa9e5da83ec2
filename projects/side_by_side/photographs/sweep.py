"""Choose each family's learning rate by short trainings that never see the held-out images.

The first model of every family trains for a quarter of the epochs at each rate, from scratch; where
the highest rate is the best, its double follows. It is measured on other images than the study's:
one in five of the training images, or, on CamVid, its validation images, which no run trains on.
The rows go to OUT_DIR/rates.csv; runs that have a row are skipped.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmspanet import cli
from projects.side_by_side.photographs.contestants import CONFIGS, models_of
from projects.side_by_side.photographs.parts import image_ids, write_part

if TYPE_CHECKING:
    from mmengine.config import Config

HERE = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', nargs='+', choices=CONFIGS, help='data sets')
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    return parser.parse_args()


def hold_out_training_images(cfg: 'Config', folder: Path) -> None:
    """Measure on images of the training's own parts instead of the held-out ones."""
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    if train.type == 'CocoDataset':
        source = Path(cfg.data_root) / train.ann_file
        ids = image_ids(source)
        fit, tune = ((folder / f'{name}.json').resolve() for name in ('fit', 'tune'))
        write_part(source, set(ids) - set(ids[::5]), fit)
        write_part(source, set(ids[::5]), tune)
        train.ann_file = str(fit)
        val.ann_file = cfg.val_evaluator[0].ann_file = str(tune)
        val.data_prefix = train.data_prefix
    else:
        val.data_prefix = dict(img_path='images/val', seg_map_path='masks/val')


def main() -> None:
    args = parse_args()
    from projects.side_by_side.photographs import training

    table = args.out_dir / 'rates.csv'
    for data in args.data:
        models = models_of(data)
        first = {models[name].family: name for name in reversed(models)}
        for family, model in sorted(first.items()):
            tried = set()
            while rates := (
                set(training.rates_to_sweep(training.sweep_scores(table, data, family))) - tried
            ):
                tried.add(min(rates))
                run = training.Run(data, model, min(rates))
                with training.claim(run, table) as is_mine:
                    if not is_mine:
                        print(f'{run.name}: skipped, it has a row or is being trained')
                    else:
                        cfg = training.read_config(run)
                        cfg.work_dir = f'{cfg.work_dir}_sweep'
                        hold_out_training_images(cfg, Path(f'{cfg.work_dir}_parts'))
                        training.shorten(cfg, cfg.max_epochs // 4)
                        training.train_and_record(cfg, run, table)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
