"""The part of a run's page that is about a detector."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict

from mmspanet.analysis.page import Gallery, Picture, Section, Table
from mmspanet.datasets.meta import annotation_file, image_folder, labels_by_id, metainfo
from mmspanet.errors import InputError

from . import advice, detection, drawings, pictures
from .advice import Hint
from .detection import RIGHT, Evaluation, Matches, Objects, Results, ScoreCurve

SIZES = ('all', 'small', 'medium', 'large')


def sections(
    dataset: ConfigDict, predictions: list[dict[str, Any]], shown: int
) -> tuple[list[Section], list[Hint]]:
    """Figures and pictures of a test of a detector, and what they suggest.

    Args:
        dataset: That was tested on, its part of the config.
        predictions: As MMDetection dumps them.
        shown: Pictures of each kind.

    Raises:
        InputError: If the data set is not in COCO's format, or not that of the predictions.
    """
    results = read_results(dataset, predictions)
    objects, found = results.objects, results.detections
    labels = range(len(results.classes))
    boxes = detection.evaluate(results, 'bbox')
    matches = detection.match(objects, found)
    curve = detection.score_curve(objects, found, matches)
    curves = [detection.score_curve(objects, found, matches, label) for label in labels]
    threshold = float(curve.scores[curve.best]) if len(curve.scores) else 0.5
    ap, losses = detection.lost_to_errors(objects, found, matches, len(labels))
    counts = detection.confusion(objects, found, len(labels), threshold)

    tables = [Table('ap_boxes', 'AP of boxes', ap_rows(results.classes, boxes))]
    if results.has_masks:
        masks = detection.evaluate(results, 'segm')
        tables.append(Table('ap_masks', 'AP of masks', ap_rows(results.classes, masks)))
    names = [*results.classes, 'background']
    sizes = np.array([(i['width'], i['height']) for i in results.truth['images']], float)
    counting = _subset(found, found.scores >= threshold)
    precision = Section(
        'detection', 'How well it detects',
        [
            f'{len(results.truth["images"])} images, {int((~objects.crowd).sum())} objects. AP as '
            'COCO has it: the mean over IoU 0.50 to 0.95; AP50 and AP75 at one IoU; small is under '
            '32 x 32 px, large over 96 x 96 px; empty: no such object.',
        ],
        [
            *tables,
            drawings.precision_recall(boxes, results.classes),
            drawings.f1([curve, *curves], results.classes),
            Table('scores', 'Best score from which on detections count',
                  score_rows(results.classes, [curve, *curves])),
        ],
    )  # fmt: skip
    mistakes = Section(
        'errors_of_detection', 'What goes wrong', [],
        [
            drawings.errors(ap, losses),
            drawings.confusion_matrix(
                counts, names, names, 'objects',
                f'Boxes with a score of at least {threshold:.2f}, at IoU 0.5, whatever their '
                'class: each takes the free object that it overlaps most. Last row: background '
                'taken for an object; last column: objects missed.',
            ),
            drawings.boxes(_subset(objects, ~objects.crowd), counting, sizes),
        ],
    )  # fmt: skip
    looks = Section(
        'images', 'Images',
        [f'Truth on the left, detections with a score of at least {threshold:.2f} on the right.'],
        galleries(results, matches, image_folder(dataset), threshold, shown),
    )  # fmt: skip
    hints = advice.for_detector(results.classes, boxes, objects, losses)
    return [precision, mistakes, looks], hints


def read_results(dataset: ConfigDict, predictions: list[dict[str, Any]]) -> Results:
    """The predictions with the truth about their images.

    Raises:
        InputError: If the truth is not there, or of other images.
    """
    path = annotation_file(dataset)
    try:
        content = json.loads(path.read_bytes())
        classes = metainfo(dataset, 'mmdet').get('classes') or ()
        labels = labels_by_id(content, classes)
        wanted = {item['img_id'] for item in predictions}
        images = [image for image in content['images'] if image['id'] in wanted]
        truth = [
            dict(item, category_id=labels[item['category_id']])
            for item in content.get('annotations', ())
            if item['image_id'] in wanted and item['category_id'] in labels
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no file of annotations in COCO's format, which the figures are "
            f'measured against ({type(error).__name__}): name the data set by --part.'
        ) from error
    if len(images) < len(wanted):
        raise InputError(
            f'{len(wanted) - len(images)} of the {len(wanted)} images of the predictions are not '
            f'in {path}: name their data set by --part.'
        )
    return Results(classes, dict(images=images, annotations=truth), list(_found(predictions)))


def _found(predictions: list[dict[str, Any]]) -> Any:
    """COCO's results from what MMDetection dumped."""
    for item in predictions:
        instances = item['pred_instances']
        boxes = np.asarray(instances['bboxes'], np.float64).reshape(-1, 4).copy()
        boxes[:, 2:] -= boxes[:, :2]
        rows = zip(boxes.tolist(), instances['labels'].tolist(), instances['scores'].tolist(),
                   strict=True)  # fmt: skip
        for index, (box, label, score) in enumerate(rows):
            entry = dict(image_id=item['img_id'], category_id=label, bbox=box, score=score)
            if 'masks' in instances:
                entry['segmentation'] = instances['masks'][index]
            yield entry


def ap_rows(classes: Sequence[str], evaluation: Evaluation) -> list[dict[str, Any]]:
    """AP of each class and their mean: over all IoU, at 0.5 and 0.75, and by size."""
    columns = {
        'AP': evaluation.average(),
        'AP50': evaluation.average(0),
        'AP75': evaluation.average(5),
        **{f'AP {name}': evaluation.average(size=k) for k, name in enumerate(SIZES) if k},
    }
    mean = {name: detection.known_mean(values) for name, values in columns.items()}
    return [
        {'class': 'mean', **mean},
        *(
            {'class': name, **{key: float(values[k]) for key, values in columns.items()}}
            for k, name in enumerate(classes)
        ),
    ]


def score_rows(classes: Sequence[str], curves: Sequence[ScoreCurve]) -> list[dict[str, Any]]:
    """The best threshold of the score by F1, and what it gives, together and by class."""
    rows = []
    for name, curve in zip(['all classes', *classes], curves, strict=True):
        row: dict[str, Any] = {'class': name, 'score': None, 'F1': None}
        row |= {'precision': None, 'recall': None}
        if len(curve.scores):
            k = curve.best
            values = (curve.scores[k], curve.f1[k], curve.precision[k], curve.recall[k])
            keys = ('score', 'F1', 'precision', 'recall')
            row |= {key: float(value) for key, value in zip(keys, values, strict=True)}
        rows.append(row)
    return rows


def galleries(
    results: Results, matches: Matches, folder: Path, threshold: float, shown: int
) -> list[Gallery]:
    """Best and worst images by F1, and the surest mistakes."""
    objects, found = results.objects, results.detections
    images = results.truth['images']
    scores = detection.image_scores(objects, found, matches, len(images), threshold)
    known = np.flatnonzero(~np.isnan(scores))
    ranked = known[np.argsort(scores[known], kind='stable')]
    wrong = np.flatnonzero(~np.isin(matches.kinds, (RIGHT, detection.IGNORED)))
    sure: dict[int, int] = {}
    for index in wrong[np.argsort(-found.scores[wrong], kind='stable')]:
        sure.setdefault(int(found.images[index]), int(index))

    def picture(image: int, marked: int | None = None) -> Picture | None:
        name = images[image]['file_name']
        pixels = pictures.read_rgb(str(folder / name))
        if pixels is None:
            return None
        true = [objects.items[k] for k in objects.of_image(image)]
        these = [k for k in found.of_image(image) if found.scores[k] >= threshold or k == marked]
        panels = pictures.beside(
            pictures.draw_objects(pixels, true, results.classes),
            pictures.draw_objects(
                pixels, [found.items[k] for k in these], results.classes,
                [k == marked for k in these],
            ),
        )  # fmt: skip
        if marked is None:
            return Picture(panels, f'{name}: F1 {scores[image]:.2f}')
        label = results.classes[found.labels[marked]]
        caption = f'{name}: {label} {found.scores[marked]:.2f}, {matches.kinds[marked]}'
        return Picture(panels, caption)

    chosen = dict(
        worst=('Worst by F1', [picture(k) for k in ranked[:shown]]),
        mistakes=('Surest mistakes', [picture(*pair) for pair in list(sure.items())[:shown]]),
        best=('Best by F1', [picture(k) for k in ranked[::-1][:shown]]),
    )
    notes = dict(mistakes="Framed in red; the kind of error is TIDE's.")
    return [
        Gallery(name, title, [p for p in drawn if p is not None], notes.get(name, ''))
        for name, (title, drawn) in chosen.items()
        if any(p is not None for p in drawn)
    ]


def _subset(objects: Objects, chosen: np.ndarray) -> Objects:
    items = [item for item, keep in zip(objects.items, chosen, strict=True) if keep]
    return Objects(
        objects.images[chosen], objects.labels[chosen], objects.boxes[chosen],
        objects.scores[chosen], objects.crowd[chosen], items,
    )  # fmt: skip
