"""Train a detector, a segmentor or a classifier from its config."""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError

TRACKERS = ('tensorboard', 'wandb', 'mlflow')
REPORT = Path(__file__).with_name('analysis_tools') / 'run_report.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_run_options(parser)
    cli.add_report_option(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the newest in the work dir',
    )
    parser.add_argument(
        '--resume-lr',
        choices=['checkpoint', 'config'],
        default='checkpoint',
        help="whose learning rate and schedule a resumed run takes (default: the checkpoint's)",
    )
    parser.add_argument(
        '--save-on-signal',
        action='store_true',
        help='at SIGTERM or SIGUSR1, finish the iteration, write a checkpoint and end',
    )
    parser.add_argument(
        '--track',
        choices=TRACKERS,
        help='tell a tracker the metrics and validation pictures, below the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size over the config's base_batch_size",
    )
    return parser.parse_args()


def train(args: argparse.Namespace) -> str:
    """Train, or go on with a training, as the options say, and return the work dir."""
    from mmspanet.checkpoints import newest_whole_checkpoint
    from mmspanet.checkpoints.safe import guard_process
    from mmspanet.checkpoints.sources import local_file
    from mmspanet.datasets.paths import check_data
    from mmspanet.engine import device, run, track
    from mmspanet.engine.lock import lock_work_dir
    from mmspanet.engine.record import RecordRunHook
    from mmspanet.processes import is_first_process

    guard_process()
    cfg = cli.run_config(args)
    if is_first_process(args.launcher):
        lock_work_dir(cfg.work_dir)
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr') is None:
            raise InputError(
                f'{args.config} has no auto_scale_lr: --auto-scale-lr needs its base_batch_size.'
            )
        cfg.auto_scale_lr.enable = True
    checkpoint = args.resume
    if args.resume == 'auto':
        checkpoint = newest_whole_checkpoint(cfg.work_dir)
    if checkpoint is not None:
        cfg.resume = True
        cfg.load_from = checkpoint
    if cfg.get('load_from'):
        cfg.load_from = str(local_file(cfg.load_from))
    if cfg.get('resume'):
        resume = dict(type='mmspanet.ResumeHook', lr_from=args.resume_lr)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), resume]
    cfg.setdefault('default_hooks', {})
    cfg.default_hooks.setdefault('checkpoint_guard', dict(type='mmspanet.CheckpointGuardHook'))
    if args.track:
        track.track(cfg, args.track)
    check_data(cfg, ('train', 'val'))
    device.adapt_to_cpu(cfg)
    device.join_cpu_processes(cfg)
    runner = run.build(cfg)
    runner.register_hook(RecordRunHook(args.config, keeps=not args.no_report))
    run.train(runner, args.save_on_signal)
    return cfg.work_dir


def main() -> None:
    args = parse_args()
    from mmspanet.engine.device import destroy_process_group

    work_dir = train(args)
    destroy_process_group()
    if not args.no_report:
        cli.make_run_report(REPORT, work_dir, args.launcher)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
