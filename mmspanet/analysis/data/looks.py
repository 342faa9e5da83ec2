"""What a page keeps of each image of a data set: a few numbers, never the pixels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import imagehash
import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from numpy.typing import NDArray
from PIL import ImageOps

from mmspanet.datasets.check import (
    IGNORE_LABEL,
    Finding,
    Sample,
    check_sample,
    labels_of,
    map_values,
    opened,
    read_samples,
)
from mmspanet.datasets.meta import annotation_file, labels_by_id, metainfo

THUMBNAIL = 256  # pixels that JPEGs are decoded at, where only their hash and size are wanted


@dataclass(frozen=True)
class Look:
    """An image in numbers.

    Attributes:
        size: Width and height in pixels, turned by its EXIF mark; None if it can't be read.
        hash: Perceptual hash of 64 bits (imagehash's phash).
        pixels: Pixels by label of its segmentation map.
    """

    size: tuple[int, int] | None
    hash: int = 0
    pixels: dict[int, int] = field(default_factory=dict)


def look_at(sample: Sample) -> tuple[list[Finding], Look]:
    """Check a sample, and look at its image and its segmentation map."""
    findings = check_sample(sample)
    try:
        with opened(sample.image) as image:
            size = ImageOps.exif_transpose(image).size if image.getexif() else image.size
            image.draft('L', (THUMBNAIL, THUMBNAIL))
            bits = imagehash.phash(image).hash
        pixels: dict[int, int] = {}
        if sample.label_map is not None:
            with opened(sample.label_map) as labels:
                counts = np.bincount(np.asarray(labels).ravel(), minlength=256)
            pixels = {int(k): int(counts[k]) for k in np.flatnonzero(counts) if k != IGNORE_LABEL}
    except (OSError, SyntaxError, ValueError):  # among the findings
        return findings, Look(None)
    return findings, Look(size, int.from_bytes(np.packbits(bits).tobytes(), 'big'), pixels)


@dataclass(frozen=True)
class Part:
    """A data set of a config.

    Attributes:
        name: 'train', 'val' or 'test'.
        classes: Names of the classes.
        samples: The images, in the data set's order.
        images: Index of the image of each object or, of a classifier, of each label: (n,).
        labels: Index of the class of each, of shape (n,).
        boxes: x, y, width and height in pixels of each, of shape (n, 4); empty but for detection.
        values: What segmentation maps hold for each class; empty but for segmentation.
    """

    name: str
    classes: list[str]
    samples: list[Sample]
    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    values: Sequence[int] = ()


def read_part(name: str, dataset: ConfigDict, scope: str) -> Part:
    """The images and the objects of a data set.

    Args:
        name: Of the part.
        dataset: The data set's part of a config, without wrappers.
        scope: ``default_scope`` of the config.
    """
    samples, _ = read_samples(dataset, scope, annotated=False)
    none = np.zeros(0, np.int64)
    if scope == 'mmdet':
        return _coco_part(name, dataset, samples)
    init_default_scope(scope)
    built = DATASETS.build(ConfigDict(dataset, pipeline=[], lazy_init=False))
    classes = list(built.metainfo.get('classes') or ())
    if scope == 'mmseg':
        return Part(name, classes, samples, none, none, np.zeros((0, 4)), map_values(built))
    labels = [labels_of(built.get_data_info(k)) for k in range(len(built))]
    images = np.repeat(np.arange(len(labels)), [len(own) for own in labels])
    flat = np.array([label for own in labels for label in own], np.int64)
    return Part(name, classes, samples, images, flat, np.zeros((0, 4)))


def _coco_part(name: str, dataset: ConfigDict, samples: list[Sample]) -> Part:
    content = json.loads(annotation_file(dataset).read_bytes())
    classes = list(metainfo(dataset, 'mmdet').get('classes') or ())
    labels = labels_by_id(content, classes)
    places = {image['id']: index for index, image in enumerate(content['images'])}
    kept = [
        (places[item['image_id']], labels[item['category_id']], item['bbox'])
        for item in content.get('annotations', ())
        if item['category_id'] in labels and item['image_id'] in places
    ]
    images, own, boxes = zip(*kept, strict=True) if kept else ((), (), ())
    return Part(
        name, classes, samples, np.array(images, np.int64), np.array(own, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
    )  # fmt: skip
