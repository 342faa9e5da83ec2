"""Train a detector, a segmentor or a classifier from its config."""

import argparse

from mmengine.config import DictAction
from mmengine.runner import Runner

from mmspanet.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as optim_wrapper.optimizer.lr=1e-4',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    launch.set_local_rank(args.local_rank)
    cfg = launch.load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = launch.work_dir(args.config, args.work_dir, cfg)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise launch.InputError(
                f'{args.config} has no auto_scale_lr: --auto-scale-lr needs its base_batch_size.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None
        if args.resume != 'auto':
            launch.use_checkpoint(cfg, args.resume)
    launch.fit_to_machine(cfg)
    launch.check_data(cfg, ('train', 'val'))
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    with launch.one_line_errors():
        main()
