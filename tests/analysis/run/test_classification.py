"""The figures of a classifier against scikit-learn's."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, classification_report

from mmspanet.analysis.run import classification
from mmspanet.analysis.run.classification import Answers

CLASSES = tuple('abcdef')


@pytest.fixture(scope='module')
def answers() -> Answers:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 500)  # none of class f
    logits = rng.normal(0, 1.5, (500, 6))
    logits[np.arange(500), truth] += 2
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Answers(CLASSES, [''] * 500, truth, scores)


def test_per_class(answers):
    rows = classification.per_class(answers)
    expected = classification_report(
        answers.truth, answers.found, labels=range(6), output_dict=True, zero_division=np.nan
    )
    for label, row in enumerate(rows):
        theirs = expected[str(label)]
        actual = [row['precision'], row['recall'], row['f1'], row['images']]
        wanted = [theirs[key] for key in ('precision', 'recall', 'f1-score', 'support')]
        np.testing.assert_allclose(actual, wanted, atol=1e-9)
    assert answers.right.mean() == accuracy_score(answers.truth, answers.found)


def test_confusion(answers):
    expected = np.zeros((6, 6), int)
    for true, found in zip(answers.truth, answers.scores.argmax(1), strict=True):
        expected[true, found] += 1
    np.testing.assert_array_equal(classification.confusion(answers), expected)


def test_calibration(answers):
    found = classification.calibration(answers)
    accuracy, confidence = calibration_curve(answers.right, answers.confidence, n_bins=15)
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracy[filled], accuracy, atol=1e-6)
    np.testing.assert_allclose(found.confidence[filled], confidence, atol=1e-6)
    gaps = np.abs(accuracy - confidence)
    assert found.error == pytest.approx((found.counts[filled] * gaps).sum() / 500, abs=1e-6)


def test_calibration_of_one_who_is_sure():
    scores = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = classification.calibration(
        Answers(('a', 'b'), [''] * 4, np.array([0, 1, 1, 0]), scores)
    )
    assert found.error == pytest.approx(0.25)
