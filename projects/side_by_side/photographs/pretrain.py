"""Train the contestants' backbones as classifiers of CIFAR-10 at 64 pixels.

Writes work_dirs/photographs/cifar10/MODEL.pth, which run.py begins with at --init cifar10; models
that have one are skipped. The data are those of projects/side_by_side/cifar10.py.
"""

import argparse
import shutil
from pathlib import Path

from mmspanet import cli
from projects.side_by_side.photographs.contestants import ALL, CONTESTANTS, check_models

HERE = Path(__file__).parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'models',
        nargs='*',
        default=list(CONTESTANTS),
        help='of contestants.py (default: all but the parts of SPAM)',
    )
    cli.add_out_dir_option(parser, str(HERE / 'results'))
    cli.add_cfg_options(parser, 'such as train_cfg.max_epochs=1')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    import torch

    from mmspanet.analysis.tables import append_csv
    from mmspanet.datasets.paths import check_data
    from mmspanet.engine import device
    from mmspanet.engine import run as runs
    from projects.side_by_side.photographs import training

    check_models(args.models)
    torch.set_num_threads(1)
    folder = training.WORK_DIRS / 'cifar10'
    for model in args.models:
        if (folder / f'{model}.pth').is_file():
            continue
        cfg = cli.load_config(str(HERE / 'configs/pretrain_cifar10.py'), args.cfg_options)
        cfg.model.backbone = ALL[model].backbone
        cfg.model.head.in_channels = ALL[model].widths[-1]
        cfg.work_dir = str(folder / model)
        device.adapt_to_cpu(cfg)
        check_data(cfg, ('train', 'val'))
        runner = runs.build(cfg)
        runs.train(runner)
        top1 = runner.message_hub.get_scalar('val/accuracy/top1').current()
        append_csv(
            args.out_dir / 'pretraining.csv',
            dict(model=model, epochs=runner.max_epochs, top1=round(float(top1), 2)),
        )
        last = folder / model / f'epoch_{runner.max_epochs}.pth'
        shutil.copyfile(last, folder / f'{model}.pth')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
