"""A run's counts per held-out image, from which its metric on any sample of the images follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmspanet import files

RECALLS = np.linspace(0, 1, 101)  # where COCO reads precision
VOID = 255


@dataclass(frozen=True)
class Areas:
    """What a segmentor's mIoU is made of.

    Attributes:
        both: (I, C), pixels of each image that are of a class in truth and prediction.
        either: (I, C), pixels that are of it in one of them.
    """

    both: np.ndarray
    either: np.ndarray

    @classmethod
    def of_maps(
        cls, predictions: Sequence[np.ndarray], truths: Sequence[np.ndarray], classes: int
    ) -> 'Areas':
        """Count label maps; void of the truth, 255, counts for nothing."""
        both, either = [], []
        for predicted, truth in zip(predictions, truths, strict=True):
            known = truth != VOID
            pairs = classes * truth[known].astype(int) + predicted[known]
            table = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
            both.append(table.diagonal())
            either.append(table.sum(0) + table.sum(1) - table.diagonal())
        return cls(np.array(both), np.array(either))

    def percent(self, times: np.ndarray) -> float:
        """The mIoU of a sample in which each image comes ``times`` times; ``times`` is (I,)."""
        with np.errstate(invalid='ignore'):
            return 100 * float(np.nanmean((times @ self.both) / (times @ self.either)))


@dataclass(frozen=True)
class Detections:
    """What a detector's AP is made of: its detections of a class, the surest first.

    Attributes:
        image: (D,), the index of each one's image.
        true: (T, D), whether it is an instance, by the threshold of IoU.
        counts: (T, D), whether it counts.
        instances: (I,), true instances of each image.
    """

    image: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    instances: np.ndarray

    @classmethod
    def of_class(cls, found: Sequence[dict[str, Any] | None]) -> 'Detections':
        """From COCOeval's results per image; None is an image with nothing of the class."""
        known = [(number, one) for number, one in enumerate(found) if one is not None]
        instances = np.zeros(len(found), int)
        for number, one in known:
            instances[number] = np.sum(np.asarray(one['gtIgnore']) == 0)
        scores = np.concatenate([np.asarray(one['dtScores'], float) for _, one in known])
        order = np.argsort(-scores, kind='stable')
        image = np.repeat(
            [number for number, _ in known], [len(one['dtScores']) for _, one in known]
        )
        matched, ignored = (
            np.concatenate([one[key] for _, one in known], axis=1).astype(bool)[:, order]
            for key in ('dtMatches', 'dtIgnore')
        )
        return cls(image[order], matched & ~ignored, ~ignored, instances)

    def precisions(self, times: np.ndarray) -> np.ndarray | None:
        """COCO's interpolated precision at :data:`RECALLS`.

        Args:
            times: (I,), how often each image is in the sample.

        Returns:
            (T, R), or None where no image has an instance.
        """
        instances = times @ self.instances
        if not instances:
            return None
        weights = times[self.image]
        true = np.cumsum(weights * self.true, axis=1)
        precision = true / np.maximum(np.cumsum(weights * self.counts, axis=1), 1)
        # The best precision at this recall or a higher one; behind the last recall it is 0.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))
        places = [np.searchsorted(row / instances, RECALLS) for row in true]
        return np.stack([row[place] for row, place in zip(best, places, strict=True)])


@dataclass(frozen=True)
class ByClass:
    """A detector's detections of each class."""

    classes: Sequence[Detections]

    @classmethod
    def of_files(cls, annotations: Path, predictions: Path, most: int) -> 'ByClass':
        """Match masks as COCO does.

        Args:
            annotations: COCO's file.
            predictions: Detections as COCO's metric writes them.
            most: Detections of an image that count.
        """
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(str(predictions)), 'segm')
        evaluation.params.maxDets = [most]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluation.evaluate()
        images = len(evaluation.params.imgIds)
        by_class = np.array(evaluation.evalImgs, object).reshape(-1, images)
        return cls([Detections.of_class(found) for found in by_class if any(found)])

    def percent(self, times: np.ndarray) -> float:
        """The AP of a sample in which each image comes ``times`` times; ``times`` is (I,)."""
        found = [one.precisions(times) for one in self.classes]
        return 100 * float(np.mean([precisions for precisions in found if precisions is not None]))


@dataclass(frozen=True)
class Counts:
    """A run's counts, and the images that are drawn together.

    Attributes:
        metric: The counts.
        block: (I,), the number of each image's block, from 0.
    """

    metric: Areas | ByClass
    block: np.ndarray

    def save(self, path: Path) -> None:
        """Write a compressed file of NumPy."""
        arrays = dict(block=self.block)
        if isinstance(self.metric, Areas):
            arrays |= vars(self.metric)
        else:
            for number, one in enumerate(self.metric.classes):
                arrays |= {f'{key}_{number}': value for key, value in vars(one).items()}
        files.make_folder(path.parent)
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> 'Counts':
        """Read what :meth:`save` wrote."""
        with np.load(path) as file:
            arrays = dict(file)
        block = arrays.pop('block')
        if arrays.keys() == {'both', 'either'}:
            return cls(Areas(**arrays), block)
        by_class: dict[str, dict[str, np.ndarray]] = {}
        for name, value in arrays.items():
            key, number = name.split('_')
            by_class.setdefault(number, {})[key] = value
        return cls(ByClass([Detections(**one) for one in by_class.values()]), block)
