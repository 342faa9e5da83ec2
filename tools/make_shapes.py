"""Write the synthetic data set, Shapes, in COCO, ADE20K or ImageNet layout."""

import argparse
from pathlib import Path

from mmspanet import cli
from mmspanet.datasets import shapes
from mmspanet.files import make_folder

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
    parser.add_argument(
        '--root',
        type=cli.output_folder,
        default=Path('data/shapes'),
        help='folder to write to (default data/shapes)',
    )
    for part, name, count in (('train', 'training', 4000), ('val', 'validation', 200)):
        parser.add_argument(
            f'--{part}',
            type=cli.positive_int,
            default=count,
            help=f'number of {name} images (default {count})',
        )
    parser.add_argument('--seed', type=cli.seed, default=0, help='seed of all the images')
    args = parser.parse_args()
    for layout in args.layouts or WRITERS:
        make_folder(args.root / layout)
        WRITERS[layout](args.root / layout, 'train', args.train, args.seed)
        WRITERS[layout](args.root / layout, 'val', args.val, args.seed)
        print(f'{layout}: {args.train} + {args.val} images in {args.root / layout}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
