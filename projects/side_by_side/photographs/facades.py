"""Bring the building facades of github.com/a-hwang/building-facade-segmentation into COCO's layout.

SOURCE is the repository: train/, valid/ and test/, each with its images of 1024 pixels and
_annotations.coco.json. Writes OUT/{train,val,test}/*.jpg, 640 pixels long, and
OUT/{train,val,test}.json with the ten classes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
from rich.progress import track

from mmspanet import cli
from mmspanet.errors import InputError

LONG_SIDE = 640  # pixels
PARTS = dict(train='train', valid='val', test='test')
ANNOTATIONS = '_annotations.coco.json'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='the repository')
    parser.add_argument(
        '--out', type=Path, default=Path('data/facades'), help='new folder (default: data/facades)'
    )
    return parser.parse_args()


def scaled(annotation: dict[str, Any], scale: float) -> dict[str, Any]:
    """An annotation of polygons on an image of ``scale`` times the size."""
    return annotation | dict(
        bbox=[scale * value for value in annotation['bbox']],
        area=scale**2 * annotation['area'],
        segmentation=[[scale * v for v in polygon] for polygon in annotation['segmentation']],
    )


def convert_part(source: Path, images: Path) -> dict[str, Any]:
    """Write a part's images, and return its annotations."""
    content = json.loads((source / ANNOTATIONS).read_text())
    used = {annotation['category_id'] for annotation in content['annotations']}
    scales = {}
    for image in track(content['images'], source.name):
        pixels = cv2.imread(str(source / image['file_name']))
        if pixels is None:
            raise InputError(f'{source / image["file_name"]} is missing or broken.')
        scale = min(1.0, LONG_SIDE / max(pixels.shape[:2]))
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(images / image['file_name']), pixels)
        image['height'], image['width'] = pixels.shape[:2]
        scales[image['id']] = scale
    annotations = [scaled(a, scales[a['image_id']]) for a in content['annotations']]
    return dict(
        images=content['images'],
        # From 1: the export begins at 0, which pycocotools takes for no match.
        annotations=[a | dict(id=number) for number, a in enumerate(annotations, start=1)],
        # The export's root category has no annotations.
        categories=[category for category in content['categories'] if category['id'] in used],
    )


def convert(source: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Write images and annotations; the annotations by part."""
    for theirs in PARTS:
        path = source / theirs / ANNOTATIONS
        if not path.is_file():
            raise InputError(f'{path} is missing: give the repository.')
    parts = {}
    for theirs, part in PARTS.items():
        (out / part).mkdir(parents=True)
        parts[part] = convert_part(source / theirs, out / part)
        (out / f'{part}.json').write_text(json.dumps(parts[part]))
    return parts


def main() -> None:
    args = parse_args()
    if args.out.exists():
        raise InputError(f'{args.out} exists already: remove it, or give another --out.')
    for part, content in convert(args.source, args.out).items():
        images, objects = len(content['images']), len(content['annotations'])
        print(f'{args.out}/{part}: {images} images, {objects} objects')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
