"""Run a detector, a segmentor or a classifier on images, folders, globs and videos.

Writes drawn results to OUT_DIR/pictures, predictions as JSON to OUT_DIR/predictions and, for
segmentation, maps of class indexes as PNG to OUT_DIR/maps, each under its input's name.
"""

import argparse
import sys
import warnings
from collections.abc import Iterable

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from mmspanet import cli
from mmspanet.media import find_sources, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.add_prediction_options(parser, 'work_dirs/demo')
    parser.add_argument(
        '--config', required=True, help='path of a config, or the file name of one of ours'
    )
    parser.add_argument('--checkpoint', help='path or URL; without it the weights are random')
    cli.add_deploy_options(parser)
    cli.add_device_option(parser)
    cli.add_cfg_options(parser, 'such as model.test_cfg.rcnn.score_thr=0.3')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    import torch
    from mmengine.logging import MMLogger

    from mmspanet.apis.config_files import find_config
    from mmspanet.apis.inference import build_predictor
    from mmspanet.checkpoints.safe import guard_process

    guard_process()
    dtype = cli.half_type(args)
    sources = find_sources(args.input, args.out_dir)
    cfg = cli.load_model_config(find_config(args.config), args.cfg_options)
    if args.checkpoint is None:
        print(
            'no --checkpoint: the weights are random, and so are the predictions.', file=sys.stderr
        )
    MMLogger.get_instance('mmengine', log_level='ERROR')  # the inferencers repeat what was said
    warnings.filterwarnings('ignore', module=r'mm(det|seg|pretrain|engine)\.')
    predictor = build_predictor(cfg, args.checkpoint, args.device)
    if args.deploy:
        predictor.switch_to_deploy(getattr(torch, dtype) if dtype else None)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def track(items: Iterable, total: float, description: str) -> Iterable:
            return progress.track(items, total=total, description=description)

        run(sources, predictor, args.score, args.out_dir, track)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
