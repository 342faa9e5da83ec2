"""Figures of a segmentor from its maps: IoU, confusions, and errors by distance to a boundary."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

IGNORED = 255  # MMSegmentation's ignore_index
EDGES = (1, 2, 3, 5, 9, 17, 33)  # pixels: upper edges of the bins of distance, each exclusive
BOUNDARY = 3  # pixels: what is as near to another class as that, is called boundary


@dataclass(frozen=True)
class Counts:
    """What was counted over the images of a test.

    Attributes:
        classes: Names of the classes.
        images: Path of each image.
        confusion: Pixels, true classes in rows, found ones in columns, (classes, classes).
        image_iou: Mean IoU of the classes in each image, of shape (n,); NaN where all is ignored.
        near: As ``confusion``, of the pixels whose distance to another class is at most
            :data:`BOUNDARY`.
        pixels: Pixels by distance to another class, of shape (len(EDGES) + 1,).
        wrong: Those of them that were taken for another class.
        true_parts: Pixels of each image by true class, of shape (n, classes).
    """

    classes: Sequence[str]
    images: Sequence[str]
    confusion: Ints
    image_iou: Floats
    near: Ints
    pixels: Ints
    wrong: Ints
    true_parts: Ints


def count(
    classes: Sequence[str], maps: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]
) -> Counts:
    """Count the pixels of all images, one image at a time.

    Args:
        classes: Names of the classes.
        maps: Path of each image, its true labels, and those that were found, of shape (H, W).
    """
    number = len(classes)
    total, near = np.zeros((2, number, number), np.int64)
    pixels, wrong = np.zeros((2, len(EDGES) + 1), np.int64)
    images, ious, parts = [], [], []
    for image, truth, found in maps:
        known = truth != IGNORED
        own = _confusion(truth[known], found[known], number)
        total += own
        distances = distance_to_boundary(truth)
        edge = known & (distances <= BOUNDARY)
        near += _confusion(truth[edge], found[edge], number)
        places = np.digitize(distances[known], EDGES)
        pixels += np.bincount(places, minlength=len(EDGES) + 1)
        wrong += np.bincount(places[truth[known] != found[known]], minlength=len(EDGES) + 1)
        images.append(image)
        ious.append(np.nanmean(iou(own)) if own.any() else np.nan)
        parts.append(own.sum(1))
    return Counts(
        classes, images, total, np.array(ious), near, pixels, wrong, np.array(parts, np.int64)
    )


def _confusion(truth: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> Ints:
    codes = truth.astype(np.int64) * classes + found
    return np.bincount(codes, minlength=classes**2).reshape(classes, classes)


def distance_to_boundary(truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Euclidean distance of each pixel to the nearest one of another label.

    Args:
        truth: Labels of shape (H, W).

    Returns:
        Pixels, of shape (H, W): 1 beside another label; large where there is one label only.
    """
    distances = np.zeros(truth.shape, np.float32)
    for label in np.unique(truth):
        inside = truth == label
        own = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distances[inside] = own[inside]
    return distances


def iou(confusion: Ints) -> Floats:
    """IoU of each class, NaN of a class that is neither there nor found."""
    right = confusion.diagonal()
    with np.errstate(invalid='ignore'):
        return right / (confusion.sum(0) + confusion.sum(1) - right)


def accuracy(confusion: Ints) -> Floats:
    """Share of each class's pixels that were found, NaN of a class that is not there."""
    with np.errstate(invalid='ignore'):
        return confusion.diagonal() / confusion.sum(1)


def per_class(counts: Counts) -> list[dict[str, Any]]:
    """IoU and accuracy of each class: in all, at boundaries and inside."""
    inside = counts.confusion - counts.near
    columns = zip(
        counts.classes,
        iou(counts.confusion),
        accuracy(counts.confusion),
        accuracy(counts.near),
        accuracy(inside),
        counts.confusion.sum(1),
        strict=True,
    )
    names = ('class_', 'iou', 'accuracy', 'accuracy_boundary', 'accuracy_inside', 'pixels')
    return [dict(zip(names, values, strict=True)) for values in columns]
