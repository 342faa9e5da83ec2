"""Write the embedded data set, Shapes, in COCO, ADE20K or ImageNet layout."""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.datasets import shapes

WRITERS = dict(coco=shapes.write_coco, ade=shapes.write_ade, imagenet=shapes.write_imagenet)


def layout_name(name: str) -> str:
    if name not in WRITERS:
        raise argparse.ArgumentTypeError(f'{name} is none of {", ".join(WRITERS)}')
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'layouts',
        nargs='*',
        type=layout_name,
        metavar='LAYOUT',
        help=f'which to write: {", ".join(WRITERS)} (default: all)',
    )
    parser.add_argument('--root', type=Path, default=Path('data/shapes'), help='folder to write to')
    parser.add_argument('--train', type=int, default=4000, help='number of training images')
    parser.add_argument('--val', type=int, default=200, help='number of validation images')
    parser.add_argument('--seed', type=int, default=0, help='seed of all the images')
    args = parser.parse_args()
    for layout in args.layouts or WRITERS:
        WRITERS[layout](args.root / layout, 'train', args.train, args.seed)
        WRITERS[layout](args.root / layout, 'val', args.val, args.seed)
        print(f'{layout}: {args.train} + {args.val} images in {args.root / layout}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
