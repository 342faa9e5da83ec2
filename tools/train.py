"""Train a detector, a segmentor or a classifier from its config."""

import argparse

from mmengine.runner import Runner

from mmspanet import cli
from mmspanet.checkpoints.load import check_checkpoint, check_fit, newest_whole_checkpoint
from mmspanet.datasets.paths import check_data
from mmspanet.engine import device
from mmspanet.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_run_options(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the newest in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size over the config's base_batch_size",
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = cli.run_config(args)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise InputError(
                f'{args.config} has no auto_scale_lr: --auto-scale-lr needs its base_batch_size.'
            )
        cfg.auto_scale_lr.enable = True
    newest = args.resume
    if args.resume == 'auto':
        newest = newest_whole_checkpoint(cfg.work_dir)
    if newest:  # else it starts at the beginning
        cfg.resume, cfg.load_from = True, newest
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from)
    device.adapt_to_cpu(cfg)
    check_data(cfg, ('train', 'val'))
    runner = Runner.from_cfg(cfg)
    if cfg.get('resume') and cfg.load_from:
        check_fit(runner.model, cfg.load_from)
    runner.train()


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
        device.destroy_process_group()
