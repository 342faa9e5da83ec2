"""Labels that were made wrong on purpose are found."""

import numpy as np

from mmspanet.analysis.data import mistakes
from mmspanet.analysis.run.classification import Answers
from mmspanet.analysis.run.detection import Results


def test_wrong_classes():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    scores = np.full((200, 4), 0.05)
    scores[np.arange(200), truth] = 0.85
    labels = truth.copy()
    wrong = rng.choice(200, 8, replace=False)
    labels[wrong] = (truth[wrong] + 1) % 4
    found = mistakes.of_classes(Answers(tuple('abcd'), [''] * 200, labels, scores))
    assert set(found) == set(wrong)


def test_wrong_boxes():
    """A class exchanged in one image, a box left out in another."""
    truth, found = [], []
    for image in range(20):
        for label, x in ((0, 10), (1, 60)):
            box = [x, 10, 30, 30]
            found.append(dict(image_id=image, category_id=label, bbox=box, score=0.99))
            if (image, label) != (7, 1):
                given = 1 - label if (image, label) == (3, 0) else label
                truth.append(dict(image_id=image, category_id=given, bbox=box))
    images = [dict(id=image, width=100, height=100) for image in range(20)]
    ranked, scores = mistakes.of_boxes(
        Results(('a', 'b'), dict(images=images, annotations=truth), found)
    )
    assert set(ranked) == {3, 7}, scores
