"""The part of a run's page that is about a classifier."""

from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope

from mmspanet.analysis.page import Gallery, Picture, Section, Table
from mmspanet.datasets.meta import metainfo, numbered
from mmspanet.errors import InputError

from . import advice, classification, drawings, pictures
from .advice import Hint
from .classification import Answers

TOP = 15  # of the commonest confusions


def sections(
    dataset: ConfigDict, predictions: list[dict[str, Any]], shown: int
) -> tuple[list[Section], list[Hint]]:
    """Figures and pictures of a test of a classifier, and what they suggest.

    Args:
        dataset: That was tested on, its part of the config.
        predictions: As MMEngine dumps those of MMPretrain.
        shown: Pictures of each kind.

    Raises:
        InputError: If the predictions are no scores of one label per image.
    """
    answers = read_answers(dataset, predictions)
    rows = classification.per_class(answers)
    counts = classification.confusion(answers)
    calibration = classification.calibration(answers)
    names = answers.classes
    columns = {key: [row[key] for row in rows] for key in ('f1', 'precision', 'recall')}
    wrong = int((~answers.right).sum())
    found = Section(
        'classification', 'How well it classifies',
        [f'{len(answers.truth)} images, {wrong} of them wrong: accuracy '
         f'{answers.right.mean():.4f}.'],
        [
            drawings.class_bars(names, columns, 'Classes by F1'),
            Table('per_class', 'All classes', [_titled(row) for row in rows]),
            drawings.confusion_matrix(counts, names, names, 'images', 'Numbers of images.'),
            Table('confusions', 'Commonest confusions', confusion_rows(counts, names)),
            drawings.reliability(calibration),
        ],
    )  # fmt: skip
    looks = Section('images', 'Images', [], galleries(answers, shown))
    return [found, looks], advice.for_classifier(
        rows, float(answers.confidence.mean()), float(answers.right.mean())
    )


def read_answers(dataset: ConfigDict, predictions: list[dict[str, Any]]) -> Answers:
    """The scores with the truth, which MMPretrain's predictions hold.

    Raises:
        InputError: If they are no scores of one label per image.
    """
    try:
        truth = np.array([int(item['gt_label'].item()) for item in predictions])
        scores = np.stack([np.asarray(item['pred_score'], np.float64) for item in predictions])
        images = [str(item.get('img_path', '')) for item in predictions]
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError(
            'The predictions are not scores and one label per image, as tools/test.py --out '
            'writes those of classifiers.'
        ) from error
    classes = metainfo(dataset, 'mmpretrain').get('classes')
    if not classes:  # named by folders
        init_default_scope('mmpretrain')
        classes = DATASETS.build(ConfigDict(dataset, pipeline=[])).metainfo.get('classes')
    names = numbered(classes or (), scores.shape[1])[: scores.shape[1]]
    return Answers(names, images, truth, scores)


def _titled(row: dict[str, Any]) -> dict[str, Any]:
    return {key.rstrip('_'): value for key, value in row.items()}


def confusion_rows(counts: np.ndarray, names: Any) -> list[dict[str, Any]]:
    """The commonest pairs of a true and a wrong class."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind='stable')[:TOP]
    pairs = [divmod(int(k), len(names)) for k in order]
    rows = [
        dict(true=names[i], found=names[j], images=int(wrong[i, j]))
        for i, j in pairs
        if wrong[i, j]
    ]
    return rows or [dict(true='', found='', images=0)]


def galleries(answers: Answers, shown: int) -> list[Gallery]:
    """The surest mistakes, the least sure right answers, and the surest right ones."""
    confidence, right = answers.confidence, answers.right
    surest = np.argsort(-confidence, kind='stable')
    chosen = dict(
        mistakes=('Surest mistakes', surest[~right[surest]]),
        doubts=('Right, and least sure', surest[right[surest]][::-1]),
        best=('Right, and surest', surest[right[surest]]),
    )

    def picture(k: int) -> Picture | None:
        pixels = pictures.read_rgb(answers.images[k])
        if pixels is None:
            return None
        name = answers.classes[answers.found[k]]
        caption = f'found {name} {confidence[k]:.2f}, true {answers.classes[answers.truth[k]]}'
        return Picture(pictures.fit(pixels)[0], caption)

    drawn = [
        (name, title, [p for k in order[:shown] if (p := picture(int(k))) is not None])
        for name, (title, order) in chosen.items()
    ]
    return [Gallery(name, title, found) for name, title, found in drawn if found]
