"""Figures of a classifier from its predictions: per class, confusions, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15  # of confidence, as the calibration error is mostly given


@dataclass(frozen=True)
class Answers:
    """A classifier's scores with the truth.

    Attributes:
        classes: Names of the classes.
        images: Path of each image.
        truth: Label of each image, of shape (n,).
        scores: Of shape (n, classes), rows sum to 1.
    """

    classes: Sequence[str]
    images: Sequence[str]
    truth: Ints
    scores: Floats

    @property
    def found(self) -> Ints:
        """Label of the highest score, of shape (n,)."""
        return self.scores.argmax(1)

    @property
    def confidence(self) -> Floats:
        """The highest score, of shape (n,)."""
        return self.scores.max(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the highest score is that of the true class, of shape (n,)."""
        return self.found == self.truth


def per_class(answers: Answers) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of images of each class; NaN where there is nothing."""
    labels = range(len(answers.classes))
    columns = precision_recall_fscore_support(
        answers.truth, answers.found, labels=labels, zero_division=np.nan
    )
    names = ('precision', 'recall', 'f1', 'images')
    return [
        dict(class_=answers.classes[label], **dict(zip(names, values, strict=True)))
        for label, values in zip(labels, zip(*columns, strict=True), strict=True)
    ]


def confusion(answers: Answers) -> Ints:
    """Counts of shape (classes, classes): true classes in rows, found ones in columns."""
    return confusion_matrix(answers.truth, answers.found, labels=range(len(answers.classes)))


@dataclass(frozen=True)
class Calibration:
    """How often a classifier is right, against how sure it is.

    Attributes:
        counts: Images of each of the bins of equal width, of shape (bins,).
        confidence: Their mean confidence, NaN where there are none, of shape (bins,).
        accuracy: Share of right ones among them, of shape (bins,).
    """

    counts: Ints
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """ECE: the mean distance of the two, weighted by the counts (Guo et al., ICML 2017)."""
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((self.counts * gaps).sum() / self.counts.sum())


def calibration(answers: Answers, bins: int = BINS) -> Calibration:
    """Sort the answers by confidence into bins, each without its lower edge."""
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, answers.confidence, side='left') - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid='ignore'):
        confidence = np.bincount(places, answers.confidence, bins) / counts
        accuracy = np.bincount(places, answers.right, bins) / counts
    return Calibration(counts, confidence, accuracy)
