"""Likely label mistakes: labels that a trained model contradicts, as cleanlab ranks them."""

from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.object_detection.rank import get_label_quality_scores, issues_from_scores
from numpy.typing import NDArray

from mmspanet.analysis.run.classification import Answers
from mmspanet.analysis.run.detection import Results

DOUBTFUL = 0.5  # score of an image's labels below which they are shown


def of_classes(answers: Answers) -> NDArray[np.int64]:
    """Indices of the images whose label is likely wrong, the likeliest first."""
    found = find_label_issues(
        answers.truth, answers.scores, return_indices_ranked_by='self_confidence', n_jobs=1
    )
    return np.asarray(found, np.int64)


def of_boxes(results: Results) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Images whose boxes are likely wrong, and how good the labels of all images are.

    Returns:
        Indices of images, the likeliest first; and a score of each image from 0 to 1, low for
        labels that are wrong, too many or too few.
    """
    labels: list[dict[str, Any]] = []
    guesses = []
    for image in range(len(results.truth['images'])):
        true = results.objects.of_image(image)
        found = results.detections.of_image(image)
        labels.append(
            dict(bboxes=_corners(results.objects.boxes[true]), labels=results.objects.labels[true])
        )
        rows = np.column_stack([
            _corners(results.detections.boxes[found]), results.detections.scores[found]
        ])  # fmt: skip
        own = results.detections.labels[found]
        per_class = np.empty(len(results.classes), object)
        for label in range(len(results.classes)):
            per_class[label] = rows[own == label]
        guesses.append(per_class)
    scores = get_label_quality_scores(labels, guesses, verbose=False)
    ranked = issues_from_scores(scores, threshold=DOUBTFUL)
    return np.asarray(ranked, np.int64), np.asarray(scores, np.float64)


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
