"""Run an exported model on images, folders, globs and videos, without PyTorch.

Writes drawn results to OUT_DIR/pictures, predictions as JSON to OUT_DIR/predictions and, for
segmentation, maps of class indexes as PNG to OUT_DIR/maps, each under its input's name.
"""

import argparse
from collections.abc import Iterable

from mmspanet import cli
from mmspanet.errors import InputError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m mmspanet.runtime',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', help='.onnx or .xml file of export.py --end2end')
    cli.add_prediction_options(parser, 'work_dirs/runtime')
    parser.add_argument(
        '--tile',
        type=cli.positive_int,
        metavar='SIDE',
        help='cut images into tiles of that many pixels a side, for detectors and large images',
    )
    parser.add_argument(
        '--overlap',
        type=int,
        metavar='PIXELS',
        help='of neighboring tiles (default: a quarter of the tile)',
    )
    parser.add_argument(
        '--device', default='cpu', help='of the runtime, such as cuda or GPU (default cpu)'
    )
    parser.add_argument(
        '--threads', type=cli.positive_int, help='that the runtime may use (default: its choice)'
    )
    return parser.parse_args()


def silent(items: Iterable, total: float, description: str) -> Iterable:
    """Show no progress."""
    return items


def main() -> None:
    """Run the command."""
    args = parse_args()
    from mmspanet import media
    from mmspanet.runtime import Detector, TiledDetector, load

    sources = media.find_sources(args.input, args.out_dir)
    model = load(args.model, args.device, args.threads)
    if args.tile is not None:
        if not isinstance(model, Detector):
            raise InputError(f'--tile is for detectors, and {args.model} is none: leave it out.')
        overlap = args.tile // 4 if args.overlap is None else args.overlap
        model = TiledDetector(model, args.tile, overlap)
    elif args.overlap is not None:
        raise InputError('--overlap is of tiles: give --tile, too.')
    media.run(sources, model, args.score, args.out_dir, silent)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
