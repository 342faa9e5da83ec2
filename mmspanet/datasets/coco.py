"""What is wrong with a file of annotations in COCO's format.

:func:`is_sound` is quick enough to run before every training; :func:`find_faults` looks at
every number and says which annotation it is.
"""

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from mmspanet.garbage import collection_off

# A polygon, between brackets that do not follow a key, as the counts of a run-length code do.
_POLYGON = re.compile(rb'\[(?<!:\[)(?<!: \[)[0-9., \n\r\t-]{60,}\]')
_ANY_POLYGON = b'[0,0,0,0,0,0]'

LARGEST = sys.float_info.max

# Kinds of findings, of mmspanet.datasets.check.FAULTS, that a run does not get over.
STOPPING = (
    'malformed annotations',
    'no images',
    'no annotations',
    'duplicate id',
    'incomplete annotation',
    'not finite',
    'missing segmentation',
    'wrong segmentation',
    'wrong RLE',
)


@collection_off()
def skim(path: Path) -> Any:
    """What a JSON file holds, with its long polygons, most of its bytes, replaced by a short one.

    That takes a fifth of the time of reading all of it.

    Raises:
        ValueError: If it is no JSON, or holds NaN or infinity.
        RecursionError: If it is nested without end.
    """
    content = _POLYGON.sub(_ANY_POLYGON, path.read_bytes())
    try:
        import orjson

        return orjson.loads(content)
    except (ImportError, ValueError):  # twice as slow, but takes half of a surrogate pair, as json
        return json.loads(content.decode('utf-8'), parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text} is not finite.')
    return value


@collection_off()
def is_sound(
    content: Any, with_masks: bool, annotated: bool = True, is_measured: bool = False
) -> bool:
    """Whether skimmed content is certain to have nothing of :data:`STOPPING`.

    Args:
        content: What :func:`skim` returns.
        with_masks: Whether the segmentations are loaded.
        annotated: Whether there have to be annotations.
        is_measured: Whether results are compared with the masks: pycocotools does not read
            polygons of two points or of text.
    """
    try:
        images = {entry['id']: (entry['height'], entry['width']) for entry in content['images']}
        categories = {entry['id']: entry['name'] for entry in content['categories']}
        annotations = content['annotations'] if annotated else content.get('annotations', [])
        is_there = (
            0 < len(images) == len(content['images'])
            and len(categories) == len(content['categories'])
            and _types(chain.from_iterable(images.values())) <= {int}
            and min(chain.from_iterable(images.values())) > 0
            and _types(entry['file_name'] for entry in content['images']) <= {str}
            and _types(categories.values()) <= {str}
        )
        if not is_there or not annotations:
            return is_there and not annotated
        keys = itemgetter('id', 'image_id', 'category_id', 'area', 'bbox')
        ids, image_ids, category_ids, areas, boxes = zip(*map(keys, annotations), strict=True)
        masks = [annotation.get('segmentation') for annotation in annotations]
        return (
            len(set(ids)) == len(ids)
            and _types(chain(ids, image_ids, category_ids)) <= {int, str}
            and set(map(len, boxes)) <= {4}
            and _types(chain(areas, chain.from_iterable(boxes))) <= {int, float}
            and np.isfinite(np.fromiter(areas, float)).all()
            and np.isfinite(np.fromiter(chain.from_iterable(boxes), float)).all()
            and (all(masks) or not with_masks)
            and _types(filter(None, masks)) <= {list, dict}
            and not (
                is_measured
                and with_masks
                and not _are_outlines([p for mask in masks if type(mask) is list for p in mask])
            )
            and not any(
                is_wrong_rle(mask, images[image])
                for mask, image in zip(masks, image_ids, strict=True)
                if type(mask) is dict and mask and image in images
            )
        )
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        return False


def _are_outlines(polygons: list[Any]) -> bool:
    """Whether pycocotools reads all of them."""
    return (
        _types(polygons) <= {list}
        and all(len(polygon) >= 6 for polygon in polygons)
        and _types(chain.from_iterable(polygons)) <= {int, float}
    )


def _types(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


def is_wrong_rle(code: dict[str, Any], size: tuple[int, int]) -> bool:
    """Whether a run-length code is invalid, or not of an image of ``size`` (height and width)."""
    counts = code.get('counts')
    if code.get('size') != list(size):
        return True
    if isinstance(counts, str):
        try:
            counts = decode_counts(counts)
        except ValueError:
            return True
    if not isinstance(counts, list) or not _types(counts) <= {int}:
        return True
    return min(counts, default=-1) < 0 or sum(counts) != size[0] * size[1]


def decode_counts(text: str) -> list[int]:
    """The lengths of the runs that COCO packs into a string, five bits a character.

    Each number ends with a character whose sixth bit is not set; from the fourth on, they are
    differences to the last but one (rleFrString of pycocotools, which reads beyond a cut string).

    Raises:
        ValueError: If a character is none of the 64 that stand for numbers, or the last number
            does not end.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f'{character!r} is no part of a run-length code.')
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError('a run-length code that is cut short.')
    return counts


def find_faults(
    content: Any, classes: Sequence[str], with_masks: bool, annotated: bool = True
) -> Iterator[tuple[str, str]]:
    """Kinds and details of all that is wrong with a file's content.

    Args:
        content: What the file holds, whole.
        classes: Those of the config, in order.
        with_masks: Whether the segmentations are loaded.
        annotated: Whether there have to be annotations.
    """
    try:
        images, annotations, categories = _parts(content, annotated)
    except (KeyError, TypeError, ValueError) as error:
        yield 'malformed annotations', repr(error)
        return
    known = classes_as_numbered([entry['name'] for entry in categories], classes)
    if known != list(classes):
        yield 'wrong classes', f'{known} instead of {list(classes)}'
    if not images:
        yield 'no images', 'its list of images is empty'
    if annotated and not annotations:
        yield 'no annotations', 'its list of annotations is empty'
    for name, entries in (
        ('image', images),
        ('annotation', annotations),
        ('category', categories),
    ):
        counted = Counter(str(entry['id']) for entry in entries if 'id' in entry)
        for key, count in counted.items():
            if count > 1:
                yield 'duplicate id', f'{count} times the {name} {key}'
    by_id = {entry['id']: entry for entry in images}
    category_ids = {entry['id'] for entry in categories}
    for number, annotation in enumerate(annotations):
        for kind in check_annotation(annotation, by_id, category_ids, with_masks):
            yield kind, f'annotation {annotation.get("id", f"number {number}")}'
    with_instances = {str(annotation.get('image_id')) for annotation in annotations}
    for entry in images:
        if str(entry['id']) not in with_instances:
            yield 'without instances', entry['file_name']


def _parts(content: Any, annotated: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """Images, annotations and categories, each a list of mappings with what no reader can miss."""
    images, categories = content['images'], content['categories']
    annotations = content['annotations'] if annotated else content.get('annotations', [])
    for entry in chain(images, annotations, categories):
        if not isinstance(entry, dict):
            raise TypeError(f'{str(entry)[:40]} in the place of an image, annotation or category')
    for entry in chain(images, categories):
        if type(entry['id']) not in (int, str):
            raise TypeError(f'the id {str(entry["id"])[:40]}')
    for entry in images:
        if not isinstance(entry['file_name'], str):
            raise TypeError(f'the file_name of image {entry["id"]}')
        if not all(type(entry[side]) is int and entry[side] > 0 for side in ('width', 'height')):
            raise ValueError(f'width or height of image {entry["id"]}')
    for entry in categories:
        if not isinstance(entry['name'], str):
            raise TypeError(f'the name of category {entry["id"]}')
    return images, annotations, categories


def classes_as_numbered(names: Iterable[str], classes: Sequence[str]) -> list[str]:
    """The config's classes in the order in which MMDetection numbers them.

    That is the order of the file's categories, without those that it does not have; the
    labels are named in the config's order all the same.
    """
    return [name for name in names if name in classes]


def check_annotation(
    annotation: dict[str, Any],
    images: dict[Any, dict[str, Any]],
    categories: set[Any],
    with_masks: bool,
) -> Iterator[str]:
    """Kinds of what is wrong with an annotation."""
    keys = [annotation.get(key) for key in ('id', 'image_id', 'category_id')]
    if not all(type(key) in (int, str) for key in keys):
        yield 'incomplete annotation'
        return
    image = images.get(annotation['image_id'])
    if image is None:
        yield 'unknown image'
        return
    box: Any = annotation.get('bbox')
    area: Any = annotation.get('area')
    if not _is_numbers([area]) or not _is_numbers(box) or len(box) != 4:
        yield 'incomplete annotation'
        return
    if annotation['category_id'] not in categories:
        yield 'unknown category'
    if not _is_finite([*box, area]):
        yield 'not finite'
    else:
        yield from _check_box(box, area, image)
    yield from _check_segmentation(annotation.get('segmentation'), image, with_masks)


def _check_box(box: list[float], area: float, image: dict[str, Any]) -> Iterator[str]:
    x, y, width, height = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image['width']), min(y + height, image['height'])
    if width < 1 or height < 1 or right <= left or bottom <= top or area <= 0:
        yield 'empty box'
    elif (left, top, right, bottom) != (x, y, x + width, y + height):
        yield 'box over the edge'


def _check_segmentation(mask: Any, image: dict[str, Any], with_masks: bool) -> Iterator[str]:
    if not mask:
        if with_masks:
            yield 'missing segmentation'
    elif isinstance(mask, dict):
        if is_wrong_rle(mask, (image['height'], image['width'])):
            yield 'wrong RLE'
    elif not isinstance(mask, list):
        yield 'wrong segmentation'
    elif not all(_is_numbers(p) and len(p) >= 6 and len(p) % 2 == 0 for p in mask):
        yield 'degenerate polygon'
    elif not all(_is_finite(polygon) for polygon in mask):
        yield 'not finite'


def _is_numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)


def _is_finite(values: Iterable[float]) -> bool:
    """Also of an integer that is too large for a float."""
    return all(-LARGEST <= value <= LARGEST for value in values)
