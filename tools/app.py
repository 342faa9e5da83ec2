"""Serve a page to try a model on: upload an image or a short video, and look inside.

With a config and a checkpoint the page offers that model; without, every run below --work-dirs
that holds a config and checkpoints. It listens on this machine only, unless --host says otherwise,
and asks no other host for anything.
"""

import argparse
import os
import tempfile
import warnings
from pathlib import Path

from mmspanet import cli
from mmspanet.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='path of a config, or the file name of ours')
    parser.add_argument('checkpoint', nargs='?', help='path or URL')
    parser.add_argument(
        '--work-dirs',
        type=Path,
        default=Path('work_dirs'),
        help='folder that is searched for runs (default work_dirs)',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (127.0.0.1)')
    parser.add_argument('--port', type=cli.port, default=7860, help='port to listen on (7860)')
    parser.add_argument(
        '--root-path', help='path at which a reverse proxy shows the page, such as /spanet'
    )
    parser.add_argument(
        '--examples', type=Path, help='folder of example images (default: drawn ones of Shapes)'
    )
    cli.add_device_option(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Before gradio is imported, which sends its usage and asks for its newest version otherwise.
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1')
    with tempfile.TemporaryDirectory(prefix='spanetv2-app-') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder  # of uploads, and of what is shown
        serve(args, Path(folder))


def serve(args: argparse.Namespace, folder: Path) -> None:
    """Serve the page until the process is interrupted."""
    from mmengine.logging import MMLogger

    from mmspanet.apis.config_files import find_config
    from mmspanet.app.examples import copy_examples, draw_examples
    from mmspanet.app.models import Models, Run, find_runs
    from mmspanet.app.page import launch
    from mmspanet.checkpoints.safe import guard_process

    guard_process()
    if (args.config is None) != (args.checkpoint is None):
        raise InputError('Give a config and a checkpoint, or neither to choose among the runs.')
    if args.config is None:
        runs = find_runs(args.work_dirs)
        if not runs:
            raise InputError(
                f'No folder below {args.work_dirs} holds a config and checkpoints: train a model, '
                'or give a config and a checkpoint.'
            )
    else:
        config = find_config(args.config)
        runs = [Run(Path(config).stem, config, args.checkpoint)]
    MMLogger.get_instance('mmengine', log_level='ERROR')
    warnings.filterwarnings('ignore', module=r'mm(det|seg|pretrain|engine)\.')
    models = Models(runs, args.device)
    if len(runs) == 1:
        models.get(runs[0].name)  # what is wrong with it is said here, not to a visitor
    if args.examples is None:
        examples = draw_examples(folder)
    else:
        examples = copy_examples(args.examples, folder)

    launch(models, examples, args.host, args.port, args.root_path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
