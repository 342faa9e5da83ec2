"""Figures of a detector from its predictions: AP, F1, confusions, and the AP that errors cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's thresholds of IoU
MOST_PER_CLASS = 100  # detections of a class in an image, as COCO counts them
KINDS = dict(
    classification='overlaps an object of another class (IoU at least 0.5)',
    localisation='overlaps an object of its class too little (IoU from 0.1 to 0.5)',
    both='overlaps an object of another class, and too little',
    duplicate='overlaps an object that a better detection has found',
    background='overlaps nothing (IoU under 0.1)',
    missed='no detection for the object, not even one of the first two kinds',
)
"""TIDE's kinds of errors: Bolya et al., A General Toolbox for Identifying Object Detection
Errors, ECCV 2020."""
RIGHT, IGNORED = 'right', 'ignored'


@dataclass(frozen=True)
class Objects:
    """Boxes in images, those of one image side by side.

    Attributes:
        images: Index of the image of each, of shape (n,), ascending.
        labels: Index of the class, of shape (n,).
        boxes: x, y, width and height in pixels, of shape (n, 4).
        scores: Of shape (n,); of true objects all 1.
        crowd: Whether it is a region of objects that are not told apart, of shape (n,).
        items: What each is in COCO's form.
    """

    images: Ints
    labels: Ints
    boxes: Floats
    scores: Floats
    crowd: NDArray[np.bool_]
    items: list[dict[str, Any]]

    def of_image(self, image: int) -> Ints:
        """Indices of the objects in an image."""
        begin, end = np.searchsorted(self.images, (image, image + 1))
        return np.arange(begin, end)


@dataclass(frozen=True)
class Results:
    """Detections with the truth about the same images.

    Attributes:
        classes: Names of the classes; labels are their indices.
        truth: In COCO's format; ids of categories are labels.
        found: COCO's list of results.
    """

    classes: Sequence[str]
    truth: dict[str, list[dict[str, Any]]]
    found: list[dict[str, Any]]

    @cached_property
    def _indices(self) -> dict[int, int]:
        return {image['id']: index for index, image in enumerate(self.truth['images'])}

    @cached_property
    def objects(self) -> Objects:
        """The true objects."""
        return _objects(self.truth['annotations'], self._indices)

    @cached_property
    def detections(self) -> Objects:
        """What was found."""
        return _objects(self.found, self._indices)

    @cached_property
    def has_masks(self) -> bool:
        """Whether there are masks on both sides."""
        return all(
            items and all('segmentation' in item for item in items)
            for items in (self.found, self.truth['annotations'])
        )


def _objects(items: list[dict[str, Any]], indices: dict[int, int]) -> Objects:
    images = np.array([indices[item['image_id']] for item in items], np.int64)
    order = np.argsort(images, kind='stable')
    boxes = np.array([item['bbox'] for item in items], np.float64).reshape(-1, 4)
    labels = np.array([item['category_id'] for item in items], np.int64)
    scores = np.array([item.get('score', 1.0) for item in items], np.float64)
    crowd = np.array([bool(item.get('iscrowd')) for item in items], bool)
    return Objects(
        images[order],
        labels[order],
        boxes[order],
        scores[order],
        crowd[order],
        [items[k] for k in order],
    )


# The COCO measures.


@dataclass(frozen=True)
class Evaluation:
    """What COCO's evaluation gives.

    Attributes:
        precision: At IoU thresholds 0.5, 0.55, ... 0.95, recalls 0, 0.01, ... 1, of classes,
            and of sizes (all, small, medium, large), of shape (10, 101, classes, 4); -1 where
            there is no object.
    """

    precision: Floats

    def average(self, threshold: int | slice = slice(None), size: int = 0) -> Floats:
        """AP of each class, NaN where it has no object.

        Args:
            threshold: Which of the IoU thresholds.
            size: Which of the sizes.
        """
        values = self.precision[threshold, :, :, size].reshape(-1, self.precision.shape[2])
        return np.where((values > -1).all(0), values.mean(0), np.nan)


def known_mean(values: Floats) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')


def evaluate(results: Results, kind: str) -> Evaluation:
    """Take COCO's precisions.

    Args:
        results: Of a test.
        kind: ``'bbox'`` or ``'segm'``.
    """
    truth = COCO(_with_areas(results))
    if results.found:
        keys = ('image_id', 'category_id', 'score', 'bbox' if kind == 'bbox' else 'segmentation')
        found = truth.loadRes([{key: item[key] for key in keys} for item in results.found])
    else:
        found = COCO(dict(results.truth, annotations=[]))
    run = COCOeval_faster(truth, found, iouType=kind, print_function=lambda *_: None)
    run.params.maxDets = [MOST_PER_CLASS]
    run.params.catIds = list(range(len(results.classes)))
    run.evaluate()
    run.accumulate()
    return Evaluation(np.asarray(run.eval['precision'])[..., 0])


def _with_areas(results: Results) -> dict[str, Any]:
    annotations = [
        dict(item, id=number, iscrowd=int(item.get('iscrowd', 0)))
        for number, item in enumerate(results.truth['annotations'], 1)
    ]
    categories = [dict(id=label, name=name) for label, name in enumerate(results.classes)]
    return dict(images=results.truth['images'], annotations=annotations, categories=categories)


# Matches of single detections.


@dataclass(frozen=True)
class Matches:
    """What became of each detection and each object, at IoU 0.5 as COCO matches them.

    Attributes:
        kinds: A name per detection, of shape (n,): :data:`RIGHT`, :data:`IGNORED` (in a crowd,
            or beyond 100 of its class in the image), or one of :data:`KINDS`.
        objects: The object that a detection is right about, or would be right about but for an
            error of classification or localisation, of shape (n,); -1 for none.
        found: Whether an object was found, of shape (m,).
    """

    kinds: NDArray[np.str_]
    objects: Ints
    found: NDArray[np.bool_]


def match(objects: Objects, detections: Objects) -> Matches:
    """Match detections to objects of the same image and class, and name the errors."""
    kinds = np.full(len(detections.labels), 'background', dtype='<U14')
    partners = np.full(len(detections.labels), -1, np.int64)
    found = np.zeros(len(objects.labels), bool)
    for these, true, overlaps in _per_image(objects, detections):
        _match_image(objects, detections, these, true, overlaps, kinds, partners, found)
    return Matches(kinds, partners, found)


def _per_image(objects: Objects, detections: Objects) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Indices of an image's detections, best first, of its objects, and the IoU of the pairs."""
    for image in np.unique(detections.images):
        these, true = detections.of_image(image), objects.of_image(image)
        these = these[np.argsort(-detections.scores[these], kind='stable')]
        overlaps = np.zeros((len(these), 0))
        if len(true):
            crowd = objects.crowd[true].astype(np.uint8).tolist()
            overlaps = coco_mask.iou(detections.boxes[these], objects.boxes[true], crowd)
        yield these, true, overlaps


def _match_image(
    objects: Objects,
    detections: Objects,
    these: Ints,
    true: Ints,
    overlaps: Floats,
    kinds: NDArray[np.str_],
    partners: Ints,
    found: NDArray[np.bool_],
) -> None:
    """Write what became of the detections of one image into the arrays of all."""
    same = detections.labels[these][:, None] == objects.labels[true][None]
    crowd = objects.crowd[true]
    counts: dict[int, int] = {}
    wrong = []
    for row, detection in enumerate(these):
        label = int(detections.labels[detection])
        counts[label] = counts.get(label, 0) + 1
        if counts[label] > MOST_PER_CLASS:
            kinds[detection] = IGNORED
            continue
        close = np.flatnonzero(same[row] & (overlaps[row] >= FOREGROUND))
        free = [k for k in close if not crowd[k] and not found[true[k]]]
        if free:
            # Of equal overlaps COCO takes the last.
            best = max(free, key=lambda k: (overlaps[row, k], k))
            kinds[detection], partners[detection] = RIGHT, true[best]
            found[true[best]] = True
        elif crowd[close].any():
            kinds[detection] = IGNORED
        else:
            wrong.append(row)
    for row in wrong:
        kind, column = _error_kind(overlaps[row], same[row] & ~crowd, ~same[row] & ~crowd)
        kinds[these[row]] = kind
        partners[these[row]] = -1 if column is None else true[column]


def _error_kind(
    overlaps: Floats, same: NDArray[np.bool_], other: NDArray[np.bool_]
) -> tuple[str, int | None]:
    """TIDE's kind of a false detection, and the column of the object that would be right."""
    of_same = np.where(same, overlaps, -1.0)
    of_other = np.where(other, overlaps, -1.0)
    best_same, best_other = of_same.max(initial=-1), of_other.max(initial=-1)
    if BACKGROUND <= best_same < FOREGROUND:
        return 'localisation', int(of_same.argmax())
    if best_other >= FOREGROUND:
        return 'classification', int(of_other.argmax())
    if best_same >= FOREGROUND:
        return 'duplicate', None
    if best_other >= BACKGROUND:
        return 'both', None
    return 'background', None


def average_precision(scores: Floats, right: NDArray[np.bool_], objects: int) -> float:
    """AP as COCO takes it: precision, made to fall, at the recalls 0, 0.01, ... 1.

    Args:
        scores: Of the detections of a class, of shape (n,).
        right: Whether each is right, of shape (n,).
        objects: Number of objects; at least 1.
    """
    order = np.argsort(-scores, kind='stable')
    true = np.cumsum(right[order])
    precision = true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true / objects, np.linspace(0, 1, 101), side='left')
    return float(np.append(precision, 0.0)[np.minimum(places, len(precision))].mean())


def lost_to_errors(
    objects: Objects, detections: Objects, matches: Matches, classes: int
) -> tuple[float, dict[str, float]]:
    """AP at box IoU 0.5, and what each kind of error takes from it, as TIDE defines it.

    The loss is how much AP rises if the errors of that kind alone are mended: a detection of wrong
    class or place becomes right if its object is free and no better one of the kind is there for
    it, and goes otherwise; duplicates, detections of background and of both errors go; missed
    objects are not counted (a class of which none is left counts as 1). The losses do not add up to
    what is missing from 1.

    Returns:
        The AP, and the loss by kind, both as shares of 1, mean over the classes with objects.
    """
    kept = matches.kinds != IGNORED
    right = matches.kinds == RIGHT
    counted = ~objects.crowd
    targeted = np.zeros(len(objects.labels), bool)
    mendable = np.isin(matches.kinds, ('classification', 'localisation'))
    targeted[matches.objects[mendable]] = True

    def mean_ap(labels: Ints, use: NDArray[np.bool_], true: NDArray[np.bool_], of: Any) -> float:
        values = []
        for label in range(classes):
            if not (counted & (objects.labels == label)).any():
                continue
            number = int((of & (objects.labels == label)).sum())
            chosen = use & (labels == label)
            ap = average_precision(detections.scores[chosen], true[chosen], number) if number else 1
            values.append(ap)
        return float(np.mean(values)) if values else 0.0

    before = mean_ap(detections.labels, kept, right, counted)
    losses = {}
    for kind in KINDS:
        labels: Ints = detections.labels
        use, true, of = kept, right, counted
        if kind == 'missed':
            of = counted & (matches.found | targeted)
        else:
            wrong = matches.kinds == kind
            mended: NDArray[np.bool_] = np.zeros(len(wrong), bool)
            if kind in ('classification', 'localisation'):
                mended = _mended(detections, matches, wrong)
                labels = labels.copy()
                labels[mended] = objects.labels[matches.objects[mended]]
            use, true = kept & (~wrong | mended), right | mended
        losses[kind] = mean_ap(labels, use, true, of) - before
    return before, losses


def _mended(detections: Objects, matches: Matches, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The best detection of those that are wrong about each object that is free."""
    chosen = np.zeros(len(wrong), bool)
    taken = matches.found.copy()
    rows = np.flatnonzero(wrong)
    for row in rows[np.argsort(-detections.scores[rows], kind='stable')]:
        target = matches.objects[row]
        if not taken[target]:
            taken[target] = chosen[row] = True
    return chosen


@dataclass(frozen=True)
class ScoreCurve:
    """Precision, recall and F1 of the detections whose score is at least a threshold.

    Attributes:
        scores: Thresholds: the scores that occur, falling, of shape (n,).
        precision: Of shape (n,).
        recall: Of shape (n,).
        f1: Of shape (n,).
    """

    scores: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def best(self) -> int:
        """Index of the largest F1; -1 without detections."""
        return int(self.f1.argmax()) if len(self.f1) else -1


def score_curve(
    objects: Objects, detections: Objects, matches: Matches, label: int | None = None
) -> ScoreCurve:
    """Precision, recall and F1 against the score, of one class or of all together."""
    chosen = matches.kinds != IGNORED
    number = int((~objects.crowd & ((label is None) | (objects.labels == label))).sum())
    if label is not None:
        chosen = chosen & (detections.labels == label)
    order = np.argsort(-detections.scores[chosen], kind='stable')
    scores = detections.scores[chosen][order]
    true = np.cumsum((matches.kinds[chosen] == RIGHT)[order]).astype(float)
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))[: len(scores)]
    precision = (true / np.arange(1, len(true) + 1))[last]
    recall = true[last] / max(number, 1)
    f1 = 2 * true[last] / (np.arange(1, len(true) + 1)[last] + number)
    return ScoreCurve(scores[last], precision, recall, f1)


def confusion(
    objects: Objects, detections: Objects, classes: int, threshold: float
) -> NDArray[np.int64]:
    """Count which class the objects were taken for, at box IoU 0.5, whatever their class.

    Detections take objects in order of their scores: each the free one that it overlaps most.

    Args:
        objects: The true objects; crowds are left out.
        detections: What was found.
        classes: Number of classes.
        threshold: Least score of a detection.

    Returns:
        Counts of shape (classes + 1, classes + 1): true classes in rows, found ones in columns;
        the last row is background taken for an object, the last column is missed objects.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    taken = np.zeros(len(objects.labels), bool)
    for these, true, overlaps in _per_image(objects, detections):
        crowd = objects.crowd[true]
        for row, detection in enumerate(these):
            if detections.scores[detection] < threshold:
                break
            free = np.where(crowd | taken[true], -1.0, overlaps[row])
            if free.max(initial=-1) >= FOREGROUND:
                partner = true[free.argmax()]
                taken[partner] = True
                counts[objects.labels[partner], detections.labels[detection]] += 1
            elif not (crowd & (overlaps[row] >= FOREGROUND)).any():
                counts[classes, detections.labels[detection]] += 1
    np.add.at(counts[:, classes], objects.labels[~taken & ~objects.crowd], 1)
    return counts


def image_scores(
    objects: Objects, detections: Objects, matches: Matches, images: int, threshold: float
) -> Floats:
    """F1 of each image at a threshold of the score, NaN where nothing is true or found."""
    shown = (detections.scores >= threshold) & (matches.kinds != IGNORED)
    true = np.bincount(detections.images[shown & (matches.kinds == RIGHT)], minlength=images)
    found = np.bincount(detections.images[shown], minlength=images)
    there = np.bincount(objects.images[~objects.crowd], minlength=images)
    with np.errstate(invalid='ignore'):
        return 2 * true / (found + there)
