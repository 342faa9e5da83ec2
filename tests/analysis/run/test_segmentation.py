"""The figures of a segmentor against scikit-learn's and a plain search for boundaries."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score, recall_score

from mmspanet.analysis.run import segmentation

CLASSES = ('a', 'b', 'c', 'd')


@pytest.fixture(scope='module')
def maps():
    """Three maps in blocks of 8 pixels, some ignored; 10 % of the pixels found wrongly."""
    rng = np.random.default_rng(0)
    items = []
    for index, shape in enumerate(((5, 7), (4, 4), (6, 3))):
        blocks = rng.choice([0, 1, 2, 255], shape).astype(np.uint8)  # none of class d
        truth = np.kron(blocks, np.ones((8, 8), np.uint8))
        found = np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 4, truth.shape), truth)
        found = np.where(found == 255, 3, found).astype(np.uint8)
        items.append((f'{index}.png', truth, found))
    return items


def pixels(maps, chosen):
    """True and found labels of the chosen pixels that are not ignored."""
    pairs = [
        (truth[keep], found[keep])
        for (_, truth, found), mask in zip(maps, chosen, strict=True)
        for keep in [(truth != 255) & mask]
    ]
    return (np.concatenate(part) for part in zip(*pairs, strict=True))


def test_counts(maps):
    counts = segmentation.count(CLASSES, maps)
    truth, found = pixels(maps, [True] * 3)
    labels = range(4)
    np.testing.assert_array_equal(counts.confusion, confusion_matrix(truth, found, labels=labels))
    expected = jaccard_score(truth, found, labels=labels, average=None)
    np.testing.assert_allclose(segmentation.iou(counts.confusion), expected, atol=1e-9)
    expected = recall_score(truth, found, labels=labels[:3], average=None)
    np.testing.assert_allclose(segmentation.accuracy(counts.confusion)[:3], expected, atol=1e-9)
    assert np.isnan(segmentation.accuracy(counts.confusion)[3])


def nearest_other(truth):
    """Distance of each pixel to the nearest one of another label, by looking at all."""
    places = np.stack(np.meshgrid(*map(np.arange, truth.shape), indexing='ij'), -1).reshape(-1, 2)
    labels = truth.ravel()
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    distances[labels[:, None] == labels[None]] = np.inf
    return distances.min(1).reshape(truth.shape)


def test_boundary_and_inside(maps):
    distances = [nearest_other(truth) for _, truth, _ in maps]
    for (_, truth, _), expected in zip(maps, distances, strict=True):
        actual = segmentation.distance_to_boundary(truth)
        np.testing.assert_allclose(actual, expected, atol=1e-4)
    counts = segmentation.count(CLASSES, maps)
    truth, found = pixels(maps, [d <= segmentation.BOUNDARY for d in distances])
    np.testing.assert_array_equal(counts.near, confusion_matrix(truth, found, labels=range(4)))
    assert counts.pixels.sum() == counts.confusion.sum()
    assert counts.wrong.sum() == counts.confusion.sum() - counts.confusion.trace()
    assert counts.pixels[0] == 0  # nothing is nearer than its neighbor


def test_an_image_of_one_class_has_no_boundary():
    truth = np.zeros((16, 16), np.uint8)
    counts = segmentation.count(CLASSES, [('a.png', truth, truth)])
    assert counts.near.sum() == 0
    assert counts.image_iou == [1]
